package httpapi

import (
	crand "crypto/rand"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/moeswarm/moeswarm/gating/prompt"
	"github.com/moeswarm/moeswarm/internal/reply"
)

// answering is one request's answers on their way to the client.
type answering struct {
	ask
	head    head
	choices []*choice
	usage   usage
	trace   trace
	// What was left out so far; reported when the request allows it.
	dropped prompt.Dropped
}

// choice is one of several answers to a request.
type choice struct {
	index  int
	text   *prompt.Text
	parser *reply.Parser     // of a conversation's answer; nil before its first chunk
	syntax prompt.ToolSyntax // that it reads
	begun  bool              // its first event went out
	finish prompt.Finish
	drafts prompt.Drafts // so far
	calls  []prompt.ToolCall
	called int  // how many of them are complete
	beyond bool // at a call more than is allowed
	// What came so far, of an answer that is sent whole.
	all, reasoning strings.Builder
	logprobs       []logprob
	tokens         []int32
	offset         int // characters so far
}

// delta is what one step adds to an answer.
type delta struct {
	text, reasoning string
	calls           []callPart
	called          []prompt.ToolCall // those that are complete now
	logprobs        []logprob
	tokens          []int32
	offset          int // characters before it
}

// callPart is what a step adds to a tool call: its beginning, with id and name,
// or more of its arguments.
type callPart struct {
	index     int // of the call in its answer
	id, name  string
	arguments string
}

// logprob is a token with its probability.
type logprob struct {
	bytes   []byte
	logprob float32
	top     []prompt.Candidate
}

func newAnswering(a ask, h head) *answering {
	ans := &answering{ask: a, head: h, trace: trace{begun: time.Now()}}
	for i := range a.n {
		ans.choices = append(ans.choices, &choice{index: i, text: prompt.NewText(a.stops)})
	}
	return ans
}

// ended tells whether all answers are complete.
func (a *answering) ended() bool {
	for _, c := range a.choices {
		if c.finish == prompt.FinishNone {
			return false
		}
	}
	return true
}

// add takes the next chunk of an answer and returns what it adds.
func (a *answering) add(c *choice, chunk prompt.Chunk) delta {
	d := delta{offset: c.offset}
	a.trace.add(chunk, time.Now())
	a.usage.PromptTokens = chunk.PromptTokens
	a.dropped.Calls += chunk.Dropped.Calls
	a.dropped.Mass += chunk.Dropped.Mass
	a.usage.Prompt.Cached = min(max(a.usage.Prompt.Cached, chunk.Cached), chunk.PromptTokens)
	a.usage.Details.count(c.drafts, chunk.Drafts)
	c.drafts = chunk.Drafts
	if chunk.HasToken {
		a.usage.CompletionTokens++
		if a.returnTokens {
			d.tokens = append(d.tokens, chunk.Token)
		}
		if a.Logprobs {
			l := logprob{bytes: chunk.Bytes, logprob: chunk.Logprob, top: chunk.Top}
			if len(l.bytes) == 0 {
				l.bytes = []byte(chunk.Mark)
			}
			d.logprobs = append(d.logprobs, l)
		}
	}
	a.usage.TotalTokens = a.usage.PromptTokens + a.usage.CompletionTokens
	raw := chunk.Bytes
	if a.Chat != nil {
		if c.parser == nil {
			c.syntax = chunk.Tools
			if len(a.Chat.Tools) == 0 && c.syntax != prompt.ToolsHarmony { // whose marks are always there
				c.syntax = prompt.ToolsNone
			}
			c.parser = reply.New(c.syntax, reply.ToolsOf(a.Chat.Tools), chunk.Thinks)
		}
		if len(raw) == 0 && reply.Knows(c.syntax, chunk.Mark) {
			raw = []byte(chunk.Mark)
		}
	}
	piece, stopped := c.text.Add(raw)
	switch {
	case stopped:
		c.finish = prompt.FinishStop
	case chunk.Finish != prompt.FinishNone:
		c.finish = chunk.Finish
		piece += c.text.Flush()
	}
	d.text = piece
	if c.parser != nil {
		a.parse(c, &d)
	}
	c.offset += utf8.RuneCountInString(d.text)
	return d
}

// finishCalls is the reason of an answer that ends in tool calls.
const finishCalls prompt.Finish = "tool_calls"

// parse tells reasoning and tool calls from text.
func (a *answering) parse(c *choice, d *delta) {
	parts := c.parser.Add(d.text)
	if c.finish != prompt.FinishNone {
		parts = append(parts, c.parser.End()...)
	}
	d.text = ""
	for _, p := range parts {
		d.text += p.Text
		d.reasoning += p.Reasoning
		a.call(c, d, p)
	}
	if len(c.calls) > 0 && c.finish == prompt.FinishStop || a.oneCall && c.called > 0 {
		c.finish = finishCalls
	}
}

// call takes what a part tells of tool calls.
func (a *answering) call(c *choice, d *delta, p reply.Part) {
	if p.Call != "" {
		if c.beyond = a.oneCall && len(c.calls) > 0; c.beyond {
			return
		}
		call := prompt.ToolCall{ID: crand.Text()[:9], Name: p.Call} // some templates want nine letters and digits
		d.calls = append(d.calls, callPart{index: len(c.calls), id: call.ID, name: call.Name})
		c.calls = append(c.calls, call)
	}
	if c.beyond || len(c.calls) == 0 {
		return
	}
	at := len(c.calls) - 1
	if p.Arguments != "" {
		c.calls[at].Arguments = append(c.calls[at].Arguments, p.Arguments...)
		if n := len(d.calls); n == 0 || d.calls[n-1].name != "" {
			d.calls = append(d.calls, callPart{index: at})
		}
		d.calls[len(d.calls)-1].arguments += p.Arguments
	}
	if p.Done {
		c.called++
		d.called = append(d.called, c.calls[at])
	}
}

// keep keeps what a step added, for an answer that is sent whole.
func (c *choice) keep(d delta) {
	c.all.WriteString(d.text)
	c.reasoning.WriteString(d.reasoning)
	c.logprobs = append(c.logprobs, d.logprobs...)
	c.tokens = append(c.tokens, d.tokens...)
}

// empty tells whether a client would learn nothing from d.
func (a *answering) empty(c *choice, d delta) bool {
	return d.text == "" && d.reasoning == "" && len(d.calls) == 0 && len(d.logprobs) == 0 && c.finish == prompt.FinishNone && !a.returnTokens
}

// extra tells tokens, if they are asked for, and what was left out so far, if
// that was allowed.
func (a *answering) extra(tokens []int32) *extra {
	if !a.returnTokens && a.BestEffort == 0 {
		return nil
	}
	e := &extra{}
	if a.returnTokens {
		e.Tokens = append([]int32{}, tokens...)
	}
	if a.BestEffort > 0 {
		e.Dropped = &dropped{a.dropped.Calls, a.dropped.Mass}
	}
	return e
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
