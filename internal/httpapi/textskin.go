package httpapi

import (
	"unicode/utf8"

	"github.com/moeswarm/moeswarm/gating/prompt"
)

// textSkin is the look of /v1/completions.
type textSkin struct{}

// textAnswer is the JSON of an answer, and of each event of a streamed one.
type textAnswer struct {
	head
	Choices []textChoice `json:"choices"`
	Usage   *usage       `json:"usage"`
	Extra   *extra       `json:"moeswarm,omitempty"`
}

type textChoice struct {
	Text         string         `json:"text"`
	Index        int            `json:"index"`
	Logprobs     *textLogprobs  `json:"logprobs"`
	FinishReason *prompt.Finish `json:"finish_reason"` // null while it goes on
}

// textLogprobs has one entry for each token in each list.
type textLogprobs struct {
	Tokens  []string             `json:"tokens"`
	Logprob []float32            `json:"token_logprobs"`
	Top     []map[string]float32 `json:"top_logprobs"`
	Offset  []int                `json:"text_offset"`
}

func (textSkin) head(model string) head { return newHead("cmpl-", "text_completion", model) }

func (textSkin) format() eventFormat { return serverSent }

func (textSkin) whole(a *answering) any {
	reply := textAnswer{head: a.head, Usage: &a.usage, Extra: a.extra(a.choices[0].tokens)}
	for _, c := range a.choices {
		reply.Choices = append(reply.Choices, textChoice{
			Text: c.all.String(), Index: c.index, FinishReason: &c.finish, Logprobs: a.textLogprobs(c.logprobs, 0),
		})
	}
	return reply
}

func (textSkin) parts(a *answering, c *choice, d delta) []any {
	if a.empty(c, d) {
		return nil // half a character, or the beginning of a stop string
	}
	part := textAnswer{head: a.head, Extra: a.extra(d.tokens)}
	ch := textChoice{Text: d.text, Index: c.index, Logprobs: a.textLogprobs(d.logprobs, d.offset)}
	if c.finish != prompt.FinishNone {
		ch.FinishReason = &c.finish
	}
	part.Choices = []textChoice{ch}
	return []any{part}
}

func (textSkin) last(a *answering) []any {
	if !a.includeUsage {
		return nil
	}
	return []any{textAnswer{head: a.head, Choices: []textChoice{}, Usage: &a.usage}}
}

// textLogprobs is nil when they are not asked for.
func (a *answering) textLogprobs(all []logprob, offset int) *textLogprobs {
	if !a.Logprobs {
		return nil
	}
	l := &textLogprobs{Tokens: []string{}, Logprob: []float32{}, Top: []map[string]float32{}, Offset: []int{}}
	for _, p := range all {
		l.Tokens = append(l.Tokens, string(p.bytes))
		l.Logprob = append(l.Logprob, p.logprob)
		top := map[string]float32{}
		for _, t := range p.top {
			if _, double := top[string(t.Bytes)]; !double {
				top[string(t.Bytes)] = t.Logprob
			}
		}
		l.Top = append(l.Top, top)
		l.Offset = append(l.Offset, offset)
		offset += utf8.RuneCount(p.bytes)
	}
	return l
}
