package main

import (
	"sync"
	"time"

	"github.com/moeswarm/moeswarm/expert"
)

// progressEvery is how often long work says how far it is, and how long it
// may take before it says anything at all.
const progressEvery = time.Second

// progress returns a callback that says in a line, once a second, how far a
// long piece of work is. Short work passes without a word.
func (p program) progress(what string) expert.Progress {
	var mu sync.Mutex
	last := time.Now()
	began := last
	return func(done, total int64) {
		mu.Lock()
		defer mu.Unlock()
		now := time.Now()
		if now.Sub(last) < progressEvery || total <= 0 {
			return
		}
		last = now
		rate := float64(done) / now.Sub(began).Seconds()
		left := time.Duration(float64(total-done) / max(rate, 1) * float64(time.Second))
		p.say("%s: %d of %d MB, %.0f MB/s, %v left", what, done/1e6, total/1e6, rate/1e6, left.Round(time.Second))
	}
}
