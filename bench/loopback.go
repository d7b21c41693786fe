package bench

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/internal/client"
	"github.com/moeswarm/moeswarm/internal/localswarm"
	"github.com/moeswarm/moeswarm/internal/node"
)

// loopback times a swarm of real processes, asked over HTTP at a node that
// holds nothing. All processes share this machine's processors, like the one
// process of local.
func loopback(ctx context.Context, o Options) (_ Metrics, err error) {
	path, err := o.modelPath(ctx)
	if err != nil {
		return nil, err
	}
	m, err := o.open(ctx)
	if err != nil {
		return nil, err
	}
	defer m.Close()
	cfg := localswarm.Config{Exec: o.Exec, Model: path, Threads: o.Threads, Log: o.Log, Progress: func(s string) { o.Progress("%s", s) },
		// Drafts would compare steps with tokens; they have a scenario of their own.
		Args: []string{"--drafts", "off"}}
	shape := m.Shape()
	for _, share := range m.Manifest().Shares(o.Nodes) {
		cfg.Hold = append(cfg.Hold, expert.FormatSpec(share, shape.SparseLayers, shape.Experts))
	}
	s, err := localswarm.Start(ctx, cfg)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	entry, err := client.New(s.Entry.URL)
	if err != nil {
		return nil, err
	}
	gate, err := client.New(s.Nodes[0].URL)
	if err != nil {
		return nil, err
	}
	prompts := make([]string, o.Streams)
	for i := range prompts {
		if prompts[i], _, err = promptFor(m, o.Prompt, o.Seed+uint64(i)); err != nil {
			return nil, err
		}
	}
	cold, err := askFirst(ctx, entry, m, o)
	if err != nil {
		return nil, err
	}
	var before, after node.View
	if err := gate.Get(ctx, "/v1/swarm", &before); err != nil {
		return nil, err
	}
	pids := []int{s.Entry.Pid()}
	for _, n := range s.Nodes {
		pids = append(pids, n.Pid())
	}
	together, err := askTogether(ctx, entry, prompts, o.NewTokens, o.Seed, pids)
	if err != nil {
		return nil, err
	}
	if err := gate.Get(ctx, "/v1/swarm", &after); err != nil {
		return nil, err
	}
	bytes := after.Routing.BytesIn + after.Routing.BytesOut - before.Routing.BytesIn - before.Routing.BytesOut
	metrics := Metrics{
		"nodes":                   float64(len(s.Nodes)),
		"threads":                 float64(max(o.Threads, 0)),
		"streams":                 float64(o.Streams),
		"processors":              float64(runtime.GOMAXPROCS(0)),
		"prompt_tokens":           float64(together.promptTokens) / float64(o.Streams),
		"new_tokens":              float64(together.tokens) / float64(o.Streams),
		"prefill_tokens_per_s":    float64(together.promptTokens) / together.firstTokens.Seconds(),
		"decode_tokens_per_s":     together.rate,
		"processor_ms_per_token":  1000 * together.worked.Seconds() / float64(together.decoded),
		"first_token_ms":          1000 * together.firstTokens.Seconds(),
		"cold_first_token_ms":     1000 * cold.Seconds(),
		"layer_round_p50_ms":      after.Routing.RoundP50ms,
		"layer_round_p99_ms":      after.Routing.RoundP99ms,
		"network_bytes_per_token": float64(bytes) / float64(together.promptTokens+together.tokens),
		"failovers":               float64(after.Routing.Failovers),
	}
	if private, ok := privateMemory(s); ok {
		metrics["holder_private_memory_max_mb"] = private
	}
	return metrics, nil
}

// firstPrompts is how many prompts are read before any is measured. The first takes up
// to three times as long as the fifth: weights lie in no process' memory yet, and that
// for rows and results has to grow.
const firstPrompts = 4

// askFirst completes prompts of its own: of one that comes again the gating node would
// keep the keys and values. It returns how long the first token of the first took.
func askFirst(ctx context.Context, c *client.Client, m *expert.Model, o Options) (cold time.Duration, err error) {
	for i := range uint64(firstPrompts) {
		prompt, _, err := promptFor(m, o.Prompt, o.Seed+(i+1)<<32)
		if err != nil {
			return 0, err
		}
		began := time.Now()
		a, err := askFor(ctx, c, prompt, 2, o.Seed, nil)
		if err != nil {
			return 0, err
		}
		if i == 0 {
			cold = a.Arrived[0].Sub(began)
		}
	}
	return cold, nil
}

// together is how prompts went that were asked at the same time.
type together struct {
	promptTokens, tokens int
	firstTokens          time.Duration // until every prompt had its first token
	rate                 float64       // tokens a second while all of them were being answered
	worked               time.Duration // processor time of the processes, once every prompt's answer had begun
	decoded              int           // tokens in that time
}

// askTogether completes all prompts at once.
func askTogether(ctx context.Context, c *client.Client, prompts []string, n int, seed uint64, pids []int) (together, error) {
	answers, errs := make([]client.Answer, len(prompts)), make([]error, len(prompts))
	var wg, begin sync.WaitGroup
	begin.Add(len(prompts))
	var allBegan time.Time
	var worked time.Duration
	begun := time.Now()
	for i, p := range prompts {
		wg.Go(func() {
			began := sync.OnceFunc(begin.Done)
			defer began()
			answers[i], errs[i] = askFor(ctx, c, p, n, seed, func(string) { began() })
		})
	}
	wg.Go(func() {
		begin.Wait()
		allBegan, worked = time.Now(), processorTime(pids...)
	})
	wg.Wait()
	t := together{worked: processorTime(pids...) - worked}
	if err := errors.Join(errs...); err != nil {
		return t, err
	}
	// All are being answered from the last first token to the first last one.
	from, to := begun, answers[0].Arrived[len(answers[0].Arrived)-1]
	for _, a := range answers {
		t.promptTokens += a.PromptTokens
		t.tokens += len(a.Tokens)
		for _, at := range a.Arrived {
			if at.After(allBegan) {
				t.decoded++
			}
		}
		if a.Arrived[0].After(from) {
			from = a.Arrived[0]
		}
		if last := a.Arrived[len(a.Arrived)-1]; last.Before(to) {
			to = last
		}
	}
	t.firstTokens = from.Sub(begun)
	within := 0
	for _, a := range answers {
		for _, at := range a.Arrived {
			if at.After(from) && !at.After(to) {
				within++
			}
		}
	}
	if within == 0 || t.decoded == 0 {
		return t, errors.New("some answers ended before others began; use more --tokens or fewer --streams")
	}
	t.rate = float64(within) / to.Sub(from).Seconds()
	return t, nil
}

// askFor completes greedily until there are n tokens, and calls piece, where there is
// one, with the text as it comes.
func askFor(ctx context.Context, c *client.Client, prompt string, n int, seed uint64, piece func(string)) (client.Answer, error) {
	a, err := c.Complete(ctx, client.Request{Prompt: prompt, MaxTokens: n, Seed: &seed}, piece)
	if err == nil && len(a.Tokens) < 2 {
		err = fmt.Errorf("the answer ended after %d tokens; try another --seed", len(a.Tokens))
	}
	return a, err
}

// privateMemory is the largest resident memory of a holder that is its own,
// without the pages of the model file, in MB. Only Linux tells.
func privateMemory(s *localswarm.Swarm) (mb float64, ok bool) {
	var all []float64
	for _, n := range s.Nodes {
		if v, err := residentPrivate(n.Pid()); err == nil {
			all = append(all, float64(v)/1e6)
		}
	}
	if len(all) == 0 {
		return 0, false
	}
	return slices.Max(all), true
}
