package httpapi

import (
	crand "crypto/rand"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"

	"github.com/moeswarm/moeswarm/gating/prompt"
)

// completions answers POST /v1/completions.
func (s *Server) completions(w http.ResponseWriter, r *http.Request) {
	select {
	case s.running <- struct{}{}:
		defer func() { <-s.running }()
	default:
		s.fail(w, explain(fmt.Errorf("%w: this node has %d completions under way, as many as it allows", prompt.ErrBusy, cap(s.running))))
		return
	}
	body, fault := s.readBody(w, r)
	if fault != nil {
		s.fail(w, fault)
		return
	}
	c, err := decode(body, s.cfg.Limits.MaxTokens)
	if err == nil {
		c.Model, err = s.resolve(c.model)
	}
	if err != nil {
		s.fail(w, explain(err))
		return
	}
	if !c.seeded && c.Sampling.Temperature > 0 {
		c.Sampling.Seed = rand.Uint64()
	}
	a := &answering{
		completion: c,
		text:       prompt.NewText(c.stops),
		head:       answer{ID: "cmpl-" + crand.Text(), Object: "text_completion", Created: time.Now().Unix(), Model: s.nameOf(c.Model)},
	}
	if c.stream {
		s.stream(w, r, a)
	} else {
		s.whole(w, r, a)
	}
}

// whole answers with one JSON object.
func (s *Server) whole(w http.ResponseWriter, r *http.Request, a *answering) {
	var text strings.Builder
	failure := errBrokenOff
	for c, err := range s.cfg.Completer.Complete(r.Context(), a.Request) {
		if err != nil {
			failure = err
			break
		}
		piece, ended := a.add(c)
		text.WriteString(piece)
		if ended {
			break
		}
	}
	if a.finish == prompt.FinishNone {
		if r.Context().Err() != nil {
			failure = cause(r.Context())
		}
		if failure != nil { // else the client left
			s.fail(w, explain(failure))
		}
		return
	}
	reply := a.head
	reply.Choices = []choice{{Text: text.String(), FinishReason: &a.finish}}
	reply.Usage = &a.usage
	reply.Extra = a.extra()
	s.reply(w, http.StatusOK, reply)
}

// errBrokenOff says that a Completer broke its promise.
var errBrokenOff = errors.New("the answer broke off without a reason")

// answering is an answer on its way to one client.
type answering struct {
	completion
	text   *prompt.Text
	head   answer // what all parts of the answer share
	usage  usage
	tokens []int32 // not yet sent; kept only when they are asked for
	// What was left out so far; reported when the request allows it.
	dropped prompt.Dropped
	drafts  prompt.Drafts // so far
	finish  prompt.Finish
}

// add takes the next chunk and returns the text that it completes, and
// whether the answer has ended with it.
func (a *answering) add(c prompt.Chunk) (piece string, ended bool) {
	a.usage.PromptTokens = c.PromptTokens
	a.dropped.Calls += c.Dropped.Calls
	a.dropped.Mass += c.Dropped.Mass
	a.usage.Details.count(a.drafts, c.Drafts)
	a.drafts = c.Drafts
	if c.HasToken {
		a.usage.CompletionTokens++
		if a.returnTokens {
			a.tokens = append(a.tokens, c.Token)
		}
	}
	a.usage.TotalTokens = a.usage.PromptTokens + a.usage.CompletionTokens
	piece, stopped := a.text.Add(c.Bytes)
	switch {
	case stopped:
		a.finish = prompt.FinishStop
	case c.Finish != prompt.FinishNone:
		a.finish = c.Finish
		piece += a.text.Flush()
	}
	return piece, a.finish != prompt.FinishNone
}

// extra takes the tokens to be sent, if they are asked for, and tells what was
// left out so far, if that was allowed.
func (a *answering) extra() *extra {
	if !a.returnTokens && a.BestEffort == 0 {
		return nil
	}
	e := &extra{}
	if a.returnTokens {
		e.Tokens = append([]int32{}, a.tokens...)
		a.tokens = a.tokens[:0]
	}
	if a.BestEffort > 0 {
		e.Dropped = &dropped{a.dropped.Calls, a.dropped.Mass}
	}
	return e
}

// answer is the JSON of an answer, and of each event of a streamed one.
type answer struct {
	ID      string   `json:"id"`
	Object  string   `json:"object"`
	Created int64    `json:"created"`
	Model   string   `json:"model"`
	Choices []choice `json:"choices"`
	Usage   *usage   `json:"usage"`
	Extra   *extra   `json:"moeswarm,omitempty"`
}

type choice struct {
	Text         string         `json:"text"`
	Index        int            `json:"index"`
	Logprobs     *struct{}      `json:"logprobs"`      // always null
	FinishReason *prompt.Finish `json:"finish_reason"` // null while it goes on
}

// extra holds what only we send.
type extra struct {
	Tokens  []int32  `json:"tokens,omitzero"`
	Dropped *dropped `json:"dropped,omitempty"`
}

// dropped is what a best-effort answer went without, so far.
type dropped struct {
	Calls int     `json:"calls"`
	Mass  float64 `json:"gate_mass"`
}
