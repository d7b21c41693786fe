package audit

import (
	"maps"
	"sync"
	"time"
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
	out.Methods = maps.Clone(out.Methods)
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
	case Unproven:
		s.mu.Unproven++
	default:
		s.mu.Undecided++
	}
}
