package httpapi

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/moeswarm/moeswarm/gating/prompt"
)

func postChat(t *testing.T, url, body string) *http.Response {
	t.Helper()
	r, err := http.Post(url+"/v1/chat/completions", "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Body.Close() })
	return r
}

const hello = `"messages":[{"role":"user","content":"Hello"}]`

func TestChat(t *testing.T) {
	f := newFake("Hi", " there")
	f.finish = prompt.FinishStop
	url := serve(t, f, nil)
	golden(t, scrub(readAll(t, postChat(t, url, `{`+hello+`}`))), `{"id":X,"object":"chat.completion","created":X,"model":"demo",`+
		`"choices":[{"index":0,"message":{"role":"assistant","content":"Hi there"},"logprobs":null,"finish_reason":"stop"}],`+
		`"usage":{"prompt_tokens":5,"completion_tokens":2,"total_tokens":7}}`+"\n")
	r := wait(t, "the request", f.seen)
	if r.Text != "" || r.Chat == nil || r.Chat.Messages[0].Content != "Hello" || r.Chat.Now == 0 || r.MaxTokens != 4096 {
		t.Errorf("asked for %+v, %+v", r, r.Chat)
	}
	const head = `data: {"id":X,"object":"chat.completion.chunk","created":X,"model":"demo","choices":[`
	event := func(delta, finish string) string {
		return head + `{"index":0,"delta":{` + delta + `},"logprobs":null,"finish_reason":` + finish + "}]}\n\n"
	}
	golden(t, scrub(readAll(t, postChat(t, url, `{`+hello+`,"stream":true,"stream_options":{"include_usage":true}}`))),
		event(`"role":"assistant","content":""`, "null")+event(`"content":"Hi"`, "null")+event(`"content":" there"`, "null")+
			event("", `"stop"`)+head+`],"usage":{"prompt_tokens":5,"completion_tokens":2,"total_tokens":7}}`+"\n\ndata: [DONE]\n\n")
}

func TestDecodeChat(t *testing.T) {
	now := time.Unix(1700000000, 0)
	a, err := decodeChat([]byte(`{"messages":[
		{"role":"system","content":[{"type":"text","text":"Be "},{"type":"text","text":"brief."}]},
		{"role":"user","content":"Hi","name":"Ann"},
		{"role":"assistant","content":null,"tool_calls":[{"id":"c1","type":"function","function":{"name":"f","arguments":"{\"b\":1,\"a\":2}"}}]},
		{"role":"tool","tool_call_id":"c1","content":"3"}],
		"tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object"}}}],"tool_choice":"required","parallel_tool_calls":false,
		"logprobs":true,"top_logprobs":3,"reasoning_effort":"low","chat_template_kwargs":{"enable_thinking":false},"max_completion_tokens":9}`), 1000, now)
	if err != nil {
		t.Fatal(err)
	}
	want := &prompt.Chat{
		Messages: []prompt.Message{
			{Role: "system", Content: "Be brief."}, {Role: "user", Content: "Hi", Name: "Ann"},
			{Role: "assistant", Calls: []prompt.ToolCall{{ID: "c1", Name: "f", Arguments: json.RawMessage(`{"b":1,"a":2}`)}}},
			{Role: "tool", Content: "3", CallID: "c1"},
		},
		Tools:     []json.RawMessage{json.RawMessage(`{"type":"function","function":{"name":"f","parameters":{"type":"object"}}}`)},
		Force:     "*",
		Variables: map[string]json.RawMessage{"enable_thinking": json.RawMessage("false"), "reasoning_effort": json.RawMessage(`"low"`)},
		Now:       1700000000,
	}
	if !reflect.DeepEqual(a.Chat, want) {
		t.Errorf("got %+v\nwant %+v", a.Chat, want)
	}
	if !a.Logprobs || a.Alternatives != 3 || !a.oneCall || a.MaxTokens != 9 {
		t.Errorf("got %+v", a)
	}
}

func TestBadChats(t *testing.T) {
	url := serve(t, newFake("a"), nil)
	for _, tc := range []struct{ fields, param, code, message string }{
		{`"messages":[]`, "messages", "invalid_value", "there is none"},
		{`"messages":7`, "messages", "invalid_value", "want"},
		{`"messages":[{"role":"robot","content":"x"}]`, "messages[0]", "invalid_value", "robot"},
		{`"messages":[{"role":"user"}]`, "messages[0]", "invalid_value", "no content"},
		{`"messages":[{"role":"user","content":[{"type":"image_url","image_url":{}}]}]`, "messages[0]", "invalid_value", "image_url"},
		{`"messages":[{"role":"assistant","tool_calls":[{"function":{"name":"f","arguments":"[1]"}}]}]`, "messages[0]", "invalid_value", "JSON object"},
		{hello + `,"tools":[{"type":"retrieval"}]`, "tools", "invalid_value", "number 0"},
		{hello + `,"tool_choice":"required"`, "tool_choice", "invalid_value", "no tools"},
		{hello + `,"tool_choice":"sometimes"`, "tool_choice", "invalid_value", "want none"},
		{hello + `,"top_logprobs":3`, "top_logprobs", "invalid_value", "logprobs"},
		{hello + `,"logprobs":true,"top_logprobs":21`, "top_logprobs", "invalid_value", "21"},
		{hello + `,"continue_final_message":true`, "continue_final_message", "invalid_value", "assistant"},
	} {
		checkError(t, tc.fields, postChat(t, url, `{`+tc.fields+`}`), 400, "invalid_request_error", tc.param, tc.code, tc.message)
	}
}

// TestFields sends each field of the list to its route: those refused are
// refused by name, those ignored change nothing, and those supported are
// fields of the body that is decoded.
func TestFields(t *testing.T) {
	url := serve(t, newFake("a"), nil)
	bodies := map[string]string{"/v1/completions": `"prompt":"Hi"`, "/v1/chat/completions": hello, "/api/generate": `"prompt":"Hi"`, "/api/chat": hello}
	known := map[string]map[string]bool{"/v1/completions": tags(reflect.TypeFor[textFields]()), "/v1/chat/completions": tags(reflect.TypeFor[chatFields]()),
		"/api/generate": tags(reflect.TypeFor[generateFields]()), "/api/chat": tags(reflect.TypeFor[ollamaChatFields]())}
	for path, fields := range Routes() {
		for _, f := range fields {
			if f.Status == Supported != known[path][f.Name] {
				t.Errorf("%s: %s is %s; decoded: %v", path, f.Name, f.Status, known[path][f.Name])
			}
			delete(known[path], f.Name)
			if f.Status == Supported {
				continue
			}
			strange := fmt.Sprintf(`%q:{"a":["strange"]}`, f.Name)
			if group, name, inside := strings.Cut(f.Name, "."); inside {
				strange = fmt.Sprintf(`%q:{%q:{"a":["strange"]}}`, group, name)
			}
			r, err := http.Post(url+path, "application/json", strings.NewReader(fmt.Sprintf(`{%s,%s}`, bodies[path], strange)))
			if err != nil {
				t.Fatal(err)
			}
			defer r.Body.Close()
			if f.Status == Refused && strings.HasPrefix(path, "/api/") {
				if got := readAll(t, r); r.StatusCode != 400 || !strings.Contains(got, `{"error":"`+f.Name+": ") {
					t.Errorf("%s: %s: %s, %s", path, f.Name, r.Status, got)
				}
			} else if f.Status == Refused {
				checkError(t, f.Name, r, 400, "invalid_request_error", f.Name, "unsupported_value", f.Note)
			} else if r.StatusCode != 200 {
				t.Errorf("%s: %s is refused: %s", path, f.Name, r.Status)
			}
		}
		for name := range known[path] {
			t.Errorf("%s: %s is decoded and not in the list", path, name)
		}
	}
}

// tags are the JSON names of a struct's fields.
func tags(t reflect.Type) map[string]bool {
	all := map[string]bool{}
	for i := range t.NumField() {
		if f := t.Field(i); f.Anonymous {
			for name := range tags(f.Type) {
				all[name] = true
			}
		} else if f.Type.Kind() == reflect.Struct {
			for name := range tags(f.Type) {
				all[f.Tag.Get("json")+"."+name] = true
			}
		} else {
			all[f.Tag.Get("json")] = true
		}
	}
	return all
}

func TestSeveralAnswers(t *testing.T) {
	for _, stream := range []bool{false, true} {
		f := newFake("one", " two")
		url := serve(t, f, nil)
		got := readAll(t, postChat(t, url, fmt.Sprintf(`{%s,"n":3,"seed":7,"stream":%v}`, hello, stream)))
		for i := range 3 {
			if n := strings.Count(got, fmt.Sprintf(`"index":%d`, i)); n == 0 {
				t.Errorf("no answer %d in %s", i, got)
			}
		}
		if n := strings.Count(got, `"finish_reason":"length"`); n != 3 {
			t.Errorf("%d answers ended in %s", n, got)
		}
		seeds := map[uint64]bool{}
		for range 3 {
			seeds[wait(t, "a request", f.seen).Sampling.Seed] = true
		}
		if len(seeds) != 3 || !seeds[7] {
			t.Errorf("seeds %v", seeds)
		}
	}
}

func TestRunningCountsAnswers(t *testing.T) {
	url := serve(t, newFake("a"), func(c *Config) { c.Limits.Running = 2 })
	checkError(t, "three answers", postChat(t, url, `{`+hello+`,"n":3}`), 429, "rate_limit_error", "", "busy", "2 completions")
	if r := postChat(t, url, `{`+hello+`,"n":2}`); r.StatusCode != 200 {
		t.Errorf("two answers after a refusal: %s", r.Status)
	}
}

func FuzzDecodeChat(f *testing.F) {
	for _, s := range []string{
		`{` + hello + `}`, `{"messages":[{"role":"assistant","tool_calls":[{"function":{"name":"f","arguments":{}}}]}]}`,
		`{` + hello + `,"tools":[{"type":"function","function":{"name":"f"}}],"tool_choice":{"type":"function","function":{"name":"f"}}}`,
		`{` + hello + `,"response_format":{"type":"json_schema","json_schema":{"schema":{}}},"logit_bias":{"1":2}}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		a, err := decodeChat(body, 100, time.Unix(1, 0))
		if err != nil {
			if e := explain(err); e.status != http.StatusBadRequest || e.message == "" {
				t.Errorf("%q: %v", body, err)
			}
			return
		}
		if a.Chat == nil || len(a.Chat.Messages) == 0 || a.MaxTokens < 1 || a.MaxTokens > 100 || a.n < 1 || a.n > maxAnswers {
			t.Errorf("%q passed as %+v", body, a)
		}
	})
}

// says gives chunks of a conversation's answer with marks and a syntax.
func says(syntax prompt.ToolSyntax, pieces ...string) completer {
	return func(_ context.Context, r prompt.Request) iter.Seq2[prompt.Chunk, error] {
		return func(yield func(prompt.Chunk, error) bool) {
			c := prompt.Chunk{PromptTokens: 3, HasToken: true, Tools: syntax}
			for i, s := range pieces {
				c.Token, c.Bytes, c.Mark = int32(i), []byte(s), ""
				if strings.HasPrefix(s, "<|") {
					c.Bytes, c.Mark = nil, s
				}
				if !yield(c, nil) {
					return
				}
				c.Tools = ""
			}
			yield(prompt.Chunk{PromptTokens: 3, Finish: prompt.FinishStop}, nil)
		}
	}
}

const weather = `,"tools":[{"type":"function","function":{"name":"weather","parameters":{"type":"object","properties":{"city":{"type":"string"}}}}}]`

func TestToolCalls(t *testing.T) {
	url := serve(t, says(prompt.ToolsHermes, "<think>hm</think>", "Wait.\n<tool", "_call>{\"name\":\"weather\",", "\"arguments\":{\"city\":", "\"Rome\"}}</tool_call>",
		"\n<tool_call>{\"name\":\"weather\",\"arguments\":{}}</tool_call>", "<|im_end|>"), nil)
	type call struct {
		Index    int
		ID, Type string
		Function struct{ Name, Arguments string }
	}
	var whole struct {
		Choices []struct {
			Message struct {
				Content   string
				Reasoning string `json:"reasoning_content"`
				ToolCalls []call `json:"tool_calls"`
			}
			FinishReason string `json:"finish_reason"`
		}
	}
	body := readAll(t, postChat(t, url, `{`+hello+weather+`}`))
	if err := json.Unmarshal([]byte(body), &whole); err != nil {
		t.Fatal(err)
	}
	m := whole.Choices[0].Message
	if m.Content != "Wait." || m.Reasoning != "hm" || len(m.ToolCalls) != 2 || m.ToolCalls[0].Function.Name != "weather" ||
		m.ToolCalls[0].Function.Arguments != `{"city":"Rome"}` || len(m.ToolCalls[0].ID) != 9 || m.ToolCalls[0].ID == m.ToolCalls[1].ID ||
		whole.Choices[0].FinishReason != "tool_calls" {
		t.Errorf("got %s", body)
	}
	// Streamed, and put together as clients do.
	stream := readAll(t, postChat(t, url, `{`+hello+weather+`,"stream":true}`))
	calls := map[int]*call{}
	for line := range strings.Lines(stream) {
		data, ok := strings.CutPrefix(line, "data: {")
		if !ok {
			continue
		}
		var e struct {
			Choices []struct {
				Delta struct {
					ToolCalls []call `json:"tool_calls"`
				}
			}
		}
		if err := json.Unmarshal([]byte("{"+data), &e); err != nil {
			t.Fatal(err)
		}
		for _, c := range e.Choices[0].Delta.ToolCalls {
			if calls[c.Index] == nil {
				calls[c.Index] = &call{}
			}
			calls[c.Index].Function.Name += c.Function.Name
			calls[c.Index].Function.Arguments += c.Function.Arguments
		}
	}
	if len(calls) != 2 || calls[0].Function.Name != "weather" || calls[0].Function.Arguments != `{"city":"Rome"}` || calls[1].Function.Arguments != "{}" ||
		!strings.Contains(stream, `"finish_reason":"tool_calls"`) {
		t.Errorf("got %s", stream)
	}
	// The arguments come as they are written, in several events.
	if n := strings.Count(stream, `"arguments":"`); n < 5 {
		t.Errorf("the arguments came in %d events: %s", n, stream)
	}
	if one := readAll(t, postChat(t, url, `{`+hello+weather+`,"parallel_tool_calls":false}`)); strings.Count(one, `"name":"weather"`) != 1 {
		t.Errorf("one call wanted: %s", one)
	}
	if none := readAll(t, postChat(t, url, `{`+hello+`}`)); !strings.Contains(none, "tool_call>") || strings.Contains(none, `"tool_calls"`) {
		t.Errorf("without tools: %s", none)
	}
}

func TestHarmonyMarks(t *testing.T) {
	url := serve(t, says(prompt.ToolsHarmony, "<|channel|>", "analysis", "<|message|>", "Hm", "<|end|>", "<|start|>", "assistant", "<|channel|>", "final", "<|message|>", "Hello", "<|return|>"), nil)
	got := readAll(t, postChat(t, url, `{`+hello+`}`))
	if !strings.Contains(got, `"content":"Hello","reasoning_content":"Hm"`) {
		t.Errorf("got %s", got)
	}
}
