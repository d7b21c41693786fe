package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/peterh/liner"
)

// lines reads what a person types.
type lines interface {
	// Read reads one line, without its end. io.EOF: there are no more.
	// errAborted: Ctrl-C.
	Read(prompt string) (string, error)
	// Remember puts a line into the history.
	Remember(line string)
	Close()
}

var errAborted = errors.New("Ctrl-C")

// newLines edits lines where standard input is a terminal, with a history in a
// file; elsewhere it reads them.
func newLines(in io.Reader, out io.Writer, history string) lines {
	if f, ok := in.(*os.File); ok && f == os.Stdin {
		if _, err := liner.TerminalMode(); err == nil {
			e := &edited{State: liner.NewLiner(), file: history}
			e.SetCtrlCAborts(true)
			e.SetMultiLineMode(true)
			if f, err := os.Open(history); err == nil {
				_, _ = e.ReadHistory(f) // a history that cannot be read is none
				_ = f.Close()
			}
			return e
		}
	}
	s := bufio.NewScanner(in)
	s.Buffer(nil, 4<<20)
	return &piped{s, out}
}

type edited struct {
	*liner.State
	file string
}

func (e *edited) Read(prompt string) (string, error) {
	line, err := e.Prompt(prompt)
	if errors.Is(err, liner.ErrPromptAborted) {
		return "", errAborted
	}
	return line, err
}

func (e *edited) Remember(line string) { e.AppendHistory(strings.ReplaceAll(line, "\n", " ")) }

func (e *edited) Close() {
	if e.file != "" {
		if f, err := os.OpenFile(e.file, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600); err == nil {
			_, _ = e.WriteHistory(f)
			_ = f.Close()
		}
	}
	_ = e.State.Close()
}

type piped struct {
	*bufio.Scanner
	out io.Writer
}

func (p *piped) Read(prompt string) (string, error) {
	fmt.Fprint(p.out, prompt)
	if p.Scan() {
		return p.Text(), nil
	}
	if err := p.Err(); err != nil {
		return "", err
	}
	return "", io.EOF
}

func (p *piped) Remember(string) {}

func (p *piped) Close() {}
