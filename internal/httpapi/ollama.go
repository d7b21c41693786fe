package httpapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"strings"
	"time"

	"github.com/moeswarm/moeswarm/gating/prompt"
)

// Ollama's routes, a second look of the same answers. Their shape is that of
// https://github.com/ollama/ollama/blob/main/docs/api.md.

// generate answers POST /api/generate.
func (s *Server) generate(w http.ResponseWriter, r *http.Request) {
	s.complete(w, r, ollamaSkin{}, func(body []byte) (ask, error) { return decodeGenerate(body, s.cfg.Limits.MaxTokens, time.Now()) })
}

// ollamaChat answers POST /api/chat.
func (s *Server) ollamaChat(w http.ResponseWriter, r *http.Request) {
	s.complete(w, r, ollamaSkin{chat: true}, func(body []byte) (ask, error) { return decodeOllamaChat(body, s.cfg.Limits.MaxTokens, time.Now()) })
}

// ollamaFields are those that both routes share.
type ollamaFields struct {
	Model   *string         `json:"model"`
	Stream  *bool           `json:"stream"` // absent: true
	Format  json.RawMessage `json:"format"` // "json" or a schema
	Think   json.RawMessage `json:"think"`  // a bool, or how hard
	Options ollamaOptions   `json:"options"`
}

// ollamaOptions are how to draw tokens.
type ollamaOptions struct {
	Temperature      *float64        `json:"temperature"`
	TopP             *float64        `json:"top_p"`
	TopK             *int64          `json:"top_k"`
	MinP             *float64        `json:"min_p"`
	RepeatPenalty    *float64        `json:"repeat_penalty"`
	FrequencyPenalty *float64        `json:"frequency_penalty"`
	PresencePenalty  *float64        `json:"presence_penalty"`
	Seed             json.RawMessage `json:"seed"`        // -1: random
	NumPredict       *int64          `json:"num_predict"` // 0 and below: no limit of the client's
	Stop             json.RawMessage `json:"stop"`
}

// Ollama's defaults.
const (
	ollamaTemperature   = 0.8
	ollamaTopP          = 0.9
	ollamaTopK          = 40
	ollamaRepeatPenalty = 1.1
)

// generateFields are the body of /api/generate.
type generateFields struct {
	ollamaFields
	Prompt string `json:"prompt"`
	System string `json:"system"`
	Raw    bool   `json:"raw"` // the prompt as it is, without the model's template
}

// ollamaChatFields are the body of /api/chat.
type ollamaChatFields struct {
	ollamaFields
	Messages []ollamaMessage   `json:"messages"`
	Tools    []json.RawMessage `json:"tools"`
}

// ollamaMessage is a message: as at OpenAI, but for some names.
type ollamaMessage struct {
	messageFields
	Thinking string            `json:"thinking"`
	ToolName string            `json:"tool_name"`
	Images   []json.RawMessage `json:"images"`
}

// decodeGenerate checks the body of /api/generate. It is pure but for the time.
func decodeGenerate(body []byte, maxTokens int, now time.Time) (ask, error) {
	var f generateFields
	if err := unmarshalOllama(body, generateRoute(), &f); err != nil {
		return ask{}, err
	}
	p := parser{}
	a := f.ask(&p, maxTokens)
	switch {
	case f.Prompt == "":
		p.refuse("prompt", "it is missing; send a string")
	case f.Raw && f.System != "":
		p.refuse("system", "a raw prompt is taken as it is; put the instructions into it")
	case f.Raw:
		a.Text = f.Prompt
	default:
		a.Chat = &prompt.Chat{Now: now.Unix(), Messages: []prompt.Message{{Role: "user", Content: f.Prompt}}}
		if f.System != "" {
			a.Chat.Messages = []prompt.Message{{Role: "system", Content: f.System}, a.Chat.Messages[0]}
		}
		p.think(a.Chat, f.Think)
	}
	if p.err != nil {
		return ask{}, p.err
	}
	return a, nil
}

// decodeOllamaChat checks the body of /api/chat. It is pure but for the time.
func decodeOllamaChat(body []byte, maxTokens int, now time.Time) (ask, error) {
	var f ollamaChatFields
	if err := unmarshalOllama(body, ollamaChatRoute(), &f); err != nil {
		return ask{}, err
	}
	p := parser{}
	a := f.ask(&p, maxTokens)
	a.Chat = &prompt.Chat{Now: now.Unix(), Messages: p.ollamaMessages(f.Messages), Tools: p.tools(f.Tools)}
	p.think(a.Chat, f.Think)
	if p.err != nil {
		return ask{}, p.err
	}
	return a, nil
}

// unmarshalOllama reads a body into v, and refuses fields, those of options
// included, that ask for what cannot be done.
func unmarshalOllama(body []byte, r route, v any) error {
	if err := json.Unmarshal(body, v); err != nil {
		return badJSON(body, r, err)
	}
	var all, options map[string]json.RawMessage
	if err := json.Unmarshal(body, &all); err != nil {
		return badJSON(body, r, err)
	}
	if raw := all["options"]; !absent(raw) {
		if err := json.Unmarshal(raw, &options); err != nil {
			return badJSON(body, r, err)
		}
	}
	for name, value := range options {
		all["options."+name] = value
	}
	return refuse(r, all)
}

// ask checks the fields that both routes share.
func (f *ollamaFields) ask(p *parser, maxTokens int) ask {
	o := &f.Options
	a := ask{n: 1, stops: p.stops(o.Stop), stream: f.Stream == nil || *f.Stream}
	a.model = strings.TrimSuffix(p.text("model", f.Model, maxModelBytes), ":latest") // which clients add to any name
	a.MaxTokens = min(defaultChatTokens, maxTokens)
	if o.NumPredict != nil && *o.NumPredict > 0 {
		a.MaxTokens = int(p.integer("options.num_predict", o.NumPredict, 0, 1, int64(maxTokens)))
	}
	a.Sampling = prompt.Sampling{
		Temperature:      float32(p.number("options.temperature", o.Temperature, ollamaTemperature, 0, 2)),
		TopP:             float32(p.number("options.top_p", o.TopP, ollamaTopP, 0, 1)),
		TopK:             int(p.integer("options.top_k", o.TopK, ollamaTopK, 0, maxTopK)),
		MinP:             float32(p.number("options.min_p", o.MinP, 0, 0, 1)),
		RepeatPenalty:    float32(p.number("options.repeat_penalty", o.RepeatPenalty, ollamaRepeatPenalty, 0, maxRepeatPenalty)),
		FrequencyPenalty: float32(p.number("options.frequency_penalty", o.FrequencyPenalty, 0, -maxPenalty, maxPenalty)),
		PresencePenalty:  float32(p.number("options.presence_penalty", o.PresencePenalty, 0, -maxPenalty, maxPenalty)),
	}
	if a.Sampling.TopP == 0 { // as in fields.ask
		a.Sampling.TopP = math.SmallestNonzeroFloat32
	}
	if string(o.Seed) != "-1" {
		a.Sampling.Seed, a.seeded = p.seed(o.Seed)
	}
	switch format := bytes.TrimSpace(f.Format); {
	case absent(format), string(format) == `""`:
	case string(format) == `"json"`:
		a.Schema = json.RawMessage(`{"type":"object"}`)
	case format[0] == '{':
		a.Schema = json.RawMessage(format)
	default:
		p.refuse("format", "want \"json\" or a JSON schema, not %.40s", format)
	}
	return a
}

// think hands the template what it may know of reasoning.
func (p *parser) think(c *prompt.Chat, raw json.RawMessage) {
	var on bool
	var effort string
	switch {
	case absent(raw):
	case json.Unmarshal(raw, &on) == nil:
		c.Variables = map[string]json.RawMessage{"enable_thinking": raw}
	case json.Unmarshal(raw, &effort) == nil:
		p.variable(c, "reasoning_effort", effort)
	default:
		p.refuse("think", "want true, false, or how hard: low, medium or high")
	}
}

// ollamaMessages checks a conversation. Tool calls have no ids there, which
// some templates want: an answer of a tool belongs to the first call that has
// none yet.
func (p *parser) ollamaMessages(all []ollamaMessage) []prompt.Message {
	plain := make([]messageFields, len(all))
	var open []string // calls without an answer
	calls := 0
	for i, m := range all {
		if len(m.Images) > 0 {
			p.refuse(fmt.Sprintf("messages[%d]", i), "images are not supported; models here read text only")
		}
		plain[i] = m.messageFields
		if m.Thinking != "" {
			plain[i].Reasoning = m.Thinking
		}
		if m.ToolName != "" {
			plain[i].Name = m.ToolName
		}
		for k := range m.ToolCalls {
			calls++
			if m.ToolCalls[k].ID == "" {
				m.ToolCalls[k].ID = fmt.Sprintf("call%05d", calls) // nine letters and digits
			}
			open = append(open, m.ToolCalls[k].ID)
		}
		if m.Role == "tool" && len(open) > 0 {
			if m.ToolCallID == "" {
				plain[i].ToolCallID = open[0]
			}
			open = open[1:]
		}
	}
	return p.messages(plain)
}
