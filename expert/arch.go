package expert

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/moeswarm/moeswarm/internal/gguf"
)

// Limits on a model's shape. They keep (layer, expert) within an [ID] and a
// manifest within some megabytes; the largest published models have about 100
// layers and 512 experts.
const (
	MaxLayers  = 512
	MaxExperts = 1024
	// MaxWidth bounds every other length: vocabularies reach 262,144,
	// contexts ten million.
	MaxWidth = 1 << 26
)

// Errors of [OpenModel] and [NewModel] about files that are good GGUF but
// nothing we can share out.
var (
	// ErrUnsupported: the architecture, a tensor type or an option of the
	// file is one we cannot compute.
	ErrUnsupported = errors.New("not supported")
	// ErrDense: the model has no experts.
	ErrDense = errors.New("this is a dense model: no experts to share out")
)

// Shape says how large a model is, and what else its computation depends on.
type Shape struct {
	Arch         string // as the file names it, such as "qwen3moe"
	Layers       int
	SparseLayers []int // layers that have experts, ascending
	Experts      int   // experts of each sparse layer
	TopK         int   // experts in use per token row
	Dim          int   // values per row of a token batch
	FF           int   // rows of one expert's W1 and W3
	Vocab        int   // rows of the embedding
	Context      int   // positions the model was trained for

	Heads, KVHeads, HeadDim int     // attention; HeadDim is even
	RopeBase                float32 // of the rotary position embedding
	NormEps                 float32 // of every RMS norm
}

// tensorKind says what a tensor is used for, and so which types may hold it.
type tensorKind int

const (
	matrix tensorKind = iota // multiplied with token batches; any type we can multiply
	vector                   // multiplied value by value; F32
)

// wantTensor is a tensor that an architecture requires.
type wantTensor struct {
	name     string
	kind     tensorKind
	shape    []int
	optional bool
}

// layout is what an architecture makes of a file's metadata: the shape, and
// every tensor the file must and may have.
type layout struct {
	shape   Shape
	tensors []wantTensor
}

// layoutOf picks the architecture. A new one is a file arch_NAME.go and a
// case here.
func layoutOf(f *gguf.File) (layout, error) {
	arch, ok := f.String("general.architecture")
	if !ok {
		return layout{}, errors.New("key general.architecture is missing: this is no language model")
	}
	if n, ok := f.Uint("split.count"); ok && n > 1 {
		return layout{}, fmt.Errorf("the file is one part of a split model of %d files, which is %w yet; join them with llama-gguf-split --merge", n, ErrUnsupported)
	}
	switch arch {
	case archQwen3MoE:
		return qwen3moeLayout(f)
	}
	if n, ok := f.Uint(arch + ".expert_count"); !ok || n == 0 {
		return layout{}, ErrDense
	}
	return layout{}, fmt.Errorf("architecture %s is %w yet; supported: %s", plain(arch), ErrUnsupported, archQwen3MoE)
}

// keys reads an architecture's metadata. The first problem sticks, so that
// reading stays a list.
type keys struct {
	f      *gguf.File
	prefix string
	err    error
}

func (k *keys) fail(format string, args ...any) {
	if k.err == nil {
		k.err = fmt.Errorf(format, args...)
	}
}

// count reads a whole number from 1 to most.
func (k *keys) count(name string, most int) int {
	n, ok := k.f.Uint(k.prefix + name)
	if !ok {
		k.fail("key %s%s is missing or no whole number", k.prefix, name)
		return 0
	}
	if n == 0 || n > uint64(most) {
		k.fail("key %s%s is %d, want 1 to %d", k.prefix, name, n, most)
		return 0
	}
	return int(n)
}

// countOr is count for a key that may be absent.
func (k *keys) countOr(name string, most, absent int) int {
	if !k.f.Has(k.prefix + name) {
		return absent
	}
	return k.count(name, most)
}

// positive reads a number above zero and below infinity.
func (k *keys) positive(name string) float32 {
	x, ok := k.f.Float(k.prefix + name)
	if !ok {
		k.fail("key %s%s is missing or no number", k.prefix, name)
		return 0
	}
	if f := float32(x); f > 0 && f <= maxFloat32 {
		return f
	}
	k.fail("key %s%s is %g, want a number above 0", k.prefix, name, x)
	return 0
}

const maxFloat32 = 0x1p127 * (1 + (1 - 0x1p-23))

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

// Multiplies reports whether ggml's CPU kernels multiply matrices of the type.
func Multiplies(t gguf.Type) bool {
	switch t {
	case gguf.F32, gguf.F16, gguf.BF16,
		gguf.Q4_0, gguf.Q4_1, gguf.Q5_0, gguf.Q5_1, gguf.Q8_0,
		gguf.Q2_K, gguf.Q3_K, gguf.Q4_K, gguf.Q5_K, gguf.Q6_K,
		gguf.IQ1S, gguf.IQ1M, gguf.IQ2XXS, gguf.IQ2XS, gguf.IQ2S, gguf.IQ3XXS, gguf.IQ3S,
		gguf.IQ4NL, gguf.IQ4XS, gguf.TQ1_0, gguf.TQ2_0, gguf.MXFP4:
		return true
	}
	return false
}

// plain renders text from a file for an error: quoted and cut unless it is a
// short plain word, so that the error stays one line.
func plain(s string) string {
	q := strconv.QuoteToASCII(s)
	if len(s) <= 80 && len(s) > 0 && q == `"`+s+`"` {
		return s
	}
	return fmt.Sprintf("%.80q", s)
}

// whole is plain for the names of our own user, which are never cut.
func whole(s string) string {
	if q := strconv.Quote(s); q != `"`+s+`"` {
		return q
	}
	return s
}
