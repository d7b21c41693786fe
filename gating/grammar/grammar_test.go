package grammar

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

const end = 0 // the token that ends a text

// vocabulary has a token for each byte and some for several.
func vocabulary() (*Vocabulary, [][]byte) {
	tokens := [][]byte{nil}
	for c := range 256 {
		tokens = append(tokens, []byte{byte(c)})
	}
	for _, s := range []string{`{"`, `":`, `": `, `",`, `", "`, `"}`, `},{`, `[]`, `{}`, "true", "false", "null", "tru", "ab", "abc", "\n  ", "10", "00", "é", "日本", "é\"", `\u00`, "\\n", "-1", `"a"`, `"name"`, `}]`, `]}`} {
		tokens = append(tokens, []byte(s))
	}
	tokens = append(tokens, nil) // a control token
	return NewVocabulary(len(tokens), func(id int32) []byte { return tokens[id] }, func(int32) string { return "" }, func(id int32) bool { return id == end }), tokens
}

// say draws a text that the grammar allows, in at most n tokens; ended tells
// whether it is complete. Tokens that close something are likelier, so that it
// is complete some time.
func say(t testing.TB, g *Grammar, v *Vocabulary, tokens [][]byte, rng *rand.Rand, n int) (text []byte, ended bool) {
	t.Helper()
	m := NewMatcher(g, v)
	logits := make([]float32, len(tokens))
	var said []int32
	for range n {
		clear(logits)
		if err := m.Mask(logits); err != nil {
			t.Fatalf("after %q: %v", text, err)
		}
		var choice []int32
		for id, x := range logits {
			if !math.IsInf(float64(x), -1) {
				choice = append(choice, int32(id))
				if id == end || len(tokens[id]) > 0 && bytes.ContainsRune([]byte(`"}],`), rune(tokens[id][0])) {
					for range 40 {
						choice = append(choice, int32(id))
					}
				}
			}
		}
		if len(choice) == 0 {
			t.Fatalf("nothing may follow %q", text)
		}
		id := choice[rng.IntN(len(choice))]
		if err := m.Accept(id); err != nil {
			t.Fatalf("%q was allowed after %q: %v", tokens[id], text, err)
		}
		said = append(said, id)
		if id == end {
			return text, true
		}
		text = append(text, tokens[id]...)
		if len(said) == 7 { // another matcher that is told what was said stands at the same place
			other := NewMatcher(g, v)
			for _, id := range said {
				if err := other.Accept(id); err != nil {
					t.Fatal(err)
				}
			}
			a, b := make([]float32, len(tokens)), make([]float32, len(tokens))
			if err := errors.Join(m.Mask(a), other.Mask(b)); err != nil || fmt.Sprint(a) != fmt.Sprint(b) {
				t.Fatalf("after %q: %v, other tokens after a replay", text, err)
			}
		}
	}
	return text, false
}

func schemas() []string {
	return []string{
		`{}`, `true`, `{"type":"object"}`, `{"type":"string"}`, `{"type":"integer"}`, `{"type":"number"}`, `{"type":["string","null"]}`,
		`{"type":"object","properties":{"name":{"type":"string"},"age":{"type":"integer","minimum":0,"maximum":150}},"required":["name","age"],"additionalProperties":false}`,
		`{"type":"object","properties":{"a":{"type":"boolean"},"b":{"type":"null"},"c":{"enum":["x","y",3,null,{"k":[1]}]}}}`,
		`{"type":"object","properties":{"a":{"type":"boolean"},"b":{"const":"é<"},"c":{"type":"number"}},"required":["b"]}`,
		`{"type":"array","items":{"type":"integer"},"minItems":2,"maxItems":5}`,
		`{"type":"array","items":{"type":"string","minLength":2,"maxLength":4},"maxItems":3}`,
		`{"type":"array","maxItems":0}`, `{"type":"array","minItems":1}`,
		`{"anyOf":[{"type":"integer"},{"type":"object","properties":{"x":{"$ref":"#"}},"required":["x"]}]}`,
		`{"$defs":{"node":{"type":"object","properties":{"value":{"type":"integer"},"next":{"anyOf":[{"$ref":"#/$defs/node"},{"type":"null"}]}},"required":["value","next"]}},"$ref":"#/$defs/node"}`,
		`{"oneOf":[{"type":"object","properties":{"kind":{"const":"a"},"n":{"type":"integer"}},"required":["kind","n"]},{"type":"object","properties":{"kind":{"const":"b"}},"required":["kind"]}]}`,
		`{"type":"object","additionalProperties":{"type":"integer"}}`,
		`{"type":"object","additionalProperties":false}`,
		`{"type":"integer","minimum":-17,"maximum":203}`, `{"type":"integer","exclusiveMinimum":5}`, `{"type":"integer","maximum":-20}`, `{"type":"integer","minimum":987,"exclusiveMaximum":100001}`,
		`{"type":"string","format":"date-time"}`, `{"type":"string","format":"uuid"}`, `{"type":"string","format":"date"}`, `{"type":"string","format":"time"}`,
		`{"type":"string","enum":["a",1,"b"]}`, `{"allOf":[{"type":"boolean"}]}`, `{"required":["q"]}`,
		`{"type":"object","title":"T","description":"d","properties":{"list":{"type":"array","items":{"type":"object","properties":{"id":{"type":"integer"}},"required":["id"]}}},"required":["list"]}`,
	}
}

// TestWhatIsSaidFits: every text that a grammar allows is JSON and fits its
// schema, as an independent validator judges.
func TestWhatIsSaidFits(t *testing.T) {
	v, tokens := vocabulary()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	for _, schema := range schemas() {
		g, err := Compile([]byte(schema))
		if err != nil {
			t.Errorf("%s: %v", schema, err)
			continue
		}
		judge := validator(t, schema)
		complete := 0
		for range 60 {
			text, ended := say(t, g, v, tokens, rng, 400)
			if !ended {
				continue
			}
			complete++
			value, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
			if err == nil {
				err = judge.Validate(value)
			}
			if err != nil {
				t.Fatalf("%s allowed %q: %v", schema, text, err)
			}
		}
		if complete < 10 {
			t.Errorf("%s: only %d of 60 texts came to an end", schema, complete)
		}
	}
}

func validator(t testing.TB, schema string) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(schema))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource("mem://schema.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("mem://schema.json")
	if err != nil {
		t.Fatalf("%s: %v", schema, err)
	}
	return s
}

// accepts tells whether the grammar allows a text, byte for byte.
func accepts(g *Grammar, v *Vocabulary, text string) bool {
	m := NewMatcher(g, v)
	for i := range len(text) {
		if m.Accept(1+int32(text[i])) != nil {
			return false
		}
	}
	return m.Accept(end) == nil
}

func TestAllowed(t *testing.T) {
	v, _ := vocabulary()
	for _, tc := range []struct {
		schema  string
		yes, no []string
	}{
		{`{}`, []string{`{"a": [1, -2.5e+3, "x\n\u00e9", true, null, {}]}`, "\n[\n  1,\n  2\n]", `"é日😀"`, `0`}, []string{``, `{`, `{"a" 1}`, `01`, `"` + "\xff" + `"`, `"a` + "\n" + `"`, `[1,]`, `"\ud800"`, "   1", `1 `}},
		{`{"type":"object","properties":{"a":{"type":"integer"},"b":{"type":"integer"}},"required":["b"]}`,
			[]string{`{"b":1}`, `{"a":1,"b":2}`, "{\n  \"a\" : 1, \"b\": 2 }"}, []string{`{}`, `{"a":1}`, `{"b":1,"a":2}`, `{"b":1,"c":2}`, `{,"b":1}`}},
		{`{"type":"integer","minimum":-17,"maximum":203}`, []string{"-17", "-9", "0", "7", "99", "100", "203"}, []string{"-18", "204", "007", "-0", "1.0", "-100"}},
		{`{"type":"integer","minimum":95}`, []string{"95", "99", "100", "12345"}, []string{"94", "9", "0"}},
		{`{"type":"string","minLength":2,"maxLength":3}`, []string{`"ab"`, `"日é😀"`, `"\n\n"`}, []string{`"a"`, `"abcd"`}},
		{`{"type":"array","minItems":2,"maxItems":3,"items":{"type":"null"}}`, []string{"[null,null]", "[null, null, null]"}, []string{"[null]", "[]", "[null,null,null,null]"}},
		{`{"enum":["a<",{"x":[1,2]}]}`, []string{`"a<"`, `{"x":[1,2]}`}, []string{`"b"`, `{"x": [1,2]}`}},
		{`{"type":"string","format":"date"}`, []string{`"2024-02-28"`, `"1999-12-10"`}, []string{`"2024-13-01"`, `"2024-02-30"`, `"24-02-01"`}},
	} {
		g, err := Compile([]byte(tc.schema))
		if err != nil {
			t.Errorf("%s: %v", tc.schema, err)
			continue
		}
		for _, s := range tc.yes {
			if !accepts(g, v, s) {
				t.Errorf("%s: %q is not allowed", tc.schema, s)
			}
		}
		for _, s := range tc.no {
			if accepts(g, v, s) {
				t.Errorf("%s: %q is allowed", tc.schema, s)
			}
		}
	}
}

func TestRefused(t *testing.T) {
	for _, tc := range []struct{ schema, want string }{
		{``, "not valid JSON"}, {`7`, "want an object"}, {`false`, "false"},
		{`{"type":"string","pattern":"a+"}`, `"pattern"`},
		{`{"type":"object","properties":{"a":{"type":"number","minimum":3}}}`, "#/properties/a/minimum"},
		{`{"type":"number","multipleOf":2}`, `"multipleOf"`},
		{`{"type":"string","format":"email"}`, "email"},
		{`{"type":"array","uniqueItems":true}`, `"uniqueItems"`},
		{`{"type":"object","patternProperties":{}}`, `"patternProperties"`},
		{`{"not":{}}`, `"not"`}, {`{"if":{}}`, `"if"`},
		{`{"type":"thing"}`, "thing"}, {`{"type":7}`, "type"},
		{`{"$ref":"other.json"}`, "other.json"}, {`{"$ref":"#/$defs/x"}`, "nothing is at"},
		{`{"$defs":{"a":{"$ref":"#/$defs/b"},"b":{"$ref":"#/$defs/a"}},"$ref":"#/$defs/a"}`, "nested"},
		{`{"oneOf":[{"type":"integer"},{"type":"number"}]}`, "oneOf"},
		{`{"oneOf":[{"type":"object"},{"type":"object"}]}`, "oneOf"},
		{`{"allOf":[{"type":"object"},{"type":"object"}]}`, "allOf"},
		{`{"type":"string","anyOf":[{"minLength":3}]}`, "anyOf"},
		{`{"type":"string","minLength":5,"maxLength":4}`, "minLength"},
		{`{"type":"array","minItems":5000}`, "minItems"}, {`{"type":"string","maxLength":1e99}`, "maxLength"},
		{`{"type":"integer","minimum":5,"maximum":4}`, "no integer"}, {`{"type":"integer","minimum":1.5}`, "minimum"},
		{`{"enum":[]}`, "0 values"}, {`{"type":"string","enum":[1]}`, "none of the values"},
		{strings.Repeat(`{"type":"array","items":`, 100) + `{}` + strings.Repeat("}", 100), "nested"},
		{`{"type":"array","maxItems":4096,"items":{"type":"string","maxLength":4096}}` + strings.Repeat(" ", MaxSchema), "bytes"},
	} {
		if _, err := Compile([]byte(tc.schema)); !errors.Is(err, ErrSchema) || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%.100s: %v, want an error with %q", tc.schema, err, tc.want)
		}
	}
}

// TestHostileSchemas: what passes as a schema costs bounded time and memory.
func TestHostileSchemas(t *testing.T) {
	v, tokens := vocabulary()
	logits := make([]float32, len(tokens))
	for _, schema := range []string{
		`{"anyOf":[{"$ref":"#"},{"$ref":"#"},{"type":"null"}]}`,
		`{"$defs":{"a":{"anyOf":[{"$ref":"#/$defs/b"},{"$ref":"#/$defs/b"}]},"b":{"anyOf":[{"$ref":"#/$defs/a"},{"$ref":"#/$defs/a"},{}]}},"$ref":"#/$defs/a"}`,
		`{"anyOf":[` + strings.Repeat(`{"type":"string","maxLength":2000},`, 30) + `{}]}`,
		`{"type":"array","items":{"anyOf":[{},{"type":"array","items":{"$ref":"#"}},{"$ref":"#"}]}}`,
	} {
		g, err := Compile([]byte(schema))
		if err != nil {
			continue
		}
		m := NewMatcher(g, v)
		for _, c := range `[[["aaaaaaaaaaaaaaaaaaaaaaa` {
			clear(logits)
			if m.Mask(logits) != nil || m.Accept(1+c) != nil {
				break
			}
		}
	}
}

func TestFramed(t *testing.T) {
	v, _ := vocabulary()
	g, err := Choice([]Framed{{Before: `<f>{"name":"f","args":`, Schema: []byte(`{"type":"object","properties":{"x":{"type":"integer"}},"required":["x"]}`), After: `}</f>`}, {Before: `<g>`, Schema: []byte(`{}`)}})
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]bool{`<f>{"name":"f","args":{"x":1}}</f>`: true, `<g>[]`: true, `<f>{"name":"f","args":{}}</f>`: false, `{"x":1}`: false} {
		if accepts(g, v, text) != want {
			t.Errorf("%q: allowed: %v", text, !want)
		}
	}
}

// TestTidy: forgetting states changes nothing.
func TestTidy(t *testing.T) {
	v, tokens := vocabulary()
	g, err := Compile([]byte(`{"type":"string","maxLength":4000}`))
	if err != nil {
		t.Fatal(err)
	}
	m := NewMatcher(g, v)
	logits := make([]float32, len(tokens))
	if err := m.Accept(1 + '"'); err != nil {
		t.Fatal(err)
	}
	for i := range 4000 {
		if err := m.Accept(1 + 'a'); err != nil {
			t.Fatalf("character %d: %v", i, err)
		}
	}
	if err := m.Mask(logits); err != nil || math.IsInf(float64(logits[1+'"']), -1) || !math.IsInf(float64(logits[1+'a']), -1) {
		t.Errorf("at the end only a quote may come: %v", err)
	}
	if len(m.states) > maxStates+maxMore {
		t.Errorf("%d states", len(m.states))
	}
}

func FuzzCompile(f *testing.F) {
	for _, s := range schemas() {
		f.Add([]byte(s), uint64(1))
	}
	v, tokens := vocabulary()
	f.Fuzz(func(t *testing.T, schema []byte, seed uint64) {
		g, err := Compile(schema)
		if err != nil {
			if !errors.Is(err, ErrSchema) {
				t.Errorf("%q: %v", schema, err)
			}
			return
		}
		m := NewMatcher(g, v)
		logits := make([]float32, len(tokens))
		rng := rand.New(rand.NewPCG(seed, 1))
		var text []byte
		for range 60 {
			clear(logits)
			if m.Mask(logits) != nil {
				return // too ambiguous
			}
			var choice []int32
			for id, x := range logits {
				if !math.IsInf(float64(x), -1) {
					choice = append(choice, int32(id))
				}
			}
			if len(choice) == 0 {
				t.Fatalf("%q: nothing may follow %q", schema, text)
			}
			id := choice[rng.IntN(len(choice))]
			if err := m.Accept(id); err != nil {
				t.Fatalf("%q: %q was allowed: %v", schema, tokens[id], err)
			}
			if id == end {
				if !json.Valid(text) {
					t.Fatalf("%q allowed %q", schema, text)
				}
				return
			}
			text = append(text, tokens[id]...)
		}
	})
}

// BenchmarkMask is the first mask of a place inside a string, over as many
// tokens as Qwen's vocabulary has.
func BenchmarkMask(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 2))
	tokens := make([][]byte, 151936)
	for i := range tokens {
		n := 1 + rng.IntN(9)
		for range n {
			tokens[i] = append(tokens[i], byte(' '+rng.IntN(95)))
		}
	}
	v := NewVocabulary(len(tokens), func(id int32) []byte { return tokens[id] }, func(int32) string { return "" }, func(id int32) bool { return id == 0 })
	g, err := Compile([]byte(`{"type":"object","properties":{"a":{"type":"string"}}}`))
	if err != nil {
		b.Fatal(err)
	}
	logits := make([]float32, len(tokens))
	for b.Loop() {
		m := NewMatcher(g, v)
		for _, c := range []byte(`{"a": "`) {
			m.now = m.step(m.now, c)
		}
		if err := m.Mask(logits); err != nil {
			b.Fatal(err)
		}
	}
}
