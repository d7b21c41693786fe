package engine

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/moeswarm/moeswarm/gating/prompt"
)

// pace is how long answers take lately, on average, from their slot to their
// end. Run's goroutine writes it, anybody reads it.
type pace struct{ nanos atomic.Int64 }

// firstPace is assumed until an answer has ended.
const firstPace = 10 * time.Second

func (p *pace) note(took time.Duration) {
	if was := p.nanos.Load(); was > 0 {
		took = time.Duration(was) + (took-time.Duration(was))/8
	}
	p.nanos.Store(int64(max(took, 1)))
}

func (p *pace) get() time.Duration {
	if n := p.nanos.Load(); n > 0 {
		return time.Duration(n)
	}
	return firstPace
}

// busy says that there is no place for another answer, and how long one would
// have waited for its beginning: slots become free one after the other, evenly
// spread over the time of an answer.
func (e *Engine) busy() error {
	ahead := e.cfg.MaxWaiting + 1
	return &prompt.BusyError{
		Wait:   e.pace.get() * time.Duration(ahead) / time.Duration(e.cfg.MaxRunning),
		Detail: fmt.Sprintf("%d answers are running or waiting", e.cfg.MaxRunning+e.cfg.MaxWaiting),
	}
}
