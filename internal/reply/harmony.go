package reply

import "strings"

// harmony reads the format of gpt-oss: messages with a header that says on
// which channel, and to whom, they are. The prompt ends in the first header.
//
//	<|channel|>analysis<|message|>thoughts<|end|>
//	<|start|>assistant<|channel|>commentary to=functions.NAME <|constrain|>json<|message|>{…}<|call|>
//	<|start|>assistant<|channel|>final<|message|>text<|return|>
type harmony struct {
	held   string
	body   bool // inside a message
	kind   mode
	callee string
	begun  bool   // the call of callee
	args   object // its arguments
}

func harmonyMarks() []string {
	return []string{"<|channel|>", "<|message|>", "<|start|>", "<|end|>", "<|call|>", "<|return|>", "<|constrain|>"}
}

// closers end a message.
func closers() []string { return []string{"<|end|>", "<|call|>", "<|return|>", "<|start|>"} }

func (h *harmony) add(s string) (parts []Part) {
	h.held += s
	for {
		if !h.body {
			header, rest, ok := strings.Cut(h.held, "<|message|>")
			if !ok {
				return parts
			}
			h.held, h.body = rest, true
			h.header(header)
			continue
		}
		if h.kind == calling {
			parts = append(parts, h.call()...)
		}
		if h.kind == calling && h.begun {
			return parts // more arguments are to come
		}
		at, mark := first(h.held, closers())
		if at < 0 {
			return append(parts, h.flow()...)
		}
		body := h.held[:at]
		h.held, h.body = h.held[at+len(mark):], false
		parts = append(parts, h.message(body)...)
	}
}

// call hands out the arguments of a call. What follows them is nothing.
func (h *harmony) call() (parts []Part) {
	if !h.begun {
		if h.held = strings.TrimLeft(h.held, " \t\r\n"); h.callee == "" || !strings.HasPrefix(h.held, "{") {
			return nil
		}
		h.begun, h.args = true, object{}
		parts = append(parts, Part{Call: h.callee})
	}
	n, done := h.args.scan(h.held)
	if n > 0 {
		parts = append(parts, Part{Arguments: h.held[:n]})
	}
	if h.held = h.held[n:]; done {
		parts, h.kind = append(parts, Part{Done: true}), called
	}
	return parts
}

// flow hands out what cannot be the beginning of a mark, of messages that are
// no calls.
func (h *harmony) flow() []Part {
	if h.kind == calling {
		return nil
	}
	keep := 0
	for _, mark := range closers() {
		keep = max(keep, overlap(h.held, mark))
	}
	s := h.held[:len(h.held)-keep]
	h.held = h.held[len(h.held)-keep:]
	return h.message(s)
}

// header reads the channel and the recipient.
func (h *harmony) header(s string) {
	h.kind, h.callee, h.begun = talking, "", false
	if _, after, ok := strings.Cut(s, "to=functions."); ok {
		h.kind = calling
		h.callee, _, _ = strings.Cut(after, " ")
		h.callee, _, _ = strings.Cut(h.callee, "<|")
		return
	}
	_, channel, _ := strings.Cut(s, "<|channel|>")
	if strings.HasPrefix(strings.TrimSpace(channel), "analysis") {
		h.kind = thinking
	}
}

func (h *harmony) message(s string) []Part {
	switch {
	case s == "" || h.kind == called && strings.TrimSpace(s) == "":
		return nil
	case h.kind == thinking:
		return []Part{{Reasoning: s}}
	}
	return []Part{{Text: s}}
}

// end: a message, or only a header, that was cut off.
func (h *harmony) end() []Part {
	s := h.held
	h.held = ""
	if h.kind == calling && h.begun {
		return []Part{{Done: true}} // cut off
	}
	if h.body && s != "" {
		return h.message(s)
	}
	if s = strings.TrimSpace(s); s == "" || strings.Contains(s, "<|") {
		return nil
	}
	return []Part{{Text: s}} // no header at all
}

// first finds which of the marks comes first.
func first(s string, marks []string) (at int, mark string) {
	at = -1
	for _, m := range marks {
		if i := strings.Index(s, m); i >= 0 && (at < 0 || i < at) {
			at, mark = i, m
		}
	}
	return at, mark
}
