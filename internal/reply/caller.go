package reply

import (
	"strings"

	"github.com/moeswarm/moeswarm/gating/prompt"
)

// form reads calls as they are written, so that their arguments can be handed
// out before they are complete.
type form struct {
	// head reads up to a call's arguments, which then begin with a brace, or
	// with the first of pairs. first says that no call stands before it.
	head func(c *cursor, first bool) (name string)
	// pairs reads an argument that stands by itself, as its name and value; ok is
	// false at the end of a call's. Nil: the arguments are a JSON object.
	pairs func(c *cursor) (key, value string, ok bool)
	// tail reads what follows a call's arguments, and tells whether another call
	// may come.
	tail func(c *cursor) (more bool)
}

// stage is how far a caller is.
type stage int

const (
	heading  stage = iota // before a call's arguments
	arguing               // inside them
	trailing              // behind them
)

// caller is at a form's calls.
type caller struct {
	form
	tools Tools
	stage stage
	calls int // begun
	name  string
	args  object
	pairs int // arguments of this call so far
}

// outcome is why a caller reads no further.
type outcome int

const (
	waits outcome = iota // for more text
	ends                 // of the calls; what follows is no part of them
	fails                // what stands there is no call in this form
)

// read takes what it can from held.
func (a *caller) read(held string) (parts []Part, rest string, o outcome) {
	for {
		c := &cursor{s: held}
		switch a.stage {
		case heading:
			name := a.head(c, a.calls == 0)
			if c.short && len(held) <= maxHead {
				return parts, held, waits
			}
			if c.stopped() || name == "" {
				return parts, held, fails
			}
			a.calls++
			a.name, a.args, a.pairs, a.stage = name, object{}, 0, arguing
			parts, held = append(parts, Part{Call: name}), c.rest()
		case arguing:
			more, rest, done := a.argue(c)
			parts, held = append(parts, more...), rest
			if !done {
				return parts, held, waits
			}
			parts, a.stage = append(parts, Part{Done: true}), trailing
		case trailing:
			more := a.tail(c)
			switch {
			case c.short:
				return parts, held, waits
			case c.bad || !more:
				return parts, c.rest(), ends
			}
			held, a.stage = c.rest(), heading
		}
	}
}

// argue hands out arguments.
func (a *caller) argue(c *cursor) (parts []Part, rest string, done bool) {
	if a.form.pairs == nil {
		n, done := a.args.scan(c.s)
		if n > 0 {
			parts = []Part{{Arguments: c.s[:n]}}
		}
		return parts, c.s[n:], done
	}
	for {
		from := c.at
		key, value, ok := a.form.pairs(c)
		if c.short && len(c.s)-from <= maxCall {
			return parts, c.s[from:], false
		}
		if c.stopped() || !ok {
			if c.stopped() {
				c.at = from
			}
			return append(parts, Part{Arguments: closed(a.pairs)}), c.rest(), true
		}
		parts = append(parts, Part{Arguments: pair(a.pairs, key, value, a.tools[a.name])})
		a.pairs++
	}
}

// end is what follows when no more text comes. Marks at the end may be missing.
func (a *caller) end(held string) []Part {
	if a.stage != arguing {
		return nil
	}
	if a.form.pairs != nil && strings.TrimSpace(held) == "" {
		return []Part{{Arguments: closed(a.pairs)}, {Done: true}}
	}
	return []Part{{Done: true}} // cut off: it is told as far as it came
}

// maxHead bounds what stands before a call's arguments.
const maxHead = 4 << 10

// formOf gives the form of a syntax.
func formOf(s prompt.ToolSyntax) *form {
	switch s {
	case prompt.ToolsHermes:
		return &form{head: jsonHead, tail: jsonTail("</tool_call>")}
	case prompt.ToolsGranite:
		return &form{head: jsonHead, tail: jsonTail("")}
	case prompt.ToolsMistral:
		return &form{head: mistralHead, tail: mistralTail}
	case prompt.ToolsDeepSeek:
		return &form{head: deepSeekHead, tail: deepSeekTail}
	case prompt.ToolsGLM:
		return &form{head: glmHead, pairs: glmPair, tail: tagTail}
	case prompt.ToolsXML:
		return &form{head: xmlHead, pairs: xmlPair, tail: tagTail}
	}
	return nil
}
