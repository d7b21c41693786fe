package httpapi

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/moeswarm/moeswarm/gating/prompt"
)

func TestDecode(t *testing.T) {
	plain := func(change func(*ask)) ask {
		c := ask{n: 1, Request: prompt.Request{
			Text:      "Hi",
			MaxTokens: 16,
			Sampling:  prompt.Sampling{Temperature: 1, TopP: 1, RepeatPenalty: 1},
		}}
		if change != nil {
			change(&c)
		}
		return c
	}
	for _, tc := range []struct {
		body string
		want ask
	}{
		{`{"prompt":"Hi"}`, plain(nil)},
		{`{"prompt":["Hi"]}`, plain(nil)},
		{` { "prompt" : "Hi" , "user":"u", "metadata":{"a":[1]}, "never_heard_of": [[{}]] } `, plain(nil)},
		{`{"prompt":"Hi","model":null,"max_tokens":null,"temperature":null,"top_p":null,"seed":null,"stop":null,"stream":null,"stream_options":null,"n":null}`, plain(nil)},
		{`{"prompt":"Hi","n":1,"best_of":1.0,"echo":false,"suffix":"","logprobs":null,"logit_bias":null,"presence_penalty":0,"frequency_penalty":0.0}`, plain(nil)},
		{`{"prompt":"Hi","n":3,"logprobs":2,"logit_bias":{"7":-100,"5":1.5},"presence_penalty":1,"frequency_penalty":-1,"max_tokens":5,"max_completion_tokens":6}`, plain(func(c *ask) {
			c.n, c.Logprobs, c.Alternatives, c.MaxTokens = 3, true, 2, 6
			c.Sampling.Bias = []prompt.Bias{{Token: 5, Add: 1.5}, {Token: 7, Add: -100}}
			c.Sampling.PresencePenalty, c.Sampling.FrequencyPenalty = 1, -1
		})},
		{`{"prompt":"Hi","response_format":{"type":"json_object"}}`, plain(func(c *ask) { c.Schema = json.RawMessage(`{"type":"object"}`) })},
		{`{"prompt":"Hi","response_format":{"type":"text"}}`, plain(nil)},
		{`{"prompt":"","model":"demo"}`, plain(func(c *ask) { c.Text, c.model = "", "demo" })},
		{`{"prompt":"Hi","temperature":0,"max_tokens":1}`, plain(func(c *ask) { c.Sampling.Temperature, c.MaxTokens = 0, 1 })},
		{`{"prompt":"Hi","temperature":2,"max_tokens":1000}`, plain(func(c *ask) { c.Sampling.Temperature, c.MaxTokens = 2, 1000 })},
		{`{"prompt":"Hi","top_p":0}`, plain(func(c *ask) { c.Sampling.TopP = math.SmallestNonzeroFloat32 })},
		{`{"prompt":"Hi","top_p":0.5,"top_k":40,"min_p":0.25,"repeat_penalty":1.5}`, plain(func(c *ask) {
			c.Sampling.TopP, c.Sampling.TopK, c.Sampling.MinP, c.Sampling.RepeatPenalty = 0.5, 40, 0.25, 1.5
		})},
		{`{"prompt":"Hi","seed":0}`, plain(func(c *ask) { c.seeded = true })},
		{`{"prompt":"Hi","seed":-1}`, plain(func(c *ask) { c.seeded, c.Sampling.Seed = true, math.MaxUint64 })},
		{`{"prompt":"Hi","seed":18446744073709551615}`, plain(func(c *ask) { c.seeded, c.Sampling.Seed = true, math.MaxUint64 })},
		{`{"prompt":"Hi","stop":"\n"}`, plain(func(c *ask) { c.stops = []string{"\n"} })},
		{`{"prompt":"Hi","stop":["a","b","","c"]}`, plain(func(c *ask) { c.stops = []string{"a", "b", "c"} })},
		{`{"prompt":"Hi","stop":[]}`, plain(nil)},
		{`{"prompt":"Hi","stream":true,"stream_options":{"include_usage":true,"x":1},"return_tokens":true}`, plain(func(c *ask) {
			c.stream, c.includeUsage, c.returnTokens = true, true, true
		})},
	} {
		got, err := decodeText([]byte(tc.body), 1000)
		if err != nil || !reflect.DeepEqual(got, tc.want) {
			t.Errorf("%s:\n got %+v (%v)\nwant %+v", tc.body, got, err, tc.want)
		}
	}
}

func TestBadRequests(t *testing.T) {
	url := serve(t, newFake("a"), func(c *Config) { c.Limits.MaxTokens = 1000 })
	for _, tc := range []struct {
		body, param, code, message string
	}{
		{``, "", "invalid_json", "the body is empty"},
		{`{`, "", "invalid_json", "at byte 1"},
		{`{"prompt":"Hi"} x`, "", "invalid_json", "at byte 17"},
		{`"Hi"`, "", "invalid_json", "must be a JSON object, not string"},
		{`[1]`, "", "invalid_json", "must be a JSON object, not array"},
		{strings.Repeat("[", 20000), "", "invalid_json", "not valid JSON"},
		{"\x00\xff\xfe", "", "invalid_json", "not valid JSON"},
		{`null`, "prompt", "invalid_value", "missing"},
		{`{}`, "prompt", "invalid_value", "missing"},
		{`{"prompt":null}`, "prompt", "invalid_value", "missing"},
		{`{"prompt":7}`, "prompt", "invalid_value", "want a string"},
		{`{"prompt":{}}`, "prompt", "invalid_value", "want a string"},
		{`{"prompt":[]}`, "prompt", "invalid_value", "empty"},
		{`{"prompt":["a","b"]}`, "prompt", "invalid_value", "only one prompt"},
		{`{"prompt":[1,2]}`, "prompt", "invalid_value", "token ids are not supported"},
		{`{"prompt":[[1,2]]}`, "prompt", "invalid_value", "token ids are not supported"},
		{`{"prompt":[["a"]]}`, "prompt", "invalid_value", "want a string"},
		{`{"prompt":[null]}`, "prompt", "invalid_value", "want a string"},
		{`{"prompt":"Hi","model":7}`, "model", "invalid_value", "want a string, not number"},
		{`{"prompt":"Hi","model":"` + strings.Repeat("m", 257) + `"}`, "model", "invalid_value", "257 bytes"},
		{`{"prompt":"Hi","max_tokens":0}`, "max_tokens", "invalid_value", "0 is not between 1 and 1000"},
		{`{"prompt":"Hi","max_tokens":-1}`, "max_tokens", "invalid_value", "-1"},
		{`{"prompt":"Hi","max_tokens":1001}`, "max_tokens", "invalid_value", "1001"},
		{`{"prompt":"Hi","max_tokens":1.5}`, "max_tokens", "invalid_value", "want a whole number, not number 1.5"},
		{`{"prompt":"Hi","max_tokens":99999999999999999999}`, "max_tokens", "invalid_value", "want a whole number"},
		{`{"prompt":"Hi","max_tokens":"7"}`, "max_tokens", "invalid_value", "want a whole number, not string"},
		{`{"prompt":"Hi","temperature":-0.1}`, "temperature", "invalid_value", "-0.1 is not between 0 and 2"},
		{`{"prompt":"Hi","temperature":2.1}`, "temperature", "invalid_value", "2.1"},
		{`{"prompt":"Hi","temperature":1e999}`, "temperature", "invalid_value", "want a number"},
		{`{"prompt":"Hi","temperature":"hot"}`, "temperature", "invalid_value", "want a number, not string"},
		{`{"prompt":"Hi","top_p":1.1}`, "top_p", "invalid_value", "1.1"},
		{`{"prompt":"Hi","top_k":-1}`, "top_k", "invalid_value", "-1"},
		{`{"prompt":"Hi","min_p":2}`, "min_p", "invalid_value", "2"},
		{`{"prompt":"Hi","repeat_penalty":-1}`, "repeat_penalty", "invalid_value", "-1"},
		{`{"prompt":"Hi","seed":1.5}`, "seed", "invalid_value", "not 1.5"},
		{`{"prompt":"Hi","seed":"x"}`, "seed", "invalid_value", "whole number"},
		{`{"prompt":"Hi","seed":18446744073709551616}`, "seed", "invalid_value", "64 bits"},
		{`{"prompt":"Hi","stop":7}`, "stop", "invalid_value", "want a string"},
		{`{"prompt":"Hi","stop":["a",7]}`, "stop", "invalid_value", "want a string"},
		{`{"prompt":"Hi","stop":["a","b","c","d","e"]}`, "stop", "invalid_value", "more than 4"},
		{`{"prompt":"Hi","stop":"` + strings.Repeat("s", 1025) + `"}`, "stop", "invalid_value", "1025 bytes"},
		{`{"prompt":"Hi","stream":"yes"}`, "stream", "invalid_value", "want true or false, not string"},
		{`{"prompt":"Hi","stream_options":{"include_usage":true}}`, "stream_options", "invalid_value", "stream"},
		{`{"prompt":"Hi","stream":true,"stream_options":7}`, "stream_options", "invalid_value", "want an object, not number"},
		{`{"prompt":"Hi","stream":true,"stream_options":{"include_usage":7}}`, "stream_options.include_usage", "invalid_value", "want true or false"},
		{`{"prompt":"Hi","n":17}`, "n", "invalid_value", "17 is not between 1 and 16"},
		{`{"prompt":"Hi","n":0}`, "n", "invalid_value", "0 is not between"},
		{`{"prompt":"Hi","n":"1"}`, "n", "invalid_value", "want a whole number"},
		{`{"prompt":"Hi","best_of":2}`, "best_of", "unsupported_value", "only 1"},
		{`{"prompt":"Hi","echo":true}`, "echo", "unsupported_value", "not supported"},
		{`{"prompt":"Hi","suffix":"."}`, "suffix", "unsupported_value", "not supported"},
		{`{"prompt":"Hi","logprobs":6}`, "logprobs", "invalid_value", "6 is not between 0 and 5"},
		{`{"prompt":"Hi","logit_bias":{"x":-100}}`, "logit_bias", "invalid_value", "not a token id"},
		{`{"prompt":"Hi","logit_bias":{"5":-101}}`, "logit_bias", "invalid_value", "-101"},
		{`{"prompt":"Hi","logit_bias":[]}`, "logit_bias", "invalid_value", "want an object"},
		{`{"prompt":"Hi","presence_penalty":2.5}`, "presence_penalty", "invalid_value", "2.5"},
		{`{"prompt":"Hi","frequency_penalty":-2.5}`, "frequency_penalty", "invalid_value", "-2.5"},
		{`{"prompt":"Hi","response_format":{"type":"xml"}}`, "response_format", "invalid_value", "json_object"},
		{`{"prompt":"Hi","response_format":{"type":"json_schema"}}`, "response_format", "invalid_value", "schema is missing"},
		{`{"prompt":"Hi","max_completion_tokens":0}`, "max_completion_tokens", "invalid_value", "between 1 and 1000"},
	} {
		r := post(t, url, tc.body)
		checkError(t, fmt.Sprintf("%.100s", tc.body), r, http.StatusBadRequest, "invalid_request_error", tc.param, tc.code, tc.message)
	}
}

// checkError compares an answer with the error that it should be.
func checkError(t *testing.T, what string, r *http.Response, status int, kind, param, code, message string) {
	t.Helper()
	var got struct {
		Error map[string]*string `json:"error"`
	}
	text := readAll(t, r)
	if err := json.Unmarshal([]byte(text), &got); err != nil || len(got.Error) != 4 {
		t.Errorf("%s: %s with %s (%v)", what, r.Status, text, err)
		return
	}
	value := func(name string) string {
		if v := got.Error[name]; v != nil {
			return *v
		}
		return ""
	}
	if r.StatusCode != status || value("type") != kind || value("param") != param || value("code") != code || !strings.Contains(value("message"), message) {
		t.Errorf("%s:\n got %s, %s\nwant %d, type %q, param %q, code %q, a message with %q", what, r.Status, text, status, kind, param, code, message)
	}
}

func TestErrorGolden(t *testing.T) {
	url := serve(t, newFake("a"), nil)
	golden(t, readAll(t, post(t, url, `{"prompt":"Hi","temperature":3}`)),
		`{"error":{"message":"temperature: 3 is not between 0 and 2","type":"invalid_request_error","param":"temperature","code":"invalid_value"}}`+"\n")
	golden(t, readAll(t, post(t, url, `[]`)),
		`{"error":{"message":"the body must be a JSON object, not array","type":"invalid_request_error","param":null,"code":"invalid_json"}}`+"\n")
}

func TestCompleterErrors(t *testing.T) {
	for _, tc := range []struct {
		err         error
		status      int
		kind, param string
		code, retry string
	}{
		{prompt.ErrBadRequest, 400, "invalid_request_error", "", "bad_request", ""},
		{prompt.ErrUnknownModel, 404, "invalid_request_error", "model", "model_not_found", ""},
		{prompt.ErrBusy, 429, "rate_limit_error", "", "busy", "3"},
		{&prompt.BusyError{Wait: 41200 * time.Millisecond, Detail: "8 answers are running"}, 503, "server_error", "", "busy", "42"},
		{&prompt.BusyError{Wait: time.Hour}, 503, "server_error", "", "busy", "600"},
		{&prompt.BusyError{}, 503, "server_error", "", "busy", "3"},
		{prompt.ErrNoGate, 503, "server_error", "", "no_gating_node", "10"},
		{prompt.ErrMissingExperts, 503, "server_error", "", "missing_experts", "10"},
		{prompt.ErrLost, 503, "server_error", "", "gating_node_lost", "3"},
		{fmt.Errorf("logits are NaN"), 500, "server_error", "", "internal_error", ""},
	} {
		f := newFake()
		f.err = fmt.Errorf("told at length: %w", tc.err)
		url := serve(t, f, nil)
		for _, stream := range []bool{false, true} {
			r := post(t, url, fmt.Sprintf(`{"prompt":"Hi","stream":%v}`, stream))
			if got := r.Header.Get("Retry-After"); got != tc.retry {
				t.Errorf("%v: Retry-After %q, want %q", tc.err, got, tc.retry)
			}
			checkError(t, tc.err.Error(), r, tc.status, tc.kind, tc.param, tc.code, f.err.Error())
		}
	}
}

func TestErrorAfterTokens(t *testing.T) {
	f := newFake("one", "two")
	f.err = prompt.ErrMissingExperts
	url := serve(t, f, nil)
	checkError(t, "whole", post(t, url, `{"prompt":"Hi"}`), 503, "server_error", "", "missing_experts", "without a holder")
	got := readAll(t, post(t, url, `{"prompt":"Hi","stream":true}`))
	events := strings.Split(got, "\n\n")
	golden(t, events[len(events)-2], `data: {"error":{"message":"experts without a holder","type":"server_error","param":null,"code":"missing_experts"}}`)
	if len(events) != 4 || strings.Contains(got, "[DONE]") {
		t.Errorf("got %s", got)
	}
}

// A Completer that ends without a reason must not look like a whole answer.
func TestBrokenOff(t *testing.T) {
	f := newFake("one")
	f.finish = prompt.FinishNone
	url := serve(t, f, nil)
	checkError(t, "whole", post(t, url, `{"prompt":"Hi"}`), 500, "server_error", "", "internal_error", "broke off")
	if got := readAll(t, post(t, url, `{"prompt":"Hi","stream":true}`)); !strings.Contains(got, "broke off") || strings.Contains(got, "[DONE]") {
		t.Errorf("got %s", got)
	}
}

func TestBodyLimits(t *testing.T) {
	url := serve(t, newFake("a"), func(c *Config) { c.Limits.Body = 1000 })
	fits := `{"prompt":"` + strings.Repeat("x", 1000-13) + `"}`
	if r := post(t, url, fits); r.StatusCode != 200 {
		t.Errorf("a body of %d bytes: %s", len(fits), r.Status)
	}
	checkError(t, "named length", post(t, url, fits+" "), 413, "invalid_request_error", "", "request_too_large", "1000 bytes")

	r, err := http.NewRequest(http.MethodPost, url+"/v1/completions", struct{ *strings.Reader }{strings.NewReader(strings.Repeat(fits, 5))})
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(r) // chunked
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	checkError(t, "chunked", resp, 413, "invalid_request_error", "", "request_too_large", "1000 bytes")

	got := rawRequest(t, url, "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzzz\r\n")
	if !strings.HasPrefix(got, "HTTP/1.1 400 ") {
		t.Errorf("nonsense for chunks: %s", got)
	}
}

func TestBodyStaysAway(t *testing.T) {
	url := serve(t, newFake("a"), func(c *Config) { c.Limits.BodyTime = 50 * time.Millisecond })
	got := rawRequest(t, url, "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 900\r\n\r\n{\"prompt\":")
	if !strings.HasPrefix(got, "HTTP/1.1 408 ") || !strings.Contains(got, `"code":"request_timeout"`) || !strings.Contains(got, "Connection: close") {
		t.Errorf("a body that stays away: %s", got)
	}
	// A body that nobody asked for must not hold the connection either.
	got = rawRequest(t, url, "GET /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 900\r\n\r\n")
	if !strings.HasPrefix(got, "HTTP/1.1 200 ") {
		t.Errorf("an unasked body that stays away: %s", got)
	}
}

func TestHeaderLimits(t *testing.T) {
	url := serve(t, newFake("a"), func(c *Config) { c.Limits.Header = 1000 })
	got := rawRequest(t, url, "GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: "+strings.Repeat("x", 10000)+"\r\n\r\n")
	if !strings.HasPrefix(got, "HTTP/1.1 431 ") {
		t.Errorf("a large header: %s", got)
	}
	url = serve(t, newFake("a"), func(c *Config) { c.Limits.HeaderTime = 50 * time.Millisecond })
	rawRequest(t, url, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n") // returns because the server closes
}

func FuzzDecode(f *testing.F) {
	for _, s := range []string{
		`{"prompt":"Hi"}`, `{"prompt":["Hi"],"stop":["a","b"],"seed":-7,"stream":true,"stream_options":{"include_usage":true}}`,
		`{"prompt":[[1,2]],"logit_bias":{},"n":1}`, `{"prompt":"Hi","temperature":1e-300,"top_p":0,"min_p":1,"top_k":3,"repeat_penalty":1.1}`,
		`{"prompt":[`, `null`, `[]`, `{"n":}`, `{"prompt":"\ud800","stop":"\u0000"}`, "\xff", `{"logit_bias":{`, `{"prompt":[{`, `{"logit_bias":{]`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		c, err := decodeText(body, 100)
		if err != nil {
			if e := explain(err); e.status != http.StatusBadRequest || e.message == "" || len(e.message) > 1000 {
				t.Errorf("%q: status %d, a message of %d bytes: %v", body, e.status, len(e.message), err)
			}
			return
		}
		s := c.Sampling
		sound := c.MaxTokens >= 1 && c.MaxTokens <= 100 && len(c.stops) <= maxStops && len(c.model) <= maxModelBytes &&
			s.Temperature >= 0 && s.Temperature <= 2 && s.TopP > 0 && s.TopP <= 1 && s.TopK >= 0 && s.MinP >= 0 && s.MinP <= 1 &&
			s.RepeatPenalty >= 0 && s.RepeatPenalty <= maxRepeatPenalty && c.Prefix == nil
		if !sound {
			t.Errorf("%q passed as %+v", body, c)
		}
		prompt.NewText(c.stops).Add([]byte(c.Text))
	})
}
