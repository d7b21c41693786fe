package bench

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/internal/ggml"
	"github.com/moeswarm/moeswarm/internal/simswarm"
	"github.com/moeswarm/moeswarm/routing"
)

// liarPrior makes strangers look as near as the liar is, so that all are tried
// at once. Who takes part is in simswarm.OneLiar.
const liarPrior = 500 * time.Microsecond

func liarDefaults(o *Options) {
	o.NewTokens = orDefault(o.NewTokens, quickly(o, 16, 256))
	o.Prompt = orDefault(o.Prompt, 8)
}

// liar decodes while one of eight holders lies, always or seldom, and while
// none does, with checks of results and, for their cost, without.
func liar(ctx context.Context, o Options) (Metrics, error) {
	if o.Fabric == fabricProcesses {
		return liarProcesses(ctx, o)
	}
	m, err := o.open(ctx)
	if err != nil {
		return nil, err
	}
	defer m.Close()
	pool := ggml.NewPool(o.Threads)
	prompt := randomIDs(o.Seed, o.Prompt, m.Shape().Vocab)
	want, err := localAnswers(ctx, m, pool, [][]int32{prompt}, o.NewTokens)
	if err != nil {
		return nil, err
	}
	cast := simswarm.OneLiar()
	out := Metrics{"holders": float64(cast.Holders), "replicas": float64(cast.Replicas), "new_tokens": float64(o.NewTokens)}
	left := leaks()
	runs := []*liarCase{
		{name: "unchecked_honest"}, {name: "honest", check: true},
		{name: "always", p: 1, check: true}, {name: "seldom", p: 0.01, check: true},
		// Once more: the overhead is a small difference of noisy numbers.
		{name: "unchecked_honest"}, {name: "honest", check: true},
	}
	var plain, checked []time.Duration // steps while nobody lies
	for _, c := range runs {
		r, err := liarRun(ctx, m, pool, prompt, want[0], c, o)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.name, err)
		}
		name := c.name + "_"
		out[name+"token_p50_ms"] = quantile(slices.Clone(r.steps), 0.5)
		if c.p == 0 && !c.check {
			plain = append(plain, r.steps...)
		} else if c.p == 0 {
			checked = append(checked, r.steps...)
		}
		if c.check && !r.checks {
			out["checks_missing"] = 1
		}
		if c.check {
			out[name+"check_ms_per_token"] = r.report.spent.Seconds() * 1000 / float64(o.NewTokens)
			out[name+"checked_answers"] = float64(r.report.checked)
		}
		if c.p > 0 {
			out[name+"calls_until_caught"] = float64(r.until)
			out[name+"lies_told"] = float64(r.told)
			out[name+"wrong_outputs_delivered"] = float64(r.wrong)
			out[name+"wrong_tokens"] = float64(r.tokens)
		}
		o.Progress("%-16s %.2f ms a token, %d lies told, %d wrong outputs delivered, caught after %d calls (-1: not)", c.name, out[name+"token_p50_ms"], r.told, r.wrong, r.until)
		if r.tokens > 0 && r.checks && c.p == 1 {
			return out, fmt.Errorf("%s: %d wrong tokens were delivered", c.name, r.tokens)
		}
	}
	out["overhead_p50_pct"] = 100 * (quantile(checked, 0.5)/quantile(plain, 0.5) - 1)
	out["overhead_mean_pct"] = 100 * (float64(total(checked))/float64(total(plain)) - 1)
	return out, checkLeaks(left, out)
}

// liarCase is one configuration: with which probability a call is lied about,
// and whether results are checked.
type liarCase struct {
	name  string
	p     float64
	check bool
}

// liarResult is one run.
type liarResult struct {
	steps  []time.Duration
	told   int64 // lies
	wrong  int64 // of them, those that a layer took
	tokens int   // that differ from the local answer
	until  int   // calls the liar answered until it was excluded; -1: it was not
	checks bool
	report checkReport
}

func liarRun(ctx context.Context, m *expert.Model, pool *ggml.Pool, prompt, want []int32, lc *liarCase, o Options) (r liarResult, err error) {
	var told atomic.Int64
	cast := simswarm.OneLiar()
	s := simswarm.New(simswarm.Config{Seed: o.Seed, Sleep: o.sleep(), Link: cast.Link})
	for i, held := range cast.Shares(m.Manifest().IDs()) {
		set, err := expert.NewSet(m, held, ggml.NewPool(1))
		if err != nil {
			return r, err
		}
		h := simswarm.Holder{Name: cast.Name(i), Held: held, Apply: set}
		if i == cast.Liar && lc.p > 0 {
			h.Link = &cast.LiarLink
			h.Apply = simswarm.With(set, simswarm.LyingSeldom(lc.p, o.Seed, &told))
		}
		s.Join(h)
	}
	var c *checker
	if lc.check {
		if c, err = newChecker(m, pool, o.Seed); err != nil {
			return r, err
		}
	}
	truth, err := expert.NewSet(m, m.Manifest().IDs(), pool)
	if err != nil {
		return r, err
	}
	watch := &watched{truth: truth}
	a, err := startAsker(askerConfig{swarm: s, model: m, pool: pool, policy: routing.Policy{Seed: o.Seed + 1, PriorRTT: liarPrior}, check: c,
		over: func(router expert.Applier) expert.Applier { watch.router = router; return watch }})
	if err != nil {
		return r, err
	}
	watch.caught = func() bool { return c.caught(a.router, cast.Name(cast.Liar)) }
	watch.asked = func() int { return s.Stats(cast.Name(cast.Liar)).Calls }
	watch.until = -1
	watch.suspect = lc.p > 0
	tokens, steps, err := a.answer(ctx, prompt, o.NewTokens)
	if cerr := a.close(); err == nil {
		err = cerr
	}
	if err != nil {
		return r, err
	}
	r = liarResult{steps: steps, told: told.Load(), wrong: watch.wrong, until: watch.until, checks: c != nil, report: c.stats()}
	for i := range tokens {
		if tokens[i] != want[i] {
			r.tokens++
		}
	}
	if lc.p == 0 && r.tokens > 0 {
		err = fmt.Errorf("%d tokens differ from the local ones although nobody lies", r.tokens)
	}
	return r, err
}

// watched compares what a router delivers with the truth and notes when the
// liar is caught. Where nobody lies it does nothing, as it takes time.
type watched struct {
	router, truth expert.Applier
	suspect       bool // somebody lies: compare
	caught        func() bool
	asked         func() int
	wrong         int64
	until         int
}

func (w *watched) Apply(ctx context.Context, in expert.Batch, calls []expert.Call) []expert.Result {
	got := w.router.Apply(ctx, in, calls)
	if !w.suspect {
		return got
	}
	for i, want := range w.truth.Apply(ctx, in, calls) {
		if got[i].Err == nil && !slices.Equal(got[i].Out.Data, want.Out.Data) {
			w.wrong++
		}
	}
	if w.until < 0 && w.caught() {
		w.until = w.asked()
	}
	return got
}
