package synth

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/internal/gguf"
)

// chunk is about how many bytes are made and written at a time: small enough
// for the processor's cache, large enough that calls do not count.
const chunk = 256 << 10

// WriteFile writes the model to a file, which appears at path when it is
// complete.
func WriteFile(ctx context.Context, path string, c Config, p expert.Progress) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*.tmp")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	if err = errors.Join(Write(ctx, f, c, p), f.Chmod(0o644), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// Write writes the model to w, front to back.
func Write(ctx context.Context, w io.Writer, c Config, p expert.Progress) error {
	if err := c.validate(); err != nil {
		return fmt.Errorf("synthetic model: %w", err)
	}
	g := &generator{ctx: ctx, c: c, progress: p}
	tensors := g.tensors()
	g.total = dataBytes(tensors)
	out := bufio.NewWriterSize(w, chunk)
	if err := gguf.Write(out, c.kvs(), tensors); err != nil {
		return err
	}
	return out.Flush()
}

// Bytes is the size of the tensor data, nearly that of the file.
func (c Config) Bytes() (int64, error) {
	if err := c.validate(); err != nil {
		return 0, fmt.Errorf("synthetic model: %w", err)
	}
	return dataBytes((&generator{c: c}).tensors()), nil
}

func dataBytes(tensors []gguf.TensorSpec) (n int64) {
	for _, t := range tensors {
		n += int64(t.Type.RowBytes(t.Shape[0])) * rows(t.Shape)
	}
	return n
}

func rows(shape []int) int64 {
	n := int64(1)
	for _, d := range shape[1:] {
		n *= int64(d)
	}
	return n
}

func (c Config) kvs() []gguf.KV {
	s := c.Shape
	f, _ := familyOf(c.Family) // validated
	arch := c.arch()
	u := func(key string, n int) gguf.KV { return gguf.KV{Key: arch + "." + key, Value: uint32(n)} }
	kvs := []gguf.KV{
		{Key: "general.architecture", Value: arch},
		{Key: "general.type", Value: "model"},
		{Key: "general.name", Value: "random weights"},
		{Key: "general.description", Value: fmt.Sprintf("Random weights of seed %d, for trying speed. Its text means nothing.", c.Seed)},
		{Key: "general.file_type", Value: fileType(c.Quant)},
		{Key: "general.quantization_version", Value: uint32(2)},
		u("block_count", s.Layers+f.predicting),
		u("context_length", s.Context),
		u("embedding_length", s.Dim),
		u("feed_forward_length", c.layerWidth(f)),
		u("attention.head_count", s.Heads),
		{Key: arch + ".attention.layer_norm_rms_epsilon", Value: s.NormEps},
		{Key: arch + ".rope.freq_base", Value: s.RopeBase},
		u("vocab_size", s.Vocab),
	}
	switch {
	case f.latent && f.absorbed:
		kvs = append(kvs, u("attention.head_count_kv", 1))
	case f.latent:
		kvs = append(kvs, u("attention.head_count_kv", s.Heads))
	default:
		kvs = append(kvs, u("attention.head_count_kv", s.KVHeads), u("attention.key_length", s.HeadDim), u("attention.value_length", s.HeadDim))
	}
	if !f.dense {
		kvs = append(kvs, u("expert_count", s.Experts), u("expert_used_count", s.TopK), u("expert_feed_forward_length", s.FF))
	}
	if f.shared && !f.latent {
		kvs = append(kvs, u("expert_shared_feed_forward_length", s.FF))
	}
	if f.kvs != nil {
		for _, kv := range f.kvs(c) {
			kvs = append(kvs, gguf.KV{Key: arch + "." + kv.Key, Value: kv.Value})
		}
	}
	return append(kvs, vocabKVs(s.Vocab)...)
}

// arch is the architecture's name: the family's without the variant.
func (c Config) arch() string {
	if c.Family == "" {
		return "qwen3moe"
	}
	name, _, _ := strings.Cut(c.Family, "+")
	return name
}

// layerWidth is feed_forward_length: of a dense layer, or, in architectures
// that have no other key for it, of an expert.
func (c Config) layerWidth(f family) int {
	if a := c.arch(); !f.dense && slices.Contains([]string{"llama", "olmoe", "granitemoe", "hunyuan-moe", "minimax-m2"}, a) {
		return c.Shape.FF
	}
	return c.Shape.FF * max(c.Shape.TopK, 1)
}

// generator makes the tensors' data. Each tensor has its own random numbers,
// from the seed and its name.
type generator struct {
	ctx         context.Context
	c           Config
	progress    expert.Progress
	done, total int64
}

// matrix has random blocks of the given standard deviation.
func (g *generator) matrix(name string, t gguf.Type, sigma float64, shape ...int) gguf.TensorSpec {
	r := g.source(name)
	return g.spec(name, t, shape, func(b []byte, _ int64) { fill(b, t, sigma, r) })
}

// head is a matrix whose last rows, those of the control tokens, are zero.
// Their logits are then 0, which is never the largest of many.
func (g *generator) head(name string, t gguf.Type, sigma float64, shape ...int) gguf.TensorSpec {
	r := g.source(name)
	row := t.RowBytes(shape[0])
	end := int64(row) * (rows(shape) - controlTokens)
	return g.spec(name, t, shape, func(b []byte, at int64) {
		fill(b, t, sigma, r)
		if from := max(end-at, 0); from < int64(len(b)) {
			clear(b[from:]) // zero scales make zero values in every type
		}
	})
}

// normal has F32 values of a normal distribution.
func (g *generator) normal(name string, sigma float64, shape ...int) gguf.TensorSpec {
	r := rand.New(g.source(name))
	return g.spec(name, gguf.F32, shape, func(b []byte, _ int64) {
		for i := 0; i < len(b); i += 4 {
			putFloat(b[i:], float32(r.NormFloat64()*sigma))
		}
	})
}

// offset has F32 values of a normal distribution about a mean.
func (g *generator) offset(name string, mean, sigma float64, n int) gguf.TensorSpec {
	r := rand.New(g.source(name))
	return g.spec(name, gguf.F32, []int{n}, func(b []byte, _ int64) {
		for i := 0; i < len(b); i += 4 {
			putFloat(b[i:], float32(mean+r.NormFloat64()*sigma))
		}
	})
}

// ones is a vector of F32 ones.
func (g *generator) ones(name string, n int) gguf.TensorSpec {
	return g.spec(name, gguf.F32, []int{n}, func(b []byte, _ int64) {
		for i := 0; i < len(b); i += 4 {
			putFloat(b[i:], 1)
		}
	})
}

func (g *generator) source(name string) *rand.PCG {
	h := fnv.New64a()
	io.WriteString(h, name)
	return rand.NewPCG(g.c.Seed, h.Sum64())
}

// spec makes a tensor whose data is made by chunks of whole rows; fillRows gets
// each chunk and where in the tensor it begins.
func (g *generator) spec(name string, t gguf.Type, shape []int, fillRows func(b []byte, at int64)) gguf.TensorSpec {
	return gguf.TensorSpec{Name: name + ".weight", Type: t, Shape: shape, Data: func(w io.Writer) error {
		row := int64(t.RowBytes(shape[0]))
		perChunk := max(chunk/row, 1)
		buf := make([]byte, perChunk*row)
		total := row * rows(shape)
		for at := int64(0); at < total; at += int64(len(buf)) {
			if err := g.ctx.Err(); err != nil {
				return err
			}
			b := buf[:min(int64(len(buf)), total-at)]
			fillRows(b, at)
			if _, err := w.Write(b); err != nil {
				return err
			}
			g.done += int64(len(b))
			if g.progress != nil {
				g.progress(g.done, g.total)
			}
		}
		return nil
	}}
}
