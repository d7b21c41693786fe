package engine

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/moeswarm/moeswarm/gating/prompt"
)

func check(t *testing.T, what string, r prompt.Request, ctxLen int, ids []int32, finish prompt.Finish, err error) {
	t.Helper()
	want, wantFinish := reference(r, ctxLen)
	want = want[len(r.Prefix):]
	if err != nil || finish != wantFinish || !slices.Equal(ids, want) {
		t.Errorf("%s: %+v\n got %v, %q, %v\nwant %v, %q", what, r, ids, finish, err, want, wantFinish)
	}
}

// Any mix of sequences, in any number of slots, with any chunk size, gives
// each the tokens it has alone; so do readers that pause.
func TestBatchesDoNotMatter(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	for range 60 {
		f := newFakeTrunk(t)
		cfg := Config{MaxRunning: 1 + rng.IntN(6), MaxWaiting: 100, PrefillChunk: 1 + rng.IntN(70), Context: 30 + rng.IntN(100)}
		cfg.MaxRows = cfg.MaxRunning + 1 + rng.IntN(40)
		e, stop := start(t, f, cfg)
		var wg sync.WaitGroup
		for range 1 + rng.IntN(12) {
			r := randomRequest(rng)
			if len(r.Text) >= cfg.Context {
				r.Text = r.Text[:cfg.Context-1]
			}
			wg.Go(func() {
				ids, finish, err := answer(e, t.Context(), r)
				check(t, "together", r, cfg.Context, ids, finish, err)
			})
		}
		wg.Wait()
		stop()
		for i, s := range f.steps() {
			if s.Rows() > cfg.MaxRows {
				t.Errorf("step %d has %d rows, limit %d", i, s.Rows(), cfg.MaxRows)
			}
		}
		if t.Failed() {
			t.Fatalf("config %+v", cfg)
		}
	}
}

// An answer cut at any token goes on in another engine as it went on here.
func TestReplayFromAnyPrefix(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	one, _ := start(t, newFakeTrunk(t), Config{})
	other, _ := start(t, newFakeTrunk(t), Config{PrefillChunk: 7})
	for range 20 {
		r := randomRequest(rng)
		whole, finish, err := answer(one, t.Context(), r)
		check(t, "whole", r, 400, whole, finish, err)
		for n := range len(whole) + 1 {
			r.Prefix = whole[:n]
			rest, again, err := answer(other, t.Context(), r)
			if err != nil || again != finish || !slices.Equal(rest, whole[n:]) {
				t.Fatalf("%+v\nfrom token %d: got %v, %q, %v; want %v, %q", r, n, rest, again, err, whole[n:], finish)
			}
		}
	}
}

func TestFinish(t *testing.T) {
	e, _ := start(t, newFakeTrunk(t), Config{Context: 20})
	for _, c := range []struct {
		name   string
		r      prompt.Request
		tokens int // -1: as many as it likes
		want   prompt.Finish
	}{
		{"max tokens", prompt.Request{Text: "abc", MaxTokens: 3}, 3, prompt.FinishLength},
		{"context", prompt.Request{Text: "ponmlkjihgfedcb", MaxTokens: 1 << 62}, 5, prompt.FinishLength},
		{"one token left", prompt.Request{Text: "abcdefghijklmnopqrs", MaxTokens: 9}, 1, prompt.FinishLength},
		{"prefix is all", prompt.Request{Text: "abc", MaxTokens: 2, Prefix: []int32{3, 4}}, 0, prompt.FinishLength},
		{"prefix is more", prompt.Request{Text: "abc", MaxTokens: 1, Prefix: []int32{3, 4}}, 0, prompt.FinishLength},
		{"prefix fills the context", prompt.Request{Text: "abc", MaxTokens: 99, Prefix: make([]int32, 17, 30)}, 0, prompt.FinishStop},
		{"prefix longer than the context", prompt.Request{Text: "abc", MaxTokens: 99, Prefix: slices.Repeat([]int32{5}, 30)}, 0, prompt.FinishLength},
		{"prefix has ended", prompt.Request{Text: "abc", MaxTokens: 9, Prefix: []int32{3, fakeEnd}}, 0, prompt.FinishStop},
	} {
		ids, finish, err := answer(e, t.Context(), c.r)
		if err != nil || finish != c.want || len(ids) != c.tokens {
			t.Errorf("%s: %v, %q, %v; want %d tokens and %q", c.name, ids, finish, err, c.tokens, c.want)
		}
	}
	stopped := false
	for i := range 50 { // one of so many ends by itself
		_, finish, _ := answer(e, t.Context(), prompt.Request{Text: "a", MaxTokens: 19, Sampling: prompt.Sampling{Temperature: 1, Seed: uint64(i)}})
		stopped = stopped || finish == prompt.FinishStop
	}
	if !stopped {
		t.Error("no answer ended at an end-of-text token")
	}
}

func TestStats(t *testing.T) {
	e, stop := start(t, newFakeTrunk(t), Config{PrefillChunk: 4})
	r := prompt.Request{Text: "abcdefghij", Prefix: []int32{5, 6}, MaxTokens: 5}
	ids, _, err := answer(e, t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	stop()
	want := Stats{Prefilled: 12, Decoded: uint64(len(ids)), Steps: uint64(3 + len(ids) - 1)}
	if got := e.Stats(); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestRunOnce(t *testing.T) {
	e, stop := start(t, newFakeTrunk(t), Config{})
	if _, _, err := answer(e, t.Context(), prompt.Request{Text: "a", MaxTokens: 1}); err != nil {
		t.Fatal(err)
	}
	if err := e.Run(context.Background()); err == nil {
		t.Error("a second Run is not refused")
	}
	stop()
}

func TestConfig(t *testing.T) {
	f := newFakeTrunk(t)
	good := Config{NewLane: func() Forwarder { return f }, Slots: f, Tokenizer: fakeTokenizer{}, Vocab: fakeVocab, Context: 10}
	c, err := good.validate()
	if err != nil || c.MaxRunning != 16 || c.MaxWaiting != 64 || c.PrefillChunk != 256 || c.MaxRows != 272 || c.Log == nil {
		t.Errorf("defaults are %+v, %v", c, err)
	}
	for name, change := range map[string]func(*Config){
		"no lanes":      func(c *Config) { c.NewLane = nil },
		"no slots":      func(c *Config) { c.Slots = nil },
		"no memory":     func(c *Config) { c.Memory = 3 },
		"no tokenizer":  func(c *Config) { c.Tokenizer = nil },
		"no vocabulary": func(c *Config) { c.Vocab = 0 },
		"no context":    func(c *Config) { c.Context = 1 },
		"negative":      func(c *Config) { c.PrefillChunk = -1 },
		"few rows":      func(c *Config) { c.MaxRunning, c.MaxRows = 8, 8 },
	} {
		c := good
		change(&c)
		if _, err := New(c); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
