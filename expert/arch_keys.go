package expert

import (
	"fmt"
	"math"
	"slices"

	"github.com/moeswarm/moeswarm/internal/gguf"
)

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

// numberOr reads a whole number from 0 to most, absent when there is none.
func (k *keys) numberOr(name string, most, absent int) int {
	if n, ok := k.f.Uint(k.prefix + name); ok && n == 0 {
		return 0
	}
	return k.countOr(name, most, absent)
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

// positiveOr is positive for a key that may be absent, or 0 for absent.
func (k *keys) positiveOr(name string, absent float32) float32 {
	if x, ok := k.f.Float(k.prefix + name); ok && x == 0 || !k.f.Has(k.prefix+name) {
		return absent
	}
	return k.positive(name)
}

func (k *keys) flagOr(name string, absent bool) bool {
	if v, ok := k.f.Bool(k.prefix + name); ok {
		return v
	}
	return absent
}

const maxFloat32 = 0x1p127 * (1 + (1 - 0x1p-23))

// shape reads the sizes that all architectures have. All layers are sparse
// until leading says otherwise; a model without expert_count is dense.
func (k *keys) shape(arch string) Shape {
	s := Shape{Arch: arch}
	s.Layers = k.count("block_count", MaxLayers)
	s.Dim = k.count("embedding_length", MaxWidth)
	s.Context = k.count("context_length", MaxWidth)
	s.Heads = k.count("attention.head_count", MaxWidth)
	s.KVHeads = k.countOr("attention.head_count_kv", MaxWidth, s.Heads)
	s.NormEps = k.positive("attention.layer_norm_rms_epsilon")
	s.RopeBase = k.positiveOr("rope.freq_base", 10000) // llama.cpp's value for files that do not say
	s.Vocab = k.vocab()
	if k.err != nil {
		return Shape{}
	}
	s.HeadDim = k.countOr("attention.key_length", MaxWidth, s.Dim/s.Heads)
	if s.HeadDim == 0 || s.HeadDim%2 != 0 {
		k.fail("heads of %d values cannot be rotated in pairs", s.HeadDim)
	}
	if s.Heads%s.KVHeads != 0 {
		k.fail("%d query heads cannot share %d key/value heads evenly", s.Heads, s.KVHeads)
	}
	if s.Heads > MaxWidth/max(s.HeadDim, 1) {
		k.fail("%d heads of %d values are too many", s.Heads, s.HeadDim)
	}
	k.experts(&s)
	return s
}

// experts reads how many there are and how wide they are.
func (k *keys) experts(s *Shape) {
	if n, ok := k.f.Uint(k.prefix + "expert_count"); ok && n == 0 || !k.f.Has(k.prefix+"expert_count") {
		s.FF = k.count("feed_forward_length", MaxWidth)
		return
	}
	s.Experts = k.count("expert_count", MaxExperts)
	s.TopK = k.count("expert_used_count", MaxExperts)
	if s.TopK > s.Experts {
		k.fail("key %sexpert_used_count is %d, but there are %d experts", k.prefix, s.TopK, s.Experts)
	}
	s.FF = k.countOr("expert_feed_forward_length", MaxWidth, 0)
	for l := range s.Layers {
		s.SparseLayers = append(s.SparseLayers, l)
	}
}

// equalHeads refuses value heads of another width than key heads.
func (k *keys) equalHeads(s Shape) {
	if v := k.countOr("attention.value_length", MaxWidth, s.HeadDim); v != s.HeadDim {
		k.fail("value heads of %d beside key heads of %d are %w", v, s.HeadDim, ErrUnsupported)
	}
}

// leading makes the first layers dense, as the file says.
func (k *keys) leading(s *Shape) {
	n := k.numberOr("leading_dense_block_count", MaxLayers, 0)
	if n >= s.Layers && k.err == nil {
		k.fail("key %sleading_dense_block_count is %d of %d layers", k.prefix, n, s.Layers)
		return
	}
	s.SparseLayers = s.SparseLayers[min(n, len(s.SparseLayers)):]
}

// predicting leaves out the last layers of a file, which predict further
// tokens and have no part in the next one.
func (k *keys) predicting(s *Shape) {
	n := k.numberOr("nextn_predict_layers", MaxLayers, 0)
	if n >= s.Layers && k.err == nil {
		k.fail("key %snextn_predict_layers is %d of %d layers", k.prefix, n, s.Layers)
		return
	}
	s.Layers -= n
	s.SparseLayers = slices.DeleteFunc(s.SparseLayers, func(l int) bool { return l >= s.Layers })
}

// vocab takes the number of tokens from the list of tokens, as llama.cpp does.
func (k *keys) vocab() int {
	const list = "tokenizer.ggml.tokens"
	tokens, ok := k.f.Strings(list)
	if !ok || len(tokens) == 0 || len(tokens) > MaxWidth {
		k.fail("key %s is missing or no list of tokens", list)
		return 0
	}
	if n := k.countOr("vocab_size", MaxWidth, len(tokens)); n != len(tokens) {
		k.fail("key %svocab_size is %d, but %s has %d", k.prefix, n, list, len(tokens))
	}
	return len(tokens)
}

// design is what most architectures share: rotation of whole heads or the
// part that the file says, scores by softmax, no scales.
func (k *keys) design(s Shape, p Pairs) Design {
	return Design{
		Attention:  Attention{Scale: float32(1 / math.Sqrt(float64(max(s.HeadDim, 1))))},
		Rope:       k.rope(s, p, k.countOr("rope.dimension_count", MaxWidth, s.HeadDim), s.HeadDim),
		Gate:       Gate{Scale: k.positiveOr("expert_weights_scale", 1)},
		EmbedScale: 1, ResidualScale: 1, LogitScale: 1,
	}
}

// rope reads how positions are rotated: dims values of heads of width values.
func (k *keys) rope(s Shape, p Pairs, dims, width int) Rope {
	if dims > width || dims%2 != 0 {
		k.fail("rotary positions over %d of %d values of a head are %w", dims, width, ErrUnsupported)
	}
	r := Rope{Pairs: p, Dims: dims, Base: s.RopeBase, Scale: 1, Magnitude: k.positiveOr("rope.scaling.attn_factor", 1)}
	factor := k.positiveOr("rope.scaling.factor", k.positiveOr("rope.scale_linear", 1))
	kind, ok := k.f.String(k.prefix + "rope.scaling.type")
	if !ok {
		kind = "linear" // llama.cpp's reading of files that only give a factor
	}
	switch kind {
	case "none":
	case "linear":
		r.Scale = 1 / factor
	case "yarn":
		r.Scale = 1 / factor
		r.Yarn = &Yarn{
			Original: k.countOr("rope.scaling.original_context_length", MaxWidth, s.Context),
			Fast:     k.positiveOr("rope.scaling.yarn_beta_fast", 32),
			Slow:     k.positiveOr("rope.scaling.yarn_beta_slow", 1),
		}
		// What the authors of YaRN multiply queries and keys with. Files with
		// a log multiplier put it into the attention's scale instead, see
		// deepseek2.
		if factor > 1 && k.positiveOr("rope.scaling.yarn_log_multiplier", 0) == 0 {
			r.Magnitude *= float32(1 + 0.1*math.Log(float64(factor)))
		}
	default:
		k.fail("rotary positions scaled by %s are %w", plain(kind), ErrUnsupported)
	}
	return r
}

// gate reads what newer files say about the choice of experts.
func (k *keys) gate(g *Gate, s Shape, absent Score) {
	g.Score = absent
	switch n, _ := k.f.Uint(k.prefix + "expert_gating_func"); n {
	case 0: // not said
	case 1:
		g.Score = Softmax
	case 2:
		g.Score = Sigmoid
	case 3:
		g.Score = SoftmaxKept
	default:
		k.fail("gating function %d is %w", n, ErrUnsupported)
	}
	g.Normalise = k.flagOr("expert_weights_norm", false)
	g.Groups = k.numberOr("expert_group_count", MaxExperts, 0)
	g.GroupsUsed = k.numberOr("expert_group_used_count", MaxExperts, 0)
	if g.Groups > 1 && (s.Experts%g.Groups != 0 || s.Experts/g.Groups < 2 || g.GroupsUsed < 1 || g.GroupsUsed > g.Groups ||
		g.GroupsUsed*(s.Experts/g.Groups) < s.TopK) {
		k.fail("%d groups, %d of them used, do not fit %d of %d experts", g.Groups, g.GroupsUsed, s.TopK, s.Experts)
	}
}

// sparseOnly refuses a file without experts of an architecture that has them.
func (k *keys) sparseOnly(s Shape) {
	if s.Experts == 0 && k.err == nil {
		k.err = ErrDense
	}
}

// widthOf sets how wide an expert is where the file has no key for it: a
// share of the width of a whole layer, as llama.cpp reads older files.
func (k *keys) widthOf(s *Shape, shares int) {
	if s.FF == 0 && k.err == nil {
		s.FF = k.count("feed_forward_length", MaxWidth) / max(shares, 1)
	}
	if s.FF == 0 && k.err == nil {
		k.fail("key %sfeed_forward_length is too small for %d experts", k.prefix, shares)
	}
}

// denseWidth is the width of the dense layers of a model that has both kinds.
func (k *keys) denseWidth(s Shape) int {
	if len(s.SparseLayers) == s.Layers {
		return 0
	}
	return k.count("feed_forward_length", MaxWidth)
}
