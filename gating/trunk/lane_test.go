package trunk_test

import (
	"context"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"testing"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/gating/trunk"
	"github.com/moeswarm/moeswarm/internal/demo/demotest"
)

// yielding lets other goroutines go on in the middle of each layer, so that
// lanes overtake each other.
type yielding struct{ trunk.Mixer }

func (y yielding) Mix(ctx context.Context, layer int, h, scores, out expert.Batch) error {
	for range layer % 3 {
		runtime.Gosched()
	}
	return y.Mixer.Mix(ctx, layer, h, scores, out)
}

// TestLanesDoNotMatter: sequences that advance on lanes of their own, in
// chunks of random sizes, have the logits that they have alone.
func TestLanesDoNotMatter(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	m := demotest.Model(t, "Q4_K_M")
	tr := mixed(t, m, 2, func(mix trunk.Mixer) trunk.Mixer { return yielding{mix} })
	alone := local(t, m, 1)
	g := demotest.Load(t)
	var wg sync.WaitGroup
	for slot := range 6 {
		ids := g.Prompts[slot%len(g.Prompts)].Ids
		ids = ids[:min(len(ids), 40)]
		want := slices.Clone(prefill(t, alone, slot, ids, 40))
		chunk := 1 + rng.IntN(len(ids))
		lane := tr.NewLane()
		wg.Go(func() {
			for range 3 {
				var last []float32
				for at := 0; at < len(ids); at += chunk {
					end := min(at+chunk, len(ids))
					s := trunk.Step{Tokens: ids[at:end], Logits: []int{end - at - 1}}
					for p := at; p < end; p++ {
						s.Positions, s.Slots = append(s.Positions, p), append(s.Slots, slot)
					}
					out, err := lane.Forward(context.Background(), s)
					if err != nil {
						t.Error(err)
						return
					}
					last = out.Row(0)
				}
				if !slices.Equal(want, last) {
					t.Errorf("slot %d in chunks of %d: other logits than alone", slot, chunk)
				}
				tr.Release(slot)
			}
		})
	}
	wg.Wait()
}

// TestSeveralRowsOfOneSequence: tokens verified in one pass have the logits
// that they have one by one, and what is truncated leaves no trace.
func TestSeveralRowsOfOneSequence(t *testing.T) {
	m := demotest.Model(t, "Q4_K_M")
	ids := demotest.Load(t).Prompts[7].Ids
	tr := local(t, m, 2)
	const from, n = 10, 5
	prefill(t, tr, 0, ids[:from], from)
	var want [][]float32
	for p := from; p < from+n; p++ {
		want = append(want, slices.Clone(next(t, tr, 0, ids[p], p)))
	}
	verify := func(slot int, tokens []int32) expert.Batch {
		s := trunk.Step{Tokens: tokens}
		for i := range tokens {
			s.Positions, s.Slots, s.Logits = append(s.Positions, from+i), append(s.Slots, slot), append(s.Logits, i)
		}
		out, err := tr.Forward(context.Background(), s)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	prefill(t, tr, 1, ids[:from], from)
	wrong := slices.Clone(ids[from : from+n])
	wrong[2]++
	out := verify(1, wrong) // the third and what follows it are refused
	for i := range 2 {
		same(t, want[i], out.Row(i))
	}
	if tr.Held(1) != from+n {
		t.Errorf("%d positions held, want %d", tr.Held(1), from+n)
	}
	tr.Truncate(1, from)
	tr.Truncate(1, from+3) // gives nothing back
	if tr.Held(1) != from {
		t.Errorf("%d positions held, want %d", tr.Held(1), from)
	}
	out = verify(1, ids[from:from+n])
	for i := range n {
		same(t, want[i], out.Row(i))
	}
	// Another sequence goes on from a copy, and the original stays as it is.
	if got := tr.Copy(1, 2, from); got != from || tr.Held(2) != from {
		t.Errorf("copied %d, held %d, want %d", got, tr.Held(2), from)
	}
	verify(2, wrong)
	same(t, want[n-1], next(t, tr, 1, ids[from+n-1], from+n-1))
	if got := tr.Copy(2, 3, 1000); got != from+n {
		t.Errorf("copied %d of %d", got, from+n)
	}
	if got := tr.Copy(9, 3, 5); got != 0 || tr.Held(3) != 0 {
		t.Errorf("a copy of nothing has %d positions, held %d", got, tr.Held(3))
	}
}
