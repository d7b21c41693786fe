package entry

import (
	"sync"
	"time"

	"github.com/moeswarm/moeswarm/expert"
)

// failures remembers which gating nodes failed lately, over all answers, so
// that one dead node costs the others nothing.
type failures struct {
	keep time.Duration // constant: age at which a failure is forgotten

	mu struct {
		sync.Mutex
		count uint64 // failures noted so far
		byKey map[failureKey]failure
	}
}

// failureKey names a gating node in its role for one model.
type failureKey struct {
	peer  string
	model expert.ModelID
}

type failure struct {
	number uint64 // counted from 1; a later failure has a higher one
	at     time.Time
}

// maxFailures bounds the memory, about 200 bytes each. More gating nodes than
// this are not known at once; should it overflow, all is forgotten, which
// costs each dead node one more attempt.
const maxFailures = 4096

func (f *failures) note(k failureKey) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.mu.byKey == nil || len(f.mu.byKey) >= maxFailures {
		f.mu.byKey = map[failureKey]failure{}
	}
	f.mu.count++
	f.mu.byKey[k] = failure{f.mu.count, time.Now()}
}

func (f *failures) forget(k failureKey) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.mu.byKey, k)
}

// last is the number of the node's last failure; 0: none that is remembered.
func (f *failures) last(k failureKey) uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	last, ok := f.mu.byKey[k]
	if ok && time.Since(last.at) > f.keep {
		delete(f.mu.byKey, k)
		return 0
	}
	return last.number
}
