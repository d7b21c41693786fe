package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/gating"
	"github.com/moeswarm/moeswarm/gating/engine"
	"github.com/moeswarm/moeswarm/gating/prompt"
	"github.com/moeswarm/moeswarm/gating/trunk"
	"github.com/moeswarm/moeswarm/internal/demo"
	"github.com/moeswarm/moeswarm/internal/ggml"
	"github.com/moeswarm/moeswarm/internal/simswarm"
	"github.com/moeswarm/moeswarm/internal/tokenizer"
	"github.com/moeswarm/moeswarm/routing"
)

const (
	draftHolders  = 4
	draftReplicas = 2
	draftTurns    = 2
	// What an expert and a row of it take, where work is modelled: about what
	// they take for the demo model.
	draftCallWork = 40 * time.Microsecond
	draftRowWork  = 20 * time.Microsecond
)

func draftDefaults(o *Options) {
	o.NewTokens = orDefault(o.NewTokens, quickly(o, 24, 96))
}

// drafts answers one prompt at a time, with drafts and without in turn: code
// being edited, which repeats itself, and text with nothing to look up. The
// answers must be those of one machine.
func drafts(ctx context.Context, o Options) (Metrics, error) {
	m, err := o.open(ctx)
	if err != nil {
		return nil, err
	}
	defer m.Close()
	pool := ggml.NewPool(o.Threads)
	all, err := expert.NewSet(m, m.Manifest().IDs(), pool)
	if err != nil {
		return nil, err
	}
	small, err := o.openDraft()
	if err != nil {
		return nil, err
	}
	if small != nil {
		defer small.Close()
	}
	tasks := draftTasks(o)
	if err := answerAlone(ctx, m, all, pool, tasks, o); err != nil {
		return nil, err
	}
	out := Metrics{"holders": draftHolders, "replicas": draftReplicas, "layers": float64(m.Layers()), "threads": float64(pool.Workers()), "new_tokens": float64(o.NewTokens)}
	left := leaks()
	measured := 0
	for _, n := range simswarm.Networks() {
		if o.RTT != "" && n.Name != o.RTT || o.RTT == "" && o.Quick && n.Name != "5ms" || o.virtual && n.Name != "0ms" && n.Name != "30ms" {
			continue
		}
		measured++
		if err := draftsOver(ctx, n, m, small, pool, tasks, out, o); err != nil {
			return out, fmt.Errorf("RTT %s: %w", n.Name, err)
		}
	}
	if !o.virtual && (o.RTT == draftLoopback || o.RTT == "" && !o.Quick) {
		measured++
		tasks := endpointTasks(tasks)
		if err := answerAlone(ctx, m, all, pool, tasks, o); err != nil {
			return out, err
		}
		if err := o.draftsBetweenNodes(ctx, m, pool.Workers(), tasks, out); err != nil {
			return out, fmt.Errorf("loopback: %w", err)
		}
	}
	if measured == 0 {
		return out, fmt.Errorf("--rtt %.40q: drafts has 0ms, 0.25ms, 5ms, 30ms and loopback", o.RTT)
	}
	return out, checkLeaks(left, out)
}

// answerAlone has one machine answer the tasks, to compare with.
func answerAlone(ctx context.Context, m *expert.Model, all *expert.Set, pool *ggml.Pool, tasks []draftTask, o Options) error {
	local, err := startDrafting(m, all, pool, -1, nil)
	if err != nil {
		return err
	}
	for i := range tasks {
		t := &tasks[i]
		if t.want, _, err = local.answer(ctx, t.request(m, o)); err != nil {
			break
		}
	}
	return errors.Join(err, local.close())
}

// openDraft opens the small model that drafts, if there is one.
func (o Options) openDraft() (*expert.Model, error) {
	switch o.Draft {
	case "":
		return nil, nil
	case demo.Name:
		return expert.NewModel(demo.Name, demo.GGUF(), expert.Options{})
	}
	return expert.OpenModel(o.Draft, expert.Options{})
}

// draftsOver measures one network.
func draftsOver(ctx context.Context, n simswarm.Network, m, small *expert.Model, pool *ggml.Pool, tasks []draftTask, out Metrics, o Options) (err error) {
	s := simswarm.New(simswarm.Config{Seed: o.Seed, Sleep: o.sleep(), Link: n.Link})
	for i, held := range (simswarm.Cast{Holders: draftHolders, Replicas: draftReplicas}).Shares(m.Manifest().IDs()) {
		set, err := expert.NewSet(m, held, ggml.NewPool(1))
		if err != nil {
			return err
		}
		var apply expert.Applier = set
		if o.virtual {
			apply = simswarm.Modelled(set, simswarm.Work{PerCall: draftCallWork, PerRow: draftRowWork})
		}
		s.Join(simswarm.Holder{Name: holderName(i), Held: held, Apply: apply})
	}
	a, err := startAsker(askerConfig{swarm: s, policy: routing.Policy{Seed: o.Seed + 1}})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.close()) }()
	off, err := startDrafting(m, a.router, pool, -1, nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, off.close()) }()
	auto, err := startDrafting(m, a.router, pool, 0, small)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, auto.close()) }()
	for _, kind := range []string{"edit", "nothing"} {
		if err := draftKind(ctx, "rtt_"+n.Name+"_"+kind+"_", kind, off, auto, m, tasks, out, o); err != nil {
			return err
		}
	}
	return nil
}

// draftKind measures the tasks of one kind.
func draftKind(ctx context.Context, name, kind string, off, auto answerer, m *expert.Model, tasks []draftTask, out Metrics, o Options) error {
	var ratios, without, with []float64
	var sum prompt.Drafts
	tokens := 0
	turns := quickly(&o, 1, draftTurns)
	if o.virtual {
		turns = 1 // the next would be the same
	}
	for turn := range turns {
		for _, t := range tasks {
			if t.kind != kind {
				continue
			}
			rates := map[answerer]float64{}
			pair := []answerer{off, auto}
			if turn%2 == 1 {
				slices.Reverse(pair)
			}
			for _, d := range pair {
				got, run, err := d.answer(ctx, t.request(m, o))
				if err != nil {
					return err
				}
				if !slices.Equal(got, t.want) {
					return fmt.Errorf("%s %q: tokens %v differ from the local %v", name, t.text, got, t.want)
				}
				rates[d] = run.rate()
				if d == auto {
					sum.Drafted, sum.Accepted, tokens = sum.Drafted+run.drafts.Drafted, sum.Accepted+run.drafts.Accepted, tokens+len(got)
				}
			}
			without, with = append(without, rates[off]), append(with, rates[auto])
			ratios = append(ratios, rates[auto]/rates[off])
		}
	}
	out[name+"off_tokens_per_s"], out[name+"auto_tokens_per_s"] = middle(without), middle(with)
	out[name+"speedup"] = middle(ratios)
	out[name+"slowest"] = slices.Min(ratios)
	out[name+"drafted_per_token"] = float64(sum.Drafted) / float64(tokens)
	out[name+"accepted_pct"] = 100 * float64(sum.Accepted) / float64(max(1, sum.Drafted))
	o.Progress("%-24s %7.2f tokens/s without, %7.2f with: %.2f times; %.2f tokens drafted for each, %.0f %% right", name,
		middle(without), middle(with), middle(ratios), out[name+"drafted_per_token"], out[name+"accepted_pct"])
	return nil
}

// middle is the median.
func middle(x []float64) float64 {
	x = slices.Sorted(slices.Values(x))
	if len(x) == 0 {
		return 0
	}
	return (x[(len(x)-1)/2] + x[len(x)/2]) / 2
}

// answerer answers prompts: an engine here, or a node.
type answerer interface {
	answer(ctx context.Context, r prompt.Request) (tokens []int32, run draftRun, err error)
}

// drafting is an engine over some experts.
type drafting struct {
	engine *engine.Engine
	stop   context.CancelFunc
	ended  chan error
}

// trunkOver is a model's trunk over some experts.
func trunkOver(m *expert.Model, experts expert.Applier, pool *ggml.Pool) (*trunk.Trunk, error) {
	layer, err := gating.NewLayer(gating.Config{Model: m.ID(), Rule: gating.RuleOf(m), Applier: experts})
	if err != nil {
		return nil, err
	}
	return trunk.New(trunk.Config{Model: m, Mixer: layer, Pool: pool})
}

// startDrafting starts an engine that drafts as engine.Config.Drafts says;
// close must follow.
func startDrafting(m *expert.Model, experts expert.Applier, pool *ggml.Pool, drafts int, small *expert.Model) (*drafting, error) {
	tr, err := trunkOver(m, experts, pool)
	if err != nil {
		return nil, err
	}
	cfg := engine.Config{NewLane: func() engine.Forwarder { return tr.NewLane() }, Slots: tr, Drafts: drafts, Sparse: m.Shape().SparseLayers, TopK: min(m.TopK(), m.Experts())}
	if small != nil {
		set, err := expert.NewSet(small, small.Manifest().IDs(), pool)
		if err != nil {
			return nil, err
		}
		st, err := trunkOver(small, set, pool)
		if err != nil {
			return nil, err
		}
		cfg.Small = &engine.Small{Lane: st.NewLane(), Slots: st, Vocab: small.Shape().Vocab, Context: small.Shape().Context}
	}
	tok, err := tokenizer.New(m.File())
	if err != nil {
		return nil, err
	}
	cfg.Model, cfg.Tokenizer, cfg.Vocab, cfg.Context = m.ID(), tok, m.Shape().Vocab, m.Shape().Context
	e, err := engine.New(cfg)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	d := &drafting{engine: e, stop: stop, ended: make(chan error, 1)}
	go func() { d.ended <- e.Run(ctx) }()
	return d, nil
}

func (d *drafting) close() error {
	d.stop()
	return <-d.ended
}

// draftRun is how an answer came.
type draftRun struct {
	tokens      int
	first, last time.Time // when the first and the last token came
	drafts      prompt.Drafts
}

// rate is that of decoding, in tokens per second. The first token comes with
// the prompt's last row, alone.
func (r draftRun) rate() float64 {
	return float64(r.tokens-1) / max(r.last.Sub(r.first), time.Microsecond).Seconds()
}

func (d *drafting) answer(ctx context.Context, r prompt.Request) (tokens []int32, run draftRun, err error) {
	for c, err := range d.engine.Complete(ctx, r) {
		if err != nil {
			return tokens, run, err
		}
		run.drafts = c.Drafts
		if !c.HasToken {
			continue
		}
		tokens = append(tokens, c.Token)
		run.last = time.Now()
		if run.tokens == 0 {
			run.first = run.last
		}
		run.tokens++
	}
	return tokens, run, nil
}
