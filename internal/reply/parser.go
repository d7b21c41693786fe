package reply

import (
	"slices"
	"strings"

	"github.com/moeswarm/moeswarm/gating/prompt"
)

// Part is a piece of what a model wrote. One of the fields is set.
type Part struct {
	Text      string
	Reasoning string
	Call      string // the name of a tool: a call of it begins
	Arguments string // more of the JSON of that call's arguments
	Done      bool   // that call is complete
}

// maxCall bounds what is held back of a tool call, in bytes; a longer one is
// text.
const maxCall = 1 << 20

// syntax is how calls are written: between two marks, of which the second may
// be missing at the end of the answer.
type syntax struct {
	open, close string
	// read reads what stands between; ok is false for what is no call.
	read func(body string, tools Tools) (calls []prompt.ToolCall, ok bool)
	// further are marks that may be control tokens inside.
	further []string
}

func syntaxOf(s prompt.ToolSyntax) syntax {
	switch s {
	case prompt.ToolsHermes:
		return syntax{open: "<tool_call>", close: "</tool_call>", read: readJSON}
	case prompt.ToolsXML:
		return syntax{open: "<tool_call>", close: "</tool_call>", read: readXML}
	case prompt.ToolsGLM:
		return syntax{open: "<tool_call>", close: "</tool_call>", read: readGLM, further: []string{"<arg_key>", "</arg_key>", "<arg_value>", "</arg_value>"}}
	case prompt.ToolsMistral:
		return syntax{open: "[TOOL_CALLS]", read: readMistral, further: []string{"[ARGS]", "[CALL_ID]"}}
	case prompt.ToolsGranite:
		return syntax{open: "<|tool_call|>", read: readJSON}
	case prompt.ToolsDeepSeek:
		return syntax{open: "<｜tool▁calls▁begin｜>", close: "<｜tool▁calls▁end｜>", read: readDeepSeek,
			further: []string{"<｜tool▁call▁begin｜>", "<｜tool▁sep｜>", "<｜tool▁call▁end｜>"}}
	}
	return syntax{}
}

const (
	thinkOpen  = prompt.ThinkBegin
	thinkClose = prompt.ThinkEnd
)

// Knows tells whether a control token's text belongs to the syntax and is to
// be handed to the parser.
func Knows(s prompt.ToolSyntax, mark string) bool {
	if s == prompt.ToolsHarmony {
		return slices.Contains(harmonyMarks(), mark)
	}
	x := syntaxOf(s)
	return mark != "" && (mark == thinkOpen || mark == thinkClose || mark == x.open || mark == x.close || slices.Contains(x.further, mark))
}

// mode is what the text at hand is.
type mode int

const (
	beginning mode = iota // nothing but white space so far: reasoning may come
	thinking
	talking
	calling
	called // behind a call's arguments
)

// Parser reads one answer. It belongs to one goroutine.
type Parser struct {
	syntax  syntax
	tools   Tools
	harmony *harmony // nil: another syntax
	form    *form    // nil: no syntax, or harmony
	mode    mode
	caller  *caller // at the calls; nil: at none
	whole   bool    // the calls are in no form: they are read when they are complete
	held    string  // not handed out yet
	trim    bool    // line feeds at its beginning belong to a mark before it
}

// New makes a parser. thinks says that the prompt ended inside reasoning.
func New(s prompt.ToolSyntax, tools Tools, thinks bool) *Parser {
	p := &Parser{syntax: syntaxOf(s), tools: tools, form: formOf(s)}
	if s == prompt.ToolsHarmony {
		p.harmony = &harmony{}
	}
	if thinks {
		p.mode = thinking
	}
	return p
}

// Add takes the next piece of the answer.
func (p *Parser) Add(s string) (parts []Part) {
	if p.harmony != nil {
		return p.harmony.add(s)
	}
	p.held += s
	for {
		more, again := p.next(false)
		parts = append(parts, more...)
		if !again {
			return parts
		}
	}
}

// End gives what was held back. Nothing is added after it.
func (p *Parser) End() (parts []Part) {
	if p.harmony != nil {
		return p.harmony.end()
	}
	for {
		more, again := p.next(true)
		parts = append(parts, more...)
		if !again {
			return parts
		}
	}
}

// next takes one step; again tells whether there may be another.
func (p *Parser) next(end bool) (parts []Part, again bool) {
	if p.trim {
		if p.held = strings.TrimLeft(p.held, "\n"); p.held == "" {
			return nil, false
		}
		p.trim = false
	}
	switch p.mode {
	case beginning:
		text := strings.TrimLeft(p.held, " \t\r\n")
		switch {
		case strings.HasPrefix(text, thinkOpen):
			p.held, p.mode, p.trim = text[len(thinkOpen):], thinking, true
			return nil, true
		case !end && strings.HasPrefix(thinkOpen, text):
			return nil, false // it may become one
		}
		p.mode = talking
		return nil, true
	case thinking:
		before, found := p.until(thinkClose, end)
		if found {
			p.mode, p.trim = talking, true
			before = strings.TrimRight(before, "\n")
		}
		return reasoning(before), found
	case talking:
		if p.syntax.open == "" {
			return p.say(p.all()), false
		}
		before, found := p.until(p.syntax.open, end)
		if found {
			p.mode = calling
			before = strings.TrimRight(before, "\n")
		}
		return p.say(before), found
	}
	return p.call(end)
}

// call hands out tool calls as they come. What is in no form is read when it is
// complete.
func (p *Parser) call(end bool) (parts []Part, again bool) {
	if p.whole {
		return p.callAtOnce(end)
	}
	if p.caller == nil {
		p.caller = &caller{form: *p.form, tools: p.tools}
	}
	parts, rest, o := p.caller.read(p.held)
	begun := p.caller.calls > 0
	p.held = rest
	switch {
	case o == waits && !end:
		return parts, false
	case o == waits && begun:
		parts = append(parts, p.caller.end(rest)...)
		p.held = ""
	case !begun:
		p.caller, p.whole = nil, true
		return parts, true
	default:
		p.trim = o == ends
	}
	p.caller, p.mode = nil, talking
	return parts, p.held != ""
}

// callAtOnce reads tool calls that are complete.
func (p *Parser) callAtOnce(end bool) (parts []Part, again bool) {
	body, closed := p.held, false
	if p.syntax.close != "" {
		body, _, closed = strings.Cut(p.held, p.syntax.close)
	}
	if !closed && !end && len(p.held) <= maxCall {
		return nil, false
	}
	raw := p.syntax.open + body
	if closed {
		raw += p.syntax.close
		p.held = p.held[len(body)+len(p.syntax.close):]
	} else {
		p.held = ""
	}
	p.mode, p.whole = talking, false
	calls, ok := p.syntax.read(body, p.tools)
	if !ok || len(body) > maxCall {
		return p.say(raw), closed
	}
	p.trim = closed
	for _, c := range calls {
		parts = append(parts, Part{Call: c.Name}, Part{Arguments: string(c.Arguments)}, Part{Done: true})
	}
	return parts, closed
}

// until takes what stands before a mark, and the mark; without one, all that
// cannot be the beginning of it.
func (p *Parser) until(mark string, end bool) (before string, found bool) {
	before, rest, found := strings.Cut(p.held, mark)
	if found {
		p.held = rest
		return before, true
	}
	if end {
		return p.all(), false
	}
	keep := overlap(p.held, mark)
	// A line feed before a mark belongs to the mark.
	for keep < len(p.held) && p.held[len(p.held)-keep-1] == '\n' {
		keep++
	}
	before, p.held = p.held[:len(p.held)-keep], p.held[len(p.held)-keep:]
	return before, false
}

func (p *Parser) all() string {
	s := p.held
	p.held = ""
	return s
}

// overlap is the length of the longest end of s that the mark begins with.
func overlap(s, mark string) int {
	for n := min(len(s), len(mark)-1); n > 0; n-- {
		if strings.HasSuffix(s, mark[:n]) {
			return n
		}
	}
	return 0
}

func (p *Parser) say(s string) []Part {
	if s == "" {
		return nil
	}
	return []Part{{Text: s}}
}

func reasoning(s string) []Part {
	if s == "" {
		return nil
	}
	return []Part{{Reasoning: s}}
}
