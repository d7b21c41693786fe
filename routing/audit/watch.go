package audit

import (
	"context"
	"errors"
	"slices"

	"github.com/moeswarm/moeswarm/expert"
)

// watched is where a step's context carries the audits that it waits for.
type watched struct{}

// Watch prepares a step: audits of answers used in the context that it returns
// are the step's, and settle is its barrier, as Settle is a model's. Steps
// that overlap wait each for their own audits only.
func (i *Inspector) Watch(ctx context.Context) (step context.Context, settle func(context.Context) error) {
	m := &pending{changed: make(chan struct{})}
	return context.WithValue(ctx, watched{}, []*pending{m}), func(ctx context.Context) error { return i.settle(ctx, m) }
}

// Join returns a context like the first for work that is done for several
// steps at once: its audits are those of all.
func Join(steps ...context.Context) context.Context {
	var all []*pending
	for _, ctx := range steps {
		for _, m := range watchers(ctx) {
			if !slices.Contains(all, m) {
				all = append(all, m)
			}
		}
	}
	return context.WithValue(steps[0], watched{}, all)
}

func watchers(ctx context.Context) []*pending {
	all, _ := ctx.Value(watched{}).([]*pending)
	return all
}

// begin notes an audit that tokens must wait for: those of the steps in the
// context, or if there are none, the model's.
func (i *Inspector) begin(ctx context.Context, model expert.ModelID) []*pending {
	i.mu.Lock()
	defer i.mu.Unlock()
	all := watchers(ctx)
	if len(all) == 0 {
		m := i.mu.pending[model]
		if m == nil {
			m = &pending{changed: make(chan struct{})}
			i.mu.pending[model] = m
		}
		all = []*pending{m}
	}
	for _, m := range all {
		m.open++
	}
	return all
}

func (i *Inspector) end(all []*pending, err error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, m := range all {
		m.open--
		if errors.Is(err, expert.ErrBadResult) {
			m.failed = append(m.failed, err)
		}
		close(m.changed)
		m.changed = make(chan struct{})
	}
}

// Settle waits for the audits of the answers that the model's steps have used
// so far, working on them too. It fails when one of those answers was wrong:
// then what was computed since the last Settle must not be used. It is for
// steps that do not overlap; others have their own barriers from Watch.
func (i *Inspector) Settle(ctx context.Context, model expert.ModelID) error {
	i.mu.Lock()
	m := i.mu.pending[model]
	i.mu.Unlock()
	if m == nil {
		return nil
	}
	return i.settle(ctx, m)
}

func (i *Inspector) settle(ctx context.Context, m *pending) error {
	for {
		i.mu.Lock()
		if m.open == 0 {
			failed := m.failed
			m.failed = nil
			i.mu.Unlock()
			return errors.Join(failed...)
		}
		changed := m.changed
		i.mu.Unlock()
		select {
		case job := <-i.queue:
			job()
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
