package entry

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"sync"
	"testing"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/gating/prompt"
)

var model = expert.ModelID{7}

// truth is the uninterrupted answer to a request: what every honest gate says
// at position i depends on the request alone.
func truth(r prompt.Request, i int) prompt.Chunk {
	return prompt.Chunk{
		PromptTokens: len(r.Text),
		HasToken:     true,
		Token:        int32(len(r.Text)*1000 + i*7),
		Bytes:        fmt.Appendf(nil, "t%d ", i),
	}
}

// act is how a fake gate behaves in one attempt: well until it delivered
// after tokens, then it sends chunk, if any, and fails with err. A nil err
// ends the sequence without a word. An honest one never fails.
type act struct {
	honest bool
	after  int
	chunk  *prompt.Chunk
	err    error
	hang   bool // instead of failing, stay silent until cancelled
}

// gate is a working in-memory gating node. Its acts are used up one by one;
// then it is honest.
type gate struct {
	stopAt int           // position of the end-of-text token; 0: none
	drafts prompt.Drafts // of each chunk

	mu       sync.Mutex
	acts     []act
	seen     []prompt.Request
	finished int // answers given to the end
	stopped  int // attempts ended by the consumer or by ctx
}

func (g *gate) Complete(ctx context.Context, r prompt.Request) iter.Seq2[prompt.Chunk, error] {
	return func(yield func(prompt.Chunk, error) bool) {
		g.mu.Lock()
		a := act{honest: true}
		if len(g.acts) > 0 {
			a, g.acts = g.acts[0], g.acts[1:]
		}
		r.Prefix = slices.Clone(r.Prefix)
		g.seen = append(g.seen, r)
		g.mu.Unlock()
		count := func(n *int) {
			g.mu.Lock()
			defer g.mu.Unlock()
			*n++
		}
		for n := 0; ; n++ {
			if ctx.Err() != nil {
				count(&g.stopped)
				yield(prompt.Chunk{}, ctx.Err())
				return
			}
			if !a.honest && n == a.after {
				switch {
				case a.hang:
					<-ctx.Done()
					count(&g.stopped)
					yield(prompt.Chunk{}, fmt.Errorf("cut off: %w", ctx.Err()))
					return
				case a.chunk != nil && !yield(*a.chunk, nil):
					count(&g.stopped)
					return
				}
				if a.err != nil {
					yield(prompt.Chunk{}, a.err)
				}
				return
			}
			i := len(r.Prefix) + n
			c := truth(r, i)
			c.Drafts = prompt.Drafts{Drafted: (n + 1) * g.drafts.Drafted, Accepted: (n + 1) * g.drafts.Accepted}
			switch {
			case g.stopAt != 0 && i == g.stopAt:
				c.HasToken, c.Token, c.Bytes, c.Finish = false, 0, nil, prompt.FinishStop
			case i == r.MaxTokens-1:
				c.Finish = prompt.FinishLength
			}
			if c.Finish != prompt.FinishNone {
				count(&g.finished)
				yield(c, nil)
				return
			}
			if !yield(c, nil) {
				count(&g.stopped)
				return
			}
		}
	}
}

func (g *gate) requests() []prompt.Request {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.seen)
}

func (g *gate) play(acts ...act) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.acts = acts
}

// fabric is a set of gates by name, some of them known.
type fabric struct {
	mu    sync.Mutex
	gates map[string]*gate
	known []string
}

func newFabric(names ...string) *fabric {
	f := &fabric{gates: map[string]*gate{}, known: names}
	for _, n := range names {
		f.gates[n] = &gate{}
	}
	return f
}

func (f *fabric) list(expert.ModelID) []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.known)
}

func (f *fabric) know(names ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.known = names
}

func (f *fabric) entry(t testing.TB, change func(*Config)) *Entry {
	t.Helper()
	cfg := Config{
		Gates:  f.list,
		Remote: func(peer string) prompt.Completer { return f.gates[peer] },
	}
	if change != nil {
		change(&cfg)
	}
	e, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func ask(maxTokens int) prompt.Request {
	return prompt.Request{Model: model, Text: "What is a swarm?", MaxTokens: maxTokens}
}

// gather ranges to the end.
func gather(seq iter.Seq2[prompt.Chunk, error]) (chunks []prompt.Chunk, err error) {
	for c, e := range seq {
		if e != nil {
			return chunks, e
		}
		chunks = append(chunks, c)
	}
	return chunks, nil
}

// whole fails the test unless the chunks are the uninterrupted answer.
func whole(t *testing.T, r prompt.Request, stopAt int, got []prompt.Chunk) {
	t.Helper()
	want, _ := gather((&gate{stopAt: stopAt}).Complete(t.Context(), r))
	if len(got) != len(want) {
		t.Fatalf("got %d chunks, want %d:\n got %v\nwant %v", len(got), len(want), got, want)
	}
	for i := range want {
		got[i].Gate, got[i].Failovers = "", 0 // where it came from is not what it says
		if fmt.Sprint(got[i]) != fmt.Sprint(want[i]) {
			t.Fatalf("chunk %d is %v, want %v", i, got[i], want[i])
		}
	}
}
