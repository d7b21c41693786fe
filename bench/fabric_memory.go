package bench

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/gating"
	"github.com/moeswarm/moeswarm/gating/trunk"
	"github.com/moeswarm/moeswarm/internal/ggml"
	"github.com/moeswarm/moeswarm/internal/simswarm"
	"github.com/moeswarm/moeswarm/routing"
)

// asker is a node with a router in a swarm in memory. With a model it gates.
type asker struct {
	swarm  *simswarm.Swarm
	router *routing.Router
	tally  *tally
	mixer  *timedMixer  // nil without a model
	trunk  *trunk.Trunk // nil without a model

	check *checker
	stop  context.CancelFunc
	ended chan error
}

// askerConfig says what a node in memory is.
type askerConfig struct {
	swarm  *simswarm.Swarm
	policy routing.Policy
	check  *checker // nil: results are not checked

	model *expert.Model // nil: no trunk
	pool  *ggml.Pool
	// over wraps what the layers call; nil: the router itself.
	over func(expert.Applier) expert.Applier
	// merge has calls of steps that come to a layer together made one.
	merge bool
}

// startAsker starts a node; close must follow.
func startAsker(cfg askerConfig) (*asker, error) {
	node := cfg.swarm.From("gate")
	a := &asker{swarm: cfg.swarm, tally: &tally{Caller: node}, check: cfg.check, ended: make(chan error, 2)}
	rc := routing.Config{Directory: node, Caller: a.tally, Prober: node, Missing: node.LookUp, Policy: cfg.policy}
	if err := cfg.check.install(&rc, node); err != nil {
		return nil, err
	}
	var err error
	if a.router, err = routing.New(rc); err != nil {
		return nil, err
	}
	cfg.check.attach(a.router)
	if cfg.model != nil {
		if err := a.gate(cfg); err != nil {
			return nil, err
		}
	}
	ctx, stop := context.WithCancel(context.Background())
	a.stop = stop
	go func() { a.ended <- a.router.Run(ctx) }()
	go func() { a.ended <- cfg.check.run(ctx) }()
	return a, nil
}

func (a *asker) gate(cfg askerConfig) error {
	var applier expert.Applier = a.router
	if cfg.over != nil {
		applier = cfg.over(applier)
	}
	if cfg.merge {
		var err error
		applier, err = gating.NewMerger(gating.MergerConfig{Applier: applier, Window: func() time.Duration { return gating.MergeWindow(a.router.Away()) }})
		if err != nil {
			return err
		}
	}
	layer, err := gating.NewLayer(gating.Config{Model: cfg.model.ID(), Rule: gating.RuleOf(cfg.model), Applier: applier})
	if err != nil {
		return err
	}
	a.mixer = &timedMixer{Mixer: layer}
	a.trunk, err = trunk.New(trunk.Config{Model: cfg.model, Mixer: a.mixer, Pool: cfg.pool})
	return err
}

// close stops the node and waits for the swarm to be idle.
func (a *asker) close() error {
	a.stop()
	err := errors.Join(<-a.ended, <-a.ended)
	a.swarm.Close()
	return err
}

// answer is answer with the node's trunk and checks.
func (a *asker) answer(ctx context.Context, prompt []int32, n int) (tokens []int32, steps []time.Duration, err error) {
	return answer(ctx, a.trunk, a.check, prompt, n)
}

// maxRepairs is how often a step is run again because a check found it wrong.
// Each time a liar is found.
const maxRepairs = 8

// answer decodes n tokens greedily after a prompt and times each. No token is
// drawn before the checks of its step are over; nil checks nothing.
func answer(ctx context.Context, tr *trunk.Trunk, c *checker, prompt []int32, n int) (tokens []int32, steps []time.Duration, err error) {
	// settled runs a step until the checks find no fault with it.
	settled := func(step func() (int32, error)) (next int32, err error) {
		for range maxRepairs {
			if next, err = step(); err != nil {
				return 0, err
			}
			if err = c.settle(ctx); err == nil {
				return next, nil
			}
		}
		return 0, err
	}
	next, err := settled(func() (int32, error) {
		tr.Release(0)
		return prefill(ctx, tr, 0, prompt)
	})
	if err != nil {
		return nil, nil, err
	}
	tokens = append(tokens, next)
	for len(tokens) < n {
		began := time.Now()
		at := len(prompt) + len(tokens) - 1
		next, err = settled(func() (int32, error) {
			out, err := tr.Forward(ctx, trunk.Step{Tokens: tokens[len(tokens)-1:], Positions: []int{at}, Slots: []int{0}, Logits: []int{0}})
			if err != nil {
				return 0, err
			}
			return argmax(out.Row(0)), nil
		})
		if err != nil {
			return tokens, steps, err
		}
		tokens, steps = append(tokens, next), append(steps, time.Since(began))
	}
	return tokens, steps, nil
}

// localTrunk is a trunk with all experts at home.
func localTrunk(m *expert.Model, pool *ggml.Pool) (*trunk.Trunk, error) {
	set, err := expert.NewSet(m, m.Manifest().IDs(), pool)
	if err != nil {
		return nil, err
	}
	layer, err := gating.NewLayer(gating.Config{Model: m.ID(), Rule: gating.RuleOf(m), Applier: set})
	if err != nil {
		return nil, err
	}
	return trunk.New(trunk.Config{Model: m, Mixer: layer, Pool: pool})
}

// localBatch is localAnswers with all answers decoded together: rows do not
// depend on each other, and together they are done sooner.
func localBatch(ctx context.Context, m *expert.Model, pool *ggml.Pool, prompts [][]int32, n int) ([][]int32, error) {
	tr, err := localTrunk(m, pool)
	if err != nil {
		return nil, err
	}
	out := make([][]int32, len(prompts))
	for len(out[0]) < n {
		var s trunk.Step
		for slot, p := range prompts {
			rows, at := p, 0
			if k := len(out[slot]); k > 0 {
				rows, at = out[slot][k-1:], len(p)+k-1
			}
			for i, id := range rows {
				s.Tokens, s.Positions, s.Slots = append(s.Tokens, id), append(s.Positions, at+i), append(s.Slots, slot)
			}
			s.Logits = append(s.Logits, len(s.Tokens)-1)
		}
		logits, err := tr.Forward(ctx, s)
		if err != nil {
			return nil, err
		}
		for slot := range prompts {
			out[slot] = append(out[slot], argmax(logits.Row(slot)))
		}
	}
	return out, nil
}

// localAnswers are the greedy answers that one machine gives, which every
// swarm must give too.
func localAnswers(ctx context.Context, m *expert.Model, pool *ggml.Pool, prompts [][]int32, n int) ([][]int32, error) {
	tr, err := localTrunk(m, pool)
	if err != nil {
		return nil, err
	}
	var out [][]int32
	for _, p := range prompts {
		tokens, _, err := answer(ctx, tr, nil, p, n)
		if err != nil {
			return nil, err
		}
		out = append(out, tokens)
	}
	return out, nil
}

// sleep is how the network and modelled work wait.
func (o Options) sleep() simswarm.Sleep {
	if o.virtual {
		return nil // with timers, which are exact there
	}
	return exactSleep
}

// work is what a holder computes with: the set itself, which takes its time,
// or where time is virtual a model of it.
func (o Options) work(set *expert.Set, perCall time.Duration) expert.Applier {
	if !o.virtual {
		return set
	}
	return simswarm.Modelled(set, simswarm.Work{PerCall: perCall})
}

// tally counts what a router sends, below it, so that duplicates show
// whatever their reason, and collects what holders say of their work.
type tally struct {
	routing.Caller
	mu      sync.Mutex
	calls   int // expert calls sent, the repeated ones included
	compute []time.Duration
}

func (t *tally) Call(ctx context.Context, to routing.Peer, a routing.Ask) (routing.Answer, error) {
	got, err := t.Caller.Call(ctx, to, a)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.calls += len(a.Calls)
	if err == nil {
		t.compute = append(t.compute, got.Compute)
	}
	return got, err
}

// take gives the counts since the last take.
func (t *tally) take() (calls int, compute []time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	calls, compute = t.calls, t.compute
	t.calls, t.compute = 0, nil
	return calls, compute
}
