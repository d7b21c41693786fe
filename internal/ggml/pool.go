package ggml

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// Pool runs pieces of work on at most Workers goroutines at a time, the
// calling one among them. It owns no goroutine between calls. Several callers
// may use one pool at once: they share its helpers, and each makes progress
// even when it gets none.
type Pool struct {
	workers int
	free    chan *Scratch // scratch of helpers that are not at work
	own     sync.Pool     // scratch of callers

	throttle throttle
}

// NewPool returns a pool of the given number of workers; 0 means one for each
// processor Go may use.
func NewPool(workers int) *Pool {
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	p := &Pool{workers: workers, free: make(chan *Scratch, workers-1)}
	p.own.New = func() any { return new(Scratch) }
	for range workers - 1 {
		p.free <- new(Scratch)
	}
	return p
}

// Workers is the number of goroutines that may work at a time for one caller.
func (p *Pool) Workers() int { return p.workers }

// Do calls f(s, i) once for every i in [0, n) and returns when all calls have.
// s is scratch that no other call uses at the same time.
func (p *Pool) Do(n int, f func(s *Scratch, i int)) {
	if n <= 0 {
		return
	}
	f = p.throttled(f)
	mine := p.own.Get().(*Scratch)
	defer p.own.Put(mine)
	if n == 1 || p.workers == 1 {
		for i := range n {
			f(mine, i)
		}
		return
	}
	var (
		next atomic.Int64
		wg   sync.WaitGroup
	)
	work := func(s *Scratch) {
		for {
			i := int(next.Add(1)) - 1
			if i >= n {
				return
			}
			f(s, i)
		}
	}
helpers:
	for range min(p.workers, n) - 1 {
		select {
		case s := <-p.free:
			wg.Go(func() {
				defer func() { p.free <- s }()
				work(s)
			})
		default:
			break helpers // others have them all
		}
	}
	work(mine)
	wg.Wait()
}

// Parts cuts n things into parts for the pool's workers and returns the
// half-open range of part i: as even as whole multiples of grain allow.
func Parts(n, parts, i, grain int) (first, last int) {
	units := (n + grain - 1) / grain
	return min(n, units*i/parts*grain), min(n, units*(i+1)/parts*grain)
}
