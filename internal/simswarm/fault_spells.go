package simswarm

import (
	"sync"
	"time"
)

// Spells is slow by factor at random moments: well for good on average, then
// slow for bad on average, both exponential.
func Spells(factor float64, good, bad time.Duration, seed uint64) Fault {
	s := &spells{chance: newChance(seed, seedSpells), mean: [2]time.Duration{good, bad}}
	return slowWhen(factor, s.bad)
}

type spells struct {
	chance *chance
	mean   [2]time.Duration

	mu  sync.Mutex
	now int // 0 good, 1 bad
	end time.Time
}

// bad says whether this moment is in a slow spell. The first ask begins the
// first good one.
func (s *spells) bad() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if s.end.IsZero() {
		s.end = now.Add(s.draw())
	}
	for !now.Before(s.end) {
		s.now = 1 - s.now
		s.end = s.end.Add(s.draw())
	}
	return s.now == 1
}

func (s *spells) draw() time.Duration {
	return max(time.Microsecond, time.Duration(s.chance.exp()*float64(s.mean[s.now])))
}
