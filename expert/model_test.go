package expert_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/expert/synth"
	"github.com/moeswarm/moeswarm/internal/demo"
	"github.com/moeswarm/moeswarm/internal/gguf"
)

// tinyFile is a small synthetic model: 2 layers of 8 experts.
func tinyFile(t testing.TB, quant string) []byte {
	t.Helper()
	c, err := synth.Named("tiny")
	if err != nil {
		t.Fatal(err)
	}
	c.Quant = quant
	var b bytes.Buffer
	if err := synth.Write(context.Background(), &b, c, nil); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// smallFile is as small as a model can be, for fuzzing: 1 layer of 2 experts.
func smallFile(t testing.TB, quant string) []byte {
	t.Helper()
	c := synth.Config{Quant: quant, Shape: expert.Shape{Layers: 1, Experts: 2, TopK: 1, Dim: 32, FF: 32, Vocab: 260, Context: 8,
		Heads: 1, KVHeads: 1, HeadDim: 32, RopeBase: 1e4, NormEps: 1e-6}}
	var b bytes.Buffer
	if err := synth.Write(context.Background(), &b, c, nil); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func open(t testing.TB, data []byte) *expert.Model {
	t.Helper()
	m, err := expert.NewModel("test", data, expert.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// contents is a file taken apart, to be put together again with changes.
type contents struct {
	kvs     []gguf.KV
	tensors []gguf.TensorSpec
}

func takeApart(t testing.TB, data []byte) *contents {
	t.Helper()
	f, err := gguf.Parse(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	c := &contents{kvs: slices.Clone(f.KVs)}
	for _, x := range f.Tensors {
		c.tensors = append(c.tensors, spec(x.Name, x.Type, x.Shape, data[x.Offset:x.Offset+x.Size]))
	}
	return c
}

func spec(name string, typ gguf.Type, shape []int, data []byte) gguf.TensorSpec {
	return gguf.TensorSpec{Name: name, Type: typ, Shape: shape, Data: func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	}}
}

func (c *contents) join(t testing.TB) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := gguf.Write(&b, c.kvs, c.tensors); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// set changes or adds a key; nil removes it.
func (c *contents) set(key string, value any) {
	c.kvs = slices.DeleteFunc(c.kvs, func(kv gguf.KV) bool { return kv.Key == key })
	if value != nil {
		c.kvs = append(c.kvs, gguf.KV{Key: key, Value: value})
	}
}

// replace puts a tensor of zeros in the place of one, or adds it.
func (c *contents) replace(name string, typ gguf.Type, shape ...int) {
	c.remove(name)
	size := typ.RowBytes(shape[0])
	for _, n := range shape[1:] {
		size *= n
	}
	c.tensors = append(c.tensors, spec(name, typ, shape, make([]byte, size)))
}

func (c *contents) remove(name string) {
	c.tensors = slices.DeleteFunc(c.tensors, func(x gguf.TensorSpec) bool { return x.Name == name })
}

func TestDemo(t *testing.T) {
	m := open(t, demo.GGUF())
	s := m.Shape()
	if s.Arch != "qwen3moe" || m.Layers() != 4 || !slices.Equal(s.SparseLayers, []int{0, 1, 2, 3}) || m.Experts() != 16 || m.TopK() != 4 ||
		m.Dim() != 256 || s.FF != 256 || s.Vocab != 4096 || s.Context != 1024 || s.Heads != 4 || s.KVHeads != 2 || s.HeadDim != 64 ||
		s.RopeBase != 1e6 || s.NormEps != 1e-6 {
		t.Errorf("shape %+v", s)
	}
	s.SparseLayers[0] = 99
	if m.Shape().SparseLayers[0] != 0 {
		t.Error("the shape is shared with its model")
	}
	if m.Name() != "test" || len(m.File().Tensors) != 51 {
		t.Errorf("model %s has %d tensors", m.Name(), len(m.File().Tensors))
	}
	if _, ok := m.Tensor("blk.9.attn_q.weight"); ok {
		t.Error("there is a tensor that the file does not have")
	}
	if err := m.Close(); err != nil {
		t.Error(err)
	}
}

// TestWeights: an expert's matrices are its slices of the stacked tensors.
func TestWeights(t *testing.T) {
	m := open(t, demo.GGUF())
	for _, id := range m.Manifest().IDs() {
		w, err := m.Weights(id)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			got  expert.Tensor
			part string
			typ  gguf.Type
		}{{w.W1, "gate", gguf.Q4_K}, {w.W2, "down", gguf.Q6_K}, {w.W3, "up", gguf.Q4_K}} {
			name := "blk." + string(rune('0'+id.Layer)) + ".ffn_" + c.part + "_exps.weight"
			size := c.typ.RowBytes(256) * 256
			whole, _ := m.Tensor(name)
			from := int(id.Index) * size
			if c.got.Name != name || c.got.Type != c.typ || !slices.Equal(c.got.Shape, []int{256, 256}) || len(c.got.Data) != size ||
				&c.got.Data[0] != &whole.Data[from] || cap(c.got.Data) != size {
				t.Fatalf("%v: %s is %s %v %v with %d bytes", id, c.part, c.got.Name, c.got.Type, c.got.Shape, len(c.got.Data))
			}
		}
	}
	for _, id := range []expert.ID{{Model: m.ID(), Layer: 4}, {Model: m.ID(), Index: 16}, {Layer: 1}} {
		if _, err := m.Weights(id); !errors.Is(err, expert.ErrUnknownExpert) {
			t.Errorf("%v: got %v", id, err)
		}
	}
}

// TestUnaligned: bytes anywhere in memory make the same model.
func TestUnaligned(t *testing.T) {
	tiny := tinyFile(t, "Q8_0")
	want := open(t, tiny).ID()
	room := make([]byte, len(tiny)+64)
	for _, shift := range []int{1, 2, 16, 31} {
		copy(room[shift:], tiny)
		if got := open(t, room[shift:shift+len(tiny)]).ID(); got != want {
			t.Errorf("shifted by %d: %v, want %v", shift, got, want)
		}
	}
}

func TestOpenModel(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "tiny.gguf")
	tiny := tinyFile(t, "Q8_0")
	if err := os.WriteFile(path, tiny, 0o600); err != nil {
		t.Fatal(err)
	}
	m, err := expert.OpenModel(path, expert.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if m.ID() != open(t, tiny).ID() || m.Name() != path {
		t.Errorf("mapped: model %v called %s", m.ID(), m.Name())
	}
	if err := m.Close(); err != nil {
		t.Error(err)
	}
	empty := filepath.Join(dir, "empty.gguf")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		filepath.Join(dir, "absent.gguf"): "no such file",
		dir:                               "is not a regular file",
		empty:                             "not a GGUF file",
		"model_test.go":                   "not a GGUF file",
	} {
		_, err := expert.OpenModel(path, expert.Options{})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", path, err, want)
		}
	}
	if _, err := expert.OpenModel(filepath.Join(dir, "absent.gguf"), expert.Options{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

func TestRefusesModels(t *testing.T) {
	const arch = "qwen3moe."
	tiny := tinyFile(t, "Q8_0")
	for name, c := range map[string]struct {
		change func(*contents)
		want   string
		is     error
	}{
		"no architecture": {func(c *contents) { c.set("general.architecture", nil) }, "general.architecture is missing", nil},
		"dense":           {func(c *contents) { c.set("general.architecture", "llama") }, "this is a dense model: no experts to share out", expert.ErrDense},
		"other": {func(c *contents) { c.set("general.architecture", "mamba"); c.set("mamba.expert_count", uint32(8)) },
			"architecture mamba is not supported yet; supported: bailingmoe, bailingmoe2, deepseek, deepseek2", expert.ErrUnsupported},
		"odd name": {func(c *contents) { c.set("general.architecture", "a\nb"); c.set("a\nb.expert_count", uint32(8)) },
			`architecture "a\nb" is not supported yet`, expert.ErrUnsupported},
		"split":         {func(c *contents) { c.set("split.count", uint16(3)) }, "the file is one of 3 parts of a model", nil},
		"key missing":   {func(c *contents) { c.set(arch+"block_count", nil) }, "key qwen3moe.block_count is missing", nil},
		"key type":      {func(c *contents) { c.set(arch+"expert_count", "8") }, "key qwen3moe.expert_count is missing or no whole number", nil},
		"layers":        {func(c *contents) { c.set(arch+"block_count", uint32(600)) }, "key qwen3moe.block_count is 600, want 1 to 512", nil},
		"experts":       {func(c *contents) { c.set(arch+"expert_count", uint64(1<<63)) }, "key qwen3moe.expert_count is 9223372036854775808", nil},
		"top-k":         {func(c *contents) { c.set(arch+"expert_used_count", uint32(9)) }, "expert_used_count is 9, but there are 8 experts", nil},
		"heads":         {func(c *contents) { c.set(arch+"attention.head_count_kv", uint32(3)) }, "4 query heads cannot share 3", nil},
		"odd heads":     {func(c *contents) { c.set(arch+"attention.key_length", uint32(63)) }, "", nil},
		"value heads":   {func(c *contents) { c.set(arch+"attention.value_length", uint32(32)) }, "value heads of 32 beside key heads of 64 are not supported", expert.ErrUnsupported},
		"epsilon":       {func(c *contents) { c.set(arch+"attention.layer_norm_rms_epsilon", float32(-1)) }, "layer_norm_rms_epsilon is -1", nil},
		"stretched":     {func(c *contents) { c.set(arch+"rope.scaling.type", "longrope") }, "positions scaled by longrope are not supported", expert.ErrUnsupported},
		"stretch":       {func(c *contents) { c.set(arch+"rope.scaling.factor", float32(-4)) }, "rope.scaling.factor is -4, want a number above 0", nil},
		"part rotated":  {func(c *contents) { c.set(arch+"rope.dimension_count", uint32(66)) }, "over 66 of 64 values", expert.ErrUnsupported},
		"no tokens":     {func(c *contents) { c.set("tokenizer.ggml.tokens", nil) }, "tokenizer.ggml.tokens is missing", nil},
		"vocab":         {func(c *contents) { c.set(arch+"vocab_size", uint32(7)) }, "vocab_size is 7, but tokenizer.ggml.tokens has 300", nil},
		"tensor gone":   {func(c *contents) { c.remove("blk.1.attn_k.weight") }, "tensor blk.1.attn_k.weight is missing", nil},
		"tensor extra":  {func(c *contents) { c.replace("blk.1.ffn_up_shexp.weight", gguf.F32, 256, 256) }, "tensor blk.1.ffn_up_shexp.weight has no place", expert.ErrUnsupported},
		"tensor shape":  {func(c *contents) { c.replace("blk.0.ffn_up_exps.weight", gguf.F32, 256, 256, 7) }, "ffn_up_exps.weight has shape [256 256 7], want [256 256 8]", nil},
		"matrix type":   {func(c *contents) { c.replace("blk.0.attn_q.weight", gguf.I32, 256, 256) }, "attn_q.weight has type I32, which is not supported", expert.ErrUnsupported},
		"internal type": {func(c *contents) { c.replace("blk.0.attn_q.weight", gguf.Q8_K, 256, 256) }, "attn_q.weight has type Q8_K, which is not supported", expert.ErrUnsupported},
		"norm type":     {func(c *contents) { c.replace("blk.0.attn_norm.weight", gguf.F16, 256) }, "attn_norm.weight has type F16, which is not supported here; want F32", expert.ErrUnsupported},
	} {
		parts := takeApart(t, tiny)
		c.change(parts)
		_, err := expert.NewModel("m", parts.join(t), expert.Options{})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
			continue
		}
		if c.is != nil && !errors.Is(err, c.is) {
			t.Errorf("%s: %v does not wrap %v", name, err, c.is)
		}
		oneLine(t, err)
	}
}

// TestAccepts: what may be absent or differ without changing the computation.
func TestAccepts(t *testing.T) {
	tiny := tinyFile(t, "Q8_0")
	for name, change := range map[string]func(*contents){
		"tied head":         func(c *contents) { c.remove("output.weight") },
		"no expert length":  func(c *contents) { c.set("qwen3moe.expert_feed_forward_length", nil) },
		"no vocab size":     func(c *contents) { c.set("qwen3moe.vocab_size", nil) },
		"no scaling":        func(c *contents) { c.set("qwen3moe.rope.scaling.type", "none") },
		"trailing ones":     func(c *contents) { c.replace("output_norm.weight", gguf.F32, 256, 1, 1) },
		"float16 scores":    func(c *contents) { c.replace("blk.0.ffn_gate_inp.weight", gguf.F16, 256, 8) },
		"other whole types": func(c *contents) { c.set("qwen3moe.block_count", uint64(2)) },
		"another alignment": func(c *contents) { c.set("general.alignment", uint32(64)) },
	} {
		parts := takeApart(t, tiny)
		change(parts)
		if _, err := expert.NewModel("m", parts.join(t), expert.Options{}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSupportedOption(t *testing.T) {
	only := func(typ gguf.Type) bool { return typ == gguf.Q8_0 || typ == gguf.F32 }
	if _, err := expert.NewModel("m", tinyFile(t, "Q8_0"), expert.Options{Supported: only}); err != nil {
		t.Error(err)
	}
	if _, err := expert.NewModel("m", tinyFile(t, "Q4_0"), expert.Options{Supported: only}); !errors.Is(err, expert.ErrUnsupported) {
		t.Errorf("got %v", err)
	}
}

func oneLine(t testing.TB, err error) {
	t.Helper()
	if s := err.Error(); strings.ContainsAny(s, "\n\r") || len(s) > 600 {
		t.Errorf("not one short line: %q", s)
	}
}

// usable checks what an accepted model promises its users.
func usable(t testing.TB, m *expert.Model) {
	t.Helper()
	s := m.Shape()
	for _, id := range m.Manifest().IDs() {
		weights, err := m.Weights(id)
		if err != nil {
			t.Fatal(err)
		}
		w1, w2, w3 := weights.W1, weights.W2, weights.W3
		for _, w := range weights.Tensors() {
			rows := 1 // of a bias
			if len(w.Shape) > 1 {
				rows = w.Shape[1]
			}
			if len(w.Data) == 0 || len(w.Data) != w.Type.RowBytes(w.Shape[0])*rows {
				t.Fatalf("%v: %s %v %v has %d bytes", id, w.Name, w.Type, w.Shape, len(w.Data))
			}
		}
		if !slices.Equal(w1.Shape, []int{s.Dim, s.FF}) || !slices.Equal(w2.Shape, []int{s.FF, s.Dim}) || !slices.Equal(w3.Shape, []int{s.Dim, s.FF}) {
			t.Fatalf("%v: shapes %v %v %v for dim %d, ff %d", id, w1.Shape, w2.Shape, w3.Shape, s.Dim, s.FF)
		}
	}
	for _, name := range []string{"token_embd.weight", "output_norm.weight"} {
		if x, ok := m.Tensor(name); !ok || x.Shape[0] != s.Dim {
			t.Fatalf("%s is %v", name, x.Shape)
		}
	}
}

// TestCutDemo: cut at any place, the demo file is refused in one line.
func TestCutDemo(t *testing.T) {
	data := demo.GGUF()
	cut := func(n int) {
		_, err := expert.NewModel("demo", data[:n], expert.Options{})
		if !errors.Is(err, gguf.ErrTruncated) && !errors.Is(err, gguf.ErrNotGGUF) {
			t.Fatalf("cut at %d: got %v", n, err)
		}
		if n > 4 && !strings.Contains(err.Error(), "fetch or copy the file again") {
			t.Errorf("cut at %d: %v does not say what to do", n, err)
		}
		oneLine(t, err)
	}
	for n := 0; n < 1<<17; n += 487 { // the head: metadata and tensor table
		cut(n)
	}
	for n := 1 << 17; n < len(data); n += 99991 {
		cut(n)
	}
	cut(len(data) - 1)
}

// TestDamagedDemo: with any bytes of the head changed, the demo file is
// refused in one line or is a whole model.
func TestDamagedDemo(t *testing.T) {
	const seed = 3
	r := rand.New(rand.NewPCG(seed, 0))
	data := bytes.Clone(demo.GGUF())
	head := int(open(t, data).File().DataOffset)
	refused := 0
	for i := range 400 {
		// The table of tensors is at the end, 3 KB of 126; the keys that
		// matter are in the first KB.
		at := []int{r.IntN(1500), head - 1 - r.IntN(3200), r.IntN(head)}[i%3]
		old := data[at]
		data[at] ^= byte(1 + r.IntN(255))
		m, err := expert.NewModel("demo", data, expert.Options{})
		if err != nil {
			refused++
			oneLine(t, err)
		} else if i%10 == 0 { // hashing takes most of the time
			usable(t, m)
		}
		data[at] = old
	}
	if refused < 100 {
		t.Errorf("seed %d: only %d of 400 damaged files were refused", seed, refused)
	}
}

func FuzzNewModel(f *testing.F) {
	for _, quant := range []string{"Q8_0", "Q4_0", "F16"} {
		small := smallFile(f, quant)
		f.Add(small)
		f.Add(small[:len(small)/2])
	}
	for _, family := range synth.Families() {
		c := synth.Config{Family: family, Quant: "Q8_0", Shape: expert.Shape{Layers: 2, Experts: 8, TopK: 2, Dim: 32, FF: 32, Vocab: 260, Context: 8,
			Heads: 1, KVHeads: 1, HeadDim: 32, RopeBase: 1e4, NormEps: 1e-6}}
		var b bytes.Buffer
		if err := synth.Write(context.Background(), &b, c, nil); err != nil {
			f.Fatal(err)
		}
		f.Add(b.Bytes())
	}
	parts := takeApart(f, smallFile(f, "Q8_0"))
	parts.set("qwen3moe.expert_count", uint32(3))
	f.Add(parts.join(f))
	parts.set("general.architecture", "llama")
	f.Add(parts.join(f))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := expert.NewModel("fuzz", data, expert.Options{})
		if err != nil {
			oneLine(t, err)
			return
		}
		usable(t, m)
	})
}

// TestIdentify: progress goes up to all bytes, and everybody gets one answer.
func TestIdentify(t *testing.T) {
	m := open(t, demo.GGUF())
	ctx, cancel := context.WithCancel(context.Background())
	_, err := m.Identify(ctx, func(done, total int64) { cancel() })
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("cancelled: got %v", err)
	}
	var last, size int64
	manifest, err := m.Identify(context.Background(), func(done, total int64) {
		if done <= last || done > total {
			t.Errorf("progress from %d to %d of %d", last, done, total)
		}
		last, size = done, total
	})
	if err != nil || last != size || size != manifest.Bytes() {
		t.Errorf("progress ended at %d of %d, model has %d (%v)", last, size, manifest.Bytes(), err)
	}
	fresh := open(t, demo.GGUF())
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if fresh.ID() != manifest.ID() {
				t.Error("another id")
			}
		})
	}
	wg.Wait()
}

func TestKnownManifest(t *testing.T) {
	known := open(t, demo.GGUF()).Manifest()
	m, err := expert.NewModel("demo", demo.GGUF(), expert.Options{Known: known})
	if err != nil {
		t.Fatal(err)
	}
	hashed := false
	if got, err := m.Identify(context.Background(), func(done, total int64) { hashed = true }); err != nil || got != known || hashed {
		t.Errorf("got %v, %v; hashed: %v", got, err, hashed)
	}
	if _, err := expert.NewModel("tiny", tinyFile(t, "Q8_0"), expert.Options{Known: known}); err == nil {
		t.Error("the manifest of another model was accepted")
	}
}
