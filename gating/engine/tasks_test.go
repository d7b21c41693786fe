package engine_test

import (
	"encoding/json"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/gating/engine"
	"github.com/moeswarm/moeswarm/gating/prompt"
)

// embedding is a text's.
func embedding(t *testing.T, e *engine.Engine, id expert.ModelID, text string) (v []float32, tokens int) {
	t.Helper()
	for c, err := range e.Complete(t.Context(), prompt.Request{Model: id, Task: prompt.TaskEmbed, Text: text, MaxTokens: 1}) {
		if err != nil {
			t.Fatal(err)
		}
		if c.Finish != "" {
			v, tokens = c.Embedding, c.PromptTokens
		}
	}
	return v, tokens
}

// TestEmbedding: the mean does not depend on how the text was cut, nor on what
// was kept of other prompts, and texts alike have vectors alike.
func TestEmbedding(t *testing.T) {
	whole, id := demoEngine(t, engine.Config{})
	cut, _ := demoEngine(t, engine.Config{PrefillChunk: 3, MaxRunning: 2})
	text := "// Package strings implements simple functions to manipulate UTF-8 encoded strings.\n" + strings.Repeat("func a() {}\n", 20)
	collect(t, whole, prompt.Request{Model: id, Text: text, MaxTokens: 3}) // is kept
	a, n := embedding(t, whole, id, text)
	b, m := embedding(t, cut, id, text)
	if len(a) == 0 || !slices.Equal(a, b) || n != m || n < 10 {
		t.Errorf("%d and %d numbers, of %d and %d tokens, or other numbers", len(a), len(b), n, m)
	}
	near, _ := embedding(t, whole, id, strings.ReplaceAll(text, "strings", "bytes"))
	far, _ := embedding(t, whole, id, "0x1f, 0x8b, 0x08, 0x00, 0x00")
	if cosine(a, near) < cosine(a, far) {
		t.Errorf("the cosine to a text alike is %v, to another %v", cosine(a, near), cosine(a, far))
	}
}

func cosine(a, b []float32) float64 {
	var ab, aa, bb float64
	for i := range a {
		ab += float64(a[i]) * float64(b[i])
		aa += float64(a[i]) * float64(a[i])
		bb += float64(b[i]) * float64(b[i])
	}
	return ab / math.Sqrt(aa*bb)
}

func TestTokenTasks(t *testing.T) {
	e, id := demoEngine(t, engine.Config{})
	const text = "func main() {\n\tfmt.Println(\"héllo\")\n}"
	ids := collect(t, e, prompt.Request{Model: id, Task: prompt.TaskTokenize, Text: text, Plain: true, MaxTokens: 1})
	var back []byte
	for c, err := range e.Complete(t.Context(), prompt.Request{Model: id, Task: prompt.TaskDetokenize, Tokens: ids, MaxTokens: 1}) {
		if err != nil {
			t.Fatal(err)
		}
		back = append(back, c.Bytes...)
	}
	if string(back) != text || len(ids) < 5 {
		t.Errorf("%q became %v, and that %q", text, ids, back)
	}
	rest := collect(t, e, prompt.Request{Model: id, Task: prompt.TaskTokenize, Text: text, Plain: true, Prefix: ids[:4], MaxTokens: 1})
	if !slices.Equal(rest, ids[4:]) {
		t.Errorf("moved after 4 tokens: %v, want %v", rest, ids[4:])
	}
	for _, err := range e.Complete(t.Context(), prompt.Request{Model: id, Task: prompt.TaskDetokenize, Tokens: []int32{-1}, MaxTokens: 1}) {
		if !errors.Is(err, prompt.ErrBadRequest) {
			t.Errorf("token -1: %v", err)
		}
	}
}

// TestDemoSaysJSON: a model that has learnt nothing of JSON says it, with the
// tokens of a real vocabulary, and a replay goes on alike.
func TestDemoSaysJSON(t *testing.T) {
	e, id := demoEngine(t, engine.Config{})
	schema := json.RawMessage(`{"type":"object","properties":{"name":{"type":"string","maxLength":12},"tags":{"type":"array","items":{"enum":["a","b"]},"maxItems":3},"n":{"type":"integer","minimum":0,"maximum":99}},"required":["name","tags","n"]}`)
	for _, temperature := range []float32{0, 1} {
		r := prompt.Request{Model: id, Text: "func main() {", MaxTokens: 200, Schema: schema, Sampling: prompt.Sampling{Temperature: temperature, Seed: 5}}
		var text []byte
		var ids []int32
		finish := prompt.FinishNone
		for c, err := range e.Complete(t.Context(), r) {
			if err != nil {
				t.Fatal(err)
			}
			if c.HasToken {
				ids = append(ids, c.Token)
			}
			text = append(text, c.Bytes...)
			finish = c.Finish
		}
		var v struct {
			Name string
			Tags []string
			N    *int
		}
		if err := json.Unmarshal(text, &v); err != nil || finish != prompt.FinishStop || v.N == nil || *v.N > 99 || len([]rune(v.Name)) > 12 || len(v.Tags) > 3 {
			t.Errorf("at %v: %q, %v, %v", temperature, text, finish, err)
		}
		r.Prefix = ids[:len(ids)/2]
		if rest := collect(t, e, r); !slices.Equal(rest, ids[len(ids)/2:]) {
			t.Errorf("at %v, moved in the middle: %v, want %v", temperature, rest, ids[len(ids)/2:])
		}
	}
}
