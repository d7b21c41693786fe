package reply

import (
	"encoding/json"
	"strings"
)

// cursor reads the beginning of a text that may go on later. Once it has found
// what cannot be, it is bad; once it wants what has not come yet, it is short.
// It reads no further then.
type cursor struct {
	s          string
	at         int
	bad, short bool
}

func (c *cursor) rest() string { return c.s[c.at:] }

func (c *cursor) stopped() bool { return c.bad || c.short }

// space passes over white space.
func (c *cursor) space() {
	if !c.stopped() {
		c.at = len(c.s) - len(strings.TrimLeft(c.rest(), " \t\r\n"))
	}
}

// has passes over the text if it comes next, and tells whether it does.
func (c *cursor) has(text string) bool {
	switch {
	case c.stopped():
		return false
	case strings.HasPrefix(c.rest(), text):
		c.at += len(text)
		return true
	case strings.HasPrefix(text, c.rest()):
		c.short = true
	}
	return false
}

// any is has for the first of several texts that comes next.
func (c *cursor) any(texts ...string) bool {
	short := false
	for _, t := range texts {
		if c.has(t) {
			return true
		}
		short, c.short = short || c.short, false
	}
	c.short = short
	return false
}

// must is has for texts without which nothing can be read.
func (c *cursor) must(text string) {
	if !c.has(text) && !c.stopped() {
		c.bad = true
	}
}

// peek is has without passing over.
func (c *cursor) peek(text string) bool {
	at := c.at
	ok := c.has(text)
	c.at = at
	return ok
}

// until passes over what stands before a text, and over the text.
func (c *cursor) until(text string) string {
	if c.stopped() {
		return ""
	}
	before, _, ok := strings.Cut(c.rest(), text)
	if !ok {
		c.short = true
		return ""
	}
	c.at += len(before) + len(text)
	return before
}

// str reads a JSON string.
func (c *cursor) str() (s string) {
	c.must(`"`)
	if c.stopped() {
		return ""
	}
	for i := c.at; i < len(c.s); i++ {
		switch c.s[i] {
		case '\\':
			i++
		case '"':
			if json.Unmarshal([]byte(c.s[c.at-1:i+1]), &s) != nil {
				c.bad = true
			}
			c.at = i + 1
			return s
		}
	}
	c.short = true
	return ""
}

// object follows a JSON object to its end, whatever its strings hold.
type object struct {
	depth           int // of objects and lists that are open
	quoted, escaped bool
}

// scan goes on with s and tells how much of it belongs to the object, and
// whether it ends there.
func (o *object) scan(s string) (n int, done bool) {
	for i := range len(s) {
		switch c := s[i]; {
		case o.escaped:
			o.escaped = false
		case o.quoted:
			o.escaped, o.quoted = c == '\\', c != '"'
		case c == '"':
			o.quoted = true
		case c == '{' || c == '[':
			o.depth++
		case c == '}' || c == ']':
			if o.depth--; o.depth <= 0 {
				return i + 1, true
			}
		}
	}
	return len(s), false
}
