package engine

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/gating/prompt"
	"github.com/moeswarm/moeswarm/gating/trunk"
)

func TestBadRequests(t *testing.T) {
	e, _ := start(t, newFakeTrunk(t), Config{Context: 20})
	good := prompt.Request{Text: "abc", MaxTokens: 3}
	nan := float32(math.NaN())
	for _, c := range []struct {
		say    string // what the message tells
		change func(*prompt.Request)
	}{
		{"prompt is empty", func(r *prompt.Request) { r.Text = "" }},
		{"has 20 tokens", func(r *prompt.Request) { r.Text = strings.Repeat("a", 20) }},
		{"has 10000 bytes", func(r *prompt.Request) { r.Text = strings.Repeat("a", 10_000) }},
		{"bad text", func(r *prompt.Request) { r.Text = "bad" }},
		{"token 40", func(r *prompt.Request) { r.Text = "~" }},
		{"token 40", func(r *prompt.Request) { r.Prefix = []int32{1, 40} }},
		{"token -1", func(r *prompt.Request) { r.Prefix = []int32{-1} }},
		{"ask for at least 1", func(r *prompt.Request) { r.MaxTokens = 0 }},
		{"ask for at least 1", func(r *prompt.Request) { r.MaxTokens = -5 }},
		{"temperature", func(r *prompt.Request) { r.Sampling.Temperature = -1 }},
		{"temperature", func(r *prompt.Request) { r.Sampling.Temperature = nan }},
		{"temperature", func(r *prompt.Request) { r.Sampling.Temperature = float32(math.Inf(1)) }},
		{"top-k", func(r *prompt.Request) { r.Sampling.TopK = -1 }},
		{"top-p", func(r *prompt.Request) { r.Sampling.TopP = 1.1 }},
		{"top-p", func(r *prompt.Request) { r.Sampling.TopP = nan }},
		{"min-p", func(r *prompt.Request) { r.Sampling.MinP = -0.1 }},
		{"repeat penalty", func(r *prompt.Request) { r.Sampling.RepeatPenalty = -1 }},
		{"repeat penalty", func(r *prompt.Request) { r.Sampling.RepeatPenalty = 1e9 }},
		{"repeat penalty", func(r *prompt.Request) { r.Sampling.RepeatPenalty = nan }},
	} {
		r := good
		c.change(&r)
		_, _, err := answer(e, t.Context(), r)
		if !errors.Is(err, prompt.ErrBadRequest) || !strings.Contains(err.Error(), c.say) {
			t.Errorf("%+v: got %v, want ErrBadRequest with %q", r, err, c.say)
		}
	}
	r := good
	r.Model[3] = 1
	if _, _, err := answer(e, t.Context(), r); !errors.Is(err, prompt.ErrUnknownModel) {
		t.Errorf("another model: %v", err)
	}
	if _, _, err := answer(e, t.Context(), good); err != nil {
		t.Error(err)
	}
}

// gate lets steps through one by one.
type gate struct {
	arrived chan trunk.Step
	pass    chan error
}

func gated(f *fakeTrunk) gate {
	g := gate{make(chan trunk.Step), make(chan error)}
	f.before = func(ctx context.Context, s trunk.Step) error {
		select {
		case g.arrived <- s:
		case <-ctx.Done():
			return ctx.Err()
		}
		select {
		case err := <-g.pass:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return g
}

// run begins an answer and returns where its tokens and its end arrive.
func run(e *Engine, ctx context.Context, r prompt.Request) (tokens chan int32, end chan error) {
	tokens, end = make(chan int32, 1000), make(chan error, 1)
	go func() {
		defer close(end)
		for c, err := range e.Complete(ctx, r) {
			if err != nil {
				end <- err
				return
			}
			if c.HasToken {
				tokens <- c.Token
			}
		}
	}()
	return tokens, end
}

func TestQueueIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeTrunk(t)
		g := gated(f)
		e, stop := start(t, f, Config{MaxRunning: 1, MaxWaiting: 2})
		ctx, cancel := context.WithCancel(t.Context())
		r := prompt.Request{Text: "abc", MaxTokens: 1}
		_, first := run(e, t.Context(), r)
		<-g.arrived
		_, second := run(e, ctx, r)
		synctest.Wait()
		_, third := run(e, t.Context(), r)
		synctest.Wait()
		if s := e.Stats(); s.Running != 1 || s.Waiting != 2 {
			t.Errorf("%+v, want 1 running and 2 waiting", s)
		}
		if _, _, err := answer(e, t.Context(), r); !errors.Is(err, prompt.ErrBusy) {
			t.Errorf("one too many: %v, want ErrBusy", err)
		}
		cancel() // one of those that wait gives up, and makes room
		if err := <-second; !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled while waiting: %v", err)
		}
		synctest.Wait()
		if s := e.Stats(); s.Waiting != 1 {
			t.Errorf("%+v, want 1 waiting", s)
		}
		_, fourth := run(e, t.Context(), r)
		for i, end := range []chan error{first, third, fourth} {
			if i > 0 {
				<-g.arrived
			}
			g.pass <- nil
			if err := <-end; err != nil {
				t.Error(err)
			}
		}
		stop()
	})
}

// A reader that is gone frees its slot at once, whichever way it goes, and the
// slot serves the next one.
func TestCancelFreesTheSlot(t *testing.T) {
	for _, how := range []string{"context", "yield"} {
		synctest.Test(t, func(t *testing.T) {
			f := newFakeTrunk(t)
			g := gated(f)
			e, stop := start(t, f, Config{MaxRunning: 1})
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			done := make(chan struct{})
			go func() {
				defer close(done)
				for _, err := range e.Complete(ctx, prompt.Request{Text: "go", MaxTokens: 390}) {
					if how == "yield" {
						return
					}
					cancel()
					if err != nil && !errors.Is(err, context.Canceled) {
						t.Errorf("%v, want context.Canceled", err)
					}
				}
			}()
			<-g.arrived
			g.pass <- nil
			<-done
			synctest.Wait()
			if f.held() != 0 || e.Stats().Running != 0 {
				t.Errorf("%s: %d slots held, %+v", how, f.held(), e.Stats())
			}
			r := prompt.Request{Text: "next", MaxTokens: 1}
			tokens, end := run(e, t.Context(), r)
			<-g.arrived
			g.pass <- nil
			want, _ := reference(r, 400)
			if id, err := <-tokens, <-end; id != want[0] || err != nil {
				t.Errorf("%s: then %d, %v; want %v", how, id, err, want)
			}
			stop()
		})
	}
}

// A step that only readers who are gone are in is broken off.
func TestCancelBreaksOffTheStep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeTrunk(t)
		g := gated(f) // no step ever passes
		e, stop := start(t, f, Config{})
		ctx, cancel := context.WithCancel(t.Context())
		_, end := run(e, ctx, prompt.Request{Text: "abc", MaxTokens: 5})
		<-g.arrived
		_, stays := run(e, t.Context(), prompt.Request{Text: "xyz", MaxTokens: 1})
		cancel()
		<-end
		s := <-g.arrived // the next step, without the first sequence
		if len(s.Tokens) != 3 || s.Tokens[0] != 1+'x'%38 {
			t.Errorf("next step %+v", s)
		}
		g.pass <- nil
		if err := <-stays; err != nil {
			t.Error(err)
		}
		stop()
	})
}

// A step goes on for the others when one of its readers leaves.
func TestCancelInTheMiddleOfAStep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeTrunk(t)
		g := gated(f)
		e, stop := start(t, f, Config{})
		ctx, cancel := context.WithCancel(t.Context())
		stay := prompt.Request{Text: "stay", MaxTokens: 4, Sampling: prompt.Sampling{Temperature: 1}}
		_, end := run(e, ctx, prompt.Request{Text: "go", MaxTokens: 9})
		<-g.arrived
		tokens, stays := run(e, t.Context(), stay)
		synctest.Wait()
		g.pass <- nil
		s := <-g.arrived // both are in it
		if !slices.Contains(s.Slots, s.Slots[0]) || s.Rows() != 5 {
			t.Errorf("step %+v, want 1 row of the first and 4 of the second", s)
		}
		cancel()
		<-end
		synctest.Wait()
		g.pass <- nil
		want, _ := reference(stay, 400)
		for i, id := range want {
			if got := <-tokens; got != id {
				t.Fatalf("token %d: %d, want %d", i, got, id)
			}
			if i < len(want)-1 {
				if s := <-g.arrived; s.Rows() != 1 {
					t.Errorf("step %+v, want one row", s)
				}
				g.pass <- nil
			}
		}
		if err := <-stays; err != nil {
			t.Error(err)
		}
		stop()
	})
}

// A reader that does not read delays nobody.
func TestSlowReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, stop := start(t, newFakeTrunk(t), Config{MaxRunning: 2})
		slow := prompt.Request{Text: "slow", MaxTokens: 390}
		hold := make(chan struct{})
		var got []int32
		done := make(chan struct{})
		go func() {
			defer close(done)
			for c, err := range e.Complete(t.Context(), slow) {
				if err != nil {
					t.Error(err)
				}
				if c.HasToken {
					got = append(got, c.Token)
				}
				<-hold
			}
		}()
		for i := range 5 {
			r := prompt.Request{Text: fmt.Sprint("quick", i), MaxTokens: 300}
			ids, finish, err := answer(e, t.Context(), r)
			check(t, "beside a slow reader", r, 400, ids, finish, err)
		}
		synctest.Wait()
		if e.Stats().Running != 0 {
			t.Error("the slow reader's answer is not complete, though it need not wait for its reader")
		}
		close(hold)
		<-done
		if want, _ := reference(slow, 400); !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
		stop()
	})
}

func TestMissingExperts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeTrunk(t)
		g := gated(f)
		// One row of prompts in a step: the second prompt is not in the first step.
		e, stop := start(t, f, Config{PrefillChunk: 1, MaxRunning: 2})
		_, first := run(e, t.Context(), prompt.Request{Text: "abc", MaxTokens: 3})
		<-g.arrived
		r := prompt.Request{Text: "xy", MaxTokens: 2}
		tokens, second := run(e, t.Context(), r)
		synctest.Wait()
		g.pass <- fmt.Errorf("layer 2 expert 5: %w", expert.ErrNoHolder)
		err := <-first
		if !errors.Is(err, prompt.ErrMissingExperts) || !errors.Is(err, expert.ErrNoHolder) || !strings.Contains(err.Error(), "layer 2 expert 5") {
			t.Errorf("got %v, want ErrMissingExperts naming the expert", err)
		}
		want, _ := reference(r, 400)
		for range 1 + len(want) {
			<-g.arrived
			g.pass <- nil
		}
		if err := <-second; err != nil {
			t.Errorf("the sequence that was not in the step: %v", err)
		}
		close(tokens)
		var got []int32
		for id := range tokens {
			got = append(got, id)
		}
		if !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
		stop()
	})
}

// A step that fails once is run again, with the same tokens; one that fails
// again ends its sequences such that they are replayed elsewhere.
func TestFailedStep(t *testing.T) {
	f := newFakeTrunk(t)
	calls := 0
	f.before = func(context.Context, trunk.Step) error {
		if calls++; calls%2 == 1 {
			return expert.ErrUnreachable
		}
		return nil
	}
	e, stop := start(t, f, Config{PrefillChunk: 2})
	r := prompt.Request{Text: "abcdefg", MaxTokens: 20}
	ids, finish, err := answer(e, t.Context(), r)
	check(t, "every step fails once", r, 400, ids, finish, err)
	stop()

	for _, fail := range []error{expert.ErrUnreachable, expert.ErrBadCall, errors.New("something else")} {
		f = newFakeTrunk(t)
		f.before = func(context.Context, trunk.Step) error { return fail }
		e, _ = start(t, f, Config{})
		if _, _, err := answer(e, t.Context(), r); !errors.Is(err, prompt.ErrLost) || !errors.Is(err, fail) {
			t.Errorf("%v: got %v, want ErrLost", fail, err)
		}
	}
}

type oddTrunk struct{ out expert.Batch }

func (o oddTrunk) Hidden() expert.Batch { return expert.Batch{} }

func (o oddTrunk) Forward(context.Context, trunk.Step) (expert.Batch, error) { return o.out, nil }
func (o oddTrunk) Spent() (compute, experts time.Duration)                   { return 0, 0 }

func TestOddLogits(t *testing.T) {
	nan := expert.NewBatch(1, fakeVocab)
	nan.Data[3] = float32(math.NaN())
	for _, out := range []expert.Batch{{}, expert.NewBatch(2, fakeVocab), expert.NewBatch(1, 3), {Rows: 1, Dim: fakeVocab}, nan} {
		e, err := New(Config{NewLane: func() Forwarder { return oddTrunk{out} }, Slots: newFakeTrunk(t), Tokenizer: fakeTokenizer{}, Vocab: fakeVocab, Context: 10})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { e.Run(ctx); close(done) }()
		if _, _, err := answer(e, t.Context(), prompt.Request{Text: "a", MaxTokens: 1}); !errors.Is(err, prompt.ErrLost) {
			t.Errorf("logits (%d, %d): got %v, want ErrLost", out.Rows, out.Dim, err)
		}
		cancel()
		<-done
	}
}

// When Run ends, running and waiting sequences end with ErrLost, also in the
// middle of a step, and later ones are refused so.
func TestRunEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeTrunk(t)
		g := gated(f)
		e, stop := start(t, f, Config{MaxRunning: 1})
		r := prompt.Request{Text: "abc", MaxTokens: 5}
		_, running := run(e, t.Context(), r)
		<-g.arrived
		_, waiting := run(e, t.Context(), r)
		synctest.Wait()
		stop()
		for _, end := range []chan error{running, waiting} {
			if err := <-end; !errors.Is(err, prompt.ErrLost) {
				t.Errorf("got %v, want ErrLost", err)
			}
		}
		if _, _, err := answer(e, t.Context(), r); !errors.Is(err, prompt.ErrLost) {
			t.Errorf("after the end: %v, want ErrLost", err)
		}
	})
}

// Readers come and go at random while the engine stops at a random moment.
func TestNothingIsLeft(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	before := runtime.NumGoroutine()
	for range 30 {
		f := newFakeTrunk(t)
		e, stop := start(t, f, Config{MaxRunning: 3, MaxWaiting: 5, PrefillChunk: 5})
		var wg sync.WaitGroup
		for range 12 {
			r, most := randomRequest(rng), 1+rng.IntN(40)
			ctx, cancel := context.WithCancel(t.Context())
			wg.Go(func() {
				defer cancel()
				n := 0
				for _, err := range e.Complete(ctx, r) {
					if n++; err != nil && !errors.Is(err, prompt.ErrBusy) && !errors.Is(err, prompt.ErrLost) && !errors.Is(err, context.Canceled) {
						t.Error(err)
					}
					if n == most && n%2 == 0 {
						return
					} else if n == most {
						cancel()
					}
				}
			})
		}
		if rng.IntN(2) == 0 {
			stop()
		}
		wg.Wait()
		stop()
	}
	for i := 0; runtime.NumGoroutine() > before; i++ { // AfterFuncs on their way out
		if i > 1e6 {
			t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), before)
		}
		runtime.Gosched()
	}
}
