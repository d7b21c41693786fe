package ggml

import (
	"runtime"
	"testing"
	"testing/synctest"
	"time"
)

// TestShare: a worker that would compute all the time computes for the allowed
// share of it, and all the time again once there is no bound.
func TestShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, share := range []float64{0.1, 0.25, 1} {
			p := NewPool(1)
			p.SetShare(share / float64(runtime.NumCPU())) // of one processor
			began, pieces := time.Now(), 0
			for time.Since(began) < 10*time.Second {
				p.Do(5, func(*Scratch, int) {
					time.Sleep(2 * time.Millisecond)
					pieces++
				})
			}
			busy := float64(pieces) * 0.002 / time.Since(began).Seconds()
			if busy < 0.9*share || busy > 1.05*share+0.01 {
				t.Errorf("busy %.3f of the time, allowed %.2f", busy, share)
			}
			p.SetShare(1)
			began = time.Now()
			p.Do(5, func(*Scratch, int) { time.Sleep(2 * time.Millisecond) })
			if took := time.Since(began); took != 10*time.Millisecond {
				t.Errorf("without a bound 10 ms of work took %v", took)
			}
		}
	})
}
