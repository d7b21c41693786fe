package engine_test

import (
	"slices"
	"sync"
	"testing"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/gating"
	"github.com/moeswarm/moeswarm/gating/engine"
	"github.com/moeswarm/moeswarm/gating/prompt"
	"github.com/moeswarm/moeswarm/gating/trunk"
	"github.com/moeswarm/moeswarm/internal/demo/demotest"
	"github.com/moeswarm/moeswarm/internal/ggml"
)

// demoEngine runs the demo model with all experts at home.
func demoEngine(t *testing.T, cfg engine.Config) (*engine.Engine, expert.ModelID) {
	t.Helper()
	m, tr := demoTrunk(t, "Q4_K_M")
	return demoEngineOf(t, cfg, m, tr), m.ID()
}

// demoTrunk is the trunk of the demo model in some precision, all of it here.
func demoTrunk(t *testing.T, quant string) (*expert.Model, *trunk.Trunk) {
	t.Helper()
	m := demotest.Model(t, quant)
	pool := ggml.NewPool(2)
	set, err := expert.NewSet(m, m.Manifest().IDs(), pool)
	if err != nil {
		t.Fatal(err)
	}
	mix, err := gating.NewLayer(gating.Config{Model: m.ID(), Rule: gating.RuleOf(m), Applier: set})
	if err != nil {
		t.Fatal(err)
	}
	tr, err := trunk.New(trunk.Config{Model: m, Mixer: mix, Pool: pool})
	if err != nil {
		t.Fatal(err)
	}
	return m, tr
}

// A model drafts for one of the same family: nearly everything is right,
// sampled tokens as well, and the answers are those without.
func TestDemoModelDrafts(t *testing.T) {
	g := demotest.Load(t)
	m, tr := demoTrunk(t, "Q8_0")
	small := &engine.Small{Lane: tr.NewLane(), Slots: tr, Vocab: m.Shape().Vocab, Context: m.Shape().Context}
	alone, id := demoEngine(t, engine.Config{Drafts: -1})
	drafted, _ := demoEngine(t, engine.Config{Drafts: 4, Small: small})
	for i, p := range g.Prompts[:4] {
		sampling := prompt.Sampling{}
		if i%2 == 1 {
			sampling = prompt.Sampling{Temperature: 1, RepeatPenalty: 1.2, Seed: uint64(i)}
		}
		r := prompt.Request{Model: id, Text: p.Text, MaxTokens: 30, Sampling: sampling}
		want := collect(t, alone, r)
		if got := collect(t, drafted, r); !slices.Equal(got, want) {
			t.Errorf("%.30q: drafted %v, alone %v", r.Text, got, want)
		}
	}
	s := drafted.Stats()
	t.Logf("%d of %d drafted tokens were right", s.Accepted, s.Drafted)
	if s.Drafted < 50 || s.Accepted*2 < s.Drafted {
		t.Error("the same model in another precision should be right more often")
	}
}

func collect(t *testing.T, e *engine.Engine, r prompt.Request) (ids []int32) {
	for c, err := range e.Complete(t.Context(), r) {
		if err != nil {
			t.Errorf("%.30q: %v", r.Text, err)
		}
		if c.HasToken {
			ids = append(ids, c.Token)
		}
	}
	return ids
}

// The reference's prompts, all at once in small chunks, get the tokens that
// they get one after the other, and that the reference has for as long as it
// is sure of them.
func TestDemoModel(t *testing.T) {
	const most, sure = 24, 0.30 // tokens; lead below which engines may differ
	g := demotest.Load(t)
	alone, id := demoEngine(t, engine.Config{MaxRunning: 1})
	together, _ := demoEngine(t, engine.Config{MaxRunning: 7, PrefillChunk: 50})
	var requests []prompt.Request
	var want [][]int32
	for _, sampling := range []prompt.Sampling{{}, {Temperature: 0.8, TopK: 40, TopP: 0.95, RepeatPenalty: 1.1, Seed: 7}} {
		for _, p := range g.Prompts {
			r := prompt.Request{Model: id, Text: p.Text, MaxTokens: most, Sampling: sampling}
			ids := collect(t, alone, r)
			requests, want = append(requests, r), append(want, ids)
			if sampling.Temperature > 0 {
				continue
			}
			res := p.Results["Q4_K_M"]
			for i, ref := range res["llama.cpp"].Greedy[:len(ids)] {
				if res["pytorch"].Gaps[i] < sure {
					break
				}
				if ids[i] != ref {
					t.Errorf("%.30q: token %d is %d, the reference has %d", p.Text, i, ids[i], ref)
					break
				}
			}
		}
	}
	var wg sync.WaitGroup
	for i, r := range requests {
		wg.Go(func() {
			if got := collect(t, together, r); !slices.Equal(got, want[i]) {
				t.Errorf("%.30q: together %v, alone %v", r.Text, got, want[i])
			}
		})
	}
	wg.Wait()
}
