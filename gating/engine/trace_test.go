package engine_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/gating"
	"github.com/moeswarm/moeswarm/gating/engine"
	"github.com/moeswarm/moeswarm/gating/prompt"
	"github.com/moeswarm/moeswarm/gating/trunk"
	"github.com/moeswarm/moeswarm/internal/ggml"
	"github.com/moeswarm/moeswarm/internal/tokenizer"
)

// traced is an answer with what led to it.
type traced struct {
	prompt, tokens []int32
	greedy         bool
	hidden         [][]float32
	routes         []uint16
	cached         int
}

func traceOf(ctx context.Context, e prompt.Completer, r prompt.Request, most int) (traced, error) {
	r.Trace = true
	var a traced
	for c, err := range e.Complete(ctx, r) {
		if err != nil {
			return a, err
		}
		if !c.HasToken {
			continue
		}
		if c.Trace == nil {
			return a, fmt.Errorf("token %d without a trace", len(a.tokens))
		}
		if len(a.tokens) == 0 {
			a.prompt, a.greedy = c.Trace.Prompt, c.Trace.Greedy
		}
		a.tokens, a.cached = append(a.tokens, c.Token), c.Cached
		a.hidden, a.routes = append(a.hidden, c.Trace.Hidden), append(a.routes, c.Trace.Routes...)
		if len(a.tokens) == most {
			break
		}
	}
	return a, nil
}

// alone computes what a trace must be, all rows in one step.
func alone(t *testing.T, m *expert.Model, a traced) (hidden [][]float32, routes []uint16) {
	t.Helper()
	pool := ggml.NewPool(1)
	set, err := expert.NewSet(m, m.Manifest().IDs(), pool)
	if err != nil {
		t.Fatal(err)
	}
	layer, err := gating.NewLayer(gating.Config{Model: m.ID(), Rule: gating.RuleOf(m), Applier: set})
	if err != nil {
		t.Fatal(err)
	}
	tr, err := trunk.New(trunk.Config{Model: m, Mixer: layer, Pool: pool})
	if err != nil {
		t.Fatal(err)
	}
	lane := tr.NewLane()
	trace := gating.NewTrace(m.Shape().SparseLayers, m.TopK())
	ids := append(slices.Clone(a.prompt), a.tokens...)
	step := trunk.Step{Tokens: ids[:len(ids)-1]}
	for at := range step.Tokens {
		step.Positions, step.Slots = append(step.Positions, at), append(step.Slots, 0)
		if at >= len(a.prompt)-1 {
			step.Hidden = append(step.Hidden, at)
		}
	}
	trace.Begin(step.Rows())
	if _, err := lane.Forward(gating.WithTrace(t.Context(), trace), step); err != nil {
		t.Fatal(err)
	}
	for at := range step.Tokens {
		routes = append(routes, trace.Row(at)...)
	}
	for i := range step.Hidden {
		hidden = append(hidden, slices.Clone(lane.Hidden().Row(i)))
	}
	return hidden, routes
}

// TestTracesAreWhatHappened: with drafts, several answers in a step, beginnings
// that are kept, memory that is taken away and readers that leave, a trace says
// what one machine chooses and computes alone, a row at a time.
func TestTracesAreWhatHappened(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	for _, cfg := range []engine.Config{
		{Drafts: -1},
		{Drafts: 6, MaxRunning: 3, PrefillChunk: 7},
		{Drafts: 4, MaxRunning: 5, Memory: 6 << 20},
	} {
		m, tr := demoTrunk(t, "Q4_K_M")
		cfg.Sparse, cfg.TopK = m.Shape().SparseLayers, m.TopK()
		e := demoEngineOf(t, cfg, m, tr)
		texts := []string{"The gopher digs a tunnel. The gopher digs a tunnel. The", "def f(x):", "One two three one two three one two", "Once upon a time there was a gopher who lived under a hill"}
		var mu sync.Mutex
		var all []traced
		reused := 0
		for range 2 { // the second time beginnings are kept
			var wg sync.WaitGroup
			for _, text := range texts {
				r := prompt.Request{Model: m.ID(), Text: strings.Repeat(text+" ", 1+rng.IntN(2)), MaxTokens: 20 + rng.IntN(30)}
				if rng.IntN(3) == 0 {
					r.Sampling = prompt.Sampling{Temperature: 0.8, Seed: rng.Uint64()}
				}
				most := 1 + rng.IntN(60)
				wg.Go(func() {
					a, err := traceOf(t.Context(), e, r, most)
					if err != nil {
						t.Error(err)
						return
					}
					if a.greedy != (r.Sampling.Temperature == 0) {
						t.Errorf("greedy: %v", a.greedy)
					}
					mu.Lock()
					defer mu.Unlock()
					all, reused = append(all, a), reused+a.cached
				})
			}
			// Who asks for none is in the same steps.
			wg.Go(func() {
				for c, err := range e.Complete(t.Context(), prompt.Request{Model: m.ID(), Text: texts[0], MaxTokens: 30}) {
					if err != nil || c.Trace != nil {
						t.Errorf("%v, or a trace that nobody wants", err)
					}
				}
			})
			wg.Wait()
		}
		if s := e.Stats(); reused == 0 || cfg.Drafts > 0 && s.Accepted == 0 {
			t.Errorf("nothing was kept (%d tokens) or drafted: %+v", reused, s)
		}
		for _, a := range all {
			hidden, routes := alone(t, m, a)
			if !slices.Equal(routes, a.routes) {
				t.Errorf("%d tokens after %d, %d of them kept: other routes", len(a.tokens), len(a.prompt), a.cached)
			}
			for i := range hidden {
				if !slices.Equal(hidden[i], a.hidden[i]) {
					t.Fatalf("token %d: another hidden state", i)
				}
			}
		}
	}
}

// wavy is a lane that tells of steps in waves.
type wavy struct {
	*trunk.Lane
	most *atomic.Int64
}

func (w wavy) Forward(ctx context.Context, s trunk.Step) (expert.Batch, error) {
	if n := int64(s.Waves); n > w.most.Load() {
		w.most.Store(n)
	}
	return w.Lane.Forward(ctx, s)
}

// TestPromptsGoInWaves: where holders are far away, long prompts are read in waves,
// which changes neither the answer nor its trace; what may leave experts out is
// read at once.
func TestPromptsGoInWaves(t *testing.T) {
	m, tr := demoTrunk(t, "Q4_K_M")
	var most atomic.Int64
	e := demoEngineOf(t, engine.Config{
		Sparse: m.Shape().SparseLayers, TopK: m.TopK(), Drafts: -1,
		Away:    func() time.Duration { return time.Minute },
		NewLane: func() engine.Forwarder { return wavy{tr.NewLane(), &most} },
	}, m, tr)
	long := prompt.Request{Model: m.ID(), Text: strings.Repeat("The gopher digs a tunnel and another tunnel under a hill. ", 20), MaxTokens: 12}
	for _, r := range []prompt.Request{
		{Model: m.ID(), Text: "The engine measures before it decides", MaxTokens: 4},
		{Model: m.ID(), Text: strings.Repeat("One of many ", 90), MaxTokens: 4, BestEffort: 0.1},
	} {
		for _, err := range e.Complete(t.Context(), r) {
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	if n := most.Load(); n > 1 {
		t.Fatalf("%d waves where one was to be", n)
	}
	a, err := traceOf(t.Context(), e, long, 100)
	if err != nil {
		t.Fatal(err)
	}
	if most.Load() < 2 {
		t.Errorf("%d tokens went in no waves", len(a.prompt))
	}
	hidden, routes := alone(t, m, a)
	if !slices.Equal(routes, a.routes) {
		t.Error("other routes in waves")
	}
	for i := range hidden {
		if !slices.Equal(hidden[i], a.hidden[i]) {
			t.Fatalf("token %d: another hidden state", i)
		}
	}
}

// TestNoTraceOfBestEffort: what may leave experts out cannot be checked along
// its routes.
func TestNoTraceOfBestEffort(t *testing.T) {
	m, tr := demoTrunk(t, "Q4_K_M")
	e := demoEngineOf(t, engine.Config{Sparse: m.Shape().SparseLayers, TopK: m.TopK()}, m, tr)
	for c, err := range e.Complete(t.Context(), prompt.Request{Model: m.ID(), Text: "a", MaxTokens: 3, BestEffort: 0.1, Trace: true}) {
		if err != nil || c.Trace != nil {
			t.Errorf("%v, %v", c.Trace, err)
		}
	}
}

// demoEngineOf runs an engine over a trunk.
func demoEngineOf(t *testing.T, cfg engine.Config, m *expert.Model, tr *trunk.Trunk) *engine.Engine {
	t.Helper()
	tok, err := tokenizer.New(m.File())
	if err != nil {
		t.Fatal(err)
	}
	cfg.Model, cfg.Tokenizer = m.ID(), tok
	cfg.Slots = tr
	if cfg.NewLane == nil {
		cfg.NewLane = func() engine.Forwarder { return tr.NewLane() }
	}
	cfg.Vocab, cfg.Context = m.Shape().Vocab, m.Shape().Context
	e, err := engine.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- e.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return e
}
