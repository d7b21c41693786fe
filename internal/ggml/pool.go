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
	jobs    sync.Pool     // *job, between two calls of Do

	throttle throttle
}

// job is one call of Do. It is reused, so that a call allocates nothing.
type job struct {
	pool    *Pool
	n       int
	f       func(s *Scratch, i int)
	next    atomic.Int64 // piece to begin
	helpers []*Scratch   // of those that help
	helping atomic.Int64 // helpers that have begun
	help    func()       // what a helper runs
	wg      sync.WaitGroup
}

// NewPool returns a pool of the given number of workers; 0 means one for each
// processor Go may use.
func NewPool(workers int) *Pool {
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	p := &Pool{workers: workers, free: make(chan *Scratch, workers-1)}
	p.own.New = func() any { return new(Scratch) }
	p.jobs.New = func() any {
		j := &job{pool: p}
		j.help = func() {
			s := j.helpers[j.helping.Add(1)-1]
			j.work(s)
			p.free <- s
			j.wg.Done()
		}
		return j
	}
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
	j := p.jobs.Get().(*job)
	j.n, j.f, j.helpers = n, f, j.helpers[:0]
	j.next.Store(0)
	j.helping.Store(0)
invite:
	for range min(p.workers, n) - 1 {
		select {
		case s := <-p.free:
			j.helpers = append(j.helpers, s)
		default:
			break invite // others have them all
		}
	}
	j.wg.Add(len(j.helpers))
	for range j.helpers {
		go j.help()
	}
	j.work(mine)
	j.wg.Wait()
	j.f = nil
	p.jobs.Put(j)
}

// work does pieces until all have begun.
func (j *job) work(s *Scratch) {
	for {
		i := int(j.next.Add(1)) - 1
		if i >= j.n {
			return
		}
		j.f(s, i)
	}
}

// Parts cuts n things into parts for the pool's workers and returns the
// half-open range of part i: as even as whole multiples of grain allow.
func Parts(n, parts, i, grain int) (first, last int) {
	units := (n + grain - 1) / grain
	return min(n, units*i/parts*grain), min(n, units*(i+1)/parts*grain)
}
