package httpapi

import (
	"encoding/json"
	"strconv"
	"strings"
)

// Status says what becomes of a field of a request.
type Status string

const (
	Supported Status = "supported"
	Ignored   Status = "ignored" // accepted and without effect
	Refused   Status = "refused" // an error that names it, unless its value asks for nothing
)

// Field is one field of a route's requests.
type Field struct {
	Name   string
	Status Status
	Ours   bool // not OpenAI's
	// Note says what to do instead of a refused field, or what a supported
	// one does in a way of its own.
	Note string
	// nothing tells, of a refused field, whether a value asks for nothing.
	nothing func(raw string) bool
}

// route is what requests of one kind look like.
type route struct {
	path    string
	example string // of a body
	fields  []Field
}

// Routes lists, for each route that completes something, what becomes of the
// fields of OpenAI's reference, of Ollama's and of our own. docs/api.md has the same list.
func Routes() map[string][]Field {
	all := map[string][]Field{}
	for _, r := range []route{textRoute(), chatRoute(), generateRoute(), ollamaChatRoute()} {
		all[r.path] = r.fields
	}
	return all
}

func textRoute() route {
	return route{"/v1/completions", `{"prompt": "Once upon a time"}`, append(shared(),
		Field{Name: "prompt", Status: Supported, Note: "a text, or a list with one text"},
		Field{Name: "logprobs", Status: Supported},
		Field{Name: "best_of", Status: Refused, Note: "only 1 is supported: ask for n answers", nothing: is(1)},
		Field{Name: "echo", Status: Refused, Note: "not supported: the answer never repeats the prompt", nothing: isFalse},
		Field{Name: "suffix", Status: Refused, Note: "not supported", nothing: isEmptyString},
		Field{Name: "max_completion_tokens", Status: Supported, Ours: true, Note: "the same as max_tokens"},
		Field{Name: "response_format", Status: Supported, Ours: true, Note: "as for chats"},
	)}
}

func chatRoute() route {
	return route{"/v1/chat/completions", `{"messages": [{"role": "user", "content": "Hello"}]}`, append(shared(),
		Field{Name: "messages", Status: Supported, Note: "text; parts of other kinds are refused"},
		Field{Name: "max_completion_tokens", Status: Supported},
		Field{Name: "logprobs", Status: Supported},
		Field{Name: "top_logprobs", Status: Supported},
		Field{Name: "response_format", Status: Supported},
		Field{Name: "tools", Status: Supported, Note: "when the model's template knows tools"},
		Field{Name: "tool_choice", Status: Supported},
		Field{Name: "parallel_tool_calls", Status: Supported},
		Field{Name: "reasoning_effort", Status: Supported, Note: "handed to the model's template"},
		Field{Name: "functions", Status: Refused, Note: "not supported: use tools", nothing: isEmptyList},
		Field{Name: "function_call", Status: Refused, Note: "not supported: use tool_choice", nothing: isNone},
		Field{Name: "modalities", Status: Refused, Note: "only text is supported", nothing: isTextOnly},
		Field{Name: "audio", Status: Refused, Note: "not supported", nothing: never},
		Field{Name: "prediction", Status: Refused, Note: "not supported", nothing: never},
		Field{Name: "web_search_options", Status: Refused, Note: "not supported", nothing: never},
		Field{Name: "verbosity", Status: Ignored},
		Field{Name: "chat_template_kwargs", Status: Supported, Ours: true, Note: "an object of further values for the template, such as {\"enable_thinking\": false}"},
		Field{Name: "continue_final_message", Status: Supported, Ours: true, Note: "go on with the last message, which is the assistant's"},
	)}
}

// shared are the fields of both routes.
func shared() []Field {
	return []Field{
		{Name: "model", Status: Supported, Note: "a name, an id, or at least four digits of its beginning; may be left out when the swarm serves one model"},
		{Name: "max_tokens", Status: Supported},
		{Name: "temperature", Status: Supported, Note: "0 takes the likeliest token"},
		{Name: "top_p", Status: Supported},
		{Name: "n", Status: Supported, Note: "1 to 16"},
		{Name: "seed", Status: Supported, Note: "random when left out"},
		{Name: "stop", Status: Supported, Note: "up to 4 strings"},
		{Name: "stream", Status: Supported},
		{Name: "stream_options", Status: Supported, Note: "include_usage"},
		{Name: "frequency_penalty", Status: Supported, Note: "counts tokens of the answer"},
		{Name: "presence_penalty", Status: Supported, Note: "counts tokens of the answer"},
		{Name: "logit_bias", Status: Supported, Note: "token ids are the model's own; /tokenize tells them"},
		{Name: "user", Status: Ignored},
		{Name: "metadata", Status: Ignored},
		{Name: "store", Status: Ignored, Note: "nothing is stored"},
		{Name: "service_tier", Status: Ignored},
		{Name: "safety_identifier", Status: Ignored},
		{Name: "prompt_cache_key", Status: Ignored},
		{Name: "prompt_cache_retention", Status: Ignored},
		{Name: "top_k", Status: Supported, Ours: true, Note: "as in llama.cpp"},
		{Name: "min_p", Status: Supported, Ours: true, Note: "as in llama.cpp"},
		{Name: "repeat_penalty", Status: Supported, Ours: true, Note: "as in llama.cpp, over the last 64 tokens, prompt included"},
		{Name: "return_tokens", Status: Supported, Ours: true, Note: "adds \"moeswarm\": {\"tokens\": [ids]}"},
		{Name: "best_effort", Status: Supported, Ours: true, Note: "0 to 1, default 0 (exact): the share of a token row's gate mass that may be left out when experts are late or have no holder"},
	}
}

// refuse reports a field that asks for something the swarm cannot do.
func refuse(r route, all map[string]json.RawMessage) error {
	for _, f := range r.fields {
		if f.Status != Refused {
			continue
		}
		if raw := strings.TrimSpace(string(all[f.Name])); raw != "" && raw != "null" && !f.nothing(raw) {
			e := badField(f.Name, f.Note)
			e.code = "unsupported_value"
			return e
		}
	}
	return nil
}

func never(string) bool { return false }

func isFalse(raw string) bool { return raw == "false" }

func isEmptyString(raw string) bool { return raw == `""` }

func isNone(raw string) bool { return raw == `"none"` }

func isEmptyList(raw string) bool {
	return raw[0] == '[' && strings.TrimSpace(raw[1:len(raw)-1]) == ""
}

func isTextOnly(raw string) bool {
	var kinds []string
	return json.Unmarshal([]byte(raw), &kinds) == nil && len(kinds) == 1 && kinds[0] == "text"
}

func is(want float64) func(string) bool {
	return func(raw string) bool {
		v, err := strconv.ParseFloat(raw, 64)
		return err == nil && v == want
	}
}
