package gating

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/expert/experttest"
)

func newMerger(t testing.TB, a expert.Applier, window time.Duration) *Merger {
	t.Helper()
	m, err := NewMerger(MergerConfig{Applier: a, Window: func() time.Duration { return window }})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestMergerConformance(t *testing.T) {
	experttest.Run(t, func(t *testing.T) (expert.Applier, experttest.Fixture) {
		var held []expert.ID
		for i := range uint16(8) {
			held = append(held, expert.ID{Layer: 3, Index: i})
		}
		fake := experttest.NewFake(1, 12, held...)
		return newMerger(t, fake, time.Millisecond), experttest.Fixture{
			Dim: 12, Held: held, Unheld: expert.ID{Layer: 3, Index: 99}, Reference: fake,
		}
	})
}

// counting counts what reaches an applier, which takes its time.
type counting struct {
	expert.Applier
	takes  time.Duration
	frames atomic.Int64
}

func (c *counting) Apply(ctx context.Context, in expert.Batch, calls []expert.Call) []expert.Result {
	c.frames.Add(1)
	select {
	case <-time.After(c.takes):
	case <-ctx.Done():
		return failed(len(calls), ctx.Err())
	}
	return c.Applier.Apply(ctx, in, calls)
}

// Any steps, at any time, with any window, some of which are given up: each
// has the results it has alone. Steps in company share frames.
func TestMergingDoesNotMatter(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	const layers, experts, dim = 5, 6, 8
	var held []expert.ID
	for l := range uint16(layers) {
		for i := range uint16(experts) {
			held = append(held, expert.ID{Layer: l, Index: i})
		}
	}
	fake := experttest.NewFake(2, dim, held...)
	frames, alone := int64(0), 0
	for round := range uint64(60) {
		synctest.Test(t, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, round))
			c := &counting{Applier: fake, takes: 30 * time.Millisecond}
			m := newMerger(t, c, time.Duration(rng.IntN(3000))*time.Microsecond)
			var wg sync.WaitGroup
			for step := range 1 + rng.IntN(6) {
				rng := rand.New(rand.NewPCG(seed^uint64(step+1), round))
				ctx, cancel := context.WithCancel(t.Context())
				if rng.IntN(4) == 0 {
					cancelAt := time.Duration(rng.IntN(150)) * time.Millisecond
					wg.Go(func() {
						time.Sleep(cancelAt) // of the bubble's time
						cancel()
					})
				}
				alone += layers
				wg.Go(func() {
					defer cancel()
					in := expert.NewBatch(1+rng.IntN(4), dim)
					for l := range layers {
						time.Sleep(time.Duration(rng.IntN(1000)) * time.Microsecond) // the trunk's work, in the bubble's time
						for i := range in.Data {
							in.Data[i] = float32(rng.NormFloat64())
						}
						calls := randomCalls(rng, l, experts, in.Rows)
						got := m.Apply(ctx, in, calls)
						for i, want := range fake.Apply(t.Context(), in, calls) {
							switch {
							case got[i].Err != nil && ctx.Err() == nil:
								t.Errorf("step %d, layer %d: %v", step, l, got[i].Err)
							case got[i].Err == nil && !slices.Equal(got[i].Out.Data, want.Out.Data):
								t.Errorf("step %d, layer %d, %v: other values than alone", step, l, calls[i].Expert)
							}
						}
						if ctx.Err() != nil {
							return
						}
					}
				})
			}
			wg.Wait()
			frames += c.frames.Load()
		})
	}
	t.Logf("%d frames for %d rounds", frames, alone)
	if frames > int64(alone)*9/10 {
		t.Errorf("%d frames for %d rounds: hardly any were merged", frames, alone)
	}
}

func randomCalls(rng *rand.Rand, layer, experts, rows int) []expert.Call {
	var calls []expert.Call
	for i := range experts {
		c := expert.Call{Expert: expert.ID{Layer: uint16(layer), Index: uint16(i)}}
		for r := range rows {
			if rng.IntN(2) == 0 {
				c.Rows, c.Weights = append(c.Rows, int32(r)), append(c.Weights, rng.Float32())
			}
		}
		if len(c.Rows) > 0 {
			calls = append(calls, c)
		}
	}
	return calls
}

// A lone step never waits, however long the window.
func TestMergerDoesNotDelayALoneStep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := experttest.NewFake(3, 4, expert.ID{Layer: 0}, expert.ID{Layer: 1}, expert.ID{Layer: 2})
		m := newMerger(t, fake, time.Hour)
		began := time.Now()
		for l := range uint16(3) {
			r := m.Apply(t.Context(), expert.NewBatch(1, 4), []expert.Call{{Expert: expert.ID{Layer: l}, Rows: []int32{0}}})
			if r[0].Err != nil {
				t.Error(r[0].Err)
			}
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("it took %v", took)
		}
	})
}

// A step that is given up does not take others with it.
func TestMergerLeaderLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		id := expert.ID{Layer: 1}
		fake := experttest.NewFake(3, 4, expert.ID{}, id)
		m := newMerger(t, &counting{Applier: fake, takes: 10 * time.Millisecond}, time.Second)
		call := func(ctx context.Context, layer uint16) error {
			return m.Apply(ctx, expert.NewBatch(1, 4), []expert.Call{{Expert: expert.ID{Layer: layer}, Rows: []int32{0}}})[0].Err
		}
		var wg sync.WaitGroup
		for range 3 { // three steps on their way to layer 1
			wg.Go(func() { _ = call(t.Context(), 0) })
		}
		wg.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		var first, second error
		wg.Go(func() { first = call(ctx, 1) })
		synctest.Wait()
		wg.Go(func() { second = call(t.Context(), 1) })
		synctest.Wait()
		cancel()
		wg.Wait()
		if second != nil {
			t.Errorf("who stayed: %v", second)
		}
		if first != nil && !errors.Is(first, context.Canceled) {
			t.Errorf("who left: %v", first)
		}
	})
}
