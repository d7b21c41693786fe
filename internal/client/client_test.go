package client

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestNew(t *testing.T) {
	for _, good := range []string{"http://127.0.0.1:4180", "127.0.0.1:4180", "localhost:1/", "https://a.example/x"} {
		if _, err := New(good); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	for _, bad := range []string{"", "ftp://x", "http://", "://"} {
		if _, err := New(bad); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

// serve answers every request with one body.
func serve(t *testing.T, status int, body string) *Client {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	}))
	t.Cleanup(s.Close)
	c, err := New(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestComplete(t *testing.T) {
	c := serve(t, 200, `: waiting

data: {"choices":[{"text":"a","finish_reason":null}],"moeswarm":{"tokens":[1]}}

data: {"choices":[{"text":"b","finish_reason":null}],"moeswarm":{"tokens":[2]}}

data: {"choices":[{"text":"","finish_reason":"stop"}]}

data: {"choices":[],"usage":{"prompt_tokens":7}}

data: [DONE]

`)
	var pieces []string
	a, err := c.Complete(context.Background(), Request{Prompt: "x"}, func(s string) { pieces = append(pieces, s) })
	if err != nil {
		t.Fatal(err)
	}
	if a.Text != "ab" || len(a.Tokens) != 2 || a.Tokens[1] != 2 || a.PromptTokens != 7 || a.Finish != "stop" || strings.Join(pieces, "|") != "a|b" {
		t.Errorf("%+v %q", a, pieces)
	}
	if a.FirstToken <= 0 || a.Total < a.FirstToken {
		t.Errorf("times %v, %v", a.FirstToken, a.Total)
	}
}

func TestCompleteFails(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		body   string
		say    string
	}{
		"refused":    {503, `{"error":{"message":"no gating node"}}`, "no gating node"},
		"no JSON":    {502, `<html>`, "502"},
		"mid-stream": {200, "data: {\"error\":{\"message\":\"experts without a holder\"}}\n\n", "experts without a holder"},
		"cut off":    {200, "data: {\"choices\":[{\"text\":\"a\"}]}\n\n", "broke off"},
		"nonsense":   {200, "data: {{{\n\n", "{{{"},
	} {
		_, err := serve(t, c.status, c.body).Complete(context.Background(), Request{Prompt: "x"}, nil)
		if err == nil || !strings.Contains(err.Error(), c.say) {
			t.Errorf("%s: %v, want something about %q", name, err, c.say)
		}
	}
}

func TestGet(t *testing.T) {
	var v struct{ Peer string }
	if err := serve(t, 200, `{"peer":"me"}`).Get(context.Background(), "/v1/swarm", &v); err != nil || v.Peer != "me" {
		t.Errorf("%+v %v", v, err)
	}
	c, _ := New("127.0.0.1:1")
	if err := c.Get(context.Background(), "/v1/swarm", &v); err == nil || !strings.Contains(err.Error(), "no node answers") {
		t.Errorf("nobody there: %v", err)
	}
}
