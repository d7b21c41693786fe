package bench

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/internal/ggml"
	"github.com/moeswarm/moeswarm/internal/simswarm"
	"github.com/moeswarm/moeswarm/routing"
)

// Who takes part is in simswarm.Failures.
const (
	failPrompts = 4
	failTurns   = 2
	failWork    = 50 * time.Microsecond // of a call, where it is modelled
)

func failDefaults(o *Options) {
	o.NewTokens = orDefault(o.NewTokens, quickly(o, 2, 24)) // seconds of each configuration
	o.Prompt = orDefault(o.Prompt, 8)
}

// failing is one configuration of the failures scenario.
type failing struct {
	name   string
	p      float64
	silent bool // a failed ask is never answered; otherwise the connection breaks
	kills  bool
	rate   float64 // what the closest project keeps of its rate, in %; 0: not published

	tokens   int
	took     time.Duration
	failover int
}

// failures decodes while calls fail and holders die. The configurations take
// turns, so that what else the machine does touches all of them.
func failures(ctx context.Context, o Options) (Metrics, error) {
	if o.Fabric == fabricProcesses {
		return failuresProcesses(ctx, o)
	}
	m, err := o.open(ctx)
	if err != nil {
		return nil, err
	}
	defer m.Close()
	pool := ggml.NewPool(o.Threads)
	var prompts [][]int32
	for i := range failPrompts {
		prompts = append(prompts, randomIDs(o.Seed+uint64(i), o.Prompt, m.Shape().Vocab))
	}
	tokens := quickly(&o, 6, 32) // of each answer
	want, err := localAnswers(ctx, m, pool, prompts, tokens)
	if err != nil {
		return nil, err
	}
	all := []*failing{
		{name: "undisturbed"},
		{name: "p_0", kills: true},
		{name: "p_1e-4", p: 1e-4, kills: true},
		{name: "p_1e-3", p: 1e-3, kills: true, rate: 73},
		{name: "p_1e-2", p: 1e-2, kills: true, rate: 20},
		{name: "silent_p_1e-3", p: 1e-3, silent: true, kills: true},
		{name: "silent_p_1e-2", p: 1e-2, silent: true, kills: true},
	}
	if o.Quick { // an ask that is never answered takes seconds
		all = slices.DeleteFunc(all, func(f *failing) bool { return f.silent })
	}
	length := time.Duration(o.NewTokens) * time.Second / failTurns
	left := leaks()
	for turn := range quickly(&o, 1, failTurns) {
		for _, f := range all {
			if err := f.run(ctx, m, pool, prompts, want, length, o.Seed+uint64(turn), o); err != nil {
				return nil, fmt.Errorf("%s: %w", f.name, err)
			}
			o.Progress("turn %d, %-13s %.1f tokens/s, %d failovers", turn+1, f.name, float64(f.tokens)/f.took.Seconds(), f.failover)
		}
	}
	cast := simswarm.Failures()
	out := Metrics{"seconds": float64(o.NewTokens), "holders": float64(cast.Holders), "replicas": float64(cast.Replicas), "rtt_ms": cast.Link.RTT.Seconds() * 1000}
	rate := func(f *failing) float64 { return float64(f.tokens) / f.took.Seconds() }
	for _, f := range all {
		out[f.name+"_tokens_per_s"] = rate(f)
		out[f.name+"_failovers"] = float64(f.failover)
		if f != all[0] {
			out[f.name+"_loss_pct"] = 100 * (1 - rate(f)/rate(all[0]))
		}
		if f.rate > 0 {
			out[f.name+"_published_loss_pct"] = 100 - f.rate
		}
	}
	return out, checkLeaks(left, out)
}

// run answers prompts for so long, in a new swarm.
func (f *failing) run(ctx context.Context, m *expert.Model, pool *ggml.Pool, prompts, want [][]int32, length time.Duration, seed uint64, o Options) error {
	cast := simswarm.Failures()
	s := simswarm.New(simswarm.Config{Seed: seed, Sleep: o.sleep(), Link: cast.Link})
	var names []routing.Peer
	for i, held := range cast.Shares(m.Manifest().IDs()) {
		set, err := expert.NewSet(m, held, ggml.NewPool(1))
		if err != nil {
			return err
		}
		fault := simswarm.Failing
		if f.silent {
			fault = simswarm.WithholdingSeldom
		}
		names = append(names, cast.Name(i))
		s.Join(simswarm.Holder{Name: names[i], Held: held, Apply: simswarm.With(o.work(set, failWork), fault(f.p, seed+uint64(i)))})
	}
	a, err := startAsker(askerConfig{swarm: s, model: m, pool: pool, policy: routing.Policy{Seed: seed + 1}})
	if err != nil {
		return err
	}
	// Until the holders are known, which is the same for all.
	if _, _, err := a.answer(ctx, prompts[0], 4); err != nil {
		return fmt.Errorf("%w (%v)", err, a.close())
	}
	churn, still := context.WithCancel(ctx)
	calm := make(chan struct{})
	go func() {
		defer close(calm)
		if f.kills {
			s.Play(churn, simswarm.Kills(seed, names, cast.KillEvery, cast.Down, 10*time.Minute))
		}
	}()
	began := time.Now()
	for i := 0; err == nil && time.Since(began) < length; i++ {
		var tokens []int32
		if tokens, _, err = a.answer(ctx, prompts[i%len(prompts)], len(want[0])); err == nil && !slices.Equal(tokens, want[i%len(prompts)]) {
			err = fmt.Errorf("answer %d: tokens %v differ from the local %v", i, tokens, want[i%len(prompts)])
		}
		f.tokens += len(tokens)
	}
	f.took += time.Since(began)
	still()
	<-calm
	for _, n := range names {
		s.Revive(n)
	}
	f.failover += a.router.Totals().Failovers
	if cerr := a.close(); err == nil {
		err = cerr
	}
	return err
}
