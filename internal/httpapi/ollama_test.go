package httpapi

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"net/http"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/moeswarm/moeswarm/gating/prompt"
)

func postTo(t *testing.T, url, body string) *http.Response {
	t.Helper()
	r, err := http.Post(url, "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Body.Close() })
	return r
}

var ollamaVarying = regexp.MustCompile(`"created_at":"20[^"]{10,30}Z"|"[a-z_]+_duration":[0-9]+`)

func scrubOllama(s string) string {
	return ollamaVarying.ReplaceAllStringFunc(s, func(m string) string {
		name, _, _ := strings.Cut(m, ":")
		return name + ":X"
	})
}

const ollamaEnd = `"total_duration":X,"load_duration":X,"prompt_eval_count":5,"prompt_eval_duration":X,"eval_count":2,"eval_duration":X}` + "\n"

func TestOllama(t *testing.T) {
	f := newFake("Hi", " there")
	url := serve(t, f, nil)
	const head = `{"model":"demo","created_at":X,`
	for _, tc := range []struct{ path, body, want string }{
		{"generate", `{"prompt":"Hello"}`, head + `"response":"Hi","done":false}` + "\n" + head + `"response":" there","done":false}` + "\n" +
			head + `"response":"","done":true,"done_reason":"length",` + ollamaEnd},
		{"generate", `{"prompt":"Hello","stream":false}`, head + `"response":"Hi there","done":true,"done_reason":"length",` + ollamaEnd},
		{"chat", `{` + hello + `}`, head + `"message":{"role":"assistant","content":"Hi"},"done":false}` + "\n" + head + `"message":{"role":"assistant","content":" there"},"done":false}` + "\n" +
			head + `"message":{"role":"assistant","content":""},"done":true,"done_reason":"length",` + ollamaEnd},
		{"chat", `{` + hello + `,"stream":false,"model":"demo:latest"}`, head + `"message":{"role":"assistant","content":"Hi there"},"done":true,"done_reason":"length",` + ollamaEnd},
	} {
		r := postTo(t, url+"/api/"+tc.path, tc.body)
		golden(t, scrubOllama(readAll(t, r)), tc.want)
		want := "application/x-ndjson"
		if strings.Contains(tc.body, `"stream":false`) {
			want = "application/json"
		}
		if got := r.Header.Get("Content-Type"); got != want {
			t.Errorf("%s: %s", tc.body, got)
		}
	}
	for path, want := range map[string]string{
		"tags":    fmt.Sprintf(`{"models":[{"name":"demo","model":"demo","modified_at":"2023-11-14T22:13:20Z","size":0,"digest":"%v","details":{"format":"gguf"}}]}`, demo.ID),
		"version": `{"version":"` + ollamaSpoken + `"}`,
	} {
		r, err := http.Get(url + "/api/" + path)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		golden(t, readAll(t, r), want+"\n")
	}
}

// TestOllamaModels: what clients ask before they chat.
func TestOllamaModels(t *testing.T) {
	url := serve(t, newFake("one"), nil)
	want := fmt.Sprintf(`{"details":{"format":"gguf"},"model_info":{"general.name":"demo","moeswarm.id":"%v"},"capabilities":["completion","tools"]}`, demo.ID)
	for _, body := range []string{`{"model":"demo"}`, `{"name":"demo:latest"}`, `{"model":"demo","verbose":true}`} {
		golden(t, readAll(t, postTo(t, url+"/api/show", body)), want+"\n")
	}
	if r := postTo(t, url+"/api/show", `{"model":"llama"}`); r.StatusCode != http.StatusNotFound || !strings.Contains(readAll(t, r), `{"error":"`) {
		t.Errorf("an unknown model: %s", r.Status)
	}
	if r := postTo(t, url+"/api/show", `[]`); r.StatusCode != http.StatusBadRequest {
		t.Errorf("a list: %s", r.Status)
	}
	r, err := http.Get(url + "/api/ps")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	var ps struct {
		Models []struct {
			Name    string
			Expires time.Time `json:"expires_at"`
		}
	}
	if err := json.NewDecoder(r.Body).Decode(&ps); err != nil || len(ps.Models) != 1 || ps.Models[0].Name != "demo" || time.Until(ps.Models[0].Expires) < time.Minute {
		t.Errorf("%+v, %v", ps, err)
	}
}

func TestOllamaErrors(t *testing.T) {
	f := newFake("one")
	url := serve(t, f, nil)
	for _, tc := range []struct {
		path, body string
		status     int
		message    string
	}{
		{"generate", `{}`, 400, "prompt: it is missing"},
		{"generate", `{"prompt":"a","suffix":"b"}`, 400, "suffix: not supported"},
		{"generate", `{"prompt":"a","context":[1]}`, 400, "context: "},
		{"generate", `{"prompt":"a","raw":true,"system":"b"}`, 400, "system: "},
		{"generate", `{"prompt":"a","options":{"mirostat":2}}`, 400, "options.mirostat: not supported"},
		{"generate", `{"prompt":"a","options":{"temperature":-1}}`, 400, "options.temperature: -1 is not between"},
		{"generate", `{"prompt":"a","options":{"top_k":"many"}}`, 400, "options.top_k: want a whole number"},
		{"generate", `{"prompt":"a","options":[]}`, 400, "options: want an object"},
		{"generate", `{"prompt":"a","format":"xml"}`, 400, "format: "},
		{"generate", `{"prompt":"a","stream":"no"}`, 400, "stream: want true or false"},
		{"chat", `{"messages":[]}`, 400, "messages: there is none"},
		{"chat", `{"messages":[{"role":"user","content":"a","images":["x"]}]}`, 400, "images are not supported"},
		{"chat", `{"messages":[{"role":1}]}`, 400, "messages.role: want a string"},
		{"chat", `{` + hello + `,"model":"llama"}`, 404, `"llama"`},
		{"nothing", `{}`, 404, "no such route"},
	} {
		r := postTo(t, url+"/api/"+tc.path, tc.body)
		var got map[string]string
		if err := json.Unmarshal([]byte(readAll(t, r)), &got); err != nil || r.StatusCode != tc.status || !strings.Contains(got["error"], tc.message) {
			t.Errorf("%s: %s, %q, %v", tc.body, r.Status, got, err)
		}
	}
	f.err = prompt.ErrMissingExperts
	got := readAll(t, postTo(t, url+"/api/chat", `{`+hello+`}`))
	lines := strings.Split(got, "\n")
	golden(t, lines[len(lines)-2], `{"error":"experts without a holder"}`)
}

func TestDecodeOllama(t *testing.T) {
	now := time.Unix(1700000000, 0)
	a, err := decodeGenerate([]byte(`{"prompt":"Hi","system":"Be brief.","think":false,"stream":false,"keep_alive":"5m","format":{"type":"array"},"new":1,
		"options":{"temperature":0,"top_p":0.5,"top_k":7,"min_p":0.1,"seed":3,"num_predict":9,"stop":["a","b"],"repeat_penalty":1,"num_ctx":4096,"repeat_last_n":64}}`), 1000, now)
	if err != nil {
		t.Fatal(err)
	}
	want := ask{n: 1, stops: []string{"a", "b"}, seeded: true, Request: prompt.Request{
		MaxTokens: 9, Schema: json.RawMessage(`{"type":"array"}`),
		Sampling: prompt.Sampling{TopP: 0.5, TopK: 7, MinP: 0.1, Seed: 3, RepeatPenalty: 1},
		Chat: &prompt.Chat{Now: 1700000000, Messages: []prompt.Message{{Role: "system", Content: "Be brief."}, {Role: "user", Content: "Hi"}},
			Variables: map[string]json.RawMessage{"enable_thinking": json.RawMessage("false")}},
	}}
	if !reflect.DeepEqual(a, want) {
		t.Errorf("got %+v\nwant %+v", a, want)
	}
	a, err = decodeGenerate([]byte(`{"prompt":"Hi","raw":true,"format":"json","options":{"num_predict":-1,"seed":-1}}`), 1000, now)
	want = ask{n: 1, stream: true, Request: prompt.Request{Text: "Hi", MaxTokens: 1000, Schema: json.RawMessage(`{"type":"object"}`),
		Sampling: prompt.Sampling{Temperature: 0.8, TopP: 0.9, TopK: 40, RepeatPenalty: 1.1}}}
	if err != nil || !reflect.DeepEqual(a, want) {
		t.Errorf("got %+v, %v\nwant %+v", a, err, want)
	}
	a, err = decodeOllamaChat([]byte(`{"think":"low","messages":[{"role":"user","content":"Hi"},
		{"role":"assistant","content":"","thinking":"Hm.","tool_calls":[{"function":{"name":"f","arguments":{"a":1}}},{"function":{"name":"g","arguments":{}}}]},
		{"role":"tool","tool_name":"f","content":"3"},{"role":"tool","tool_name":"g","content":"4"}]}`), 1000, now)
	if err != nil {
		t.Fatal(err)
	}
	messages := []prompt.Message{{Role: "user", Content: "Hi"},
		{Role: "assistant", Reasoning: "Hm.", Calls: []prompt.ToolCall{{ID: "call00001", Name: "f", Arguments: json.RawMessage(`{"a":1}`)}, {ID: "call00002", Name: "g", Arguments: json.RawMessage(`{}`)}}},
		{Role: "tool", Name: "f", CallID: "call00001", Content: "3"}, {Role: "tool", Name: "g", CallID: "call00002", Content: "4"}}
	if !reflect.DeepEqual(a.Chat.Messages, messages) || string(a.Chat.Variables["reasoning_effort"]) != `"low"` {
		t.Errorf("got %+v", a.Chat)
	}
}

// Reasoning and tool calls have places of their own.
func TestOllamaTools(t *testing.T) {
	url := serve(t, completer(func(context.Context, prompt.Request) iter.Seq2[prompt.Chunk, error] {
		return func(yield func(prompt.Chunk, error) bool) {
			text := "<think>Hm.</think>Look.<tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": 1}}\n</tool_call>"
			yield(prompt.Chunk{PromptTokens: 5, HasToken: true, Bytes: []byte(text), Tools: prompt.ToolsHermes, Finish: prompt.FinishStop}, nil)
		}
	}), nil)
	got := readAll(t, postTo(t, url+"/api/chat", `{`+hello+`,"stream":false,"tools":[{"type":"function","function":{"name":"f"}}]}`))
	const want = `"message":{"role":"assistant","content":"Look.","thinking":"Hm.","tool_calls":[{"function":{"name":"f","arguments":{"a": 1}}}]},"done":true,"done_reason":"stop",`
	if !strings.Contains(strings.ReplaceAll(got, `{"a":1}`, `{"a": 1}`), want) {
		t.Errorf("got %s", got)
	}
}

// What comes while nothing happens is no line of its own.
func TestOllamaKeepAlive(t *testing.T) {
	f := newFake("Hi")
	f.gate = make(chan struct{})
	url := serve(t, f, func(c *Config) { c.Limits.KeepAlive = time.Millisecond })
	r := postTo(t, url+"/api/generate", `{"prompt":"Hello"}`)
	first := make([]byte, 1)
	if _, err := r.Body.Read(first); err != nil || first[0] != ' ' {
		t.Fatalf("%q, %v", first, err)
	}
	close(f.gate)
	for line := range strings.Lines(readAll(t, r)) {
		if !json.Valid([]byte(line)) {
			t.Errorf("%q", line)
		}
	}
}

func FuzzDecodeOllama(f *testing.F) {
	f.Add([]byte(`{"prompt":"Hi","raw":true,"format":"json","options":{"seed":-1,"stop":["a"]}}`))
	f.Add([]byte(`{"messages":[{"role":"assistant","thinking":"x","tool_calls":[{"function":{"name":"f","arguments":{}}}]},{"role":"tool","content":"3"}],"think":"low","format":{}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, decode := range []func([]byte, int, time.Time) (ask, error){decodeGenerate, decodeOllamaChat} {
			a, err := decode(body, 1000, time.Unix(1, 0))
			if err == nil && (a.n != 1 || a.MaxTokens < 1 || a.MaxTokens > 1000 || a.Chat == nil && a.Text == "" || a.Chat != nil && len(a.Chat.Messages) == 0) {
				t.Errorf("%q: %+v", body, a)
			}
		}
	})
}
