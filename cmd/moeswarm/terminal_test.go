package main

import (
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"

	"github.com/moeswarm/moeswarm/internal/localswarm"
)

// savedRoles are the roles of the messages in a file that /save wrote.
func savedRoles(t *testing.T, file string) (roles []string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var saved struct{ Messages []struct{ Role string } }
	if err := json.Unmarshal(text, &saved); err != nil {
		t.Fatal(err)
	}
	for _, m := range saved.Messages {
		roles = append(roles, m.Role)
	}
	return roles
}

// terminal is a program at a pseudo-terminal.
type terminal struct {
	t    *testing.T
	pty  *os.File
	came chan string
	rest string // of what came, after what was expected so far
}

// watch passes on what the program writes.
func (p *terminal) watch() {
	b := make([]byte, 4096)
	for {
		n, err := p.pty.Read(b)
		if err != nil {
			close(p.came)
			return
		}
		p.came <- string(b[:n])
	}
}

// expect waits until the program has written s.
func (p *terminal) expect(s string) {
	p.t.Helper()
	late := time.After(time.Minute)
	for {
		if _, after, ok := strings.Cut(p.rest, s); ok {
			p.rest = after
			return
		}
		select {
		case more, ok := <-p.came:
			if !ok {
				p.t.Fatalf("no %q; the terminal showed last:\n%s", s, p.rest)
			}
			p.rest += more
		case <-late:
			p.t.Fatalf("no %q; the terminal showed last:\n%s", s, p.rest)
		}
	}
}

func (p *terminal) send(s string) {
	p.t.Helper()
	if _, err := io.WriteString(p.pty, s); err != nil {
		p.t.Fatal(err)
	}
}

// TestChatAtTerminal: Ctrl-C stops an answer and not the conversation, which two
// of them at the prompt end.
func TestChatAtTerminal(t *testing.T) {
	s := start(t, localswarm.Config{Hold: []string{"*:0-15"}})
	cmd := exec.Command(built(t), "chat", "--node", s.Entry.URL, "-n", "2000", "--temperature", "1", "--seed", "1")
	cmd.Env = append(os.Environ(), "XDG_DATA_HOME="+t.TempDir(), "TERM=xterm")
	f, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 24, Cols: 80})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	p := &terminal{t: t, pty: f, came: make(chan string, 1<<16)}
	go p.watch()

	p.expect("/help lists")
	p.expect("> ")
	p.send("func main() {\r")
	p.expect("main() {")
	p.expect("\n")
	p.expect(" ") // some of the answer
	p.send("\x03")
	p.expect("(stopped)")
	p.expect("> ")
	p.send("/route\r")
	p.expect("gates=")
	p.expect("> ")
	for _, typed := range []string{"zq", "qz"} { // seen again when the line is being edited
		p.send(typed)
		p.expect(typed)
		p.send("\x03")
		if typed == "zq" {
			p.expect("(Ctrl-C again, or Ctrl-D, leaves)")
			p.expect("> ")
		}
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v; the terminal showed last:\n%s", err, p.rest)
	}
	testNarrowTerminal(t, s.Entry.URL)
}

// testNarrowTerminal: where there is no room to edit lines, two Ctrl-C end a
// conversation as well.
func testNarrowTerminal(t *testing.T, url string) {
	cmd := exec.Command(built(t), "chat", "--node", url)
	cmd.Env = append(os.Environ(), "XDG_DATA_HOME="+t.TempDir(), "TERM=xterm")
	f, err := pty.StartWithSize(cmd, &pty.Winsize{})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	p := &terminal{t: t, pty: f, came: make(chan string, 1<<16)}
	go p.watch()
	p.expect("/help lists")
	p.expect("> ")
	p.send("\x03")
	p.expect("(Ctrl-C again, or Ctrl-D, leaves)")
	p.send("\x03")
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v; the terminal showed last:\n%s", err, p.rest)
	}
}
