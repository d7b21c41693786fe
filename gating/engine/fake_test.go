package engine

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/gating/prompt"
	"github.com/moeswarm/moeswarm/gating/trunk"
	"github.com/moeswarm/moeswarm/internal/tokenizer"
)

const (
	fakeVocab = 40
	fakeEnd   = 0 // the fake tokenizer's end of text
)

var (
	_ Forwarder = (*trunk.Lane)(nil)
	_ Slots     = (*trunk.Trunk)(nil)
	_ Tokenizer = (*tokenizer.Tokenizer)(nil)
)

// fakeTokenizer: a token for each byte, 1 + byte modulo 38; "\x00" ends text.
type fakeTokenizer struct{}

func (fakeTokenizer) Encode(text string, special bool) ([]int32, error) {
	if text == "bad" {
		return nil, errors.New("bad text")
	}
	ids := make([]int32, len(text))
	for i := range len(text) {
		ids[i] = 1 + int32(text[i])%(fakeVocab-2)
		if text[i] == '~' {
			ids[i] = fakeVocab // beyond the vocabulary
		}
	}
	return ids, nil
}

func (fakeTokenizer) Bytes(id int32) []byte {
	if id == fakeEnd {
		return nil
	}
	return []byte{byte('A' + id)}
}

func (fakeTokenizer) Mark(id int32) string {
	if id == fakeEnd {
		return "<end>"
	}
	return ""
}

func (fakeTokenizer) EndsText(id int32) bool { return id == fakeEnd }

// fakeLogits are those of a model whose next token depends on every token
// before it, and on nothing else.
func fakeLogits(history []int32, out []float32) {
	h := fnv.New64a()
	for _, id := range history {
		h.Write(binary.LittleEndian.AppendUint32(nil, uint32(id)))
	}
	rng := rand.New(rand.NewPCG(h.Sum64(), 1))
	for i := range out {
		out[i] = float32(rng.NormFloat64() * 2)
	}
	out[fakeEnd] -= 2 // answers are long enough to be interesting
}

// fakeTrunk keeps the tokens of each slot as a trunk keeps keys and values,
// and objects to steps that do not continue them.
type fakeTrunk struct {
	t      testing.TB
	before func(ctx context.Context, s trunk.Step) error // may delay or fail a step
	model  func(history []int32, out []float32)

	compute, experts time.Duration // that each step says it took

	mu struct {
		sync.Mutex
		slots  map[int][]int32
		flying map[int]bool // slots of steps under way
		most   int          // steps under way at once, at most
		steps  int          // under way
		log    []trunk.Step
	}
}

func newFakeTrunk(t testing.TB) *fakeTrunk {
	f := &fakeTrunk{t: t, model: fakeLogits}
	f.mu.slots, f.mu.flying = make(map[int][]int32), make(map[int]bool)
	return f
}

func (f *fakeTrunk) Forward(ctx context.Context, s trunk.Step) (expert.Batch, error) {
	f.depart(s)
	var failed error
	if f.before != nil {
		failed = f.before(ctx, s)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mu.log = append(f.mu.log, s)
	f.mu.steps--
	for _, slot := range s.Slots {
		delete(f.mu.flying, slot)
	}
	out := expert.NewBatch(len(s.Logits), fakeVocab)
	touched := make(map[int]int) // slot -> its last row
	next := 0
	for i, id := range s.Tokens {
		slot, pos := s.Slots[i], s.Positions[i]
		held := f.mu.slots[slot]
		if last, ok := touched[slot]; ok && pos != s.Positions[last]+1 {
			f.t.Errorf("slot %d: position %d follows %d", slot, pos, s.Positions[last])
		}
		if pos > len(held) {
			f.t.Errorf("slot %d: position %d, but it holds %d tokens", slot, pos, len(held))
			pos = len(held)
		}
		touched[slot] = i
		f.mu.slots[slot] = append(slices.Clone(held[:pos]), id)
		if next < len(s.Logits) && s.Logits[next] == i {
			f.model(f.mu.slots[slot], out.Row(next))
			next++
		}
	}
	if next != len(s.Logits) {
		f.t.Errorf("rows %v whose logits are wanted are not ascending rows of %d", s.Logits, len(s.Tokens))
	}
	if failed != nil { // after the damage: the step must be fit to run again
		return expert.Batch{}, failed
	}
	return out, nil
}

// depart notes a step that begins.
func (f *fakeTrunk) depart(s trunk.Step) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mu.steps++
	f.mu.most = max(f.mu.most, f.mu.steps)
	for i, slot := range s.Slots {
		if f.mu.flying[slot] && !slices.Contains(s.Slots[:i], slot) {
			f.t.Errorf("slot %d is in two steps at once", slot)
		}
		f.mu.flying[slot] = true
	}
}

func (f *fakeTrunk) Spent() (compute, experts time.Duration) { return f.compute, f.experts }

func (f *fakeTrunk) Release(slot int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.untouchedLocked(slot)
	delete(f.mu.slots, slot)
}

func (f *fakeTrunk) Copy(from, to, n int) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.untouchedLocked(from)
	f.untouchedLocked(to)
	n = min(n, len(f.mu.slots[from]))
	f.mu.slots[to] = slices.Clone(f.mu.slots[from][:n])
	return n
}

// Bytes is a byte for each position, in steps of four.
func (f *fakeTrunk) Bytes(n int) int64 { return int64(n+3) / 4 * 4 }

func (f *fakeTrunk) untouchedLocked(slot int) {
	if f.mu.flying[slot] {
		f.t.Errorf("slot %d is touched while a step has it", slot)
	}
}

// held is the number of slots that hold something.
func (f *fakeTrunk) held() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.mu.slots)
}

func (f *fakeTrunk) steps() []trunk.Step {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.mu.log)
}

// reference computes an answer one token at a time, without an engine. It
// includes the request's prefix.
func reference(r prompt.Request, context int) ([]int32, prompt.Finish) {
	return referenceOf(fakeLogits, r, context)
}

// referenceOf does so with another model.
func referenceOf(model func([]int32, []float32), r prompt.Request, context int) ([]int32, prompt.Finish) {
	ids, _ := fakeTokenizer{}.Encode(r.Text, true)
	n := len(ids)
	ids = append(ids, r.Prefix...)
	var s sampler
	logits := make([]float32, fakeVocab)
	for {
		answer := ids[n:]
		if len(answer) > 0 && answer[len(answer)-1] == fakeEnd {
			return answer, prompt.FinishStop
		}
		if len(answer) >= r.MaxTokens || len(ids) >= context {
			return answer, prompt.FinishLength
		}
		model(ids, logits)
		id, err := drawAt(&s, logits, ids[max(0, len(ids)-recentTokens):], r.Sampling, len(answer))
		if err != nil {
			panic(err)
		}
		ids = append(ids, id)
	}
}

// drawAt draws the token at index index of an answer without penalties on its
// own tokens.
func drawAt(s *sampler, logits []float32, recent []int32, p prompt.Sampling, index int) (int32, error) {
	drawn, err := s.draw(logits, recent, &drawing{sampling: p, drawn: index})
	return drawn.id, err
}

// start runs an engine until the test ends or stop is called; stop checks
// that Run returns nil and that no slot is left in use.
func start(t testing.TB, f *fakeTrunk, cfg Config) (e *Engine, stop func()) {
	t.Helper()
	cfg.NewLane, cfg.Slots = func() Forwarder { return f }, f
	cfg.Tokenizer, cfg.Vocab = fakeTokenizer{}, fakeVocab
	if cfg.Context == 0 {
		cfg.Context = 400
	}
	e, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- e.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
		if n := f.held(); n != 0 {
			t.Errorf("%d slots are still in use", n)
		}
		if s := e.Stats(); s.Running != 0 || s.Waiting != 0 {
			t.Errorf("after Run: %+v", s)
		}
	})
	t.Cleanup(stop)
	return e, stop
}

// answer collects an answer and checks the form of its chunks.
func answer(c prompt.Completer, ctx context.Context, r prompt.Request) (ids []int32, finish prompt.Finish, err error) {
	n := len(r.Text)
	for chunk, err := range c.Complete(ctx, r) {
		switch {
		case err != nil:
			return ids, "", err
		case finish != "":
			return ids, finish, fmt.Errorf("a chunk after the last: %+v", chunk)
		case chunk.PromptTokens != n:
			return ids, finish, fmt.Errorf("prompt of %d tokens, want %d", chunk.PromptTokens, n)
		case chunk.HasToken:
			if string(chunk.Bytes) != string(fakeTokenizer{}.Bytes(chunk.Token)) {
				return ids, finish, fmt.Errorf("token %d with the bytes %q", chunk.Token, chunk.Bytes)
			}
			ids = append(ids, chunk.Token)
		case chunk.Finish == "":
			return ids, finish, fmt.Errorf("empty chunk %+v", chunk)
		}
		finish = chunk.Finish
	}
	if finish == "" {
		return ids, "", errors.New("the answer ended without a reason")
	}
	return ids, finish, nil
}

func randomText(rng *rand.Rand, n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte('a' + rng.IntN(26))
	}
	return string(b)
}

func randomRequest(rng *rand.Rand) prompt.Request {
	r := prompt.Request{Text: randomText(rng, 1+rng.IntN(60)), MaxTokens: 1 + rng.IntN(60)}
	if rng.IntN(3) > 0 {
		r.Sampling = randomSampling(rng, fakeVocab)
	}
	return r
}

func (f *fakeTrunk) Hidden() expert.Batch { return expert.Batch{} }
