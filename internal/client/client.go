// Package client asks a node over its HTTP endpoint: completions, streamed,
// and the state of the swarm.
//
// A [Client] is a base URL. [Client.Complete] streams one answer and returns
// it with its timings as an [Answer]; [Client.Get] reads a JSON page. The
// client starts no goroutine that outlives a call and sets no time limit of
// its own; contexts do.
package client

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// maxLine bounds one line of a stream and one error body: far above what a
// token or a message takes.
const maxLine = 1 << 20

// Client asks one node.
type Client struct {
	base string
	key  string // API key; may be empty
}

// WithKey is a client that shows an API key.
func (c *Client) WithKey(key string) *Client { return &Client{c.base, key} }

// New checks the address, such as http://127.0.0.1:4180; the scheme may be
// left out.
func New(base string) (*Client, error) {
	if !strings.Contains(base, "://") {
		base = "http://" + base
	}
	u, err := url.Parse(base)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return nil, fmt.Errorf("node address %.200q: want something like http://127.0.0.1:4180", base)
	}
	return &Client{base: strings.TrimRight(u.String(), "/")}, nil
}

// Request is what to complete. Fields as in the endpoint's documentation;
// zero pointers are left out.
type Request struct {
	Model       string   `json:"model,omitempty"`
	Prompt      string   `json:"prompt"`
	MaxTokens   int      `json:"max_tokens"`
	Temperature float64  `json:"temperature"`
	TopK        int      `json:"top_k,omitempty"`
	TopP        float64  `json:"top_p,omitempty"`
	Seed        *uint64  `json:"seed,omitempty"`
	Stop        []string `json:"stop,omitempty"`
	BestEffort  float64  `json:"best_effort,omitempty"`
}

// Answer is a completed prompt.
type Answer struct {
	Text         string
	Tokens       []int32
	PromptTokens int
	Finish       string
	// FirstToken is the time from asking to the first token; Total that to
	// the end of the answer.
	FirstToken, Total time.Duration
	// Arrived is when each token came.
	Arrived []time.Time
	Dropped Dropped // of a best-effort answer
	Drafts  Drafts
}

// Drafts counts tokens tried ahead of their time, and those that were right.
type Drafts struct {
	Drafted  int `json:"drafted"`
	Accepted int `json:"accepted"`
}

// Dropped is what a best-effort answer went without.
type Dropped struct {
	Calls int     `json:"calls"`
	Mass  float64 `json:"gate_mass"`
}

// DecodeRate is the tokens per second after the first.
func (a Answer) DecodeRate() float64 {
	if d := a.Total - a.FirstToken; len(a.Tokens) > 1 && d > 0 {
		return float64(len(a.Tokens)-1) / d.Seconds()
	}
	return 0
}

// event is one server-sent event of a completion.
type event struct {
	Choices []struct {
		Text   string  `json:"text"`
		Finish *string `json:"finish_reason"`
	} `json:"choices"`
	Usage *struct {
		Prompt  int `json:"prompt_tokens"`
		Details struct {
			Accepted int `json:"accepted_prediction_tokens"`
			Rejected int `json:"rejected_prediction_tokens"`
		} `json:"completion_tokens_details"`
	} `json:"usage"`
	Extra *struct {
		Tokens  []int32  `json:"tokens"`
		Dropped *Dropped `json:"dropped"`
	} `json:"moeswarm"`
	Error *apiError `json:"error"`
}

type apiError struct {
	Message string `json:"message"`
}

// Complete asks for a completion and calls piece with the text as it comes.
func (c *Client) Complete(ctx context.Context, r Request, piece func(string)) (Answer, error) {
	body, err := json.Marshal(struct {
		Request
		Stream        bool            `json:"stream"`
		StreamOptions map[string]bool `json:"stream_options"`
		ReturnTokens  bool            `json:"return_tokens"`
	}{r, true, map[string]bool{"include_usage": true}, true})
	if err != nil {
		return Answer{}, err
	}
	begun := time.Now()
	resp, err := c.do(ctx, http.MethodPost, "/v1/completions", bytes.NewReader(body))
	if err != nil {
		return Answer{}, err
	}
	defer resp.Body.Close()
	var (
		a    Answer
		text strings.Builder
	)
	done := false
	err = events(resp.Body, func(data string) error {
		if data == "[DONE]" {
			done = true
			return nil
		}
		var e event
		if err := json.Unmarshal([]byte(data), &e); err != nil {
			return fmt.Errorf("the node sent %.100q: %w", data, err)
		}
		if e.Error != nil {
			return errors.New(e.Error.Message)
		}
		a.add(e, begun, &text, piece)
		return nil
	})
	if err == nil && !done {
		err = errors.New("the answer broke off")
	}
	if err == nil {
		a.Text, a.Total = text.String(), time.Since(begun)
	}
	return a, err
}

// events calls each with the data of every server-sent event, to the end of the
// stream.
func events(r io.Reader, each func(data string) error) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
			if err := each(data); err != nil {
				return err
			}
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("the answer broke off: %w", err)
	}
	return nil
}

func (a *Answer) add(e event, begun time.Time, text *strings.Builder, piece func(string)) {
	if e.Extra != nil && len(e.Extra.Tokens) > 0 {
		if len(a.Tokens) == 0 {
			a.FirstToken = time.Since(begun)
		}
		a.Tokens = append(a.Tokens, e.Extra.Tokens...)
		for range e.Extra.Tokens {
			a.Arrived = append(a.Arrived, time.Now())
		}
	}
	if e.Extra != nil && e.Extra.Dropped != nil {
		a.Dropped = *e.Extra.Dropped
	}
	if e.Usage != nil {
		a.PromptTokens = e.Usage.Prompt
		d := e.Usage.Details
		a.Drafts = Drafts{Drafted: d.Accepted + d.Rejected, Accepted: d.Accepted}
	}
	for _, ch := range e.Choices {
		text.WriteString(ch.Text)
		if ch.Text != "" && piece != nil {
			piece(ch.Text)
		}
		if ch.Finish != nil {
			a.Finish = *ch.Finish
		}
	}
}

// Get reads a JSON page, such as /v1/swarm, into v.
func (c *Client) Get(ctx context.Context, path string, v any) error {
	resp, err := c.do(ctx, http.MethodGet, path, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	return json.NewDecoder(resp.Body).Decode(v)
}

// do sends a request and turns an error status into the node's own words.
func (c *Client) do(ctx context.Context, method, path string, body io.Reader) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, body)
	if err != nil {
		return nil, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.key != "" {
		req.Header.Set("Authorization", "Bearer "+c.key)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		if ctx.Err() == nil {
			err = fmt.Errorf("no node answers at %s (%w); start one with \"moeswarm node\"", c.base, err)
		}
		return nil, err
	}
	if resp.StatusCode == http.StatusOK {
		return resp, nil
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(resp.Body, maxLine))
	var e event
	if json.Unmarshal(text, &e) == nil && e.Error != nil {
		return nil, errors.New(e.Error.Message)
	}
	return nil, fmt.Errorf("%s answered %s", c.base, resp.Status)
}
