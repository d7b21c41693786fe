package audit

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/expert/experttest"
	"github.com/moeswarm/moeswarm/expert/synth"
	"github.com/moeswarm/moeswarm/internal/demo/demotest"
	"github.com/moeswarm/moeswarm/routing"
)

// testModels are the demo model in both quantisations and small models of
// random weights, of each numeric class.
func testModels(t *testing.T) map[string]*expert.Model {
	all := map[string]*expert.Model{"demo Q4_K_M": demotest.Model(t, "Q4_K_M"), "demo Q8_0": demotest.Model(t, "Q8_0")}
	for _, quant := range []string{"F32", "F16", "BF16", "Q4_0", "Q8_0", "Q4_K_M"} {
		c, err := synth.Named("tiny")
		if err != nil {
			t.Fatal(err)
		}
		c.Quant, c.Shape.FF = quant, 512
		var file bytes.Buffer
		if err := synth.Write(t.Context(), &file, c, nil); err != nil {
			t.Fatal(err)
		}
		m, err := expert.NewModel(quant, file.Bytes(), expert.Options{})
		if err != nil {
			t.Fatal(err)
		}
		all["tiny "+quant] = m
	}
	return all
}

// testCase has a holder answer calls as a gate makes them.
func testCase(t testing.TB, set *expert.Set, m *expert.Model, seed uint64, rows int, sum bool, answer apply) *Case {
	t.Helper()
	layer := uint16(m.Shape().SparseLayers[seed%uint64(len(m.Shape().SparseLayers))])
	in := experttest.Batch(seed, rows, m.Dim())
	calls := experttest.Calls(seed, experttest.IDs(m.ID(), layer, m.Experts()), rows, m.TopK())
	c := &Case{Checked: routing.Checked{Peer: "p", In: in, Calls: calls}}
	c.Class = Config{Weights: func(expert.ModelID) *expert.Set { return set }}.classOf(calls)
	c.Results = answer(t.Context(), in, calls)
	if sum {
		total, err := expert.SumResults(in, calls, c.Results)
		if err != nil {
			t.Fatal(err)
		}
		c.Sum, c.Results = &total, nil
	}
	return c
}

// allAuditors are those that a node with weights has, with a challenger that
// answers in the peer's arithmetic.
func allAuditors(set *expert.Set, m *expert.Model, seed byte) []Auditor {
	cfg, _ := Config{Weights: func(expert.ModelID) *expert.Set { return set }, Piece: pieceOf(m), Seed: [32]byte{seed},
		Challenger: newMemory(set, nil)}.validate()
	waiting, background := cfg.panels()
	return append(slices.Clone(waiting), background[0])
}

// TestNoFalseAlarm: over thousands of honest answers, of these kernels and of
// other honest arithmetics, no auditor fails one; of these kernels' none is in
// doubt.
func TestNoFalseAlarm(t *testing.T) {
	const seed = 11
	batches := 0
	for name, m := range testModels(t) {
		set := openSet(t, m)
		auditors := allAuditors(set, m, seed)
		for k := range 150 {
			r := rand.New(rand.NewPCG(seed, uint64(k)))
			way, answer := "kernels", apply(set.Apply)
			if k%25 == 15 {
				how := []rounding{asFloats, halves, brains, per32, per32f, per256}[r.IntN(6)]
				way, answer = fmt.Sprintf("rounding %d", how), plain{set: set, round: how}.Apply
			}
			sum := k%5 == 4
			c := testCase(t, set, m, uint64(k), 1+r.IntN(6), sum, answer)
			for i, a := range auditors {
				if i == 1 && k%30 != 0 { // the reference is slow
					continue
				}
				if _, ok := a.(*Projection); ok && way != "kernels" {
					continue // the challenger here answers as the kernels do
				}
				f, err := a.Audit(t.Context(), c)
				if err != nil {
					if len(c.allPicks()) >= leastRows {
						t.Fatal(err)
					}
					continue
				}
				batches++
				if g := f.Grade(DefaultTolerances()); g == Fail || way == "kernels" && g != Pass {
					t.Errorf("%s, %s, seed %d, sum %v: %s says %v, error %.3g over %d rows", name, way, k, sum, a.Name(), g, f.Worst, f.Rows)
				}
			}
		}
	}
	t.Logf("%d honest audits", batches)
	if batches < 1500 {
		t.Error("too few")
	}
}

// TestCheatsAreFound: every auditor finds every cheat that must be found, and
// how often the others.
func TestCheatsAreFound(t *testing.T) {
	const tries = 5
	for name, m := range testModels(t) {
		if name == "tiny F32" || name == "tiny Q4_0" || name == "demo Q8_0" { // like others of their class
			continue
		}
		set := openSet(t, m)
		auditors := allAuditors(set, m, 5)
		for _, cheat := range Cheats(set, 9) {
			found := make([]int, len(auditors))
			for k := range tries {
				c := testCase(t, set, m, uint64(k), 4, false, cheat.Apply)
				for i, a := range auditors {
					if i == 1 && k > 1 {
						found[i]++
						continue
					}
					f, err := a.Audit(t.Context(), c)
					if err != nil {
						t.Fatal(err)
					}
					if f.Grade(DefaultTolerances()) == Fail {
						found[i]++
					}
				}
			}
			for i, a := range auditors {
				if cheat.Must && found[i] < tries {
					t.Errorf("%s: %s: found by %s %d times of %d", name, cheat.Name, a.Name(), found[i], tries)
				} else if found[i] < tries {
					t.Logf("%s: %s: found by %s %d times of %d", name, cheat.Name, a.Name(), found[i], tries)
				}
			}
		}
	}
}

// TestLiesThatOpenTheChallengeWell: whoever shows another inner layer than the
// weights give is found too.
func TestFalseOpenings(t *testing.T) {
	m := demotest.Model(t, "Q8_0")
	set := openSet(t, m)
	c := testCase(t, set, m, 1, 8, false, set.Apply)
	secrets := newSecrets([32]byte{4}, func(expert.ModelID) *expert.Set { return set }, pieceOf(m), testClock)
	for name, change := range map[string]func(*expert.Inner){
		"gate zero":   func(i *expert.Inner) { clear(i.Gate.Data) },
		"up zero":     func(i *expert.Inner) { clear(i.Up.Data) },
		"up negative": func(i *expert.Inner) { i.Up.Data[0] = -10 * (1 + i.Up.Data[0]) },
		"swapped":     func(i *expert.Inner) { i.Gate, i.Up = i.Up, i.Gate },
		"huge": func(i *expert.Inner) { // so that its norm is infinite in single precision
			for k := range i.Gate.Data {
				i.Gate.Data[k] -= 1e21
			}
		},
	} {
		p := &Projection{secrets, lyingOpener{newMemory(set, nil), change}, DefaultTolerances()}
		f, err := p.Audit(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		if f.Grade(DefaultTolerances()) != Fail {
			t.Errorf("%s: error %.3g", name, f.Worst)
		}
	}
	for name, change := range map[string]func(*expert.Inner){
		"too short": func(i *expert.Inner) { i.Gate = expert.NewBatch(i.Gate.Rows, i.Gate.Dim-1) },
		"no rows":   func(i *expert.Inner) { i.Up = expert.Batch{} },
	} {
		p := &Projection{secrets, lyingOpener{newMemory(set, nil), change}, DefaultTolerances()}
		if _, err := p.Audit(t.Context(), c); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

type lyingOpener struct {
	*memory
	change func(*expert.Inner)
}

func (l lyingOpener) Challenge(ctx context.Context, to routing.Peer, in expert.Batch, calls []expert.Call) (routing.Opening, error) {
	o, err := l.memory.Challenge(ctx, to, in, calls)
	for i := range o.Inner {
		l.change(&o.Inner[i])
	}
	return o, err
}
