package ggml

// #include "crew.h"
import "C"

import (
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
)

// Pool runs pieces of work on at most Workers threads at a time, the calling one
// among them. Products, networks and attention ([Pool.Multiply], [Pool.Feed],
// [Pool.Attend] and so on) are done by threads in C, which sleep between calls and
// end when the pool is collected; other work ([Pool.Do]) by goroutines, of which
// there are none between calls. Several callers may use one pool at once: they
// share its helpers, and each makes progress even when it gets none. A helper that
// has nothing left to do for one caller goes on with the work of another.
type Pool struct {
	workers int
	own     sync.Pool // scratch of callers
	jobs    sync.Pool // *job, between two calls of Do

	mu   sync.Mutex
	free []*Scratch // guarded by mu; of helpers that are not at work
	open []*job     // guarded by mu; those with room for more helpers, in the order they came

	throttle throttle

	crew   *C.struct_ms_crew // of Multiply and Feed; nil: the caller works alone
	tables sync.Pool         // *table, between two calls of those
}

// job is one call of Do. It is reused, so that a call allocates nothing.
type job struct {
	pool    *Pool
	n       int
	f       func(s *Scratch, i int)
	next    atomic.Int64 // piece to begin
	scratch []*Scratch   // guarded by the pool's mu; of helpers that have yet to begin
	help    func()       // what a helper runs
	helpers sync.WaitGroup
}

// Spare is how many places for running Go's code a program should have besides one
// for each worker of a pool. A worker that computes is in C and keeps its place:
// with none to spare, messages that come meanwhile wait until the runtime takes one
// back, up to 10 ms.
const Spare = 2

// NewPool returns a pool of the given number of workers; 0 means one for each
// processor Go may use.
func NewPool(workers int) *Pool {
	if workers <= 0 {
		workers = min(runtime.GOMAXPROCS(0), runtime.NumCPU())
	}
	p := &Pool{workers: workers}
	p.own.New = func() any { return new(Scratch) }
	p.jobs.New = func() any {
		j := &job{pool: p}
		j.help = func() { p.help(j) }
		return j
	}
	for range workers - 1 {
		p.free = append(p.free, new(Scratch))
	}
	p.tables.New = func() any { return new(table) }
	if workers > 1 {
		p.crew = C.ms_crew_new(C.int(workers))
		runtime.AddCleanup(p, func(c *C.struct_ms_crew) { C.ms_crew_free(c) }, p.crew)
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
	j.n, j.f = n, f
	j.next.Store(0)
	invited, open := p.invite(j)
	for range invited {
		go j.help()
	}
	j.work(mine)
	if open {
		p.close(j)
	}
	j.helpers.Wait()
	j.f = nil
	p.jobs.Put(j)
}

// invite gives a job the helpers that are free, and leaves it open for others
// if those are fewer than it has use for.
func (p *Pool) invite(j *job) (invited int, open bool) {
	wanted := min(p.workers, j.n) - 1
	p.mu.Lock()
	defer p.mu.Unlock()
	invited = min(wanted, len(p.free))
	rest := len(p.free) - invited
	j.scratch = append(j.scratch[:0], p.free[rest:]...)
	p.free = p.free[:rest]
	j.helpers.Add(invited)
	if open = invited < wanted; open {
		p.open = append(p.open, j)
	}
	return invited, open
}

// close keeps further helpers from a job.
func (p *Pool) close(j *job) {
	p.mu.Lock()
	defer p.mu.Unlock()
	i := slices.Index(p.open, j)
	p.open = slices.Delete(p.open, i, i+1)
}

// help works for a job, and then for those that had too few helpers.
func (p *Pool) help(j *job) {
	p.mu.Lock()
	last := len(j.scratch) - 1
	s := j.scratch[last]
	j.scratch = j.scratch[:last]
	p.mu.Unlock()
	for j != nil {
		j.work(s)
		done := j
		j = p.another(s)
		done.helpers.Done()
	}
}

// another is a job with pieces to begin; nil: there is none, and the helper
// whose scratch s is has become free.
func (p *Pool) another(s *Scratch) *job {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, j := range p.open {
		if int(j.next.Load()) < j.n {
			j.helpers.Add(1)
			return j
		}
	}
	p.free = append(p.free, s)
	return nil
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
