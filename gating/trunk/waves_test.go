package trunk_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/gating"
	"github.com/moeswarm/moeswarm/gating/trunk"
	"github.com/moeswarm/moeswarm/internal/demo/demotest"
)

// TestWavesDoNotMatter: however many waves a step goes in, with whatever rows of
// whatever sequences, its logits, its hidden states and the experts that its rows
// chose are those of the same step all at once, to the last bit.
func TestWavesDoNotMatter(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	m, g := demotest.Model(t, "Q4_K_M"), demotest.Load(t)
	once := local(t, m, 1).NewLane()
	waves := mixed(t, m, 2, func(mix trunk.Mixer) trunk.Mixer { return yielding{mix} }).NewLane()
	var held [3]int
	for range 12 {
		var s trunk.Step
		for slot := range held {
			ids := g.Prompts[len(g.Prompts)-1-slot].Ids
			for n := rng.IntN(20); n > 0 && held[slot] < len(ids); n-- {
				r := s.Rows()
				s.Tokens, s.Positions, s.Slots = append(s.Tokens, ids[held[slot]]), append(s.Positions, held[slot]), append(s.Slots, slot)
				if held[slot]++; rng.IntN(3) == 0 {
					s.Logits = append(s.Logits, r)
				}
				if rng.IntN(3) == 0 {
					s.Hidden = append(s.Hidden, r)
				}
			}
		}
		if s.Rows() == 0 {
			continue
		}
		type outcome struct {
			logits, hidden []float32
			chosen         []uint16
		}
		run := func(l *trunk.Lane, waves int) (o outcome) {
			s.Waves = waves
			trace := gating.NewTrace(m.Shape().SparseLayers, m.TopK())
			trace.Begin(s.Rows())
			logits, err := l.Forward(gating.WithTrace(t.Context(), trace), s)
			if err != nil {
				t.Fatal(err)
			}
			if logits.Rows != len(s.Logits) || l.Hidden().Rows != len(s.Hidden) {
				t.Fatalf("%d logits and %d hidden states, want %d and %d", logits.Rows, l.Hidden().Rows, len(s.Logits), len(s.Hidden))
			}
			o.logits, o.hidden = slices.Clone(logits.Data), slices.Clone(l.Hidden().Data)
			for r := range s.Rows() {
				o.chosen = append(o.chosen, trace.Row(r)...)
			}
			return o
		}
		want := run(once, 0)
		n := 1 + rng.IntN(min(5, s.Rows()))
		got := run(waves, n)
		if !slices.Equal(want.logits, got.logits) || !slices.Equal(want.hidden, got.hidden) || !slices.Equal(want.chosen, got.chosen) {
			t.Fatalf("%d rows in %d waves: not what they are at once", s.Rows(), n)
		}
	}
	if _, err := waves.Forward(t.Context(), trunk.Step{Tokens: []int32{1}, Positions: []int{0}, Slots: []int{9}, Waves: 2}); err == nil {
		t.Error("one row in two waves")
	}
}

// meeting is a mixer that has the calls of the layers between the first and the last
// wait until two waves are in one.
type meeting struct {
	trunk.Mixer
	under  atomic.Int32
	met    chan struct{}
	layers int
}

func (w *meeting) Mix(ctx context.Context, layer int, h, scores, out expert.Batch) error {
	if layer > 0 && layer < w.layers-1 { // the first wave is alone in the first layer, and the last one in the last
		if w.under.Add(1) == 2 {
			close(w.met)
		}
		select {
		case <-w.met:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return w.Mixer.Mix(ctx, layer, h, scores, out)
}

// TestWavesOverlap: while one wave waits for its experts another computes and asks
// for its own. Where they took turns this would never end.
func TestWavesOverlap(t *testing.T) {
	m := demotest.Model(t, "Q4_K_M")
	w := &meeting{met: make(chan struct{}), layers: m.Shape().Layers}
	tr := mixed(t, m, 2, func(mix trunk.Mixer) trunk.Mixer { w.Mixer = mix; return w })
	ids := demotest.Load(t).Prompts[7].Ids
	s := trunk.Step{Tokens: ids[:8], Waves: 2}
	for p := range s.Tokens {
		s.Positions, s.Slots = append(s.Positions, p), append(s.Slots, 0)
	}
	if _, err := tr.Forward(t.Context(), s); err != nil {
		t.Fatal(err)
	}
}

// failing is a mixer that fails once: at its so manieth call.
type failing struct {
	trunk.Mixer
	in  atomic.Int32
	err error
}

func (f *failing) Mix(ctx context.Context, layer int, h, scores, out expert.Batch) error {
	if f.in.Add(-1) == 0 {
		return f.err
	}
	return f.Mixer.Mix(ctx, layer, h, scores, out)
}

// TestWavesFailTogether: what fails one wave fails the step, with its error and not
// that of those it stopped, and the same step may be run again.
func TestWavesFailTogether(t *testing.T) {
	m := demotest.Model(t, "Q4_K_M")
	ids := demotest.Load(t).Prompts[7].Ids[:12]
	f := &failing{err: errors.New("no experts today")}
	tr := mixed(t, m, 2, func(mix trunk.Mixer) trunk.Mixer { f.Mixer = mix; return f })
	want := slices.Clone(prefill(t, local(t, m, 1), 0, ids, len(ids)))
	s := trunk.Step{Tokens: ids, Logits: []int{len(ids) - 1}, Waves: 3}
	for p := range ids {
		s.Positions, s.Slots = append(s.Positions, p), append(s.Slots, 0)
	}
	for at := int32(1); at <= int32(3*len(m.Shape().SparseLayers)); at++ {
		f.in.Store(at)
		if _, err := tr.Forward(t.Context(), s); !errors.Is(err, f.err) {
			t.Fatalf("call %d failed, the step gave %v", at, err)
		}
		out, err := tr.Forward(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		same(t, want, out.Row(0))
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := tr.Forward(ctx, s); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled step gave %v", err)
	}
}
