package bench

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/gating"
	"github.com/moeswarm/moeswarm/gating/hot"
	"github.com/moeswarm/moeswarm/gating/trunk"
	"github.com/moeswarm/moeswarm/internal/ggml"
	"github.com/moeswarm/moeswarm/internal/simswarm"
	"github.com/moeswarm/moeswarm/routing"
)

const (
	hotHolders = 3
	hotRTT     = 10 * time.Millisecond
	hotZipf    = 1.2 // exponent of the skewed gate
)

func hotDefaults(o *Options) {
	o.Prompt = orDefault(o.Prompt, 32)
	o.NewTokens = orDefault(o.NewTokens, quickly(o, 6, 48))
}

// hotExperts decodes at one gating node 10 ms from three holders, with from none
// to all of the memory that the experts take to keep hot ones in, chosen by what
// an earlier answer to another prompt used. Once with the model's own gate and
// once with a gate that is skewed as words are. Tokens are compared with one
// machine's.
func hotExperts(ctx context.Context, o Options) (Metrics, error) {
	m, err := o.open(ctx)
	if err != nil {
		return nil, err
	}
	defer m.Close()
	b := &hotBench{o: o, model: m, pool: ggml.NewPool(o.Threads), out: Metrics{"rtt_ms": 1000 * hotRTT.Seconds(), "layers": float64(m.Layers())}}
	left := leaks()
	for _, gate := range []struct {
		name string
		skew float64
	}{{"own", 0}, {"zipf", hotZipf}} {
		if err := b.gate(ctx, gate.name, gate.skew); err != nil {
			return b.out, err
		}
	}
	return b.out, checkLeaks(left, b.out)
}

type hotBench struct {
	o     Options
	model *expert.Model
	pool  *ggml.Pool
	out   Metrics
}

// gate measures all budgets with one gate.
func (b *hotBench) gate(ctx context.Context, name string, skew float64) error {
	warm, prompt := randomIDs(b.o.Seed+7, b.o.Prompt, b.model.Shape().Vocab), randomIDs(b.o.Seed, b.o.Prompt, b.model.Shape().Vocab)
	all, err := expert.NewSet(b.model, b.model.Manifest().IDs(), b.pool)
	if err != nil {
		return err
	}
	counts := hot.NewCounts()
	// One machine answers both prompts: the first says what is hot, the second
	// what the tokens are.
	alone, err := b.trunk(&hot.Applier{Applier: all, Counts: counts}, skew)
	if err != nil {
		return err
	}
	if _, _, err := answer(ctx, alone, nil, warm, b.o.NewTokens); err != nil {
		return err
	}
	budgets := hotChoices(b.model.Manifest(), counts)
	want, _, err := answer(ctx, alone, nil, prompt, b.o.NewTokens)
	if err != nil {
		return err
	}
	for i, percent := range hotBudgets {
		if err := b.run(ctx, fmt.Sprintf("gate_%s_budget_%d_pct_", name, percent), skew, budgets[i], prompt, want); err != nil {
			return err
		}
	}
	return nil
}

// hotBudgets are shares of the bytes of all experts, in per cent.
var hotBudgets = []int{0, 5, 10, 25, 50, 75, 100}

// hotChoices picks what to keep for each budget. With room for all, all are
// kept, used or not.
func hotChoices(man *expert.Manifest, counts *hot.Counts) (out [][]expert.ID) {
	var all []hot.Candidate
	var bytes int64
	for i, s := range expert.SlotsOf(man.IDs()) {
		all = append(all, hot.Candidate{Slot: s, Bytes: man.Experts[i].Size, Rate: counts.Rate(s) + 1e-9})
		bytes += man.Experts[i].Size
	}
	for _, percent := range hotBudgets {
		out = append(out, expert.IDsOf(man.ID(), hot.Choose(all, bytes*int64(percent)/100)))
	}
	return out
}

// trunk builds the gating stack over an applier.
func (b *hotBench) trunk(applier expert.Applier, skew float64) (*trunk.Trunk, error) {
	layer, err := gating.NewLayer(gating.Config{Model: b.model.ID(), Rule: gating.RuleOf(b.model), Applier: applier})
	if err != nil {
		return nil, err
	}
	return trunk.New(trunk.Config{Model: b.model, Mixer: skewed{layer, skew}, Pool: b.pool})
}

// skewed prefers some experts as a text prefers some words: it adds the
// logarithm of Zipf's law to the scores, over a permutation of each layer's own.
type skewed struct {
	trunk.Mixer
	exponent float64
}

func (s skewed) Mix(ctx context.Context, layer int, h, scores, out expert.Batch) error {
	if s.exponent == 0 {
		return s.Mixer.Mix(ctx, layer, h, scores, out)
	}
	biased := expert.NewBatch(scores.Rows, scores.Dim)
	for r := range scores.Rows {
		for e, v := range scores.Row(r) {
			rank := 1 + (e*7+layer*5)%scores.Dim // 7 has no factor in common with a power of two
			biased.Row(r)[e] = v - float32(s.exponent*math.Log(float64(rank)))
		}
	}
	return s.Mixer.Mix(ctx, layer, h, biased, out)
}

// run measures one budget.
func (b *hotBench) run(ctx context.Context, name string, skew float64, keep []expert.ID, prompt, want []int32) (err error) {
	swarm := simswarm.New(simswarm.Config{Seed: b.o.Seed, Sleep: b.o.sleep(), Link: simswarm.Link{RTT: hotRTT}})
	defer swarm.Close()
	for i, held := range (simswarm.Cast{Holders: hotHolders, Replicas: 1}).Shares(b.model.Manifest().IDs()) {
		set, err := expert.NewSet(b.model, held, ggml.NewPool(1))
		if err != nil {
			return err
		}
		swarm.Join(simswarm.Holder{Name: holderName(i), Held: held, Apply: set})
	}
	home, err := expert.NewSet(b.model, keep, b.pool)
	if err != nil {
		return err
	}
	gate := swarm.From("gate")
	router, err := routing.New(routing.Config{Directory: gate, Caller: gate, Prober: gate, Missing: gate.LookUp,
		Local: home, LocalHolds: home.Holds, Policy: routing.Policy{Seed: b.o.Seed + 1}})
	if err != nil {
		return err
	}
	life, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- router.Run(life) }()
	defer func() {
		stop()
		<-ended
	}()
	tr, err := b.trunk(router, skew)
	if err != nil {
		return err
	}
	if _, _, err := answer(ctx, tr, nil, prompt, 2); err != nil {
		return err
	}
	before := router.Totals()
	tokens, steps, err := answer(ctx, tr, nil, prompt, b.o.NewTokens)
	if err != nil {
		return err
	}
	if !slices.Equal(tokens, want) {
		return fmt.Errorf("%stokens %v differ from one machine's %v", name, tokens, want)
	}
	after := router.Totals()
	rounds := float64(after.Rounds-before.Rounds) / float64(len(tokens))
	rate := float64(len(steps)) / total(steps).Seconds()
	b.out[name+"rounds_per_token"], b.out[name+"tokens_per_s"] = rounds, rate
	b.out[name+"mb"] = float64(home.Bytes()) / 1e6
	b.o.Progress("%-28s %6.1f MB at home: %5.2f rounds a token, %6.1f tokens/s", name, float64(home.Bytes())/1e6, rounds, rate)
	return nil
}
