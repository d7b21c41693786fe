package httpapi

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/moeswarm/moeswarm/gating/prompt"
)

// ollamaSkin is the look of /api/generate and, if chat, of /api/chat.
type ollamaSkin struct{ chat bool }

// ollamaAnswer is the JSON of an answer, and of each line of a streamed one.
type ollamaAnswer struct {
	Model    string      `json:"model"`
	Created  string      `json:"created_at"`
	Message  *ollamaSaid `json:"message,omitempty"`  // of a chat
	Response *string     `json:"response,omitempty"` // else
	Thinking string      `json:"thinking,omitempty"` // else
	Done     bool        `json:"done"`
	Reason   string      `json:"done_reason,omitempty"`
	*ollamaCounts
}

type ollamaSaid struct {
	Role     string       `json:"role"`
	Content  string       `json:"content"`
	Thinking string       `json:"thinking,omitempty"`
	Calls    []ollamaCall `json:"tool_calls,omitempty"`
}

type ollamaCall struct {
	Function struct {
		Name      string          `json:"name"`
		Arguments json.RawMessage `json:"arguments"`
	} `json:"function"`
}

// ollamaCounts come at the end. Durations are in nanoseconds. Nothing is loaded
// for a request, so a model's loading takes none.
type ollamaCounts struct {
	Total       time.Duration `json:"total_duration"`
	Load        time.Duration `json:"load_duration"`
	PromptCount int           `json:"prompt_eval_count"`
	Prompt      time.Duration `json:"prompt_eval_duration"`
	Count       int           `json:"eval_count"`
	Answer      time.Duration `json:"eval_duration"`
}

func (ollamaSkin) head(model string) head { return head{Model: model} }

func (ollamaSkin) format() eventFormat { return jsonLines }

// said is what a model said, as one value.
func (k ollamaSkin) said(a *answering, text, reasoning string, calls []prompt.ToolCall) ollamaAnswer {
	v := ollamaAnswer{Model: a.head.Model, Created: time.Now().UTC().Format(time.RFC3339Nano)}
	if !k.chat {
		v.Response, v.Thinking = &text, reasoning
		return v
	}
	v.Message = &ollamaSaid{Role: "assistant", Content: text, Thinking: reasoning}
	for _, c := range calls {
		var call ollamaCall
		call.Function.Name, call.Function.Arguments = c.Name, c.Arguments
		if !json.Valid(c.Arguments) { // cut off by max_tokens
			call.Function.Arguments = json.RawMessage("{}")
		}
		v.Message.Calls = append(v.Message.Calls, call)
	}
	return v
}

// end completes the last value of an answer.
func (v ollamaAnswer) end(a *answering) ollamaAnswer {
	v.Done, v.Reason = true, string(a.choices[0].finish)
	if a.choices[0].finish == finishCalls {
		v.Reason = string(prompt.FinishStop)
	}
	now := time.Now()
	first := a.trace.first
	if first.IsZero() {
		first = now
	}
	v.ollamaCounts = &ollamaCounts{
		Total: now.Sub(a.trace.begun), Prompt: first.Sub(a.trace.begun), Answer: now.Sub(first),
		PromptCount: a.usage.PromptTokens, Count: a.usage.CompletionTokens,
	}
	return v
}

func (k ollamaSkin) whole(a *answering) any {
	c := a.choices[0]
	return k.said(a, c.all.String(), c.reasoning.String(), c.calls).end(a)
}

func (k ollamaSkin) parts(a *answering, _ *choice, d delta) []any {
	if d.text == "" && d.reasoning == "" && len(d.called) == 0 { // calls are told whole there
		return nil
	}
	return []any{k.said(a, d.text, d.reasoning, d.called)}
}

func (k ollamaSkin) last(a *answering) []any { return []any{k.said(a, "", "", nil).end(a)} }

// plainErrors marks an answer whose errors look like Ollama's.
type plainErrors struct{ http.ResponseWriter }

// Unwrap lets http.ResponseController find what is inside.
func (w plainErrors) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// errorBody is an error in the shape that w's client expects.
func errorBody(w http.ResponseWriter, e *apiError) any {
	if _, ok := w.(plainErrors); ok {
		return struct {
			Error string `json:"error"`
		}{e.message}
	}
	return e.body()
}

// ollamaSpoken is the version of Ollama whose interface this is: clients ask for it
// to know what they may send.
const ollamaSpoken = "0.9.0"

// ollamaVersion answers GET /api/version.
func (s *Server) ollamaVersion(w http.ResponseWriter, _ *http.Request) {
	s.reply(w, http.StatusOK, struct {
		Version string `json:"version"`
	}{ollamaSpoken})
}

func generateRoute() route {
	return route{"/api/generate", `{"prompt": "Once upon a time"}`, append([]Field{
		{Name: "prompt", Status: Supported},
		{Name: "system", Status: Supported},
		{Name: "raw", Status: Supported, Note: "true: the prompt as it is, without the model's template"},
		{Name: "suffix", Status: Refused, Note: "not supported", nothing: isEmptyString},
		{Name: "images", Status: Refused, Note: "models here read text only", nothing: isEmptyList},
		{Name: "template", Status: Refused, Note: "not supported: the model's own is used; render the prompt yourself and say raw", nothing: isEmptyString},
		{Name: "context", Status: Refused, Note: "not supported: send the conversation to /api/chat", nothing: isEmptyList},
	}, ollamaShared()...)}
}

func ollamaChatRoute() route {
	return route{"/api/chat", `{"messages": [{"role": "user", "content": "Hello"}]}`, append([]Field{
		{Name: "messages", Status: Supported, Note: "text; images are refused"},
		{Name: "tools", Status: Supported, Note: "when the model's template knows tools"},
	}, ollamaShared()...)}
}

// ollamaShared are the fields of both routes.
func ollamaShared() []Field {
	return []Field{
		{Name: "model", Status: Supported, Note: "as for chats; may end in :latest"},
		{Name: "stream", Status: Supported, Note: "true when left out"},
		{Name: "format", Status: Supported, Note: "\"json\", or a schema"},
		{Name: "think", Status: Supported, Note: "handed to the model's template: enable_thinking, or reasoning_effort"},
		{Name: "keep_alive", Status: Ignored},
		{Name: "logprobs", Status: Refused, Note: "not supported: use /v1/chat/completions", nothing: isFalse},
		{Name: "options.temperature", Status: Supported, Note: "0.8 when left out"},
		{Name: "options.top_p", Status: Supported, Note: "0.9 when left out"},
		{Name: "options.top_k", Status: Supported, Note: "40 when left out"},
		{Name: "options.min_p", Status: Supported},
		{Name: "options.seed", Status: Supported, Note: "random when left out, or -1"},
		{Name: "options.num_predict", Status: Supported, Note: "4096 when left out, or not above 0"},
		{Name: "options.stop", Status: Supported, Note: "up to 4 strings"},
		{Name: "options.repeat_penalty", Status: Supported, Note: "1.1 when left out"},
		{Name: "options.frequency_penalty", Status: Supported},
		{Name: "options.presence_penalty", Status: Supported},
		{Name: "options.repeat_last_n", Status: Refused, Note: "only 64 is supported", nothing: is(64)},
		{Name: "options.mirostat", Status: Refused, Note: "not supported", nothing: is(0)},
		{Name: "options.typical_p", Status: Refused, Note: "not supported", nothing: is(1)},
		{Name: "options.tfs_z", Status: Refused, Note: "not supported", nothing: is(1)},
		{Name: "options.num_ctx", Status: Ignored, Note: "the gating node's is what it is"},
		{Name: "options.num_keep", Status: Ignored},
		{Name: "options.num_batch", Status: Ignored},
		{Name: "options.num_gpu", Status: Ignored},
		{Name: "options.num_thread", Status: Ignored},
		{Name: "options.use_mmap", Status: Ignored},
	}
}
