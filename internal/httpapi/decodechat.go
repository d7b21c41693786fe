package httpapi

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/moeswarm/moeswarm/gating/prompt"
)

// chatFields are the body of a chat.
type chatFields struct {
	fields
	Messages        []messageFields            `json:"messages"`
	Logprobs        *bool                      `json:"logprobs"`
	TopLogprobs     *int64                     `json:"top_logprobs"`
	Tools           []json.RawMessage          `json:"tools"`
	ToolChoice      json.RawMessage            `json:"tool_choice"`
	Parallel        *bool                      `json:"parallel_tool_calls"`
	ReasoningEffort *string                    `json:"reasoning_effort"`
	Variables       map[string]json.RawMessage `json:"chat_template_kwargs"`
	Continue        *bool                      `json:"continue_final_message"`
}

// messageFields is one message of a chat.
type messageFields struct {
	Role       string          `json:"role"`
	Content    json.RawMessage `json:"content"`
	Reasoning  string          `json:"reasoning_content"`
	Name       string          `json:"name"`
	ToolCallID string          `json:"tool_call_id"`
	ToolCalls  []struct {
		ID       string `json:"id"`
		Type     string `json:"type"`
		Function struct {
			Name      string          `json:"name"`
			Arguments json.RawMessage `json:"arguments"` // OpenAI: text; some clients: an object
		} `json:"function"`
	} `json:"tool_calls"`
}

// toolChoice says which tools an answer may call.
type toolChoice struct {
	none  bool
	force string // as in prompt.Chat
}

const (
	// defaultChatTokens bounds an answer when the client does not: OpenAI lets
	// the model talk to the end of its context, which in a slow swarm is hours.
	defaultChatTokens = 4096
	// maxMessages bounds a conversation. Longer ones fit no context.
	maxMessages = 1 << 14
	// maxTools is OpenAI's.
	maxTools = 128
)

// decodeChat checks the body of a chat. It is pure but for the time.
func decodeChat(body []byte, maxTokens int, now time.Time) (ask, error) {
	var f chatFields
	if err := unmarshal(body, chatRoute(), &f); err != nil {
		return ask{}, err
	}
	p := parser{}
	a := f.fields.ask(&p, min(defaultChatTokens, maxTokens), maxTokens)
	a.Logprobs = f.Logprobs != nil && *f.Logprobs
	a.Alternatives = int(p.integer("top_logprobs", f.TopLogprobs, 0, 0, maxChatAlternatives))
	if a.Alternatives > 0 && !a.Logprobs {
		p.refuse("top_logprobs", "goes with \"logprobs\": true only")
	}
	c := &prompt.Chat{Messages: p.messages(f.Messages), Variables: f.Variables, Now: now.Unix()}
	a.Chat = c
	if f.Continue != nil && *f.Continue {
		c.Continue = true
		if n := len(c.Messages); n > 0 && c.Messages[n-1].Role != "assistant" {
			p.refuse("continue_final_message", "the last message is not the assistant's")
		}
	}
	a.toolChoice = p.toolChoice(f.ToolChoice)
	if tools := p.tools(f.Tools); !a.toolChoice.none {
		c.Tools, c.Force = tools, a.toolChoice.force
		if c.Force != "" && len(c.Tools) == 0 {
			p.refuse("tool_choice", "there are no tools")
		}
	}
	a.oneCall = f.Parallel != nil && !*f.Parallel
	if f.ReasoningEffort != nil {
		p.variable(c, "reasoning_effort", *f.ReasoningEffort)
	}
	if a.Schema != nil && c.Force != "" {
		p.refuse("response_format", "a forced tool call has its own format")
	}
	if p.err != nil {
		return ask{}, p.err
	}
	return a, nil
}

// variable sets a value for the template that has a field of its own.
func (p *parser) variable(c *prompt.Chat, name, value string) {
	raw, err := json.Marshal(value)
	if err != nil || len(value) > maxModelBytes {
		p.refuse(name, "want a short string")
		return
	}
	if c.Variables == nil {
		c.Variables = map[string]json.RawMessage{}
	}
	c.Variables[name] = raw
}

// messages checks a conversation.
func (p *parser) messages(all []messageFields) []prompt.Message {
	switch {
	case len(all) == 0:
		p.refuse("messages", "there is none; send at least one, such as {\"role\": \"user\", \"content\": \"Hello\"}")
	case len(all) > maxMessages:
		p.refuse("messages", "%d messages; at most %d are accepted", len(all), maxMessages)
		return nil
	}
	out := make([]prompt.Message, len(all))
	for i, m := range all {
		where := fmt.Sprintf("messages[%d]", i)
		out[i] = prompt.Message{Role: m.Role, Content: p.content(where, m.Content), Reasoning: m.Reasoning, Name: m.Name, CallID: m.ToolCallID}
		switch m.Role {
		case "system", "developer", "user", "assistant", "tool":
		default:
			p.refuse(where, "the role is %.40q; want system, developer, user, assistant or tool", m.Role)
		}
		for _, c := range m.ToolCalls {
			if c.Type != "" && c.Type != "function" {
				p.refuse(where, "a tool call of type %.40q; only function is supported", c.Type)
			}
			out[i].Calls = append(out[i].Calls, prompt.ToolCall{ID: c.ID, Name: c.Function.Name, Arguments: p.arguments(where, c.Function.Arguments)})
		}
		if absent(m.Content) && len(m.ToolCalls) == 0 {
			p.refuse(where, "it has no content")
		}
	}
	return out
}

// content gives the text of a message: a string, or parts of text.
func (p *parser) content(where string, raw json.RawMessage) string {
	if absent(raw) {
		return ""
	}
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return text
	}
	var parts []struct {
		Type    string `json:"type"`
		Text    string `json:"text"`
		Refusal string `json:"refusal"`
	}
	if err := json.Unmarshal(raw, &parts); err != nil {
		p.refuse(where, "the content must be a string or a list of parts of text")
		return ""
	}
	var b strings.Builder
	for _, part := range parts {
		switch part.Type {
		case "text", "input_text", "output_text":
			b.WriteString(part.Text)
		case "refusal":
			b.WriteString(part.Refusal)
		default:
			p.refuse(where, "a part of type %.40q is not supported; models here read text only", part.Type)
		}
	}
	return b.String()
}

// arguments gives the arguments of an earlier tool call as an object.
func (p *parser) arguments(where string, raw json.RawMessage) json.RawMessage {
	var text string
	if json.Unmarshal(raw, &text) == nil && !absent(raw) {
		if raw = json.RawMessage(text); strings.TrimSpace(text) == "" {
			raw = json.RawMessage("{}")
		}
	}
	var object map[string]json.RawMessage
	if absent(raw) || json.Unmarshal(raw, &object) != nil {
		p.refuse(where, "the arguments of a tool call must be a JSON object")
		return nil
	}
	return raw
}

// tools checks the tools that an answer may call.
func (p *parser) tools(all []json.RawMessage) []json.RawMessage {
	if len(all) > maxTools {
		p.refuse("tools", "%d tools; at most %d are accepted", len(all), maxTools)
		return nil
	}
	for i, raw := range all {
		var t struct {
			Type     string `json:"type"`
			Function *struct {
				Name       string          `json:"name"`
				Parameters json.RawMessage `json:"parameters"`
			} `json:"function"`
		}
		if err := json.Unmarshal(raw, &t); err != nil || t.Function == nil || t.Function.Name == "" {
			p.refuse("tools", "number %d is not like {\"type\": \"function\", \"function\": {\"name\": …, \"parameters\": {…}}}", i)
		} else if t.Type != "function" {
			p.refuse("tools", "number %d is of type %.40q; only function is supported", i, t.Type)
		}
	}
	return all
}

// toolChoice reads "none", "auto", "required" or a function's name in an object.
func (p *parser) toolChoice(raw json.RawMessage) toolChoice {
	if absent(raw) {
		return toolChoice{}
	}
	var word string
	if json.Unmarshal(raw, &word) == nil {
		switch word {
		case "auto":
			return toolChoice{}
		case "none":
			return toolChoice{none: true}
		case "required":
			return toolChoice{force: "*"}
		}
	}
	var f struct {
		Type     string `json:"type"`
		Function struct {
			Name string `json:"name"`
		} `json:"function"`
	}
	if json.Unmarshal(raw, &f) == nil && f.Type == "function" && f.Function.Name != "" && f.Function.Name != "*" {
		return toolChoice{force: f.Function.Name}
	}
	p.refuse("tool_choice", "want none, auto, required or {\"type\": \"function\", \"function\": {\"name\": …}}")
	return toolChoice{}
}
