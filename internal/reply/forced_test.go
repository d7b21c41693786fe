package reply

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/moeswarm/moeswarm/gating/chat"
	"github.com/moeswarm/moeswarm/gating/grammar"
	"github.com/moeswarm/moeswarm/gating/prompt"
)

// speaker says what a grammar allows, drawn at random.
type speaker struct {
	tokens []string // texts; token 0 ends the answer
	marks  map[int32]string
	v      *grammar.Vocabulary
}

// newSpeaker knows all bytes, and the marks of a syntax as control tokens or
// as ordinary ones.
func newSpeaker(s prompt.ToolSyntax, control bool) *speaker {
	p := &speaker{tokens: []string{""}, marks: map[int32]string{}}
	for c := range 256 {
		p.tokens = append(p.tokens, string([]byte{byte(c)}))
	}
	p.tokens = append(p.tokens, "</parameter>", "</function>") // no marks anywhere
	x := syntaxOf(s)
	for _, mark := range append(append([]string{x.open, x.close, thinkClose}, x.further...), harmonyMarks()...) {
		if !Knows(s, mark) {
			continue
		}
		if control {
			p.marks[int32(len(p.tokens))] = mark
			p.tokens = append(p.tokens, "")
		} else {
			p.tokens = append(p.tokens, mark)
		}
	}
	p.v = grammar.NewVocabulary(len(p.tokens), func(id int32) []byte { return []byte(p.tokens[id]) }, func(id int32) string { return p.marks[id] }, func(id int32) bool { return id == 0 })
	return p
}

// say gives an answer, marks included. What closes something is likelier.
func (p *speaker) say(t *testing.T, g *grammar.Grammar, rng *rand.Rand) (text string, ended bool) {
	m := grammar.NewMatcher(g, p.v)
	logits := make([]float32, len(p.tokens))
	for range 600 {
		clear(logits)
		if err := m.Mask(logits); err != nil {
			t.Fatal(err)
		}
		var choice []int32
		for id, x := range logits {
			if math.IsInf(float64(x), -1) {
				continue
			}
			choice = append(choice, int32(id))
			if s := p.tokens[id]; id == 0 || len(s) != 1 || strings.ContainsAny(s, "\"}],<") {
				for range 40 {
					choice = append(choice, int32(id))
				}
			}
		}
		if len(choice) == 0 {
			t.Fatalf("nothing may follow %q", text)
		}
		id := choice[rng.IntN(len(choice))]
		if err := m.Accept(id); err != nil {
			t.Fatal(err)
		}
		if id == 0 {
			return text, true
		}
		text += p.tokens[id] + p.marks[id]
	}
	return text, false
}

// templates have what tells their syntax, and nothing else.
func templates() map[string]prompt.ToolSyntax {
	return map[string]prompt.ToolSyntax{
		"tools <tool_call>":                                 prompt.ToolsHermes,
		"tools <tool_call> <function=":                      prompt.ToolsXML,
		"tools <tool_call> <arg_key>":                       prompt.ToolsGLM,
		"tools [TOOL_CALLS]":                                prompt.ToolsMistral,
		"tools [TOOL_CALLS] [ARGS]":                         prompt.ToolsMistral,
		"tools <|tool_call|>":                               prompt.ToolsGranite,
		"tools <｜tool▁call▁begin｜>":                         prompt.ToolsDeepSeek,
		"tools <｜tool▁call▁begin｜> ```json":                 prompt.ToolsDeepSeek,
		"tools <|channel|> functions. <|start|>assistant 2": prompt.ToolsHarmony,
	}
}

// TestForcedCalls: whatever a model says that is bound to call a tool is read
// as one call of it, with the arguments that its schema asks for; in every
// syntax, whether its marks are control tokens or text, and also where the
// answer begins inside reasoning.
func TestForcedCalls(t *testing.T) {
	tool := json.RawMessage(`{"type":"function","function":{"name":"look_up","parameters":{"type":"object",
		"properties":{"city":{"type":"string"},"unit":{"type":"string","enum":["C","F"]},"days":{"type":"integer","minimum":1,"maximum":9},"where":{"type":"object","properties":{"x":{"type":"number"}},"required":["x"]}},
		"required":["city","days"]}}}`)
	other := json.RawMessage(`{"type":"function","function":{"name":"nothing"}}`)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	for source, syntax := range templates() {
		r, err := chat.New(chat.Config{Source: source})
		if err != nil || r.Tools() != syntax {
			t.Fatalf("%q: %q, %v", source, r.Tools(), err)
		}
		for _, control := range []bool{false, true} {
			for _, thinks := range []bool{false, true} {
				if thinks && syntax == prompt.ToolsHarmony {
					continue // thinks in a channel
				}
				t.Run(fmt.Sprintf("%s/%v/%v", source, control, thinks), func(t *testing.T) {
					g, err := r.ForcedCall(&prompt.Chat{Tools: []json.RawMessage{other, tool}, Force: "look_up"}, thinks)
					if err != nil {
						t.Fatal(err)
					}
					checkForced(t, newSpeaker(syntax, control), g, syntax, tool, thinks, rng)
				})
			}
		}
		if _, err := r.ForcedCall(&prompt.Chat{Tools: []json.RawMessage{tool}, Force: "missing"}, false); err == nil {
			t.Error("a tool that is not there was forced")
		}
		if _, err := r.ForcedCall(&prompt.Chat{Tools: []json.RawMessage{tool, other}, Force: "*"}, false); err != nil {
			t.Errorf("%q: any tool: %v", source, err)
		}
	}
}

func checkForced(t *testing.T, s *speaker, g *grammar.Grammar, syntax prompt.ToolSyntax, tool json.RawMessage, thinks bool, rng *rand.Rand) {
	complete := 0
	for range 20 {
		text, ended := s.say(t, g, rng)
		if !ended {
			continue
		}
		complete++
		p := New(syntax, ToolsOf([]json.RawMessage{tool}), thinks)
		var calls []prompt.ToolCall
		for _, part := range append(p.Add(text), p.End()...) {
			switch {
			case part.Call != "":
				calls = append(calls, prompt.ToolCall{Name: part.Call})
			case part.Arguments != "":
				last := &calls[len(calls)-1]
				last.Arguments = append(last.Arguments, part.Arguments...)
			case strings.TrimSpace(part.Text) != "":
				t.Fatalf("%q says %q beside the call", text, part.Text)
			}
		}
		if len(calls) != 1 || calls[0].Name != "look_up" {
			t.Fatalf("%q is read as %+v", text, calls)
		}
		var a struct {
			City  *string
			Unit  *string
			Days  *int
			Where *struct{ X *float64 }
		}
		if err := json.Unmarshal(calls[0].Arguments, &a); err != nil {
			t.Fatalf("%q: arguments %s: %v", text, calls[0].Arguments, err)
		}
		if a.City == nil || a.Days == nil || *a.Days < 1 || *a.Days > 9 || a.Unit != nil && *a.Unit != "C" && *a.Unit != "F" || a.Where != nil && a.Where.X == nil {
			t.Fatalf("%q: arguments %s", text, calls[0].Arguments)
		}
	}
	if complete < 5 {
		t.Errorf("%d of 20 answers were complete", complete)
	}
}
