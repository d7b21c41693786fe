package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// Message is one turn of a conversation.
type Message struct {
	Role    string `json:"role"`
	Content string `json:"content"`
}

// ChatRequest is a conversation to continue. Zero values are left to the node.
type ChatRequest struct {
	Model       string    `json:"model,omitempty"`
	Messages    []Message `json:"messages"`
	MaxTokens   int       `json:"max_tokens,omitempty"`
	Temperature *float64  `json:"temperature,omitempty"`
	Seed        *uint64   `json:"seed,omitempty"`
}

// ChatAnswer is a message of the model.
type ChatAnswer struct {
	Text         string
	Reasoning    string
	Finish       string
	Tokens       int // of the answer
	PromptTokens int
	Route        string // X-Moeswarm-Route, as far as it is known
	Timing       string // Server-Timing; empty of an answer that broke off
	// FirstToken is the time from asking to the first token; Total that to
	// the end of the answer.
	FirstToken, Total time.Duration
}

// Rate is the tokens per second after the first.
func (a ChatAnswer) Rate() float64 {
	if d := a.Total - a.FirstToken; a.Tokens > 1 && d > 0 {
		return float64(a.Tokens-1) / d.Seconds()
	}
	return 0
}

// Chat continues a conversation and calls piece with the text as it comes;
// thought tells the model's reasoning from what it says. What came before an
// error is in the answer.
func (c *Client) Chat(ctx context.Context, r ChatRequest, piece func(text string, thought bool)) (a ChatAnswer, err error) {
	body, err := json.Marshal(struct {
		ChatRequest
		Stream        bool            `json:"stream"`
		StreamOptions map[string]bool `json:"stream_options"`
	}{r, true, map[string]bool{"include_usage": true}})
	if err != nil {
		return a, err
	}
	begun := time.Now()
	resp, err := c.do(ctx, http.MethodPost, "/v1/chat/completions", bytes.NewReader(body))
	if err != nil {
		return a, err
	}
	defer resp.Body.Close()
	a.Route = resp.Header.Get("X-Moeswarm-Route")
	defer func() {
		a.Total = time.Since(begun)
		if route := resp.Trailer.Get("X-Moeswarm-Route"); route != "" {
			a.Route = route
		}
		a.Timing = resp.Trailer.Get("Server-Timing")
	}()
	var text, thoughts strings.Builder
	defer func() { a.Text, a.Reasoning = text.String(), thoughts.String() }()
	done := false
	err = events(resp.Body, func(data string) error {
		if data == "[DONE]" {
			done = true
			return nil
		}
		var e chatEvent
		if err := json.Unmarshal([]byte(data), &e); err != nil {
			return fmt.Errorf("the node sent %.100q: %w", data, err)
		}
		if e.Error != nil {
			return errors.New(e.Error.Message)
		}
		if e.Usage != nil {
			a.PromptTokens, a.Tokens = e.Usage.Prompt, e.Usage.Completion
		}
		for _, ch := range e.Choices {
			if ch.Finish != nil {
				a.Finish = *ch.Finish
			}
			for _, part := range []struct {
				text    string
				thought bool
			}{{ch.Delta.Reasoning, true}, {ch.Delta.Content, false}} {
				if part.text == "" {
					continue
				}
				if a.FirstToken == 0 {
					a.FirstToken = time.Since(begun)
				}
				if part.thought {
					thoughts.WriteString(part.text)
				} else {
					text.WriteString(part.text)
				}
				piece(part.text, part.thought)
			}
		}
		return nil
	})
	if err == nil && !done {
		err = errors.New("the answer broke off")
	}
	return a, err
}

// chatEvent is one server-sent event of a chat.
type chatEvent struct {
	Choices []struct {
		Delta struct {
			Content   string `json:"content"`
			Reasoning string `json:"reasoning_content"`
		} `json:"delta"`
		Finish *string `json:"finish_reason"`
	} `json:"choices"`
	Usage *struct {
		Prompt     int `json:"prompt_tokens"`
		Completion int `json:"completion_tokens"`
	} `json:"usage"`
	Error *apiError `json:"error"`
}
