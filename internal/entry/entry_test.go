package entry

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/gating/prompt"
)

func TestGateDiesAfterAnyToken(t *testing.T) {
	const n = 9
	for k := range n {
		for _, stopAt := range []int{0, n - 2} {
			for name, err := range map[string]error{
				"lost":    fmt.Errorf("connection reset: %w", prompt.ErrLost),
				"silent":  nil,
				"unnamed": errors.New("boom"),
				"busy":    prompt.ErrBusy,
				"unknown": prompt.ErrUnknownModel,
				"missing": prompt.ErrMissingExperts,
			} {
				if stopAt != 0 && k > stopAt {
					continue
				}
				t.Run(fmt.Sprintf("%s/%d/stop %d", name, k, stopAt), func(t *testing.T) {
					f := newFabric("a", "b")
					f.gates["a"].stopAt, f.gates["b"].stopAt = stopAt, stopAt
					f.gates["a"].play(act{after: k, err: err})
					e := f.entry(t, nil)
					got, fail := gather(e.Complete(t.Context(), ask(n)))
					if fail != nil {
						t.Fatal(fail)
					}
					whole(t, ask(n), stopAt, got)
					if seen := f.gates["b"].requests(); len(seen) != 1 || len(seen[0].Prefix) != k {
						t.Fatalf("the second gate saw %v, want one request with %d tokens of prefix", seen, k)
					}
					tokens := uint64(n)
					if stopAt != 0 {
						tokens = uint64(stopAt)
					}
					want := Stats{Answers: 1, Tokens: tokens}
					if name == "lost" || name == "silent" || name == "unnamed" || name == "unknown" {
						want.Failovers = 1
					}
					if s := e.Stats(); s != want {
						t.Errorf("stats %+v, want %+v", s, want)
					}
				})
			}
		}
	}
}

// A gate that dies between the last token and its end mark loses nothing.
func TestLastTokenEndsTheAnswer(t *testing.T) {
	f := newFabric("a")
	last := truth(ask(3), 2)
	f.gates["a"].play(act{after: 2, chunk: &last, err: prompt.ErrLost})
	got, err := gather(f.entry(t, nil).Complete(t.Context(), ask(3)))
	if err != nil {
		t.Fatal(err)
	}
	whole(t, ask(3), 0, got)
}

func TestMisbehaviourCountsAsLost(t *testing.T) {
	good := truth(ask(9), 2)
	for name, alter := range map[string]func(*prompt.Chunk){
		"negative prompt tokens": func(c *prompt.Chunk) { c.PromptTokens = -1 },
		"huge prompt tokens":     func(c *prompt.Chunk) { c.PromptTokens = 1 << 40 },
		"other prompt tokens":    func(c *prompt.Chunk) { c.PromptTokens++ },
		"unknown finish":         func(c *prompt.Chunk) { c.Finish = "because" },
		"empty chunk":            func(c *prompt.Chunk) { *c = prompt.Chunk{PromptTokens: c.PromptTokens} },
		"text without token":     func(c *prompt.Chunk) { c.HasToken, c.Finish = false, prompt.FinishStop },
		"negative token":         func(c *prompt.Chunk) { c.Token = -1 },
		"huge token":             func(c *prompt.Chunk) { c.Bytes = make([]byte, maxTokenBytes+1) },
	} {
		t.Run(name, func(t *testing.T) {
			f := newFabric("a", "b")
			bad := good
			alter(&bad)
			f.gates["a"].play(act{after: 2, chunk: &bad, err: errors.New("read past the bad chunk")})
			e := f.entry(t, nil)
			got, err := gather(e.Complete(t.Context(), ask(9)))
			if err != nil {
				t.Fatal(err)
			}
			whole(t, ask(9), 0, got)
			if f.gates["a"].stopped != 1 {
				t.Error("the bad gate was read on")
			}
			if e.Stats().Failovers != 1 {
				t.Errorf("stats %+v, want one failover", e.Stats())
			}
		})
	}
}

// Two gates that count the prompt differently must not show in one answer.
func TestPromptTokensStayTheSame(t *testing.T) {
	f := newFabric("a", "b")
	liar := truth(ask(4), 0)
	liar.PromptTokens++
	f.gates["a"].play(act{chunk: &liar, err: prompt.ErrLost})
	got, err := gather(f.entry(t, nil).Complete(t.Context(), ask(4)))
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range got {
		if c.PromptTokens != liar.PromptTokens {
			t.Errorf("chunk %d counts %d prompt tokens, the first one %d", i, c.PromptTokens, liar.PromptTokens)
		}
	}
}

func TestBadRequestIsFinal(t *testing.T) {
	f := newFabric("a", "b")
	f.gates["a"].play(act{err: fmt.Errorf("%w: prompt too long", prompt.ErrBadRequest)})
	_, err := gather(f.entry(t, nil).Complete(t.Context(), ask(3)))
	if !errors.Is(err, prompt.ErrBadRequest) || len(f.gates["b"].requests()) != 0 {
		t.Fatalf("err %v, second gate asked %d times", err, len(f.gates["b"].requests()))
	}
}

// Once a gate took the request, a complaint about it says more of the node
// that complains.
func TestBadRequestMidAnswerIsNotFinal(t *testing.T) {
	f := newFabric("a", "b", "c")
	f.gates["a"].play(act{after: 2, err: prompt.ErrLost})
	f.gates["b"].play(act{err: prompt.ErrBadRequest})
	got, err := gather(f.entry(t, nil).Complete(t.Context(), ask(5)))
	if err != nil {
		t.Fatal(err)
	}
	whole(t, ask(5), 0, got)
}

func TestRequestWithoutRoom(t *testing.T) {
	f := newFabric("a")
	e := f.entry(t, nil)
	for _, r := range []prompt.Request{ask(0), ask(-1), {Model: model, MaxTokens: 2, Prefix: []int32{1, 2}}} {
		if _, err := gather(e.Complete(t.Context(), r)); !errors.Is(err, prompt.ErrBadRequest) {
			t.Errorf("MaxTokens %d, prefix %v: err %v", r.MaxTokens, r.Prefix, err)
		}
	}
	if e.Stats().Errors != 3 || len(f.gates["a"].requests()) != 0 {
		t.Errorf("stats %+v, gate asked %d times", e.Stats(), len(f.gates["a"].requests()))
	}
}

// The caller's own prefix is kept, and counts against MaxTokens.
func TestCallersPrefix(t *testing.T) {
	f := newFabric("a", "b")
	f.gates["a"].play(act{after: 2, err: prompt.ErrLost})
	r := ask(6)
	r.Prefix = []int32{truth(r, 0).Token, truth(r, 1).Token}
	got, err := gather(f.entry(t, nil).Complete(t.Context(), r))
	if err != nil {
		t.Fatal(err)
	}
	whole(t, r, 0, got)
	if p := f.gates["b"].requests()[0].Prefix; len(p) != 4 || p[0] != r.Prefix[0] || p[3] != truth(r, 3).Token {
		t.Errorf("the second gate got prefix %v", p)
	}
	if len(r.Prefix) != 2 {
		t.Errorf("the caller's prefix grew to %v", r.Prefix)
	}
}

func TestLocalComesFirst(t *testing.T) {
	other := expert.ModelID{8}
	for _, tc := range []struct {
		name                      string
		model                     expert.ModelID
		acts                      []act
		localAsked, peerAsked     int
		failovers, peerPrefixSize int
	}{
		{name: "serves", model: model, localAsked: 1},
		{name: "other model", model: other, peerAsked: 1},
		{name: "busy", model: model, acts: []act{{err: prompt.ErrBusy}}, localAsked: 1, peerAsked: 1},
		{name: "leaving", model: model, acts: []act{{after: 2, err: prompt.ErrLost}}, localAsked: 1, peerAsked: 1, failovers: 1, peerPrefixSize: 2},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := newFabric("a")
			local := &gate{acts: tc.acts}
			e := f.entry(t, func(c *Config) {
				c.Local = local
				c.LocalModels = func(m expert.ModelID) bool { return m == model }
			})
			r := ask(5)
			r.Model = tc.model
			got, err := gather(e.Complete(t.Context(), r))
			if err != nil {
				t.Fatal(err)
			}
			whole(t, r, 0, got)
			peer := f.gates["a"].requests()
			if len(local.requests()) != tc.localAsked || len(peer) != tc.peerAsked {
				t.Errorf("asked this node %d and the peer %d times", len(local.requests()), len(peer))
			}
			if len(peer) > 0 && len(peer[0].Prefix) != tc.peerPrefixSize {
				t.Errorf("the peer got %d tokens of prefix", len(peer[0].Prefix))
			}
			if e.Stats().Failovers != uint64(tc.failovers) {
				t.Errorf("stats %+v", e.Stats())
			}
		})
	}
}

func TestConsumerBreaks(t *testing.T) {
	for k := 1; k <= 4; k++ {
		f := newFabric("a", "b")
		e := f.entry(t, nil)
		n := 0
		for _, err := range e.Complete(t.Context(), ask(4)) {
			if err != nil {
				t.Fatal(err)
			}
			if n++; n == k {
				break
			}
		}
		if k < 4 && f.gates["a"].stopped != 1 {
			t.Errorf("break after %d: the gate worked on", k)
		}
		if len(f.gates["b"].requests()) != 0 {
			t.Errorf("break after %d: another gate was asked", k)
		}
		want := Stats{Tokens: uint64(k)}
		if k == 4 {
			want.Answers = 1
		}
		if s := e.Stats(); s != want {
			t.Errorf("break after %d: stats %+v, want %+v", k, s, want)
		}
	}
}

func TestConsumerCancels(t *testing.T) {
	f := newFabric("a", "b")
	f.gates["a"].play(act{after: 2, hang: true})
	e := f.entry(t, nil)
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	leaving := errors.New("leaving")
	n := 0
	var last error
	for _, err := range e.Complete(ctx, ask(4)) {
		last = err
		if n++; n == 2 {
			cancel(leaving)
		}
	}
	if !errors.Is(last, leaving) || n != 3 {
		t.Fatalf("after %d steps: %v", n, last)
	}
	if f.gates["a"].stopped != 1 || len(f.gates["b"].requests()) != 0 {
		t.Error("the work went on")
	}
	if s := e.Stats(); s.Errors != 0 || s.Failovers != 0 {
		t.Errorf("stats %+v: a user who leaves is no error", s)
	}
}

func TestMaxFailovers(t *testing.T) {
	f := newFabric("a")
	var acts []act
	for range 50 {
		acts = append(acts, act{after: 1, err: prompt.ErrLost})
	}
	f.gates["a"].play(acts...)
	e := f.entry(t, func(c *Config) { c.Policy.MaxFailovers = 3; c.Policy.Delay = 1 })
	got, err := gather(e.Complete(t.Context(), ask(50)))
	if !errors.Is(err, prompt.ErrLost) || len(got) != 4 {
		t.Fatalf("%d tokens, then %v; want 4 tokens of one attempt and three failovers", len(got), err)
	}
}

func TestManyAnswersAtOnce(t *testing.T) {
	f := newFabric("a", "b", "c")
	var acts []act
	for i := range 60 {
		acts = append(acts, act{after: i % 7, err: prompt.ErrLost})
	}
	f.gates["a"].play(acts[:30]...)
	f.gates["b"].play(acts[30:]...)
	e := f.entry(t, func(c *Config) { c.Policy.Delay = 1 })
	var wg sync.WaitGroup
	for i := range 40 {
		wg.Go(func() {
			r := ask(10 + i)
			got, err := gather(e.Complete(t.Context(), r))
			if err != nil {
				t.Error(err)
				return
			}
			whole(t, r, 0, got)
		})
	}
	wg.Wait()
	if s := e.Stats(); s.Answers != 40 || s.Errors != 0 {
		t.Errorf("stats %+v", s)
	}
}

func TestConfig(t *testing.T) {
	remote := func(string) prompt.Completer { return &gate{} }
	gates := func(expert.ModelID) []string { return nil }
	for _, tc := range []struct {
		cfg  Config
		want string
	}{
		{Config{}, "no prompt could be completed"},
		{Config{Local: &gate{}}, "LocalModels is not"},
		{Config{Gates: gates}, "Remote is not"},
		{Config{Gates: gates, Remote: remote, Policy: Policy{BusyWait: -1}}, "BusyWait"},
		{Config{Gates: gates, Remote: remote, Policy: Policy{MaxFailovers: -1}}, "MaxFailovers"},
		{Config{Gates: gates, Remote: remote}, ""},
	} {
		e, err := New(tc.cfg)
		switch {
		case tc.want == "" && err != nil:
			t.Error(err)
		case tc.want == "" && (e.cfg.Policy.GateWait == 0 || e.cfg.Policy.MaxFailovers == 0):
			t.Errorf("defaults missing: %+v", e.cfg.Policy)
		case tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)):
			t.Errorf("err %v, want one with %q", err, tc.want)
		}
	}
}

func TestFailuresAreBounded(t *testing.T) {
	f := failures{keep: 1 << 40}
	for i := range 3 * maxFailures {
		f.note(failureKey{peer: fmt.Sprint(i)})
		if len(f.mu.byKey) > maxFailures {
			t.Fatalf("%d failures remembered", len(f.mu.byKey))
		}
	}
	if f.last(failureKey{peer: fmt.Sprint(3*maxFailures - 1)}) == 0 {
		t.Error("the latest failure is forgotten")
	}
}
