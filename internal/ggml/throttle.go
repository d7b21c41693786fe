package ggml

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// throttle holds the work of a pool down to a share of the machine. Time that
// pieces of work take is drawn from an account that fills at the allowed
// rate; who overdraws it rests until it is even again.
type throttle struct {
	on atomic.Bool // what follows counts
	mu struct {
		sync.Mutex
		rate  float64 // processors that may be busy on average
		level float64 // seconds of one processor; negative: overdrawn
		at    time.Time
	}
}

const (
	// throttleBurst is how much work may be saved up, in seconds of one
	// processor: a step of a small model, too short to be felt.
	throttleBurst = 0.05
	// restLeast is the shortest rest: shorter ones cost more than they save.
	restLeast = time.Millisecond
	// restMost bounds one rest, so that a rate that is raised counts soon.
	restMost = 100 * time.Millisecond
)

// SetShare bounds the pool to a share of all processors' time from now on, 0
// to 1: averaged over a tenth of a second or so, by rests between pieces of
// work. 1 and more is no bound. Work that nobody should wait for forever goes
// on at 1 % at the least.
func (p *Pool) SetShare(share float64) {
	t := &p.throttle
	t.mu.Lock()
	defer t.mu.Unlock()
	t.mu.rate = max(0.01, share) * float64(runtime.NumCPU())
	t.mu.at = time.Now()
	t.on.Store(share < 1)
}

// spend draws the time of a piece of work and returns how long to rest.
func (t *throttle) spend(took time.Duration, now time.Time) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.mu.level = min(throttleBurst, t.mu.level+now.Sub(t.mu.at).Seconds()*t.mu.rate)
	t.mu.at = now
	t.mu.level -= took.Seconds()
	if t.mu.level >= 0 {
		return 0
	}
	rest := time.Duration(-t.mu.level / t.mu.rate * float64(time.Second))
	if rest < restLeast {
		return 0
	}
	return min(rest, restMost)
}

// throttled is f with rests.
func (p *Pool) throttled(f func(s *Scratch, i int)) func(s *Scratch, i int) {
	if !p.throttle.on.Load() {
		return f
	}
	return func(s *Scratch, i int) {
		began := time.Now()
		f(s, i)
		now := time.Now()
		if rest := p.throttle.spend(now.Sub(began), now); rest > 0 {
			time.Sleep(rest)
		}
	}
}
