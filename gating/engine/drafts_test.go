package engine

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/moeswarm/moeswarm/gating"
	"github.com/moeswarm/moeswarm/gating/prompt"
	"github.com/moeswarm/moeswarm/gating/trunk"
)

// quoting is a model that repeats itself: what follows depends on the last token,
// but for every ninth, which depends on all before it.
func quoting(history []int32, out []float32) {
	n := len(history)
	if n%9 != 0 {
		history = history[n-1:]
	}
	fakeLogits(history, out)
	for i := range out {
		out[i] *= 4 // surer than random logits are
	}
}

func quotingTrunk(t testing.TB) *fakeTrunk {
	f := newFakeTrunk(t)
	f.model = quoting
	return f
}

// Whatever is drafted, each answer gets the tokens that it has alone and
// without drafts, sampled or not, with penalties, at any end.
func TestDraftsDoNotMatter(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	var all Stats
	for range 60 {
		f := quotingTrunk(t)
		cfg := Config{MaxRunning: 1 + rng.IntN(5), MaxWaiting: 100, PrefillChunk: 1 + rng.IntN(70), Context: 61 + rng.IntN(100)}
		cfg.MaxRows = cfg.MaxRunning + 1 + rng.IntN(40)
		cfg.Drafts = rng.IntN(10) // 0: as many as seem to pay
		small := newFakeTrunk(t)
		small.model = []func([]int32, []float32){quoting, fakeLogits, nonsense}[rng.IntN(3)]
		if rng.IntN(5) == 0 {
			small.before = func(context.Context, trunk.Step) error { return errors.New("out of order") }
		}
		if rng.IntN(2) == 0 {
			cfg.Small = &Small{Lane: small, Slots: small, Vocab: fakeVocab - rng.IntN(3), Context: 40 + rng.IntN(200)}
		}
		e, stop := start(t, f, cfg)
		var wg sync.WaitGroup
		for range 1 + rng.IntN(8) {
			r := randomRequest(rng)
			r.MaxTokens += rng.IntN(60)
			want, wantFinish := referenceOf(quoting, r, cfg.Context)
			cut := rng.IntN(len(want) + 1) // where another gating node was lost
			if rng.IntN(2) == 0 {
				cut = 0
			}
			r.Prefix = want[:cut]
			wg.Go(func() {
				ids, finish, err := answer(e, t.Context(), r)
				if err != nil || finish != wantFinish || !slices.Equal(ids, want[cut:]) {
					t.Errorf("%+v\n got %v, %q, %v\nwant %v, %q", r, ids, finish, err, want[cut:], wantFinish)
				}
			})
		}
		wg.Wait()
		stop()
		for i, s := range f.steps() {
			if s.Rows() > cfg.MaxRows || slices.Max(s.Positions) >= cfg.Context {
				t.Errorf("step %d has %d rows up to position %d, limits %d and %d", i, s.Rows(), slices.Max(s.Positions), cfg.MaxRows, cfg.Context)
			}
		}
		if small.held() != 0 {
			t.Errorf("the small model still has %d sequences", small.held())
		}
		if t.Failed() {
			t.Fatalf("config %+v", cfg)
		}
		s := e.Stats()
		all.Drafted, all.Accepted = all.Drafted+s.Drafted, all.Accepted+s.Accepted
	}
	t.Logf("%d of %d drafted tokens were right", all.Accepted, all.Drafted)
	if all.Accepted < 500 || all.Drafted-all.Accepted < 500 {
		t.Error("too few to have tested anything")
	}
}

func nonsense(_ []int32, out []float32) {
	for i := range out {
		out[i] = float32(math.NaN())
	}
}

// A small model drafts where there is nothing to look up. One that thinks
// alike draws alike, whatever the temperature: it uses the same randomness.
func TestSmallModelDrafts(t *testing.T) {
	blurred := func(history []int32, out []float32) {
		fakeLogits(history, out)
		for i := range out {
			out[i] += 0.3 * float32(i%3)
		}
	}
	for _, x := range []struct {
		name  string
		model func([]int32, []float32)
		least float64 // share of the drafted tokens that are right
	}{{"the same", fakeLogits, 0.9}, {"one like it", blurred, 0.5}} {
		small := newFakeTrunk(t)
		small.model = x.model
		e, stop := start(t, newFakeTrunk(t), Config{Drafts: 4, Small: &Small{Lane: small, Slots: small, Vocab: fakeVocab, Context: 400}})
		for seed := range uint64(20) {
			r := prompt.Request{Text: randomText(rand.New(rand.NewPCG(seed, 1)), 80), MaxTokens: 60, Sampling: prompt.Sampling{Temperature: float32(seed%4) / 2, Seed: seed}}
			ids, finish, err := answer(e, t.Context(), r)
			check(t, x.name, r, 400, ids, finish, err)
		}
		stop()
		s := e.Stats()
		t.Logf("%s: %d steps for %d tokens, %d of %d drafted ones right", x.name, s.Steps, s.Decoded, s.Accepted, s.Drafted)
		if s.Drafted < 300 || float64(s.Accepted) < x.least*float64(s.Drafted) {
			t.Errorf("%s: %d of %d tokens right", x.name, s.Accepted, s.Drafted)
		}
		if small.held() != 0 {
			t.Error("the small model still has a sequence")
		}
	}
}

// An answer tells what was drafted for it, and needs fewer steps by what was
// right.
func TestDraftsAreCounted(t *testing.T) {
	r := prompt.Request{Text: "abcabcabc", MaxTokens: 120}
	for _, n := range []int{-1, 6} {
		f := quotingTrunk(t)
		e, stop := start(t, f, Config{Drafts: n})
		var last prompt.Drafts
		tokens := 0
		for c, err := range e.Complete(t.Context(), r) {
			if err != nil {
				t.Fatal(err)
			}
			if c.Drafts.Drafted < last.Drafted || c.Drafts.Accepted < last.Accepted || c.Drafts.Accepted > c.Drafts.Drafted {
				t.Errorf("%+v after %+v", c.Drafts, last)
			}
			last = c.Drafts
			if c.HasToken {
				tokens++
			}
		}
		stop()
		s := e.Stats()
		if s.Drafted != uint64(last.Drafted) || s.Accepted != uint64(last.Accepted) {
			t.Errorf("the answer says %+v, the engine %+v", last, s)
		}
		rows := 0
		for _, step := range f.steps() {
			rows += step.Rows()
		}
		// Each draw but the last is a row later, so is each draft.
		if want := len(r.Text) + (tokens - last.Accepted - 1) + last.Drafted; rows != want {
			t.Errorf("drafts %d: %d rows, want %d", n, rows, want)
		}
		if want := tokens - last.Accepted; int(s.Steps) != want {
			t.Errorf("drafts %d: %d steps for %d tokens of which %d were drafted, want %d", n, s.Steps, tokens, last.Accepted, want)
		}
		if (n < 0) != (last == prompt.Drafts{}) {
			t.Errorf("drafts %d: %+v", n, last)
		}
	}
}

// Over many seeds, a token that a draft was verified with is distributed as
// the model says.
func TestDraftedTokensAreDistributedAsTheModelSays(t *testing.T) {
	// Two tokens that follow each other, whatever else: half of the time.
	coin := func(history []int32, out []float32) {
		for i := range out {
			out[i] = float32(math.Inf(-1))
		}
		out[5], out[6], out[7] = float32(math.Log(0.5)), float32(math.Log(0.3)), float32(math.Log(0.2))
	}
	f := newFakeTrunk(t)
	f.model = coin
	e, stop := start(t, f, Config{Drafts: 4})
	const seeds, tokens = 400, 12
	count := map[int32]int{}
	for seed := range uint64(seeds) {
		ids, _, err := answer(e, t.Context(), prompt.Request{Text: "dfdedg", MaxTokens: tokens, Sampling: prompt.Sampling{Temperature: 1, Seed: seed}})
		if err != nil {
			t.Fatal(err)
		}
		for _, id := range ids {
			count[id]++
		}
	}
	stop()
	s := e.Stats()
	if s.Accepted*5 < s.Decoded {
		t.Errorf("%d of %d tokens were drafted", s.Accepted, s.Decoded)
	}
	const n = seeds * tokens
	for id, p := range map[int32]float64{5: 0.5, 6: 0.3, 7: 0.2} {
		// The seeds are fixed, so this either holds or does not: within four
		// standard deviations.
		if off := math.Abs(float64(count[id])-n*p) / math.Sqrt(n*p*(1-p)); off > 4 {
			t.Errorf("token %d came %d times of %d, want about %.0f", id, count[id], n, n*p)
		}
	}
}

// What rows of a wrong draft went without is in no answer.
func TestDroppedOfWrongDrafts(t *testing.T) {
	s := &sequence{draft: []int32{1, 2, 3}, share: 0.5}
	in := []member{{sequence: &sequence{}, rows: 2}, {sequence: s, rows: 2, row: 2}}
	b := bestEffort(in)
	if want := []float32{0, 0, .5, .5, .5, .5, .5}; !slices.Equal(b.Share, want) {
		t.Errorf("shares %v, want %v", b.Share, want)
	}
	for row := range 7 {
		b.Dropped = append(b.Dropped, gating.Dropped{Calls: 1 << row, Mass: 1})
	}
	noteDropped(in[1], b, 0, 2)
	noteDropped(in[1], b, 2, 3) // one of the draft's was right
	if want := (prompt.Dropped{Calls: 4 + 8 + 16, Mass: 3}); s.dropped != want {
		t.Errorf("dropped %+v, want %+v", s.dropped, want)
	}
}
