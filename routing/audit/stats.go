package audit

import (
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/moeswarm/moeswarm/routing"
)

// Stats sums up what an inspector has done. Counters only grow.
type Stats struct {
	Answers   int // seen
	Drawn     int // of those, to be audited
	Cleared   int // audits by outcome
	Guilty    int
	Unproven  int
	Undecided int
	Unable    int // nobody could audit
	Identical int // findings that were equal to the last bit
	Methods   map[string]MethodStats
	Liars     []Liar // the latest, at most maxLiars
}

// maxLiars bounds those named in Stats.
const maxLiars = 32

// Liar is a peer found guilty.
type Liar struct {
	Peer routing.Peer `json:"peer"`
	At   time.Time    `json:"at"`
	Why  string       `json:"why"`
}

// MethodStats is what one auditor cost.
type MethodStats struct {
	Audits int // that it could do
	Unable int
	Rows   int
	Bytes  int64 // on the network
	Took   time.Duration
}

type stats struct {
	mu struct {
		sync.Mutex
		Stats
	}
}

func newStats() *stats {
	s := &stats{}
	s.mu.Methods = map[string]MethodStats{}
	return s
}

// Stats gives the sums so far.
func (i *Inspector) Stats() Stats {
	i.stats.mu.Lock()
	defer i.stats.mu.Unlock()
	out := i.stats.mu.Stats
	out.Methods, out.Liars = maps.Clone(out.Methods), slices.Clone(out.Liars)
	return out
}

func (s *stats) saw(drawn bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.Answers++
	if drawn {
		s.mu.Drawn++
	}
}

func (s *stats) asked(method string, took time.Duration, f Finding, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.mu.Methods[method]
	m.Took += took
	if err != nil {
		m.Unable++
	} else {
		m.Audits++
		m.Rows += f.Rows
		m.Bytes += int64(f.Bytes)
		if f.Same {
			s.mu.Identical++
		}
	}
	s.mu.Methods[method] = m
}

func (s *stats) unable() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.Unable++
}

func (s *stats) concluded(v Verdict) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch v.Outcome {
	case Cleared:
		s.mu.Cleared++
	case Guilty:
		s.mu.Guilty++
		s.mu.Liars = append(s.mu.Liars, Liar{v.Peer, v.At, v.String()})
		if len(s.mu.Liars) > maxLiars {
			s.mu.Liars = slices.Delete(s.mu.Liars, 0, 1)
		}
	case Unproven:
		s.mu.Unproven++
	default:
		s.mu.Undecided++
	}
}
