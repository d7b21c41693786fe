package chat

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/moeswarm/moeswarm/gating/grammar"
	"github.com/moeswarm/moeswarm/gating/prompt"
)

// ForcedCall is the grammar of an answer that has to be one tool call, as
// prompt.Chat.Force says, in the way in which the model writes calls. thinks
// says that the prompt ends inside reasoning, which may then go on before.
func (r *Renderer) ForcedCall(c *prompt.Chat, thinks bool) (*grammar.Grammar, error) {
	var all []grammar.Framed
	for _, raw := range c.Tools {
		var t struct {
			Function struct {
				Name       string          `json:"name"`
				Parameters json.RawMessage `json:"parameters"`
			} `json:"function"`
		}
		if err := json.Unmarshal(raw, &t); err != nil {
			return nil, fmt.Errorf("tools: %w", err)
		}
		if c.Force != "*" && c.Force != t.Function.Name {
			continue
		}
		if t.Function.Parameters == nil {
			t.Function.Parameters = json.RawMessage(`{"type":"object"}`)
		}
		name, err := json.Marshal(t.Function.Name)
		if err != nil {
			return nil, err
		}
		f, err := r.frame(t.Function.Name, string(name))
		if err != nil {
			return nil, err
		}
		f.Schema = t.Function.Parameters
		all = append(all, f)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("tool_choice names %.60q, which is not among the tools", c.Force)
	}
	if thinks {
		return grammar.Thinking(prompt.ThinkEnd, all)
	}
	return grammar.Choice(all)
}

// frame is the text around a call's arguments, as the model's own template
// writes it for calls made earlier.
func (r *Renderer) frame(name, quoted string) (grammar.Framed, error) {
	mark := grammar.Mark
	object := "{\"name\": " + quoted + ", \"arguments\": "
	if strings.ContainsAny(name, "<>\n") || !utf8.ValidString(name) {
		return grammar.Framed{}, fmt.Errorf("tool_choice: the name %.60q cannot be forced", name)
	}
	switch r.tools {
	case prompt.ToolsHermes:
		return grammar.Framed{Before: mark("<tool_call>") + "\n" + object, After: "}\n" + mark("</tool_call>")}, nil
	case prompt.ToolsGranite:
		return grammar.Framed{Before: mark("<|tool_call|>") + "[" + object, After: "}]"}, nil
	case prompt.ToolsMistral:
		if strings.Contains(r.cfg.Source, "[ARGS]") {
			return grammar.Framed{Before: mark("[TOOL_CALLS]") + name + mark("[ARGS]")}, nil
		}
		return grammar.Framed{Before: mark("[TOOL_CALLS]") + " [" + object, After: "}]"}, nil
	case prompt.ToolsDeepSeek:
		begin, sep := mark("<｜tool▁calls▁begin｜>")+mark("<｜tool▁call▁begin｜>"), mark("<｜tool▁sep｜>")
		end := mark("<｜tool▁call▁end｜>") + mark("<｜tool▁calls▁end｜>")
		if strings.Contains(r.cfg.Source, "```json") { // V3 and R1
			return grammar.Framed{Before: begin + "function" + sep + name + "\n```json\n", After: "\n```" + end}, nil
		}
		return grammar.Framed{Before: begin + name + sep, After: end}, nil
	case prompt.ToolsHarmony:
		return grammar.Framed{Before: mark("<|channel|>") + "commentary to=functions." + name + " " + mark("<|constrain|>") + "json" + mark("<|message|>")}, nil
	case prompt.ToolsGLM:
		return grammar.Framed{Before: mark("<tool_call>") + name + "\n", After: mark("</tool_call>"), Pairs: &grammar.Pairs{
			Key: mark("<arg_key>"), Value: mark("</arg_key>") + "\n" + mark("<arg_value>"), Close: "</arg_value>", End: "\n", Without: []string{"</tool_call>"}}}, nil
	case prompt.ToolsXML:
		return grammar.Framed{Before: mark("<tool_call>") + "\n<function=" + name + ">\n", After: "</function>\n" + mark("</tool_call>"), Pairs: &grammar.Pairs{
			Key: "<parameter=", Value: ">\n", Close: "</parameter>", End: "\n", Without: []string{"</tool_call>", "</function>"}}}, nil
	}
	return grammar.Framed{}, errTools
}
