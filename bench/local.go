package bench

import (
	"context"
	"fmt"
	"time"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/gating"
	"github.com/moeswarm/moeswarm/gating/trunk"
	"github.com/moeswarm/moeswarm/internal/ggml"
)

// timedMixer times the sparse part of each layer.
type timedMixer struct {
	trunk.Mixer
	rounds []time.Duration
}

func (m *timedMixer) Mix(ctx context.Context, layer int, h, scores expert.Batch) (expert.Batch, error) {
	start := time.Now()
	out, err := m.Mixer.Mix(ctx, layer, h, scores)
	m.rounds = append(m.rounds, time.Since(start))
	return out, err
}

// local times the trunk and all experts in this process, like llama-bench:
// a prompt in, greedy tokens out, no sampling and no network.
func local(ctx context.Context, o Options) (Metrics, error) {
	m, err := o.open(ctx)
	if err != nil {
		return nil, err
	}
	defer m.Close()
	if need := o.Prompt + o.NewTokens + 8; need > m.Shape().Context {
		return nil, fmt.Errorf("%d tokens of prompt and answer: the model has a context of %d", need, m.Shape().Context)
	}
	pool := ggml.NewPool(o.Threads)
	set, err := expert.NewSet(m, m.Manifest().IDs(), pool)
	if err != nil {
		return nil, err
	}
	layer, err := gating.NewLayer(gating.Config{Model: m.ID(), TopK: m.TopK(), Applier: set})
	if err != nil {
		return nil, err
	}
	mixer := &timedMixer{Mixer: layer}
	tr, err := trunk.New(trunk.Config{Model: m, Mixer: mixer, Pool: pool})
	if err != nil {
		return nil, err
	}
	_, ids, err := promptFor(m, o.Prompt, o.Seed)
	if err != nil {
		return nil, err
	}
	// Once unmeasured, so that the weights are in memory.
	if _, err := prefill(ctx, tr, ids); err != nil {
		return nil, err
	}
	tr.Release(0)
	start := time.Now()
	next, err := prefill(ctx, tr, ids)
	if err != nil {
		return nil, err
	}
	prefilled := time.Since(start)
	mixer.rounds = mixer.rounds[:0]
	var steps []time.Duration
	for i := range o.NewTokens {
		start := time.Now()
		out, err := tr.Forward(ctx, trunk.Step{Tokens: []int32{next}, Positions: []int{len(ids) + i}, Slots: []int{0}, Logits: []int{0}})
		if err != nil {
			return nil, err
		}
		next = argmax(out.Row(0))
		steps = append(steps, time.Since(start))
	}
	var sum time.Duration
	for _, s := range steps {
		sum += s
	}
	return Metrics{
		"threads":                 float64(pool.Workers()),
		"prompt_tokens":           float64(o.Prompt),
		"new_tokens":              float64(o.NewTokens),
		"prefill_tokens_per_s":    float64(len(ids)) / prefilled.Seconds(),
		"decode_tokens_per_s":     float64(o.NewTokens) / sum.Seconds(),
		"decode_p50_ms":           quantile(steps, 0.5),
		"decode_p50_tokens_per_s": 1000 / quantile(steps, 0.5),
		"layer_round_p50_ms":      quantile(mixer.rounds, 0.5),
		"layer_round_p99_ms":      quantile(mixer.rounds, 0.99),
		"network_bytes_per_token": 0,
	}, nil
}

const prefillChunk = 256 // rows of a step, as in the engine

// prefill runs ids from position 0 of slot 0 and returns the greedy next token.
func prefill(ctx context.Context, tr *trunk.Trunk, ids []int32) (int32, error) {
	var next int32
	for at := 0; at < len(ids); at += prefillChunk {
		end := min(at+prefillChunk, len(ids))
		s := trunk.Step{Tokens: ids[at:end]}
		for p := at; p < end; p++ {
			s.Positions, s.Slots = append(s.Positions, p), append(s.Slots, 0)
		}
		if end == len(ids) {
			s.Logits = []int{end - at - 1}
		}
		out, err := tr.Forward(ctx, s)
		if err != nil {
			return 0, err
		}
		if end == len(ids) {
			next = argmax(out.Row(0))
		}
	}
	return next, nil
}

func argmax(x []float32) int32 {
	best := 0
	for i, v := range x {
		if v > x[best] {
			best = i
		}
	}
	return int32(best)
}
