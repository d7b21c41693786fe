package bench

import (
	"context"
	"fmt"
	"os"
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
	ended  func() // is told of the end of each; nil: nobody is
}

func (m *timedMixer) Mix(ctx context.Context, layer int, h, scores, out expert.Batch) error {
	start := time.Now()
	err := m.Mixer.Mix(ctx, layer, h, scores, out)
	m.rounds = append(m.rounds, time.Since(start))
	if m.ended != nil {
		m.ended()
	}
	return err
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
	layer, err := gating.NewLayer(gating.Config{Model: m.ID(), Rule: gating.RuleOf(m), Applier: set})
	if err != nil {
		return nil, err
	}
	mixer := &timedMixer{Mixer: layer}
	tr, err := trunk.New(trunk.Config{Model: m, Mixer: mixer, Pool: pool})
	if err != nil {
		return nil, err
	}
	prompts := make([][]int32, o.Streams)
	for i := range prompts {
		if _, prompts[i], err = promptFor(m, o.Prompt, o.Seed+uint64(i)); err != nil {
			return nil, err
		}
	}
	// Once unmeasured, so that the weights are in memory.
	if _, err := prefill(ctx, tr, 0, prompts[0]); err != nil {
		return nil, err
	}
	tr.Release(0)
	start, read := time.Now(), 0
	step := trunk.Step{} // of decoding, a row for each stream
	for i, ids := range prompts {
		next, err := prefill(ctx, tr, i, ids)
		if err != nil {
			return nil, err
		}
		read += len(ids)
		step.Tokens, step.Positions = append(step.Tokens, next), append(step.Positions, len(ids))
		step.Slots, step.Logits = append(step.Slots, i), append(step.Logits, i)
	}
	prefilled := time.Since(start)
	mixer.rounds = mixer.rounds[:0]
	var steps []time.Duration
	var sum time.Duration
	worked := processorTime(os.Getpid())
	for range o.NewTokens {
		start := time.Now()
		out, err := tr.Forward(ctx, step)
		if err != nil {
			return nil, err
		}
		for i := range step.Tokens {
			step.Tokens[i] = argmax(out.Row(i))
			step.Positions[i]++
		}
		steps = append(steps, time.Since(start))
		sum += steps[len(steps)-1]
	}
	worked = processorTime(os.Getpid()) - worked
	tokens := float64(o.NewTokens * o.Streams)
	return Metrics{
		"threads":                 float64(pool.Workers()),
		"streams":                 float64(o.Streams),
		"prompt_tokens":           float64(o.Prompt),
		"new_tokens":              float64(o.NewTokens),
		"prefill_tokens_per_s":    float64(read) / prefilled.Seconds(),
		"decode_tokens_per_s":     tokens / sum.Seconds(),
		"decode_p50_ms":           quantile(steps, 0.5),
		"decode_p50_tokens_per_s": float64(o.Streams) * 1000 / quantile(steps, 0.5),
		"processor_ms_per_token":  1000 * worked.Seconds() / tokens,
		"layer_round_p50_ms":      quantile(mixer.rounds, 0.5),
		"layer_round_p99_ms":      quantile(mixer.rounds, 0.99),
		"network_bytes_per_token": 0,
	}, nil
}

const prefillChunk = 256 // rows of a step, as in the engine

// prefill runs ids from position 0 of a slot and returns the greedy next token.
func prefill(ctx context.Context, tr *trunk.Trunk, slot int, ids []int32) (int32, error) {
	var next int32
	for at := 0; at < len(ids); at += prefillChunk {
		end := min(at+prefillChunk, len(ids))
		s := trunk.Step{Tokens: ids[at:end]}
		for p := at; p < end; p++ {
			s.Positions, s.Slots = append(s.Positions, p), append(s.Slots, slot)
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
