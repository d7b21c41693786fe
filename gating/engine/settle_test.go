package engine

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/gating/prompt"
	"github.com/moeswarm/moeswarm/gating/trunk"
)

func watching(settle func(context.Context) error) func(context.Context) (context.Context, func(context.Context) error) {
	return func(ctx context.Context) (context.Context, func(context.Context) error) { return ctx, settle }
}

// TestSettle: steps in which a result was wrong are run again before a token
// is drawn from them, and a swarm that only lies ends the answer.
func TestSettle(t *testing.T) {
	r := prompt.Request{Text: "abc", MaxTokens: 12}
	want, _ := reference(r, 400)
	f := newFakeTrunk(t)
	f.before = func(context.Context, trunk.Step) error { return nil }
	settled, steps := 0, 0
	e, _ := start(t, f, Config{Watch: watching(func(context.Context) error {
		if settled++; settled%3 != 0 { // twice wrong, then right
			return expert.ErrBadResult
		}
		steps++
		return nil
	})})
	got, _, err := answer(e, t.Context(), r)
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
	if len(f.steps()) != 3*steps {
		t.Errorf("%d passes for %d steps", len(f.steps()), steps)
	}

	e, _ = start(t, newFakeTrunk(t), Config{Watch: watching(func(context.Context) error { return expert.ErrBadResult })})
	if got, _, err := answer(e, t.Context(), r); !errors.Is(err, prompt.ErrLost) || len(got) > 0 {
		t.Errorf("nothing but lies: %v, %v", got, err)
	}
}
