package entry

import (
	"cmp"
	"context"
	"slices"
	"time"
)

// pollEvery is how often a waiting answer looks whether a gating node has
// become known. The look is a map access; a person does not notice 100 ms.
const pollEvery = 100 * time.Millisecond

// lookup is an answer's look-up of gating nodes: at most one at a time.
type lookup struct {
	found  []string      // by the last look-up that ended
	result chan []string // nil: none is under way
	cancel context.CancelFunc
}

// gates lists whom the answer can ask: this node, the known peers, those
// found; those that failed lately last, the latest failure at the end.
func (a *answer) gates() []string {
	cfg, model := &a.entry.cfg, a.request.Model
	var all []string
	if cfg.Local != nil && cfg.LocalModels(model) {
		all = append(all, "")
	}
	add := func(peers []string) {
		for _, p := range peers {
			if p != "" && !slices.Contains(all, p) && len(all) < maxGates {
				all = append(all, p)
			}
		}
	}
	if cfg.Gates != nil {
		add(cfg.Gates(model))
	}
	add(a.lookup.found)

	failed := make(map[string]uint64, len(all))
	for _, p := range all {
		failed[p] = a.entry.failed.last(failureKey{p, model})
	}
	slices.SortStableFunc(all, func(p, q string) int { return cmp.Compare(failed[p], failed[q]) })
	return all
}

// maxGates bounds the list of one answer: twice what a round asks, so that
// failed ones at its head cannot hide all others.
const maxGates = 2 * maxAsked

// next is the first gating node not asked yet.
func (a *answer) next(asked map[string]bool) (peer string, ok bool) {
	for _, p := range a.gates() {
		if !asked[p] {
			return p, true
		}
	}
	return "", false
}

// wait lets one back-off pass, at most the time left, and looks for gating
// nodes meanwhile. It ends early when a new one appears.
func (a *answer) wait(ctx context.Context, left time.Duration) error {
	a.beginLookup(ctx)
	known := a.gates()
	over := time.NewTimer(min(a.delay, left))
	defer over.Stop()
	a.delay = min(2*a.delay, a.entry.cfg.Policy.MaxDelay)
	poll := time.NewTicker(pollEvery)
	defer poll.Stop()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-over.C:
			return nil
		case a.lookup.found = <-a.lookup.result:
			a.lookup.cancel()
			a.lookup.result = nil
		case <-poll.C:
		}
		if slices.ContainsFunc(a.gates(), func(p string) bool { return !slices.Contains(known, p) }) {
			return nil
		}
	}
}

// beginLookup starts a look-up unless one is under way. It may outlast many
// back-offs: a slow look-up is not begun again and again.
func (a *answer) beginLookup(ctx context.Context) {
	cfg := &a.entry.cfg
	if cfg.Find == nil || a.lookup.result != nil {
		return
	}
	ctx, a.lookup.cancel = context.WithTimeout(ctx, cfg.Policy.FindTime)
	result := make(chan []string, 1)
	a.lookup.result = result
	go func() {
		peers, err := cfg.Find(ctx, a.request.Model)
		if err != nil {
			cfg.Log.Debug("looking for gating nodes failed", "model", a.request.Model.Short(), "err", err)
		}
		result <- peers
	}()
}

// endLookup cancels the look-up under way, if any, and waits for its end.
func (a *answer) endLookup() {
	if a.lookup.result == nil {
		return
	}
	a.lookup.cancel()
	<-a.lookup.result
	a.lookup.result = nil
}
