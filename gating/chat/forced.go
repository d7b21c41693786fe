package chat

import (
	"encoding/json"
	"fmt"

	"github.com/moeswarm/moeswarm/gating/grammar"
	"github.com/moeswarm/moeswarm/gating/prompt"
)

// ForcedCall is the grammar of an answer that has to be one tool call, as
// prompt.Chat.Force says, in the way in which the model writes calls.
func (r *Renderer) ForcedCall(c *prompt.Chat) (*grammar.Grammar, error) {
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
	return grammar.Choice(all)
}

// frame is the text around a call's arguments. Syntaxes whose marks are
// control tokens have no text to force.
func (r *Renderer) frame(name, quoted string) (grammar.Framed, error) {
	if r.tools == prompt.ToolsHermes {
		return grammar.Framed{Before: "<tool_call>\n{\"name\": " + quoted + ", \"arguments\": ", After: "}\n</tool_call>"}, nil
	}
	return grammar.Framed{}, fmt.Errorf("tool_choice: this model writes tool calls in a way (%s) that cannot be forced; leave the choice to the model (auto)", r.tools)
}
