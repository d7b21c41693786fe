package reply

import "strings"

// jsonHead reads {"name": "…", "arguments": before the object that follows,
// after the bracket of a list if there is one.
func jsonHead(c *cursor, first bool) string {
	c.space()
	if first {
		c.has("[")
		c.space()
	}
	c.must("{")
	c.space()
	c.must(`"name"`)
	c.space()
	c.must(":")
	c.space()
	name := c.str()
	c.space()
	c.must(",")
	c.space()
	if !c.any(`"arguments"`, `"parameters"`) && !c.short {
		c.bad = true
	}
	c.space()
	c.must(":")
	c.space()
	brace(c)
	return name
}

// brace wants an object next.
func brace(c *cursor) {
	if !c.peek("{") && !c.stopped() {
		c.bad = true
	}
}

// jsonTail reads the rest of a call that jsonHead began: further members, a
// comma and the next of a list, or its end. mark closes the calls, "" if
// nothing does.
func jsonTail(mark string) func(c *cursor) bool {
	return func(c *cursor) bool {
		o := object{depth: 1} // the call itself
		n, done := o.scan(c.rest())
		if c.at += n; !done {
			c.short = true
			return false
		}
		c.space()
		if c.has(",") {
			return true
		}
		if c.short { // another may follow
			return false
		}
		c.has("]")
		if mark != "" {
			c.space()
			c.must(mark)
		}
		return false
	}
}

// mistralHead reads NAME[ARGS], or what jsonHead does.
func mistralHead(c *cursor, first bool) string {
	c.space()
	if c.rest() == "" {
		c.short = true
		return ""
	}
	if strings.ContainsAny(c.rest()[:1], "[{") {
		return jsonHead(c, first)
	}
	head := c.until("[ARGS]")
	c.space()
	brace(c)
	name, _, _ := strings.Cut(head, "[CALL_ID]")
	return strings.TrimSpace(name)
}

// mistralTail: after an object that stands by itself, another call may come;
// behind one of a list comes what jsonTail reads.
func mistralTail(c *cursor) bool {
	c.space()
	switch {
	case c.rest() == "":
		c.short = true
		return false
	case c.peek("}") || c.peek(","):
		return jsonTail("")(c)
	case c.has("[TOOL_CALLS]"):
		return true
	}
	c.at = 0 // what follows is text
	return false
}

const (
	deepSeekBegin = "<｜tool▁call▁begin｜>"
	deepSeekSep   = "<｜tool▁sep｜>"
	deepSeekEnd   = "<｜tool▁call▁end｜>"
	deepSeekClose = "<｜tool▁calls▁end｜>"
)

// deepSeekHead reads NAME<sep>, or the older function<sep>NAME and the beginning
// of a code block.
func deepSeekHead(c *cursor, _ bool) string {
	c.space()
	c.must(deepSeekBegin)
	name := c.until(deepSeekSep)
	if strings.TrimSpace(name) == "function" {
		name = c.until("```json")
	}
	c.space()
	brace(c)
	return strings.TrimSpace(name)
}

func deepSeekTail(c *cursor) bool {
	c.space()
	if c.has("```") {
		c.space()
	}
	c.must(deepSeekEnd)
	c.space()
	more := strings.HasPrefix(c.rest(), deepSeekBegin)
	if !more && !c.any(deepSeekBegin, deepSeekClose) && !c.short {
		c.bad = true
	}
	return more
}

const tagClose = "</tool_call>"

// tagTail reads the mark behind pairs.
func tagTail(c *cursor) bool {
	c.space()
	c.must(tagClose)
	return false
}

// glmHead reads NAME before the first pair or the end.
func glmHead(c *cursor, _ bool) string {
	at := strings.IndexAny(c.s, "<{[")
	if at < 0 {
		c.short = true
		return ""
	}
	c.at = at
	if !c.any("<arg_key>", tagClose) && !c.short {
		c.bad = true
	}
	c.at = at
	return strings.TrimSpace(c.s[:at])
}

func glmPair(c *cursor) (key, value string, ok bool) {
	c.space()
	if !c.has("<arg_key>") {
		return "", "", false
	}
	key = c.until("</arg_key>")
	c.until("<arg_value>")
	return strings.TrimSpace(key), c.until("</arg_value>"), true
}

// xmlHead reads <function=NAME>.
func xmlHead(c *cursor, _ bool) string {
	c.space()
	c.must("<function=")
	return strings.TrimSpace(c.until(">"))
}

// xmlPair reads <parameter=KEY> and its value, or </function>.
func xmlPair(c *cursor) (key, value string, ok bool) {
	c.space()
	if !c.has("<parameter=") {
		short := c.short
		c.short = false
		c.has("</function>")
		c.short = c.short || short
		return "", "", false
	}
	key = c.until(">")
	value = c.until("</parameter>")
	return strings.TrimSpace(key), strings.TrimSuffix(strings.TrimPrefix(value, "\n"), "\n"), true
}
