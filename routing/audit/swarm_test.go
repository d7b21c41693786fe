package audit

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/gating"
	"github.com/moeswarm/moeswarm/gating/trunk"
	"github.com/moeswarm/moeswarm/internal/demo/demotest"
	"github.com/moeswarm/moeswarm/internal/ggml"
	"github.com/moeswarm/moeswarm/routing"
)

// apply is how a peer answers calls.
type apply func(ctx context.Context, in expert.Batch, calls []expert.Call) []expert.Result

// memory is a swarm in memory in which everybody holds all experts of a model:
// Directory, Caller and Challenger. Answers pass through the inspector's check
// as a router has them pass.
type memory struct {
	set       *expert.Set
	inspector *Inspector

	mu struct {
		sync.Mutex
		peers      map[routing.Peer]apply
		out        []routing.Peer // condemned
		asked      map[routing.Peer]int
		challenges int
		mute       bool         // nobody answers challenges
		first      routing.Peer // the only holder known of experts with an even index, until it is condemned
	}
}

func newMemory(set *expert.Set, peers map[routing.Peer]apply) *memory {
	m := &memory{set: set}
	m.mu.peers = peers
	m.mu.asked = map[routing.Peer]int{}
	return m
}

func (m *memory) Holders(id expert.ID) []routing.Peer {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.mu.first != "" && id.Index%2 == 0 && !slices.Contains(m.mu.out, m.mu.first) {
		return []routing.Peer{m.mu.first}
	}
	var all []routing.Peer
	for p := range m.mu.peers {
		if !slices.Contains(m.mu.out, p) {
			all = append(all, p)
		}
	}
	slices.Sort(all)
	return all
}

func (m *memory) Call(ctx context.Context, to routing.Peer, a routing.Ask) (routing.Answer, error) {
	m.mu.Lock()
	f := m.mu.peers[to]
	m.mu.asked[to]++
	m.mu.Unlock()
	if f == nil {
		f = m.set.Apply
	}
	results := f(ctx, a.In, a.Calls)
	if !a.Sum {
		return routing.Answer{Results: results}, nil
	}
	sum, err := expert.SumResults(a.In, a.Calls, results)
	return routing.Answer{Sum: sum}, err
}

func (m *memory) Challenge(ctx context.Context, to routing.Peer, in expert.Batch, calls []expert.Call) (routing.Opening, error) {
	m.mu.Lock()
	f, mute := m.mu.peers[to], m.mu.mute
	m.mu.challenges++
	m.mu.Unlock()
	if mute {
		return routing.Opening{}, expert.ErrOverloaded
	}
	if f == nil {
		f = m.set.Apply
	}
	inner := m.set.Inner(ctx, in, calls)
	return routing.Opening{Inner: inner, Receipt: routing.Receipt{
		Peer: to, Call: routing.HashCalls(in, calls), Result: routing.HashResults(f(ctx, in, calls)), Inner: routing.HashInner(inner),
		At: time.Now(), Sig: make([]byte, 64),
	}}, nil
}

func (m *memory) condemn(p routing.Peer, _ string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.mu.out = append(m.mu.out, p)
}

func (m *memory) condemned() []routing.Peer {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.mu.out)
}

// guarded is the way of answers to the router: through the check.
type guarded struct{ *memory }

func (g guarded) Call(ctx context.Context, to routing.Peer, a routing.Ask) (routing.Answer, error) {
	got, err := g.memory.Call(ctx, to, a)
	if err != nil {
		return got, err
	}
	c := routing.Checked{Peer: to, In: a.In, Calls: a.Calls, Results: got.Results}
	if a.Sum {
		c.Sum = &got.Sum
	}
	return got, g.inspector.Check(ctx, c)
}

// bed is a model, its experts and a swarm with an inspector.
type bed struct {
	*memory
	model  *expert.Model
	router *routing.Router
	said   []Verdict // guilty ones
}

func openSet(t testing.TB, m *expert.Model) *expert.Set {
	t.Helper()
	set, err := expert.NewSet(m, m.Manifest().IDs(), ggml.NewPool(0))
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func pieceOf(m *expert.Model) func(expert.ID) (expert.Piece, bool) {
	return func(id expert.ID) (expert.Piece, bool) { return m.Manifest().Piece(int(id.Layer), int(id.Index)) }
}

func newBed(t testing.TB, m *expert.Model, peers map[routing.Peer]apply, opts ...func(*Config)) *bed {
	t.Helper()
	set := openSet(t, m)
	b := &bed{memory: newMemory(set, peers), model: m}
	var mu sync.Mutex
	cfg := Config{
		Weights: func(expert.ModelID) *expert.Set { return set }, Piece: pieceOf(m),
		Challenger: b.memory, Directory: b.memory, Caller: b.memory,
		Condemn: b.condemn, Seed: [32]byte{1},
		Verdict: func(v Verdict) {
			mu.Lock()
			defer mu.Unlock()
			if v.Outcome == Guilty {
				b.said = append(b.said, v)
			}
		},
	}
	for _, o := range opts {
		o(&cfg)
	}
	var err error
	if b.inspector, err = New(cfg); err != nil {
		t.Fatal(err)
	}
	b.router, err = routing.New(routing.Config{Directory: b.memory, Caller: guarded{b.memory}, Policy: routing.Policy{Seed: 1}})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// run has the inspector work in the background until the test ends.
func (b *bed) run(t testing.TB) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- b.inspector.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// decode generates greedily. Each step is settled, and run again when that
// fails, as the engine does. It returns the tokens and how many steps were
// run again.
func decode(t testing.TB, m *expert.Model, a expert.Applier, sums bool, settle func(context.Context) error, ids []int32, n int) (out []int32, again int) {
	t.Helper()
	layer, err := gating.NewLayer(gating.Config{Model: m.ID(), Rule: gating.RuleOf(m), Applier: a, PartialSums: sums})
	if err != nil {
		t.Fatal(err)
	}
	tr, err := trunk.New(trunk.Config{Model: m, Mixer: layer, Pool: ggml.NewPool(0)})
	if err != nil {
		t.Fatal(err)
	}
	pos := 0
	for len(out) < n {
		s := trunk.Step{Tokens: ids, Logits: []int{len(ids) - 1}}
		for k := range ids {
			s.Positions, s.Slots = append(s.Positions, pos+k), append(s.Slots, 0)
		}
		var logits expert.Batch
		for try := 0; ; try++ {
			if logits, err = tr.Forward(t.Context(), s); err != nil {
				t.Fatal(err)
			}
			if settle == nil {
				break
			}
			if err = settle(t.Context()); err == nil {
				break
			}
			if again++; try > 8 {
				t.Fatal(err)
			}
		}
		best := 0
		for i, v := range logits.Row(0) {
			if v > logits.Row(0)[best] {
				best = i
			}
		}
		pos += len(ids)
		ids = []int32{int32(best)}
		out = append(out, int32(best))
	}
	return out, again
}

func (b *bed) settle(ctx context.Context) error { return b.inspector.Settle(ctx, b.model.ID()) }

func prompt(m *expert.Model) []int32 {
	ids := make([]int32, 12)
	for i := range ids {
		ids[i] = int32(7+i*131) % int32(m.Shape().Vocab)
	}
	return ids
}

// TestLiarsAreNamed: for each cheat, a swarm of three with one who always
// cheats writes the tokens of a single machine, and names the cheat.
func TestLiarsAreNamed(t *testing.T) {
	m := demotest.Model(t, "Q4_K_M")
	set := openSet(t, m)
	want, _ := decode(t, m, set, false, nil, prompt(m), 8)
	for _, cheat := range Cheats(set, 1) {
		if !cheat.Must {
			continue
		}
		t.Run(cheat.Name, func(t *testing.T) {
			dir := t.TempDir()
			b := newBed(t, m, map[routing.Peer]apply{"liar": cheat.Apply, "honest": nil, "also honest": nil},
				func(c *Config) { c.Evidence = dir })
			b.run(t)
			got, _ := decode(t, m, b.router, false, b.settle, prompt(m), 8)
			if !slices.Equal(got, want) {
				t.Errorf("tokens %v, alone %v", got, want)
			}
			if out := b.condemned(); len(out) == 0 || slices.ContainsFunc(out, func(p routing.Peer) bool { return p != "liar" }) {
				t.Errorf("condemned: %q", out)
			}
			kept, err := LoadEvidence(dir)
			if err != nil || len(kept) == 0 || kept[0].Peer != "liar" || kept[0].Outcome != "guilty" {
				t.Errorf("evidence: %+v, %v", kept, err)
			}
			t.Logf("%+v", b.inspector.Stats())
		})
	}
}

// TestHonestSwarm: nobody is condemned, tokens are those of a single machine,
// and trusted peers are audited ever less.
func TestHonestSwarm(t *testing.T) {
	for _, quant := range []string{"Q4_K_M", "Q8_0"} {
		m := demotest.Model(t, quant)
		set := openSet(t, m)
		want, _ := decode(t, m, set, false, nil, prompt(m), 40)
		for _, sums := range []bool{false, true} {
			b := newBed(t, m, map[routing.Peer]apply{"a": nil, "b": nil, "c": nil})
			b.run(t)
			got, again := decode(t, m, b.router, sums, b.settle, prompt(m), 40)
			if !sums && !slices.Equal(got, want) {
				t.Errorf("%s: tokens %v, alone %v", quant, got, want)
			}
			s := b.inspector.Stats()
			if again > 0 || len(b.condemned()) > 0 || s.Unproven+s.Undecided+s.Unable > 0 {
				t.Errorf("%s, sums %v: %d steps again, condemned %q, %+v", quant, sums, again, b.condemned(), s)
			}
			t.Logf("%s, sums %v: %+v", quant, sums, s)
		}
	}
}

// TestTrustedLiar: a peer that turns bad after it was trusted is found in the
// background, and the step in which it was found is run again.
func TestTrustedLiar(t *testing.T) {
	m := demotest.Model(t, "Q4_K_M")
	set := openSet(t, m)
	for _, sums := range []bool{false, true} {
		for _, background := range []bool{true, false} {
			t.Run(fmt.Sprintf("sums %v, Run %v", sums, background), func(t *testing.T) {
				var asked int
				var mu sync.Mutex
				turns := func(ctx context.Context, in expert.Batch, calls []expert.Call) []expert.Result {
					results := set.Apply(ctx, in, calls)
					mu.Lock()
					defer mu.Unlock()
					if asked++; asked > 30 {
						for i := range results {
							for k := range results[i].Out.Data {
								results[i].Out.Data[k] *= -1
							}
						}
					}
					return results
				}
				b := newBed(t, m, map[routing.Peer]apply{"liar": turns, "honest": nil})
				b.mu.first = "liar"
				if background {
					b.run(t)
				}
				_, again := decode(t, m, b.router, sums, b.settle, prompt(m), 100)
				mu.Lock()
				bad := asked - 30
				mu.Unlock()
				if out := b.condemned(); !slices.Equal(slices.Compact(out), []routing.Peer{"liar"}) {
					t.Fatalf("condemned: %q after %d bad answers", out, bad)
				}
				if again == 0 {
					t.Error("no step was run again")
				}
				t.Logf("found after %d bad answers, %d steps again; %+v", bad, again, b.inspector.Stats().Methods)
			})
		}
	}
}

// TestAlwaysIsExact: with --audit always even a trusted peer's lie never gets
// into a token.
func TestAlwaysIsExact(t *testing.T) {
	m := demotest.Model(t, "Q8_0")
	set := openSet(t, m)
	want, _ := decode(t, m, set, false, nil, prompt(m), 24)
	var asked int
	var mu sync.Mutex
	cheat := Cheats(set, 3)[0]
	b := newBed(t, m, map[routing.Peer]apply{"honest": nil, "liar": func(ctx context.Context, in expert.Batch, calls []expert.Call) []expert.Result {
		mu.Lock()
		asked++
		bad := asked > 20 && asked%3 == 0
		mu.Unlock()
		if bad {
			return cheat.Apply(ctx, in, calls)
		}
		return set.Apply(ctx, in, calls)
	}}, func(c *Config) { c.Always = true })
	b.mu.first = "liar"
	b.run(t)
	got, _ := decode(t, m, b.router, false, b.settle, prompt(m), 24)
	if !slices.Equal(got, want) {
		t.Errorf("tokens %v, alone %v", got, want)
	}
	if out := b.condemned(); len(out) == 0 || out[0] != "liar" {
		t.Errorf("condemned: %q", out)
	}
}
