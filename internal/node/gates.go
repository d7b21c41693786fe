package node

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/gating"
	"github.com/moeswarm/moeswarm/gating/chat"
	"github.com/moeswarm/moeswarm/gating/engine"
	"github.com/moeswarm/moeswarm/gating/prompt"
	"github.com/moeswarm/moeswarm/gating/trunk"
	"github.com/moeswarm/moeswarm/internal/ggml"
	"github.com/moeswarm/moeswarm/internal/gguf"
	"github.com/moeswarm/moeswarm/internal/tokenizer"
	"github.com/moeswarm/moeswarm/routing"
	"github.com/moeswarm/moeswarm/routing/audit"
)

// gates is the engines of the models this node gates, as one completer. It
// grows when the trunk of a model comes, and shrinks when it goes.
type gates struct {
	mu      sync.RWMutex
	engines map[expert.ModelID]*engine.Engine   // guarded by mu once the node runs
	asked   func(prompt.Request) prompt.Request // see [Cheat]
	// covered reports whether every expert of a model has a holder. Its error
	// says which have none.
	covered func(expert.ModelID) error
	// count gives the work so far, and the calls that each peer has answered.
	count func() (prompt.Work, map[routing.Peer]int)
}

// Complete hands the request to its model's engine. An answer that has not
// begun is refused while experts have no holder at all: it would only hold up
// its user. One that moves here from another node, or that is under way, waits
// for them as long as the router does, and a best-effort answer does without.
// The token that uses up MaxTokens ends the answer.
func (g *gates) Complete(ctx context.Context, r prompt.Request) iter.Seq2[prompt.Chunk, error] {
	return func(yield func(prompt.Chunk, error) bool) {
		e := g.engine(r.Model)
		if e == nil {
			yield(prompt.Chunk{}, fmt.Errorf("%w: %s", prompt.ErrUnknownModel, r.Model.Short()))
			return
		}
		if len(r.Prefix) == 0 && r.BestEffort == 0 && r.Task != prompt.TaskTokenize && r.Task != prompt.TaskDetokenize {
			if err := g.covered(r.Model); err != nil {
				yield(prompt.Chunk{}, err)
				return
			}
		}
		if g.asked != nil {
			r = g.asked(r)
		}
		work, calls := g.count()
		left := r.MaxTokens - len(r.Prefix)
		e.Complete(ctx, r)(func(c prompt.Chunk, err error) bool {
			if c.HasToken {
				left--
			}
			if c.HasToken && left == 0 && c.Finish == prompt.FinishNone {
				c.Finish = prompt.FinishLength // or nobody would wait for the chunk that has the work
			}
			if c.Finish != prompt.FinishNone {
				c.Work = g.since(work, calls)
			}
			return yield(c, err)
		})
	}
}

// since is the work since it was counted before.
func (g *gates) since(before prompt.Work, calls map[routing.Peer]int) prompt.Work {
	now, all := g.count()
	work := prompt.Work{Rounds: now.Rounds - before.Rounds, Hedges: now.Hedges - before.Hedges}
	for peer, n := range all {
		if n > calls[peer] {
			work.Holders++
		}
	}
	return work
}

func (g *gates) has(m expert.ModelID) bool { return g.engine(m) != nil }

func (g *gates) engine(m expert.ModelID) *engine.Engine {
	g.mu.RLock()
	defer g.mu.RUnlock()
	return g.engines[m]
}

func (g *gates) add(m expert.ModelID, e *engine.Engine) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.engines[m] = e
}

// remove takes an engine out, if it is still the model's.
func (g *gates) remove(m expert.ModelID, e *engine.Engine) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.engines[m] == e {
		delete(g.engines, m)
	}
}

func (g *gates) all() []*engine.Engine {
	g.mu.RLock()
	defer g.mu.RUnlock()
	return slices.Collect(maps.Values(g.engines))
}

// openGate builds the engine of a model, whose trunk is here, and runs it while
// Run runs. end ends it: answers under way are lost to it, and whoever asked has
// them go on elsewhere. It returns when nothing uses the model any more.
func (n *Node) openGate(m Model) (end func(), err error) {
	renderer, err := newRenderer(m.Model.File(), n.cfg)
	if err != nil {
		return nil, err
	}
	id := m.Model.ID()
	e, err := newEngine(m, n.gated(id), renderer, n.pool, n.watchSteps(), n.router.Away, n.cfg)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(n.inner())
	var running sync.WaitGroup
	running.Go(func() { _ = e.Run(ctx) })
	running.Go(func() { _ = renderer.Run(ctx) })
	n.gates.add(id, e)
	return func() {
		n.gates.remove(id, e)
		cancel()
		running.Wait()
	}, nil
}

// gated is what computes the experts of a model that is gated here.
func (n *Node) gated(id expert.ModelID) expert.Applier {
	a := n.hots[id].over(n.demand)
	if n.cfg.Cheat.Experts != nil {
		a = n.cfg.Cheat.Experts(a)
	}
	return a
}

// newEngine builds the gating stack of one model over an applier of experts.
// away is how long a round lately waited for the network.
func newEngine(m Model, applier expert.Applier, renderer *chat.Renderer, pool *ggml.Pool, watch watcher, away func() time.Duration, cfg Config) (*engine.Engine, error) {
	if !cfg.PartialSums { // sums of several steps cannot be told apart again
		var err error
		if applier, err = merged(applier, away); err != nil {
			return nil, err
		}
	}
	layer, err := gating.NewLayer(gating.Config{
		Model: m.Model.ID(), Rule: gating.RuleOf(m.Model), Applier: applier, PartialSums: cfg.PartialSums,
	})
	if err != nil {
		return nil, err
	}
	t, err := trunk.New(trunk.Config{Model: m.Model, Mixer: layer, Pool: pool})
	if err != nil {
		return nil, err
	}
	tok, err := tokenizer.New(m.Model.File())
	if err != nil {
		return nil, fmt.Errorf("model %s: %w", m.Name, err)
	}
	var small *engine.Small
	if cfg.Draft.Model != nil && cfg.Drafts >= 0 {
		if small, err = newSmall(m, tok, cfg.Draft, pool); err != nil {
			return nil, err
		}
	}
	return engine.New(engine.Config{
		Model: m.Model.ID(), Tokenizer: tok, Chat: renderer, Watch: watch,
		NewLane: func() engine.Forwarder { return t.NewLane() }, Slots: t,
		Away:   func() time.Duration { return away() * time.Duration(len(m.Model.Shape().SparseLayers)) },
		Sparse: m.Model.Shape().SparseLayers, TopK: min(m.Model.TopK(), m.Model.Experts()),
		Vocab: m.Model.Shape().Vocab, Context: m.Model.Shape().Context,
		MaxRunning: cfg.Answers, Drafts: cfg.Drafts, Small: small, Memory: cfg.kvMemory(), Log: cfg.Log,
	})
}

// merged makes one of the calls of steps that come to a layer together.
func merged(applier expert.Applier, away func() time.Duration) (expert.Applier, error) {
	return gating.NewMerger(gating.MergerConfig{
		Applier: applier, Join: audit.Join,
		Window: func() time.Duration { return gating.MergeWindow(away()) },
	})
}

// newRenderer makes what turns conversations into prompts for a model.
func newRenderer(f *gguf.File, cfg Config) (*chat.Renderer, error) {
	source, _ := f.String("tokenizer.chat_template")
	tokens, _ := f.Strings("tokenizer.ggml.tokens")
	token := func(key string) string {
		if id, ok := f.Uint("tokenizer.ggml." + key); ok && id < uint64(len(tokens)) {
			return tokens[id]
		}
		return ""
	}
	model, _ := f.String("tokenizer.ggml.model")
	adds, set := f.Bool("tokenizer.ggml.add_bos_token")
	c := chat.Config{
		Source: source, Builtin: cfg.Template, Override: cfg.Template != "", Worker: cfg.TemplateWorker,
		Begin: token("bos_token_id"), End: token("eos_token_id"), AddsBegin: adds || !set && model == "llama",
	}
	if c.Builtin == "" {
		c.Builtin = chat.Builtin(func(s string) bool { return slices.Contains(tokens, s) })
	}
	return chat.New(c)
}
