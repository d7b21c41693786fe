package chat

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"runtime/debug"
	"runtime/metrics"
	"time"

	"github.com/ardanlabs/jinja"

	"github.com/moeswarm/moeswarm/gating/prompt"
)

const (
	// maxMemory bounds the process that renders: a conversation of 4 MiB, its
	// values in the template and some copies.
	maxMemory = 512 << 20
	// maxOutput bounds a prompt in bytes; more than any context holds.
	maxOutput = 16 << 20
	// maxDepth bounds Go's stack in the process, and with it recursion.
	maxStack = 64 << 20
)

// job is one rendering, as it travels to the process: one line of JSON.
type job struct {
	Source     string
	Begin, End string
	Chat       *prompt.Chat
}

// answer is a line of JSON that comes back.
type answer struct {
	Text  string
	Error string
}

// Serve renders jobs from in until it ends. It is all that the process does,
// and limits that process: its memory, and the recursion of templates.
func Serve(in io.Reader, out io.Writer) error {
	limitMemory()
	debug.SetMaxStack(maxStack)
	debug.SetMemoryLimit(maxMemory / 2)
	go watchMemory()
	w := bufio.NewWriter(out)
	var t cached
	for line := range readLines(in) {
		text, err := json.Marshal(t.do(line))
		if err != nil {
			return err
		}
		if _, err := w.Write(append(text, '\n')); err != nil {
			return err
		}
		if err := w.Flush(); err != nil {
			return err
		}
	}
	return nil
}

// readLines gives the lines of in. When in ends in the middle of a rendering,
// nobody waits for it any more, and the process ends: the node may have been
// killed while its template loops.
func readLines(in io.Reader) <-chan []byte {
	lines := make(chan []byte)
	go func() {
		r := bufio.NewReaderSize(in, 1<<20)
		for {
			line, err := r.ReadBytes('\n')
			if err != nil {
				close(lines)
				time.Sleep(time.Second) // Serve returns long before, unless it renders
				os.Exit(2)
			}
			lines <- line
		}
	}()
	return lines
}

// cached is the template that was used last.
type cached struct {
	source   string
	template *jinja.Template
}

// do renders one job.
func (c *cached) do(line []byte) answer {
	var j job
	err := json.Unmarshal(line, &j)
	if err == nil && j.Chat == nil {
		err = errors.New("a job without a conversation")
	}
	if err == nil && (c.template == nil || c.source != j.Source) {
		c.template, err = compile(j.Source)
		c.source = j.Source
	}
	var text string
	if err == nil {
		text, err = render(c.template, j)
	}
	if err != nil {
		return answer{Error: clip(err.Error())}
	}
	return answer{Text: text}
}

// watchMemory ends the process when it uses too much where limitMemory cannot.
func watchMemory() {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	for {
		time.Sleep(5 * time.Millisecond)
		if metrics.Read(sample); sample[0].Value.Uint64() > maxMemory {
			os.Exit(2)
		}
	}
}

// clip bounds an error that a template may have made itself.
func clip(s string) string {
	const most = 400
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}

// compile reads a template as Jinja does: without one line feed at its end.
func compile(source string) (t *jinja.Template, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("it cannot be read: %v", r)
		}
	}()
	if n := len(source); n > 0 && source[n-1] == '\n' {
		source = source[:n-1]
	}
	return jinja.Compile(source)
}

// textArguments tells whether a template wants the arguments of tool calls as
// text, because it adds them to a text. Most want an object: they have a
// filter for it, walk over it or ask for its type.
func textArguments(source string) bool {
	added := regexp.MustCompile(`\+\s*[\w.\[\]'"]*arguments(['"]\])?\s*(\+|-?\}\})`)
	object := regexp.MustCompile(`arguments(['"]\])?\s*(\||is\s|\.items|\.keys|\.get)`)
	return added.MatchString(source) && !object.MatchString(source)
}

// render runs a template.
func render(t *jinja.Template, j job) (text string, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("it fails: %v", r)
		}
	}()
	c, textual := j.Chat, textArguments(j.Source)
	vars := map[string]jinja.Value{}
	for name, raw := range c.Variables {
		if vars[name], err = value(raw); err != nil {
			return "", err
		}
	}
	messages := make([]jinja.Value, len(c.Messages))
	for i, m := range c.Messages {
		if messages[i], err = message(m, textual); err != nil {
			return "", err
		}
	}
	vars["messages"] = jinja.NewList(messages)
	if len(c.Tools) > 0 {
		tools := make([]jinja.Value, len(c.Tools))
		for i, raw := range c.Tools {
			if tools[i], err = value(raw); err != nil {
				return "", err
			}
		}
		vars["tools"] = jinja.NewList(tools)
	}
	vars["add_generation_prompt"] = jinja.NewBool(!c.Continue)
	vars["bos_token"], vars["eos_token"] = jinja.NewString(j.Begin), jinja.NewString(j.End)
	vars["strftime_now"] = jinja.NewCallable("strftime_now", func(args []jinja.Value, _ map[string]jinja.Value) (jinja.Value, error) {
		if len(args) != 1 || !args[0].IsString() {
			return jinja.Undefined(), errors.New("strftime_now wants a format")
		}
		return jinja.NewString(strftime(args[0].AsString(), time.Unix(c.Now, 0).UTC())), nil
	})
	text, err = t.RenderValues(vars)
	if len(text) > maxOutput {
		return "", fmt.Errorf("the prompt has %d bytes", len(text))
	}
	if err == nil && c.Continue {
		text = cutAfterLast(text, c.Messages[len(c.Messages)-1].Content)
	}
	return text, err
}

// cutAfterLast takes away what a template puts after the last message, so that
// the model goes on with it.
func cutAfterLast(text, content string) string {
	content = string(bytes.TrimSpace([]byte(content)))
	if i := bytes.LastIndex([]byte(text), []byte(content)); content != "" && i >= 0 {
		return text[:i+len(content)]
	}
	return text
}
