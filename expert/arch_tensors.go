package expert

import (
	"fmt"
	"slices"

	"github.com/moeswarm/moeswarm/internal/gguf"
)

// tensorKind says what a tensor is used for, and so which types may hold it.
type tensorKind int

const (
	matrix  tensorKind = iota // multiplied with token batches; any type we can multiply
	vector                    // multiplied or added value by value; F32
	ignored                   // no part of what we compute; any type and shape
)

// wantTensor is a tensor that an architecture requires or allows.
type wantTensor struct {
	name     string
	kind     tensorKind
	shape    []int
	optional bool
	experts  bool // it holds experts, or one
}

// tensors is the list of an architecture's tensors in the making.
type tensors struct {
	f    *gguf.File
	s    Shape
	want []wantTensor
}

func (t *tensors) has(name string) bool { _, ok := t.f.Tensor(name); return ok }

func (t *tensors) matrix(name string, in, out int) {
	t.want = append(t.want, wantTensor{name: name, shape: []int{in, out}})
}

func (t *tensors) vector(name string, n int) {
	t.want = append(t.want, wantTensor{name: name, kind: vector, shape: []int{n}})
}

// may makes the tensor added last optional.
func (t *tensors) may() { t.want[len(t.want)-1].optional = true }

func block(l int, part string) string { return fmt.Sprintf("blk.%d.%s", l, part) }

// ends are the tensors outside the layers. The head may be absent; the
// embedding then serves as head.
func (t *tensors) ends() {
	t.matrix("token_embd.weight", t.s.Dim, t.s.Vocab)
	t.vector("output_norm.weight", t.s.Dim)
	t.matrix("output.weight", t.s.Dim, t.s.Vocab)
	t.may()
}

// frequencies is a tensor that divides the frequencies of the rotation.
func (t *tensors) frequencies(r Rope) {
	t.vector("rope_freqs.weight", r.Dims/2)
	t.may()
}

// attention is the usual attention of a layer: grouped queries, each matrix
// with or without a bias, in three matrices or one.
func (t *tensors) attention(l int) {
	s := t.s
	q, kv := s.Heads*s.HeadDim, s.KVHeads*s.HeadDim
	t.vector(block(l, "attn_norm.weight"), s.Dim)
	if t.has(block(l, "attn_qkv.weight")) {
		t.matrix(block(l, "attn_qkv.weight"), s.Dim, q+2*kv)
		t.vector(block(l, "attn_qkv.bias"), q+2*kv)
		t.may()
	} else {
		for _, m := range []struct {
			part string
			out  int
		}{{"attn_q", q}, {"attn_k", kv}, {"attn_v", kv}} {
			t.matrix(block(l, m.part+".weight"), s.Dim, m.out)
			t.vector(block(l, m.part+".bias"), m.out)
			t.may()
		}
	}
	t.matrix(block(l, "attn_output.weight"), q, s.Dim)
	t.vector(block(l, "attn_output.bias"), s.Dim)
	t.may()
}

// headNorms are norms of each query and key head.
func (t *tensors) headNorms(l int) {
	t.vector(block(l, "attn_q_norm.weight"), t.s.HeadDim)
	t.vector(block(l, "attn_k_norm.weight"), t.s.HeadDim)
}

// wholeNorms are norms over all query heads and over all key heads.
func (t *tensors) wholeNorms(l int) {
	t.vector(block(l, "attn_q_norm.weight"), t.s.Heads*t.s.HeadDim)
	t.vector(block(l, "attn_k_norm.weight"), t.s.KVHeads*t.s.HeadDim)
}

// network is a feed-forward network of the trunk, by the ending of its
// tensors' names: "" in dense layers, "_shexp" for shared experts.
func (t *tensors) network(l int, ending string, ff int) {
	for _, m := range []struct {
		part    string
		in, out int
	}{{"ffn_gate", t.s.Dim, ff}, {"ffn_up", t.s.Dim, ff}, {"ffn_down", ff, t.s.Dim}} {
		t.matrix(block(l, m.part+ending+".weight"), m.in, m.out)
	}
}

// denseOrShared is what follows attention in a model that has dense layers, of
// width dense, and sparse ones with a correction and shared experts, of width
// shared together.
func (t *tensors) denseOrShared(l, dense, shared int) {
	if !t.sparse(l) {
		t.network(l, "", dense)
		return
	}
	t.experts(l)
	t.correction(l)
	if shared > 0 {
		t.network(l, "_shexp", shared)
	}
}

// experts are the gate and the experts of a sparse layer, in any of the three
// ways in which files keep them.
func (t *tensors) experts(l int) {
	s := t.s
	t.matrix(block(l, "ffn_gate_inp.weight"), s.Dim, s.Experts)
	from := len(t.want)
	switch {
	case t.has(oneName("gate", l, 0)):
		for e := range s.Experts {
			t.matrix(oneName("gate", l, e), s.Dim, s.FF)
			t.matrix(oneName("down", l, e), s.FF, s.Dim)
			t.matrix(oneName("up", l, e), s.Dim, s.FF)
		}
	case t.has(fusedName(l)):
		t.stack(fusedName(l), s.Dim, 2*s.FF, s.Experts)
		t.stack(w2Name(l), s.FF, s.Dim, s.Experts)
	default:
		t.stack(w1Name(l), s.Dim, s.FF, s.Experts)
		t.stack(w2Name(l), s.FF, s.Dim, s.Experts)
		t.stack(w3Name(l), s.Dim, s.FF, s.Experts)
	}
	for i := range t.want[from:] {
		t.want[from+i].experts = true
	}
}

// expertBiases are biases of the gate and of all experts.
func (t *tensors) expertBiases(l int) {
	s := t.s
	t.vector(block(l, "ffn_gate_inp.bias"), s.Experts)
	from := len(t.want)
	for _, b := range []struct {
		part string
		n    int
	}{{"gate", s.FF}, {"down", s.Dim}, {"up", s.FF}} {
		t.want = append(t.want, wantTensor{name: biasName(b.part, l), kind: vector, shape: []int{b.n, s.Experts}})
	}
	for i := range t.want[from:] {
		t.want[from+i].experts = true
	}
}

func (t *tensors) stack(name string, shape ...int) {
	t.want = append(t.want, wantTensor{name: name, shape: shape})
}

// correction is the bias that is added to a gate's scores for choosing alone.
func (t *tensors) correction(l int) {
	t.vector(block(l, "exp_probs_b.bias"), t.s.Experts)
	t.may()
}

// ignore allows all tensors of the layers from first on: those that predict
// further tokens.
func (t *tensors) ignore(first int) {
	for _, x := range t.f.Tensors {
		var l int
		if n, _ := fmt.Sscanf(x.Name, "blk.%d.", &l); n == 1 && l >= first {
			t.want = append(t.want, wantTensor{name: x.Name, kind: ignored})
		}
	}
}

func (t *tensors) sparse(l int) bool { return slices.Contains(t.s.SparseLayers, l) }

// The stacked matrices of a layer's experts: W1 (Experts, FF, Dim), W2
// (Experts, Dim, FF), W3 (Experts, FF, Dim).
func w1Name(layer int) string { return block(layer, "ffn_gate_exps.weight") }
func w2Name(layer int) string { return block(layer, "ffn_down_exps.weight") }
func w3Name(layer int) string { return block(layer, "ffn_up_exps.weight") }

// fusedName is W1 and W3 in one tensor: (Experts, 2·FF, Dim), W1's rows first.
func fusedName(layer int) string { return block(layer, "ffn_gate_up_exps.weight") }

// biasName is a stack of biases, of part gate (B1), down (B2) or up (B3).
func biasName(part string, layer int) string {
	return block(layer, "ffn_"+part+"_exps.bias")
}

// oneName is one expert's matrix in files of early 2024.
func oneName(part string, layer, index int) string {
	return block(layer, fmt.Sprintf("ffn_%s.%d.weight", part, index))
}

// checkTensors compares the file with what the architecture wants: nothing
// missing, nothing of another shape, nothing of a type we cannot multiply, and
// nothing besides, because an unknown tensor means an unknown computation.
func checkTensors(f *gguf.File, want []wantTensor, supported func(gguf.Type) bool) error {
	found := 0
	names := make(map[string]bool, len(want))
	for _, w := range want {
		names[w.name] = true
		t, ok := f.Tensor(w.name)
		if !ok && w.optional {
			continue
		}
		if !ok {
			return fmt.Errorf("tensor %s is missing", w.name)
		}
		if err := w.check(t, supported); err != nil {
			return err
		}
		found++
	}
	if found == len(f.Tensors) {
		return nil
	}
	for _, t := range f.Tensors {
		if !names[t.Name] {
			return fmt.Errorf("tensor %s has no place in this architecture, which is %w", plain(t.Name), ErrUnsupported)
		}
	}
	return nil
}

func (w wantTensor) check(t gguf.Tensor, supported func(gguf.Type) bool) error {
	if w.kind == ignored {
		return nil
	}
	if !sameShape(t.Shape, w.shape) {
		return fmt.Errorf("tensor %s has shape %v, want %v", w.name, t.Shape, w.shape)
	}
	if w.kind == vector && t.Type != gguf.F32 {
		return fmt.Errorf("tensor %s has type %v, which is %w here; want F32", w.name, t.Type, ErrUnsupported)
	}
	if w.kind == matrix && !supported(t.Type) {
		return fmt.Errorf("tensor %s has type %v, which is %w", w.name, t.Type, ErrUnsupported)
	}
	return nil
}

// sameShape ignores dimensions of length 1 at the end, which some converters
// write and some leave out.
func sameShape(a, b []int) bool {
	for i := range max(len(a), len(b)) {
		x, y := 1, 1
		if i < len(a) {
			x = a[i]
		}
		if i < len(b) {
			y = b[i]
		}
		if x != y {
			return false
		}
	}
	return true
}
