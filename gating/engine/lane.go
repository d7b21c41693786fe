package engine

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/gating"
	"github.com/moeswarm/moeswarm/gating/trunk"
)

// lane is a step under way. While it is, its goroutine owns it, but for what
// Run's goroutine alone may touch in its sequences.
type lane struct {
	forwarder Forwarder
	cfg       Config

	in     []member
	step   trunk.Step
	effort *gating.BestEffort
	trace  *gating.Trace // of the step, nil: nobody asks
	traces *gating.Trace // for steps that are traced; nil before the first
	decode bool          // sequences that decode are in it
	alone  bool          // no other step was under way so far

	logits expert.Batch
	err    error
	took   time.Duration // of the try that succeeded
}

// forwardTries is how often a step is run before its sequences are given up:
// what failed it, a holder that went away, is gone at the second try, because
// the router has noticed by then.
const forwardTries = 2

// settleTries is how often a step is run again because a result in it was
// found wrong. Each time a liar is found out; more than these at once are a
// swarm to leave.
const settleTries = 8

// run takes the step through. When all its sequences have lost their readers
// in the meantime, it is broken off.
func (n *lane) run(ctx context.Context, readers []context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var wanted atomic.Int64
	wanted.Store(int64(len(readers)))
	for _, reader := range readers {
		stop := context.AfterFunc(reader, func() {
			if wanted.Add(-1) == 0 {
				cancel()
			}
		})
		defer stop()
	}
	n.logits, n.err = n.forward(ctx)
}

func (n *lane) forward(ctx context.Context) (expert.Batch, error) {
	if n.effort != nil {
		ctx = gating.WithBestEffort(ctx, n.effort)
	}
	if n.trace != nil {
		ctx = gating.WithTrace(ctx, n.trace)
	}
	for try, settled := 1, 0; ; try++ {
		if n.effort != nil {
			n.effort.Dropped = nil // what an earlier try left out is not in the answer
		}
		began := time.Now()
		step, settle := n.cfg.Watch(ctx)
		logits, err := n.forwarder.Forward(step, n.step)
		if err == nil {
			if err = settle(ctx); err != nil && settled < settleTries && ctx.Err() == nil {
				settled++
				try = 0
				n.cfg.Log.Info("a result was wrong, running the step again", "err", err)
				continue
			}
		}
		if err == nil && (logits.Rows != len(n.step.Logits) || logits.Dim != n.cfg.Vocab || len(logits.Data) != logits.Rows*logits.Dim) {
			return logits, fmt.Errorf("the trunk gave logits of shape (%d, %d), want (%d, %d)", logits.Rows, logits.Dim, len(n.step.Logits), n.cfg.Vocab)
		}
		n.took = time.Since(began)
		final := errors.Is(err, expert.ErrNoHolder) || errors.Is(err, expert.ErrBadCall)
		if err == nil || final || try == forwardTries || ctx.Err() != nil {
			return logits, err
		}
		n.cfg.Log.Debug("step failed, trying again", "err", err)
	}
}
