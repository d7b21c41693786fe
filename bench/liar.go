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

const (
	liarHolders  = 8
	liarReplicas = 2
	liarName     = 3 // the holder that lies
	liarRTT      = time.Millisecond
	liarNear     = liarRTT / 2 // the liar's own: it wants to be asked
	// liarPrior makes strangers look near, so that all are tried at once.
	liarPrior = liarNear
)

func liarDefaults(o *Options) {
	o.NewTokens = orDefault(o.NewTokens, quickly(o, 16, 256))
	o.Prompt = orDefault(o.Prompt, 8)
}

// liar decodes while one of eight holders lies, always or seldom, and while
// none does, with checks of results and, for their cost, without.
func liar(ctx context.Context, o Options) (Metrics, error) {
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
	out := Metrics{"holders": liarHolders, "replicas": liarReplicas, "new_tokens": float64(o.NewTokens)}
	left := leaks()
	var unchecked float64
	for _, c := range []struct {
		name  string
		p     float64
		check bool
	}{{"unchecked_honest", 0, false}, {"honest", 0, true}, {"always", 1, true}, {"seldom", 0.01, true}} {
		r, err := liarRun(ctx, m, pool, prompt, want[0], c.p, c.check, o)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.name, err)
		}
		if !c.check {
			unchecked = r.rate
		}
		if !r.checks && c.check {
			out["checks_missing"] = 1
		}
		name := c.name + "_"
		out[name+"tokens_per_s"] = r.rate
		if c.check {
			out[name+"overhead_pct"] = 100 * (unchecked/r.rate - 1)
			out[name+"check_cpu_ms_per_token"] = r.report.spent.Seconds() * 1000 / float64(o.NewTokens)
			out[name+"checked_answers"] = float64(r.report.checked)
		}
		if c.p > 0 {
			out[name+"calls_until_caught"] = float64(r.until)
			out[name+"lies_told"] = float64(r.told)
			out[name+"wrong_outputs_delivered"] = float64(r.wrong)
			out[name+"wrong_tokens"] = float64(r.tokens)
		}
		o.Progress("%-16s %.1f tokens/s, %d lies told, %d wrong outputs delivered, caught after %d calls (-1: not)", c.name, r.rate, r.told, r.wrong, r.until)
		if r.tokens > 0 && r.checks && c.p != 0.01 {
			return out, fmt.Errorf("%s: %d wrong tokens were delivered", c.name, r.tokens)
		}
	}
	return out, checkLeaks(left, out)
}

// liarResult is one run.
type liarResult struct {
	rate   float64
	told   int64 // lies
	wrong  int64 // of them, those that a layer took
	tokens int   // that differ from the local answer
	until  int   // calls the liar answered until it was excluded; -1: it was not
	checks bool
	report checkReport
}

func liarRun(ctx context.Context, m *expert.Model, pool *ggml.Pool, prompt, want []int32, p float64, check bool, o Options) (r liarResult, err error) {
	var told atomic.Int64
	s := simswarm.New(simswarm.Config{Seed: o.Seed, Sleep: exactSleep, Link: simswarm.Link{RTT: liarRTT, Spread: 0.1}})
	for i, held := range spread(m.Manifest().IDs(), liarHolders, liarReplicas) {
		set, err := expert.NewSet(m, held, ggml.NewPool(1))
		if err != nil {
			return r, err
		}
		h := simswarm.Holder{Name: holderName(i), Held: held, Apply: set}
		if i == liarName && p > 0 {
			h.Link = &simswarm.Link{RTT: liarNear}
			h.Apply = simswarm.With(set, simswarm.LyingSeldom(p, o.Seed, &told))
		}
		s.Join(h)
	}
	var c *checker
	if check {
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
	watch.caught = func() bool { return c.caught(a.router, holderName(liarName)) }
	watch.asked = func() int { return s.Stats(holderName(liarName)).Calls }
	watch.until = -1
	watch.suspect = p > 0
	began := time.Now()
	tokens, _, err := a.answer(ctx, prompt, o.NewTokens)
	took := time.Since(began) - watch.spent
	if cerr := a.close(); err == nil {
		err = cerr
	}
	if err != nil {
		return r, err
	}
	r = liarResult{rate: float64(len(tokens)) / took.Seconds(), told: told.Load(), wrong: watch.wrong, until: watch.until, checks: c != nil, report: c.stats()}
	for i := range tokens {
		if tokens[i] != want[i] {
			r.tokens++
		}
	}
	if p == 0 && r.tokens > 0 {
		err = fmt.Errorf("%d tokens differ from the local ones although nobody lies", r.tokens)
	}
	return r, err
}

// watched compares what a router delivers with the truth, off the clock, and
// notes when the liar is caught.
type watched struct {
	router, truth expert.Applier
	suspect       bool // somebody lies: compare
	caught        func() bool
	asked         func() int
	wrong         int64
	until         int
	spent         time.Duration
}

func (w *watched) Apply(ctx context.Context, in expert.Batch, calls []expert.Call) []expert.Result {
	got := w.router.Apply(ctx, in, calls)
	if !w.suspect {
		return got
	}
	began := time.Now()
	for i, want := range w.truth.Apply(ctx, in, calls) {
		if got[i].Err == nil && !slices.Equal(got[i].Out.Data, want.Out.Data) {
			w.wrong++
		}
	}
	if w.until < 0 && w.caught() {
		w.until = w.asked()
	}
	w.spent += time.Since(began)
	return got
}
