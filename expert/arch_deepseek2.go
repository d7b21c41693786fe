package expert

import (
	"math"

	"github.com/moeswarm/moeswarm/internal/gguf"
)

const archDeepSeek2 = "deepseek2"

// deepseek2Layout: DeepSeek V2, V3 and R1, Kimi K2 and their like. Attention
// goes through one short vector per position ([Latent]); the first layers are
// dense; experts are chosen within the best groups, with a correction in newer
// models; shared experts are always added.
func deepseek2Layout(f *gguf.File) (layout, error) {
	k := &keys{f: f, prefix: archDeepSeek2 + "."}
	s := k.shape(archDeepSeek2)
	k.sparseOnly(s)
	k.widthOf(&s, s.TopK)
	shared := s.FF * k.numberOr("expert_shared_count", MaxExperts, 0)
	k.leading(&s)
	dense := k.denseWidth(s)
	m := &Latent{
		QRank:   k.numberOr("attention.q_lora_rank", MaxWidth, 0),
		Rank:    k.count("attention.kv_lora_rank", MaxWidth),
		Rotated: k.count("rope.dimension_count", MaxWidth),
		// Files for absorbed attention give the sizes of the heads under other
		// names, since key_length is then that of the compressed vectors.
		ValueDim: k.countOr("attention.value_length_mla", MaxWidth, k.countOr("attention.value_length", MaxWidth, s.HeadDim)),
	}
	s.HeadDim = k.countOr("attention.key_length_mla", MaxWidth, s.HeadDim)
	if m.Plain = s.HeadDim - m.Rotated; m.Plain < 1 || s.HeadDim%2 != 0 {
		k.fail("heads of %d values of which %d are rotated are %w", s.HeadDim, m.Rotated, ErrUnsupported)
	}
	if s.Heads > MaxWidth/max(s.HeadDim, m.Rank+m.Rotated, m.ValueDim, 1) {
		k.fail("%d heads of %d values, compressed to %d, are too many", s.Heads, s.HeadDim, m.Rank)
	}
	d := k.design(s, Neighbours)
	d.Rope = k.rope(s, Neighbours, m.Rotated, m.Rotated)
	d.Attention.Latent = m
	d.Attention.Scale = k.stretchedScale(d)
	k.gate(&d.Gate, s, Softmax)
	if k.err != nil {
		return layout{}, k.err
	}
	_, m.Absorbed = f.Tensor(block(0, "attn_k_b.weight"))
	t := &tensors{f: f, s: s}
	t.ends()
	for l := range s.Layers {
		t.latent(l, m)
		t.vector(block(l, "ffn_norm.weight"), s.Dim)
		t.denseOrShared(l, dense, shared)
	}
	return layout{s, d, t.want}, nil
}

// stretchedScale is the scale of attention where YaRN stretches positions:
// these models put YaRN's factor here. The converter writes a tenth of the
// model's mscale_all_dim.
func (k *keys) stretchedScale(d Design) float32 {
	if d.Rope.Yarn == nil {
		return d.Attention.Scale
	}
	m := float64(d.Rope.Magnitude) * (1 + float64(k.positiveOr("rope.scaling.yarn_log_multiplier", 0))*math.Log(1/float64(d.Rope.Scale)))
	return d.Attention.Scale * float32(m*m)
}

// latent is the latent attention of a layer.
func (t *tensors) latent(l int, m *Latent) {
	s := t.s
	t.vector(block(l, "attn_norm.weight"), s.Dim)
	if m.QRank > 0 {
		t.matrix(block(l, "attn_q_a.weight"), s.Dim, m.QRank)
		t.vector(block(l, "attn_q_a_norm.weight"), m.QRank)
		t.matrix(block(l, "attn_q_b.weight"), m.QRank, s.Heads*s.HeadDim)
	} else {
		t.matrix(block(l, "attn_q.weight"), s.Dim, s.Heads*s.HeadDim)
	}
	t.matrix(block(l, "attn_kv_a_mqa.weight"), s.Dim, m.Rank+m.Rotated)
	t.vector(block(l, "attn_kv_a_norm.weight"), m.Rank)
	if m.Absorbed {
		t.stack(block(l, "attn_k_b.weight"), m.Plain, m.Rank, s.Heads)
		t.stack(block(l, "attn_v_b.weight"), m.Rank, m.ValueDim, s.Heads)
	} else {
		t.matrix(block(l, "attn_kv_b.weight"), m.Rank, s.Heads*(m.Plain+m.ValueDim))
	}
	t.matrix(block(l, "attn_output.weight"), s.Heads*m.ValueDim, s.Dim)
}
