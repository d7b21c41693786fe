package httpapi

import (
	"github.com/moeswarm/moeswarm/gating/prompt"
)

// chatSkin is the look of /v1/chat/completions.
type chatSkin struct{}

// chatAnswer is the JSON of an answer, and of each event of a streamed one.
type chatAnswer struct {
	head
	Choices []chatChoice `json:"choices"`
	Usage   *usage       `json:"usage,omitempty"`
	Extra   *extra       `json:"moeswarm,omitempty"`
}

type chatChoice struct {
	Index        int            `json:"index"`
	Message      *chatMessage   `json:"message,omitempty"` // of a whole answer
	Delta        *chatMessage   `json:"delta,omitempty"`   // of an event
	Logprobs     *chatLogprobs  `json:"logprobs"`
	FinishReason *prompt.Finish `json:"finish_reason"`
}

// chatMessage leaves out in events what did not change.
type chatMessage struct {
	Role      string     `json:"role,omitempty"`
	Content   *string    `json:"content,omitzero"`
	Reasoning string     `json:"reasoning_content,omitempty"`
	ToolCalls []chatCall `json:"tool_calls,omitempty"`
}

// chatCall is a tool call. Events have its index.
type chatCall struct {
	Index    *int         `json:"index,omitempty"`
	ID       string       `json:"id,omitempty"`
	Type     string       `json:"type,omitempty"`
	Function chatFunction `json:"function"`
}

type chatFunction struct {
	Name      string `json:"name,omitempty"`
	Arguments string `json:"arguments"`
}

type chatLogprobs struct {
	Content []chatLogprob `json:"content"`
	Refusal []chatLogprob `json:"refusal"`
}

type chatLogprob struct {
	Token   string        `json:"token"`
	Logprob float32       `json:"logprob"`
	Bytes   []int         `json:"bytes"`
	Top     []chatLogprob `json:"top_logprobs,omitempty"`
}

func (chatSkin) head(model string) head { return newHead("chatcmpl-", "chat.completion", model) }

func (chatSkin) format() eventFormat { return serverSent }

func (chatSkin) whole(a *answering) any {
	reply := chatAnswer{head: a.head, Usage: &a.usage, Extra: a.extra(a.choices[0].tokens)}
	for _, c := range a.choices {
		content := c.all.String()
		m := &chatMessage{Role: "assistant", Content: &content, Reasoning: c.reasoning.String()}
		for _, call := range c.calls {
			m.ToolCalls = append(m.ToolCalls, chatCall{ID: call.ID, Type: "function", Function: chatFunction{call.Name, string(call.Arguments)}})
		}
		reply.Choices = append(reply.Choices, chatChoice{
			Index: c.index, FinishReason: &c.finish, Logprobs: a.chatLogprobs(c.logprobs),
			Message: m,
		})
	}
	return reply
}

func (chatSkin) parts(a *answering, c *choice, d delta) (events []any) {
	event := func(m *chatMessage, finish *prompt.Finish, logprobs *chatLogprobs, tokens []int32) {
		part := chatAnswer{head: a.head, Extra: a.extra(tokens)}
		part.Object = "chat.completion.chunk"
		part.Choices = []chatChoice{{Index: c.index, Delta: m, FinishReason: finish, Logprobs: logprobs}}
		events = append(events, part)
	}
	if !c.begun {
		c.begun = true
		none := ""
		event(&chatMessage{Role: "assistant", Content: &none}, nil, nil, nil)
	}
	if d.reasoning != "" {
		event(&chatMessage{Reasoning: d.reasoning}, nil, nil, nil)
	}
	if d.text != "" || len(d.logprobs) > 0 || len(d.tokens) > 0 {
		event(&chatMessage{Content: &d.text}, nil, a.chatLogprobs(d.logprobs), d.tokens)
	}
	for _, call := range d.calls { // first what it is, then its arguments, as clients expect
		said := chatCall{Index: &call.index, Function: chatFunction{call.name, call.arguments}}
		if call.name != "" {
			said.ID, said.Type = call.id, "function"
		}
		event(&chatMessage{ToolCalls: []chatCall{said}}, nil, nil, nil)
	}
	if c.finish != prompt.FinishNone {
		event(&chatMessage{}, &c.finish, nil, nil)
	}
	return events
}

func (chatSkin) last(a *answering) []any {
	if !a.includeUsage {
		return nil
	}
	part := chatAnswer{head: a.head, Choices: []chatChoice{}, Usage: &a.usage}
	part.Object = "chat.completion.chunk"
	return []any{part}
}

// chatLogprobs is nil when they are not asked for.
func (a *answering) chatLogprobs(all []logprob) *chatLogprobs {
	if !a.Logprobs {
		return nil
	}
	l := &chatLogprobs{Content: []chatLogprob{}}
	for _, p := range all {
		one := oneLogprob(p.bytes, p.logprob)
		one.Top = []chatLogprob{}
		for _, t := range p.top {
			one.Top = append(one.Top, oneLogprob(t.Bytes, t.Logprob))
		}
		l.Content = append(l.Content, one)
	}
	return l
}

func oneLogprob(token []byte, p float32) chatLogprob {
	l := chatLogprob{Token: string(token), Logprob: p, Bytes: []int{}}
	for _, b := range token {
		l.Bytes = append(l.Bytes, int(b))
	}
	return l
}
