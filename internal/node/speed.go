package node

import (
	"context"
	"math"
	"sync"
	"time"

	"github.com/moeswarm/moeswarm/expert"
)

const (
	// typicalRate is the bytes of weights a second that a typical node gets
	// through when a call has a row or two: half of what the memory of a desktop
	// of 2020 gives. (Of two cores of a shared server 6 to 15 GB/s were seen.)
	typicalRate = 10e9
	// speedLeast is the weights that a frame must ask for to tell anything: with
	// less it is the way to the kernels that is timed.
	speedLeast = 1 << 20
	// speedRows is the most rows a call may have: with more, kernels compute
	// rather than wait for memory.
	speedRows = 2
	// speedHalfLife is after how long the best time seen counts half: a machine
	// that has become slow is so after an hour.
	speedHalfLife = 20 * time.Minute
)

// speedMeter applies experts for peers and times it. The best of the times
// counts, since others may have been using the machine.
type speedMeter struct {
	expert.Sets
	share float64 // of the machine that the owner gives
	sizes map[expert.ModelID]*expert.Manifest

	mu   sync.Mutex
	best float64 // bytes a second
	at   time.Time
}

func newSpeedMeter(sets expert.Sets, models []Model, share float64) *speedMeter {
	s := &speedMeter{Sets: sets, share: share, sizes: map[expert.ModelID]*expert.Manifest{}}
	if s.share == 0 {
		s.share = 1
	}
	for _, m := range models {
		s.sizes[m.Model.ID()] = m.Model.Manifest()
	}
	return s
}

// Apply implements expert.Applier.
func (s *speedMeter) Apply(ctx context.Context, in expert.Batch, calls []expert.Call) []expert.Result {
	return s.ApplyIn(ctx, in, calls, new(expert.Room))
}

// ApplyIn implements expert.Reuser. It is what a holder asks.
func (s *speedMeter) ApplyIn(ctx context.Context, in expert.Batch, calls []expert.Call, room *expert.Room) []expert.Result {
	began := time.Now()
	out := s.Sets.ApplyIn(ctx, in, calls, room)
	now := time.Now()
	for _, r := range out {
		if r.Err != nil {
			return out
		}
	}
	s.took(s.weights(calls), now.Sub(began), now)
	return out
}

// Sum implements expert.Summer.
func (s *speedMeter) Sum(ctx context.Context, in expert.Batch, calls []expert.Call) (expert.Batch, error) {
	return expert.SumResults(in, calls, s.Apply(ctx, in, calls))
}

// weights is how many bytes the calls read; 0 where they have too many rows.
func (s *speedMeter) weights(calls []expert.Call) (bytes int64) {
	for _, c := range calls {
		man := s.sizes[c.Expert.Model]
		if man == nil || len(c.Rows) > speedRows {
			return 0
		}
		p, _ := man.Piece(int(c.Expert.Layer), int(c.Expert.Index))
		bytes += p.Size
	}
	return bytes
}

// took takes note of work that ended now.
func (s *speedMeter) took(bytes int64, d time.Duration, now time.Time) {
	if bytes < speedLeast {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	rate := float64(bytes) / max(d, time.Microsecond).Seconds()
	s.best = max(rate, s.best*math.Exp2(-now.Sub(s.at).Seconds()/speedHalfLife.Seconds()))
	s.at = now
}

// now is the node's speed, a typical node's being 1; 0 while it is not known.
func (s *speedMeter) now() float64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.share * s.best / typicalRate
}
