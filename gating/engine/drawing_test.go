package engine

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/moeswarm/moeswarm/gating/prompt"
)

func TestScore(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for range 300 {
		logits := make([]float32, 1+rng.IntN(50))
		for i := range logits {
			logits[i] = float32(rng.IntN(40)-20) / 2
		}
		n := rng.IntN(8)
		var s sampler
		got := s.score(logits, n)
		sum := 0.0
		for _, x := range logits {
			sum += math.Exp(float64(x))
		}
		for id, x := range logits {
			if want := float64(x) - math.Log(sum); math.Abs(float64(got.logprobs[id])-want) > 1e-5 {
				t.Fatalf("token %d of %v: %v, want %v", id, logits, got.logprobs[id], want)
			}
		}
		ids := make([]int32, len(logits))
		for i := range ids {
			ids[i] = int32(i)
		}
		slices.SortStableFunc(ids, func(a, b int32) int {
			return byQuality(candidate{logits[a], a}, candidate{logits[b], b})
		})
		if len(got.top) != min(n, len(logits)) {
			t.Fatalf("%d alternatives of %d, want %d", len(got.top), len(logits), n)
		}
		for i, c := range got.top {
			if c.Token != ids[i] {
				t.Fatalf("%v: alternative %d is %d, want %d", logits, i, c.Token, ids[i])
			}
		}
	}
}

func TestAdjust(t *testing.T) {
	d := &drawing{
		sampling: prompt.Sampling{FrequencyPenalty: 0.5, PresencePenalty: 1, Bias: []prompt.Bias{{Token: 2, Add: 3}}},
		counts:   map[int32]int{},
	}
	for _, id := range []int32{1, 1, 0} {
		if err := d.accept(id); err != nil {
			t.Fatal(err)
		}
	}
	logits := []float32{10, 10, 10, 10}
	d.adjust(logits)
	if want := []float32{8.5, 8, 13, 10}; !slices.Equal(logits, want) {
		t.Errorf("got %v, want %v", logits, want)
	}
}

// letters is a schema whose texts the fake tokenizer can say: it has a token
// for each byte from 'B' to 'h'.
const letters = `{"type":"array"}`

// TestReplayOfWhatIsConstrained: an answer under penalties, biases and a
// grammar that is cut anywhere and replayed goes on with the same tokens.
func TestReplayOfWhatIsConstrained(t *testing.T) {
	e, _ := start(t, newFakeTrunk(t), Config{Context: 300})
	for name, change := range map[string]func(r *prompt.Request){
		"penalties": func(r *prompt.Request) { r.Sampling.FrequencyPenalty, r.Sampling.PresencePenalty = 1.5, -0.5 },
		"bias": func(r *prompt.Request) {
			r.Sampling.Bias = []prompt.Bias{{Token: 5, Add: 4}, {Token: fakeEnd, Add: -100}}
		},
		"schema":   func(r *prompt.Request) { r.Schema = json.RawMessage(letters) },
		"logprobs": func(r *prompt.Request) { r.Logprobs, r.Alternatives = true, 3 },
	} {
		for _, temperature := range []float32{0, 1.5} {
			r := prompt.Request{Text: "Tell me.", MaxTokens: 40, Sampling: prompt.Sampling{Temperature: temperature, Seed: 9}}
			change(&r)
			whole, err := tokensOf(t, e, r)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			for _, cut := range []int{1, len(whole) / 2, len(whole) - 1} {
				if cut < 1 || cut >= len(whole) {
					continue
				}
				again := r
				again.Prefix = whole[:cut]
				rest, err := tokensOf(t, e, again)
				if err != nil || !slices.Equal(rest, whole[cut:]) {
					t.Errorf("%s at %v, cut after %d: %v, %v, want %v", name, temperature, cut, rest, err, whole[cut:])
				}
			}
		}
	}
}

// tokensOf is the tokens of an answer. Log-probabilities, if asked for, must
// be there.
func tokensOf(t *testing.T, e *Engine, r prompt.Request) (ids []int32, err error) {
	t.Helper()
	for c, err := range e.Complete(t.Context(), r) {
		if err != nil {
			return ids, err
		}
		if c.HasToken {
			ids = append(ids, c.Token)
			if r.Logprobs && (c.Logprob >= 0 || len(c.Top) != r.Alternatives || c.Top[0].Logprob < c.Logprob || len(c.Top[0].Bytes) == 0) {
				t.Errorf("log-probability %v, %v", c.Logprob, c.Top)
			}
		}
	}
	return ids, nil
}

func TestConstraintsThatCannotBe(t *testing.T) {
	e, _ := start(t, newFakeTrunk(t), Config{Context: 300})
	for _, tc := range []struct {
		r    prompt.Request
		want string
	}{
		{prompt.Request{Schema: json.RawMessage(`{"pattern":"a"}`)}, "pattern"},
		{prompt.Request{Schema: json.RawMessage(letters), Prefix: []int32{2}}, "given before"},
		{prompt.Request{Sampling: prompt.Sampling{Bias: []prompt.Bias{{Token: fakeVocab, Add: 1}}}}, "bias for token 40"},
		{prompt.Request{Sampling: prompt.Sampling{Bias: []prompt.Bias{{Token: 1, Add: float32(math.NaN())}}}}, "bias"},
		{prompt.Request{Sampling: prompt.Sampling{PresencePenalty: float32(math.Inf(1))}}, "presence"},
	} {
		tc.r.Text, tc.r.MaxTokens = "Tell me.", 10
		if _, err := tokensOf(t, e, tc.r); !errors.Is(err, prompt.ErrBadRequest) || !strings.Contains(fmt.Sprint(err), tc.want) {
			t.Errorf("%+v: %v, want a bad request with %q", tc.r, err, tc.want)
		}
	}
}
