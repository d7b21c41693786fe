package experttest

import "sync"

// Sweep is memory that is larger than a processor's caches.
type Sweep []uint64

// NewSweep makes 64 MiB of it.
func NewSweep() Sweep { return make(Sweep, 8<<20) }

// Run goes through it on two processors, so that little else stays in their caches: a
// benchmark that sweeps before each turn measures what a turn takes between weights.
func (s Sweep) Run() {
	var all sync.WaitGroup
	for k := range 2 {
		all.Go(func() {
			half := s[k*len(s)/2 : (k+1)*len(s)/2]
			for i := 0; i < len(half); i += 8 {
				half[i]++
			}
		})
	}
	all.Wait()
}
