package synth

import (
	"fmt"
	"maps"
	"slices"

	"github.com/moeswarm/moeswarm/internal/gguf"
)

// family says what sets the files of an architecture apart.
type family struct {
	qkvBias, outBias      bool
	headNorms, wholeNorms bool
	sinks                 bool
	postNorm              bool // the norm before the experts has the name post_attention_norm
	gateBias, expertBias  bool
	correction            bool // a bias for choosing experts
	shared, sharedGate    bool
	dense                 bool // no experts at all
	lead                  int  // dense layers before the sparse ones
	predicting            int  // layers after them that predict further tokens
	latent, absorbed      bool
	single, fused         bool                     // how the file keeps the experts
	tied                  bool                     // no head of its own
	frequencies           bool                     // the tensor rope_freqs
	qkv                   bool                     // attention's three matrices in one tensor
	kvs                   func(c Config) []gguf.KV // keys that others have not; without the prefix
}

// Families lists the architectures, and the variants of them, that can be
// written: a name is that of the architecture, and of the variant after a plus.
func Families() []string { return slices.Sorted(maps.Keys(families())) }

func families() map[string]family {
	kv := func(pairs ...any) func(Config) []gguf.KV {
		return func(Config) (out []gguf.KV) {
			for i := 0; i < len(pairs); i += 2 {
				out = append(out, gguf.KV{Key: pairs[i].(string), Value: pairs[i+1]})
			}
			return out
		}
	}
	yarn := []any{"rope.scaling.type", "yarn", "rope.scaling.factor", float32(4), "rope.scaling.original_context_length", uint32(64)}
	glm := family{qkvBias: true, headNorms: true, postNorm: true, correction: true, shared: true, lead: 1, predicting: 1,
		kvs: func(c Config) []gguf.KV {
			return kv("rope.dimension_count", uint32(c.Shape.HeadDim/2), "expert_gating_func", uint32(2), "expert_weights_scale", float32(1.5),
				"expert_weights_norm", true, "expert_shared_count", uint32(1), "leading_dense_block_count", uint32(1), "nextn_predict_layers", uint32(1))(c)
		}}
	deepseek := family{latent: true, absorbed: true, lead: 1, shared: true, correction: true, kvs: latentKVs(append([]any{
		"expert_gating_func", uint32(2), "expert_weights_scale", float32(2.5), "expert_weights_norm", true, "expert_shared_count", uint32(1),
		"leading_dense_block_count", uint32(1), "expert_group_count", uint32(4), "expert_group_used_count", uint32(2),
		"rope.scaling.yarn_log_multiplier", float32(0.1)}, yarn...), true)}
	return map[string]family{
		"qwen3moe":      {headNorms: true},
		"qwen3moe+yarn": {headNorms: true, kvs: kv(yarn...)},
		"qwen2moe":      {qkvBias: true, shared: true, sharedGate: true},
		"llama":         {},
		"llama+single":  {single: true},
		"qwen3moe+qkv":  {headNorms: true, tied: true, qkv: true},
		"llama+dense":   {dense: true, frequencies: true},
		"qwen2":         {dense: true, qkvBias: true},
		"qwen3":         {dense: true, headNorms: true, tied: true},
		"olmoe":         {wholeNorms: true},
		"granitemoe":    {kvs: kv("embedding_scale", float32(1.5), "residual_scale", float32(0.7), "attention.scale", float32(0.1), "logit_scale", float32(0.5))},
		"granitemoe+sh": {shared: true, tied: true, kvs: kv("embedding_scale", float32(12), "residual_scale", float32(0.22), "attention.scale", float32(0.015625), "logit_scale", float32(6))},
		"glm4moe":       glm,
		"gpt-oss": {qkvBias: true, outBias: true, sinks: true, postNorm: true, gateBias: true, expertBias: true, kvs: func(c Config) []gguf.KV {
			window := uint32(128)
			if c.Probe {
				window = 16 // within the few tokens of a probe
			}
			return kv(append([]any{"attention.sliding_window", window}, yarn...)...)(c)
		}},
		"deepseek2": deepseek,
		"dots1": {headNorms: true, lead: 1, shared: true, correction: true, kvs: kv("expert_gating_func", uint32(2), "expert_weights_scale", float32(2.5),
			"expert_weights_norm", true, "expert_shared_count", uint32(1), "leading_dense_block_count", uint32(1))},
		"deepseek": {lead: 1, shared: true, kvs: kv("expert_weights_scale", float32(1), "expert_shared_count", uint32(1), "leading_dense_block_count", uint32(1))},
		"bailingmoe": {shared: true, kvs: func(c Config) []gguf.KV {
			return kv("expert_weights_scale", float32(1), "expert_weights_norm", true, "expert_shared_count", uint32(1),
				"leading_dense_block_count", uint32(0), "rope.dimension_count", uint32(c.Shape.HeadDim))(c)
		}},
		"bailingmoe2": {headNorms: true, qkv: true, lead: 1, shared: true, correction: true, kvs: kv("expert_gating_func", uint32(2),
			"expert_weights_scale", float32(2.5), "expert_weights_norm", true, "expert_shared_count", uint32(1), "leading_dense_block_count", uint32(1),
			"expert_group_count", uint32(4), "expert_group_used_count", uint32(2), "rope.dimension_count", uint32(32))},
		"ernie4_5-moe": {lead: 1, shared: true, correction: true, kvs: kv("interleave_moe_layer_step", uint32(1), "leading_dense_block_count", uint32(1),
			"expert_shared_count", uint32(1))},
		"hunyuan-moe":    {headNorms: true, shared: true},
		"minimax-m2":     {wholeNorms: true, correction: true, kvs: kv("expert_gating_func", uint32(2), "rope.dimension_count", uint32(32))},
		"deepseek2+lite": {latent: true, fused: true, lead: 1, shared: true, kvs: latentKVs([]any{"expert_weights_scale", float32(1), "expert_shared_count", uint32(1), "leading_dense_block_count", uint32(1)}, false)},
	}
}

// latentRank and the like are the sizes of latent attention: small, and whole
// blocks of K-quants where the rows of matrices need to be.
const (
	latentRank    = 256
	latentQRank   = 256
	latentRotated = 32
)

// latentKVs are the keys of latent attention. Absorbed files give the sizes
// of the compressed vectors as those of keys and values.
func latentKVs(pairs []any, absorbed bool) func(Config) []gguf.KV {
	return func(c Config) []gguf.KV {
		plain, value := c.Shape.HeadDim, c.Shape.HeadDim
		pairs := append(slices.Clone(pairs), "attention.kv_lora_rank", uint32(latentRank), "rope.dimension_count", uint32(latentRotated))
		if absorbed {
			pairs = append(pairs, "attention.q_lora_rank", uint32(latentQRank),
				"attention.key_length", uint32(latentRank+latentRotated), "attention.value_length", uint32(latentRank),
				"attention.key_length_mla", uint32(plain+latentRotated), "attention.value_length_mla", uint32(value))
		} else {
			pairs = append(pairs, "attention.key_length", uint32(plain+latentRotated), "attention.value_length", uint32(value))
		}
		var out []gguf.KV
		for i := 0; i < len(pairs); i += 2 {
			out = append(out, gguf.KV{Key: pairs[i].(string), Value: pairs[i+1]})
		}
		return out
	}
}

func familyOf(name string) (family, error) {
	if name == "" {
		name = "qwen3moe"
	}
	f, ok := families()[name]
	if !ok {
		return family{}, fmt.Errorf("family %.40q is unknown; there are %v", name, Families())
	}
	return f, nil
}
