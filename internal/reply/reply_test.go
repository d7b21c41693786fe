package reply

import (
	"encoding/json"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/moeswarm/moeswarm/gating/prompt"
)

func tools() Tools {
	return ToolsOf([]json.RawMessage{json.RawMessage(`{"function":{"name":"f","parameters":{"properties":{"city":{"type":"string"},"n":{"type":"integer"}}}}}`)})
}

// summary joins parts of a kind, so that the way of cutting does not matter.
func summary(parts []Part) string {
	var b strings.Builder
	last := ""
	for _, p := range parts {
		kind, s := "text", p.Text
		if p.Reasoning != "" {
			kind, s = "thought", p.Reasoning
		} else if p.Call != "" {
			kind, s = "call", p.Call
		} else if p.Arguments != "" {
			kind, s = last, p.Arguments
		} else if p.Done {
			kind, s = last, "."
		}
		if kind != last || p.Call != "" {
			b.WriteString("|" + kind + ":")
		}
		b.WriteString(s)
		last = kind
	}
	return b.String()
}

func TestParser(t *testing.T) {
	for _, tc := range []struct {
		syntax prompt.ToolSyntax
		thinks bool
		text   string
		want   string
	}{
		{"", false, "Hello <tool_call> x", "|text:Hello <tool_call> x"},
		{"", false, "<think>\nhm\n</think>\n\nHi", "|thought:hm|text:Hi"},
		{"", false, "<thin", "|text:<thin"},
		{"", true, "hm\n</think>\n\nHi", "|thought:hm|text:Hi"},
		{"", true, "hm", "|thought:hm"},
		{"", false, "say <think> now", "|text:say <think> now"},
		{prompt.ToolsHermes, false, "Let me see.\n<tool_call>\n{\"name\": \"f\", \"arguments\": {\"city\": \"Rome\"}}\n</tool_call>", `|text:Let me see.|call:f{"city": "Rome"}.`},
		{prompt.ToolsHermes, false, "<think>\nx\n</think>\n\n<tool_call>{\"name\":\"f\",\"arguments\":{}}</tool_call>\n<tool_call>{\"name\":\"f\",\"arguments\":{\"n\":1}}</tool_call>", `|thought:x|call:f{}.|call:f{"n":1}.`},
		{prompt.ToolsHermes, false, "<tool_call>{\"name\":\"f\",\"arguments\":{\"n\":1}}", `|call:f{"n":1}.`},
		{prompt.ToolsHermes, false, "<tool_call>nonsense</tool_call> x", "|text:<tool_call>nonsense</tool_call> x"},
		{prompt.ToolsHermes, false, "a <tool", "|text:a <tool"},
		{prompt.ToolsHermes, false, "one\n\ntwo\n", "|text:one\n\ntwo\n"},
		{prompt.ToolsMistral, false, `[TOOL_CALLS] [{"name": "f", "arguments": {"n": 2}}, {"name": "f", "arguments": {}}]`, `|call:f{"n": 2}.|call:f{}.`},
		{prompt.ToolsMistral, false, `[TOOL_CALLS]f[ARGS]{"n": 2}[TOOL_CALLS]f[CALL_ID]abc[ARGS]{}`, `|call:f{"n": 2}.|call:f{}.`},
		{prompt.ToolsGranite, false, `<|tool_call|>[{"name": "f", "arguments": {"n": 2}}]`, `|call:f{"n": 2}.`},
		{prompt.ToolsDeepSeek, false, "Ok<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>f<｜tool▁sep｜>{\"n\": 1}<｜tool▁call▁end｜><｜tool▁call▁begin｜>f<｜tool▁sep｜>{}<｜tool▁call▁end｜><｜tool▁calls▁end｜>", `|text:Ok|call:f{"n": 1}.|call:f{}.`},
		{prompt.ToolsDeepSeek, false, "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>f\n```json\n{\"n\": 1}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>", `|call:f{"n": 1}.`},
		{prompt.ToolsGLM, false, "<tool_call>f\n<arg_key>city</arg_key>\n<arg_value>12</arg_value>\n<arg_key>n</arg_key>\n<arg_value>12</arg_value>\n</tool_call>", `|call:f{"city":"12","n":12}.`},
		{prompt.ToolsGLM, false, "<tool_call>f\n</tool_call>", `|call:f{}.`},
		{prompt.ToolsXML, false, "<tool_call>\n<function=f>\n<parameter=city>\nNew\nYork\n</parameter>\n<parameter=n>\n3\n</parameter>\n</function>\n</tool_call>", `|call:f{"city":"New\nYork","n":3}.`},
		{prompt.ToolsHarmony, false, "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>final<|message|>Hello<|return|>", "|thought:Hm.|text:Hello"},
		{prompt.ToolsHarmony, false, "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>commentary to=functions.f <|constrain|>json<|message|>{\"n\":1}<|call|>", `|thought:Hm.|call:f{"n":1}.`},
		{prompt.ToolsHarmony, false, " to=functions.f<|channel|>commentary json<|message|>{\"n\":1}", `|call:f{"n":1}.`},
		{prompt.ToolsHermes, false, "<tool_call>{\"name\":\"f\",\"arguments\":{\"city\":\"a</tool_call>}b\"}}</tool_call>ok", `|call:f{"city":"a</tool_call>}b"}.|text:ok`},
		{prompt.ToolsHermes, false, "<tool_call>{\"name\":\"f\",\"arguments\":{\"city\":\"Ro", `|call:f{"city":"Ro.`},
		{prompt.ToolsHermes, false, "<tool_call>[{\"name\":\"f\",\"arguments\":{}, \"x\":1}, {\"name\":\"f\",\"arguments\":{\"n\":1}}]</tool_call>", `|call:f{}.|call:f{"n":1}.`},
		{prompt.ToolsHermes, false, "<tool_call>{\"arguments\":{\"n\":1},\"name\":\"f\"}</tool_call>", `|call:f{"n":1}.`},
		{prompt.ToolsHermes, false, "<tool_call>{\"name\":\"f\",\"arguments\":\"{\\\"n\\\":1}\"}</tool_call>", `|call:f{"n":1}.`},
		{prompt.ToolsMistral, false, `[TOOL_CALLS]f[ARGS]{"n": 2} and more`, `|call:f{"n": 2}.|text: and more`},
		{prompt.ToolsGLM, false, "<tool_call>f\n<arg_key>city</arg_key>\n<arg_value>12</arg_value>\n<arg_key>n</arg_key>\n<arg_va", `|call:f{"city":"12".`},
		{prompt.ToolsXML, false, "<tool_call>\n<function=f>\n<parameter=n>\n3\n</parameter>\n", `|call:f{"n":3}.`},
		{prompt.ToolsXML, false, "<tool_call>{\"name\":\"f\",\"arguments\":{}}</tool_call>", `|call:f{}.`},
		{prompt.ToolsHarmony, false, "<|channel|>commentary to=functions.f <|constrain|>json<|message|>{\"city\":\"<|end|>\"}<|call|>", `|call:f{"city":"<|end|>"}.`},
		{prompt.ToolsHarmony, false, "<|channel|>commentary to=functions.f<|message|>no json<|call|>", "|text:no json"},
		{prompt.ToolsHarmony, false, "<|channel|>final<|message|>cut off <|en", "|text:cut off <|en"},
		{prompt.ToolsHarmony, false, "no header", "|text:no header"},
	} {
		rng := rand.New(rand.NewPCG(uint64(len(tc.text)), 7))
		for try := range 30 {
			p := New(tc.syntax, tools(), tc.thinks)
			var parts []Part
			for rest := tc.text; rest != ""; {
				n := len(rest)
				if try > 0 {
					n = 1 + rng.IntN(min(len(rest), 9))
				}
				parts = append(parts, p.Add(rest[:n])...)
				rest = rest[n:]
			}
			parts = append(parts, p.End()...)
			if got := summary(parts); got != tc.want {
				t.Fatalf("%s %q:\n got %q\nwant %q", tc.syntax, tc.text, got, tc.want)
			}
		}
	}
}

// TestTextFlows: text that cannot belong to a mark is handed out at once.
func TestTextFlows(t *testing.T) {
	p := New(prompt.ToolsHermes, nil, false)
	if got := summary(p.Add("Hello")); got != "|text:Hello" {
		t.Errorf("got %q", got)
	}
	p = New(prompt.ToolsHarmony, nil, false)
	if got := summary(p.Add("<|channel|>final<|message|>Hello")); got != "|text:Hello" {
		t.Errorf("got %q", got)
	}
}

func TestKnows(t *testing.T) {
	for _, tc := range []struct {
		syntax prompt.ToolSyntax
		mark   string
		want   bool
	}{
		{prompt.ToolsHarmony, "<|channel|>", true}, {prompt.ToolsMistral, "[TOOL_CALLS]", true}, {prompt.ToolsMistral, "</s>", false},
		{prompt.ToolsHermes, "<|im_end|>", false}, {prompt.ToolsHermes, "", false}, {"", "<think>", true}, {"", "", false},
	} {
		if Knows(tc.syntax, tc.mark) != tc.want {
			t.Errorf("%s, %q: %v", tc.syntax, tc.mark, !tc.want)
		}
	}
}

// FuzzParser: whatever a model writes, nothing of plain text is lost and
// arguments are JSON objects.
func FuzzParser(f *testing.F) {
	f.Add("<tool_call>{\"name\":\"f\",\"arguments\":{}}</tool_call>", uint8(1), false)
	f.Add("<|channel|>final<|message|>x", uint8(3), true)
	all := []prompt.ToolSyntax{"", prompt.ToolsHermes, prompt.ToolsMistral, prompt.ToolsHarmony, prompt.ToolsGLM, prompt.ToolsDeepSeek, prompt.ToolsGranite, prompt.ToolsXML}
	f.Fuzz(func(t *testing.T, text string, which uint8, thinks bool) {
		p := New(all[int(which)%len(all)], tools(), thinks)
		var parts []Part
		for i := 0; i < len(text); i += 3 {
			parts = append(parts, p.Add(text[i:min(i+3, len(text))])...)
		}
		parts = append(parts, p.End()...)
		said, begun, open := 0, 0, false
		for _, part := range parts {
			said += len(part.Text) + len(part.Reasoning)
			if open == (part.Call != "") || open && part.Text+part.Reasoning != "" {
				if part.Call != "" || open || part.Arguments != "" || part.Done {
					t.Fatalf("%q gave %+v", text, parts)
				}
			}
			if part.Call != "" {
				begun, open = begun+1, true
			}
			open = open && !part.Done
		}
		if open {
			t.Fatalf("%q left a call open: %+v", text, parts)
		}
		if said > len(text) {
			t.Fatalf("%q became %q", text, summary(parts))
		}
		if !strings.ContainsAny(text, "<[") && which%8 != 3 && !thinks && summary(parts) != summary([]Part{{Text: text}}) && text != "" {
			t.Fatalf("%q became %q", text, summary(parts))
		}
	})
}
