package entry

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/moeswarm/moeswarm/gating/prompt"
)

// answer is one prompt being completed. It belongs to the goroutine that
// ranges over it.
type answer struct {
	entry   *Entry
	request prompt.Request
	yield   func(prompt.Chunk, error) bool
	left    bool // the consumer stopped ranging

	tokens []int32 // the request's prefix, then the tokens delivered
	// drafts are those of the gating nodes before the present one, and of all.
	draftsBefore, drafts prompt.Drafts
	promptTokens         int // as the first gating node to deliver counted them; 0 before

	failovers int           // gating nodes lost that count for MaxFailovers
	lost      bool          // an attempt was lost, and none delivered anything since
	lastErr   error         // of the last attempt that failed
	waited    time.Duration // between rounds, since the last token
	delay     time.Duration // the next back-off
	lookup    lookup
}

// delivered counts the tokens that the consumer got.
func (a *answer) delivered() int { return len(a.tokens) - len(a.request.Prefix) }

// run goes from round to round until the answer ends. It returns nil when the
// answer is complete, or when the consumer left.
func (a *answer) run(ctx context.Context) error {
	for {
		v, ended := a.round(ctx)
		if ended {
			return v.err
		}
		if v.kind == unpaid {
			return v.err // waiting earns nothing
		}
		left := a.patience(v.kind) - a.waited
		if left <= 0 {
			return a.giveUp(v)
		}
		begun := time.Now()
		if err := a.wait(ctx, left); err != nil {
			return err
		}
		a.waited += max(time.Since(begun), pollEvery) // made-up gates without end come to an end
	}
}

// round asks each known gating node once, and ends when all failed. A token
// delivered begins it anew without the node that then failed, which waits for
// the next round. It gives the most hopeful failure; ended is true when the
// answer needs no further round, and the error then is the answer's.
func (a *answer) round(ctx context.Context) (best verdict, ended bool) {
	asked, missing := map[string]bool{}, 0
	for len(asked) < maxAsked && missing < maxMissing {
		peer, ok := a.next(asked)
		if !ok {
			break
		}
		asked[peer] = true
		before := a.delivered()
		err := a.attempt(ctx, peer)
		if err == nil || ctx.Err() != nil {
			return verdict{err: err}, true
		}
		v := judge(err)
		if a.delivered() > before {
			clear(asked)
			asked[peer] = true
			best, missing = verdict{}, 0
			a.delay, a.waited = a.entry.cfg.Policy.Delay, 0
		}
		if a.delivered() > before || errors.Is(err, errStalled) {
			a.failovers++
		}
		a.fail(peer, v)
		if v.kind == refused && a.delivered() == 0 {
			return v, true // no other node will do better
		}
		if a.failovers > a.entry.cfg.Policy.MaxFailovers {
			v.err = fmt.Errorf("%d gating nodes gave up this answer, the last one with: %w", a.failovers, err)
			return v, true
		}
		if v.kind >= best.kind {
			best = v
		}
		if v.kind == missingExperts {
			missing++
		}
	}
	return best, false
}

const (
	// maxAsked bounds a round. A swarm lists its nearest gating nodes first;
	// when this many fail in a row, news of them is what is missing.
	maxAsked = 64
	// maxMissing is how many gating nodes of one round may say that experts
	// have no holder. They all see the same swarm, so a second opinion is
	// worth a prefill and a third is not.
	maxMissing = 2
)

// fail notes and logs that an attempt failed.
func (a *answer) fail(peer string, v verdict) {
	a.lastErr = v.err
	if v.kind == lost || v.kind == broken {
		a.lost = true
		a.entry.failed.note(failureKey{peer, a.request.Model})
	}
	a.entry.cfg.Log.Info("a gating node did not finish an answer",
		"gate", gateName(peer), "model", a.request.Model.Short(), "tokens", len(a.tokens), "err", v.err)
}

// patience is how long the answer may wait between rounds, all waits since the
// last token together, when the last round ended so. The time that attempts
// take has limits of its own.
func (a *answer) patience(k kind) time.Duration {
	p := a.entry.cfg.Policy
	if a.delivered() > 0 {
		return p.GateWait // half an answer is worth waiting for
	}
	switch k {
	case busy, broken:
		return p.BusyWait
	case missingExperts:
		return p.MissingWait
	default:
		return p.GateWait
	}
}

// giveUp is the error that tells the user what is wrong and what to do.
func (a *answer) giveUp(v verdict) error {
	waited := a.patience(v.kind)
	switch v.kind {
	case busy:
		busy := &prompt.BusyError{Detail: fmt.Sprintf("every gating node of model %s refused for %v", a.request.Model.Short(), waited)}
		if last, ok := errors.AsType[*prompt.BusyError](v.err); ok {
			busy.Wait = last.Wait
		}
		return busy
	case missingExperts:
		return v.err
	case broken:
		return fmt.Errorf("every gating node of model %s failed for %v, the last one with: %w", a.request.Model.Short(), waited, v.err)
	}
	err := fmt.Errorf("%w: none of model %s served within %v; start one that joins this swarm (moeswarm node --gate --model FILE --join ADDR), or join a swarm that has one",
		prompt.ErrNoGate, a.request.Model.Short(), waited)
	if a.lastErr != nil {
		err = fmt.Errorf("%w (last failure: %v)", err, a.lastErr)
	}
	return err
}

// kind sorts failures by how near the node was to serving: the highest of a
// round says what to wait for.
type kind int

const (
	none           kind = iota // nobody was asked
	lost                       // gone, leaving, or it does not gate the model
	refused                    // it finds fault with the request
	unpaid                     // it wants to be paid
	broken                     // an error that no contract names
	missingExperts             // it is well, but experts have no holder
	busy                       // it is well
)

// verdict is a failure and its kind.
type verdict struct {
	kind kind
	err  error
}

func judge(err error) verdict {
	switch {
	case errors.Is(err, prompt.ErrUnpaid):
		return verdict{unpaid, err}
	case errors.Is(err, prompt.ErrLost), errors.Is(err, prompt.ErrUnknownModel), errors.Is(err, prompt.ErrNoGate), errors.Is(err, prompt.ErrNotMember):
		return verdict{lost, err}
	case errors.Is(err, prompt.ErrBadRequest):
		return verdict{refused, err}
	case errors.Is(err, prompt.ErrMissingExperts):
		return verdict{missingExperts, err}
	case errors.Is(err, prompt.ErrBusy):
		return verdict{busy, err}
	default:
		return verdict{broken, err}
	}
}

// gateName names a gating node in logs.
func gateName(peer string) string {
	if peer == "" {
		return "this node"
	}
	return peer
}
