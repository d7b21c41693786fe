package transcript

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/gating"
	"github.com/moeswarm/moeswarm/gating/trunk"
	"github.com/moeswarm/moeswarm/internal/demo"
	"github.com/moeswarm/moeswarm/internal/ggml"
	"github.com/moeswarm/moeswarm/internal/ledger"
	"github.com/moeswarm/moeswarm/internal/ledger/jury"
)

// machine is a model with its experts.
type machine struct {
	m   *expert.Model
	set *expert.Set
}

func open(t *testing.T, file string, threads int) machine {
	t.Helper()
	var m *expert.Model
	var err error
	if file == demo.Name {
		m, err = expert.NewModel(demo.Name, demo.GGUF(), expert.Options{})
	} else {
		m, err = expert.OpenModel(filepath.Join("..", "..", "demo", "testdata", file), expert.Options{})
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	set, err := expert.NewSet(m, m.Manifest().IDs(), ggml.NewPool(threads))
	if err != nil {
		t.Fatal(err)
	}
	return machine{m, set}
}

func prompt(seed uint64, n, vocab int) []int32 {
	r := rand.New(rand.NewPCG(seed, 9))
	ids := make([]int32, n)
	for i := range ids {
		ids[i] = int32(3 + r.IntN(vocab-3))
	}
	return ids
}

// gate answers a prompt greedily, a row at a time, as a gating node does. cheat
// may alter the mixer, rule the choice of experts.
func (x machine) gate(t *testing.T, ids []int32, n int, rule gating.Rule, cheat func(trunk.Mixer) trunk.Mixer) *Transcript {
	t.Helper()
	layer, err := gating.NewLayer(gating.Config{Model: x.m.ID(), Rule: rule, Applier: x.set})
	if err != nil {
		t.Fatal(err)
	}
	var mixer trunk.Mixer = layer
	if cheat != nil {
		mixer = cheat(mixer)
	}
	trace := gating.NewTrace(x.m.Shape().SparseLayers, rule.TopK)
	ctx := gating.WithTrace(t.Context(), trace)
	tr, err := trunk.New(trunk.Config{Model: x.m, Mixer: mixer, Pool: ggml.NewPool(1)})
	if err != nil {
		t.Fatal(err)
	}
	lane := tr.NewLane()
	step := func(at int, id int32) (next int32) {
		trace.Begin(1)
		out, err := lane.Forward(ctx, trunk.Step{Tokens: []int32{id}, Positions: []int{at}, Slots: []int{0}, Logits: []int{0}, Hidden: []int{0}})
		if err != nil {
			t.Fatal(err)
		}
		for i, v := range out.Row(0) {
			if v > out.Row(0)[next] {
				next = int32(i)
			}
		}
		return next
	}
	var routes []uint16
	for at, id := range ids[:len(ids)-1] {
		step(at, id)
		routes = append(routes, trace.Row(0)...)
	}
	w := NewWriter(identity(), ids, true)
	id := ids[len(ids)-1]
	for i := range n {
		id = step(len(ids)-1+i, id)
		w.Add(1, id, lane.Hidden().Row(0), append(routes, trace.Row(0)...))
		routes = nil
	}
	w.End(1)
	if err := w.Transcript().Verify(chain); err != nil {
		t.Fatal(err)
	}
	return w.Transcript()
}

// floats is an honest computer of another kind: the jury's float64 kernel, with
// activations as they are.
type floats struct {
	t        *testing.T
	m        *expert.Model
	networks map[expert.ID]jury.Network
}

func (f *floats) Apply(ctx context.Context, in expert.Batch, calls []expert.Call) []expert.Result {
	results := make([]expert.Result, len(calls))
	for i, c := range calls {
		n, ok := f.networks[c.Expert]
		if !ok {
			n = f.open(c.Expert)
			f.networks[c.Expert] = n
		}
		x := expert.NewBatch(len(c.Rows), in.Dim)
		for k, r := range c.Rows {
			copy(x.Row(k), in.Row(int(r)))
		}
		y, err := n.Apply(ctx, jury.Floats, x.Data)
		for k, v := range y {
			x.Data[k] = float32(v)
		}
		results[i] = expert.Result{Out: x, Err: err}
	}
	return results
}

func (f *floats) open(id expert.ID) jury.Network {
	w, err := f.m.Weights(id)
	if err != nil {
		f.t.Fatal(err)
	}
	blob, err := w.Blob()
	if err != nil {
		f.t.Fatal(err)
	}
	data, err := io.ReadAll(io.NewSectionReader(blob, 0, blob.Size()))
	if err != nil {
		f.t.Fatal(err)
	}
	piece, _ := f.m.Manifest().Piece(int(id.Layer), int(id.Index))
	n, err := jury.Open(data, piece.Hash, jury.SwiGLU)
	if err != nil {
		f.t.Fatal(err)
	}
	return n
}

// skipping leaves the experts of one layer out.
type skipping struct {
	trunk.Mixer
	layer int
}

func (s skipping) Mix(ctx context.Context, layer int, h, scores, out expert.Batch) error {
	err := s.Mixer.Mix(ctx, layer, h, scores, out)
	if layer == s.layer {
		clear(out.Data)
	}
	return err
}

// TestCalibration says how far honest machines and cheats are apart.
func TestCalibration(t *testing.T) {
	const tokens, rows = 64, 24
	x := open(t, demo.Name, 2)
	q8 := open(t, "gopher-moe-15M-A6M-Q8_0.gguf", 2)
	rule := gating.RuleOf(x.m)
	ids := func(seed uint64) []int32 { return prompt(seed, rows, x.m.Shape().Vocab) }
	verifier := func(of machine, a expert.Applier, threads, rows int) *Verifier {
		v, err := NewVerifier(Config{Model: of.m, Applier: a, Pool: ggml.NewPool(threads), Rows: rows})
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	same := verifier(x, x.set, 2, 64)
	cached := map[uint64]*Transcript{}
	honest := func(seed uint64) *Transcript {
		if cached[seed] == nil {
			cached[seed] = x.gate(t, ids(seed), tokens, rule, nil)
		}
		return cached[seed]
	}
	for _, c := range []struct {
		name string
		// least is the share of chunks, in millionths, that must fail; 0: none may.
		// Twice the ledger's tolerance of 5 % is a conviction.
		least uint32
		v     *Verifier
		make  func(seed uint64) *Transcript
	}{
		{"the same kernels", 0, same, honest},
		{"the same kernels, 7 rows a step, one thread", 0, verifier(x, x.set, 1, 7), honest},
		{"activations in floats", 0, verifier(x, &floats{t, x.m, map[expert.ID]jury.Network{}}, 2, 32), honest},
		{"weights in 8 bits for 4", 100_000, same, func(s uint64) *Transcript { return q8.gate(t, ids(s), tokens, rule, nil) }},
		{"weights in 4 bits for 8", 100_000, verifier(q8, q8.set, 2, 64), honest},
		{"a layer's experts left out", 900_000, same, func(s uint64) *Transcript {
			return x.gate(t, ids(s), tokens, rule, func(m trunk.Mixer) trunk.Mixer { return skipping{m, x.m.Shape().SparseLayers[1]} })
		}},
		{"the worst experts instead of the best", 900_000, same, func(s uint64) *Transcript { return x.gate(t, ids(s), tokens, worst(rule, x.m), nil) }},
		{"a text put in", 900_000, same, func(s uint64) *Transcript { return x.inject(t, ids(s), tokens, rule) }},
	} {
		var all []Seen
		for seed := range uint64(4) {
			seen, err := c.v.Run(t.Context(), c.make(seed))
			if err != nil {
				t.Fatalf("%s: %v", c.name, err)
			}
			all = append(all, seen...)
		}
		least, most := all[0], all[0]
		for _, s := range all {
			least.Exponents, most.Exponents = min(least.Exponents, s.Exponents), max(most.Exponents, s.Exponents)
			least.Mean, most.Mean = min(least.Mean, s.Mean), max(most.Mean, s.Mean)
			least.Median, most.Median = min(least.Median, s.Median), max(most.Median, s.Median)
			least.Routes, most.Routes = min(least.Routes, s.Routes), max(most.Routes, s.Routes)
			least.Tokens, most.Tokens = min(least.Tokens, s.Tokens), max(most.Tokens, s.Tokens)
		}
		failed := Failed(all, DefaultLimits())
		t.Logf("%-44s exponents %.3f-%.3f mean %.2f-%.2f median %.0f-%.0f routes %.3f-%.3f tokens %.3f-%.3f: %d of a million chunks fail", c.name,
			least.Exponents, most.Exponents, least.Mean, most.Mean, least.Median, most.Median, least.Routes, most.Routes, least.Tokens, most.Tokens, failed)
		if c.least == 0 && failed > 0 || failed < c.least {
			t.Errorf("%s: %d of a million chunks fail", c.name, failed)
		}
	}
}

// worst is a rule that prefers what the gate ranks last.
func worst(r gating.Rule, m *expert.Model) gating.Rule {
	r.Corrections = make([][]float32, m.Layers())
	for l := range r.Corrections {
		r.Corrections[l] = make([]float32, m.Experts())
		for e := range r.Corrections[l] {
			r.Corrections[l][e] = float32(e % 4) // whatever the scores say
		}
	}
	return r
}

// inject answers with another text than the model's, computed honestly.
func (x machine) inject(t *testing.T, ids []int32, n int, rule gating.Rule) *Transcript {
	t.Helper()
	other := prompt(77, n, x.m.Shape().Vocab)
	honest := x.gate(t, append(append([]int32{}, ids...), other...), 1, rule, nil)
	// What was prompt there is answer here: its rows are computed anew for their
	// hidden states.
	v, err := NewVerifier(Config{Model: x.m, Applier: x.set, Pool: ggml.NewPool(2)})
	if err != nil {
		t.Fatal(err)
	}
	per := v.mixer.perRow()
	w := NewWriter(identity(), ids, true)
	hidden := x.hidden(t, append(append([]int32{}, ids...), other...), rule)
	for i, id := range other {
		row := len(ids) - 1 + i
		from := row
		if i == 0 {
			from = 0
		}
		w.Add(1, id, hidden.Row(row), honest.Parts[0].Routes[from*per:(row+1)*per])
	}
	w.End(1)
	return w.Transcript()
}

func (x machine) hidden(t *testing.T, ids []int32, rule gating.Rule) expert.Batch {
	t.Helper()
	layer, err := gating.NewLayer(gating.Config{Model: x.m.ID(), Rule: rule, Applier: x.set})
	if err != nil {
		t.Fatal(err)
	}
	tr, err := trunk.New(trunk.Config{Model: x.m, Mixer: layer, Pool: ggml.NewPool(2)})
	if err != nil {
		t.Fatal(err)
	}
	s := trunk.Step{Tokens: ids}
	for p := range ids {
		s.Positions, s.Slots, s.Hidden = append(s.Positions, p), append(s.Slots, 0), append(s.Hidden, p)
	}
	lane := tr.NewLane()
	if _, err := lane.Forward(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	return lane.Hidden()
}

// TestImpossibleTranscripts are refused before anything is computed.
func TestImpossibleTranscripts(t *testing.T) {
	x := open(t, demo.Name, 1)
	v, err := NewVerifier(Config{Model: x.m, Applier: x.set, Pool: ggml.NewPool(1)})
	if err != nil {
		t.Fatal(err)
	}
	rule := gating.RuleOf(x.m)
	for name, alter := range map[string]func(*Transcript){
		"no prompt":          func(y *Transcript) { y.Prompt = nil },
		"no such token":      func(y *Transcript) { y.Parts[0].Tokens[0] = int32(x.m.Shape().Vocab) },
		"a negative token":   func(y *Transcript) { y.Prompt[0] = -1 },
		"no such expert":     func(y *Transcript) { y.Parts[0].Routes[0] = uint16(x.m.Experts()) },
		"too few experts":    func(y *Transcript) { y.Parts[0].Routes = y.Parts[0].Routes[1:] },
		"no tokens":          func(y *Transcript) { y.Parts[0].Tokens = nil },
		"more than a model":  func(y *Transcript) { y.Prompt = make([]int32, x.m.Shape().Context) },
		"one expert doubled": func(y *Transcript) { y.Parts[0].Routes[1] = y.Parts[0].Routes[0] },
	} {
		tr := x.gate(t, prompt(1, 4, x.m.Shape().Vocab), 2, rule, nil)
		alter(tr)
		if seen, err := v.Run(t.Context(), tr); !errors.Is(err, ledger.ErrMalformed) {
			t.Errorf("%s: %v, %v", name, seen, err)
		}
	}
}
