package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/moeswarm/moeswarm/internal/client"
	"github.com/moeswarm/moeswarm/internal/demo"
	"github.com/moeswarm/moeswarm/internal/localswarm"
)

// chatFlags is the command line of "moeswarm chat".
type chatFlags struct {
	node, model, system string
	nodes, tokens       int
	temperature         float64
	seed                uint64
	seeded              bool
}

const chatHelp = `  /help          this list
  /route         where the last answer came from, and what it took
  /save FILE     write the conversation: as JSON if FILE ends in .json, else as text
  /system TEXT   set the system's instructions, and begin anew
  /undo          take back the last question and its answer
  /clear         begin anew
  /quit          leave; so does Ctrl-D

A line that ends in \ goes on in the next one. """ begins a text of several
lines, and ends it. Ctrl-C stops an answer; twice, it leaves.
`

func (p program) chat(ctx context.Context, args []string) error {
	var f chatFlags
	fs := p.flags("chat", "chat [FLAGS]", `
  moeswarm chat
      four processes on this machine share out the demo model's experts
  moeswarm chat --node http://127.0.0.1:4180 --system "Answer in one sentence."
      talk to a running node; MOESWARM_API_KEY holds its key, if it wants one

At the prompt:
`+chatHelp)
	fs.StringVar(&f.node, "node", "", "`URL` of a node to ask, instead of a throwaway swarm")
	fs.StringVar(&f.model, "model", "", "GGUF `file` or \"demo\"; with --node, the name of a model that the swarm serves (default: demo; with --node, the only one served)")
	fs.StringVar(&f.system, "system", "", "the system's instructions, as a `text`")
	fs.IntVar(&f.nodes, "nodes", 4, "`processes` that share out the experts of a throwaway swarm")
	fs.IntVar(&f.tokens, "n", 1024, "`tokens` of each answer at most")
	fs.Float64Var(&f.temperature, "temperature", 0.7, "`T` above 0 samples; 0 takes the likeliest token")
	fs.Uint64Var(&f.seed, "seed", 0, "`seed` of sampling (default: random)")
	if _, err := parse(fs, args, 0, 0); err != nil {
		return err
	}
	f.seeded = isSet(fs, "seed")
	switch {
	case f.node != "" && isSet(fs, "nodes"):
		return usagef("--nodes is for a throwaway swarm; leave it out with --node")
	case f.nodes < 1 || f.nodes > localswarm.MaxNodes:
		return usagef("--nodes %d: want 1 to %d", f.nodes, localswarm.MaxNodes)
	case f.tokens < 1:
		return usagef("-n %d: want at least 1", f.tokens)
	}
	if f.node != "" {
		return p.chatAt(ctx, f, f.node)
	}
	return p.chatLocal(ctx, f)
}

// chatLocal starts a swarm to talk to, and stops it.
func (p program) chatLocal(ctx context.Context, f chatFlags) (err error) {
	if err := p.checkCPU(); err != nil {
		return err
	}
	if f.model == "" {
		f.model = demo.Name
	}
	starting, stop := signal.NotifyContext(ctx, os.Interrupt)
	defer stop()
	cfg, err := p.localConfig(starting, f.model, f.nodes)
	if err != nil {
		return err
	}
	s, err := localswarm.Start(starting, cfg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	stop() // from here on Ctrl-C is the conversation's
	f.model = ""
	return p.chatAt(ctx, f, s.Entry.URL)
}

func (p program) chatAt(ctx context.Context, f chatFlags, url string) error {
	c, err := client.New(url)
	if err != nil {
		return usageError{err}
	}
	history := ""
	if dir, err := p.dataDir(""); err == nil {
		history = filepath.Join(dir, "chat_history")
	}
	in := newLines(p.stdin, p.stdout, history)
	defer in.Close()
	t := &talk{
		program: p, client: c.WithKey(p.getenv("MOESWARM_API_KEY")), in: in, flags: f,
		interrupts: make(chan os.Signal, 2),
	}
	signal.Notify(t.interrupts, os.Interrupt)
	defer signal.Stop(t.interrupts)
	t.begin(f.system)
	p.say("Talking to %s. /help lists what else can be said.", url)
	return t.run(ctx)
}

// talk is a conversation at a terminal.
type talk struct {
	program
	client     *client.Client
	in         lines
	flags      chatFlags
	interrupts chan os.Signal
	typing     chan typed // of a line under way; nil: none is
	messages   []client.Message
	last       client.ChatAnswer
}

func (t *talk) begin(system string) {
	t.messages = nil
	if system != "" {
		t.messages = append(t.messages, client.Message{Role: "system", Content: system})
	}
}

// errQuit ends a conversation well.
var errQuit = errors.New("quit")

func (t *talk) run(ctx context.Context) error {
	for {
		text, err := t.read(ctx)
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, errQuit):
			fmt.Fprintln(t.stdout)
			return nil
		case err != nil:
			return err
		case ctx.Err() != nil:
			return ctx.Err()
		case strings.TrimSpace(text) == "":
			continue
		case strings.HasPrefix(text, "/"):
			err = t.command(text)
		default:
			err = t.ask(ctx, text)
		}
		switch {
		case errors.Is(err, errQuit):
			return nil
		case err != nil:
			t.say("%v", err)
		}
	}
}

// read reads what the user says: one line or several.
func (t *talk) read(ctx context.Context) (string, error) {
	line, err := t.line(ctx, "> ")
	if err != nil {
		return "", err
	}
	if rest, ok := strings.CutPrefix(strings.TrimSpace(line), `"""`); ok {
		return t.block(ctx, rest)
	}
	for strings.HasSuffix(line, `\`) {
		more, err := t.line(ctx, "… ")
		if err != nil {
			return "", err
		}
		line = strings.TrimSuffix(line, `\`) + "\n" + more
	}
	t.in.Remember(line)
	return line, nil
}

// block reads to the closing quotes.
func (t *talk) block(ctx context.Context, text string) (string, error) {
	for !strings.HasSuffix(strings.TrimSpace(text), `"""`) {
		more, err := t.line(ctx, "… ")
		if err != nil {
			return "", err
		}
		text += "\n" + more
	}
	return strings.Trim(strings.TrimSuffix(strings.TrimSpace(text), `"""`), "\n"), nil
}

// line reads one line. Ctrl-C gives up what was typed; on an empty line, or
// twice, it leaves.
func (t *talk) line(ctx context.Context, prompt string) (string, error) {
	for aborted := false; ; aborted = true {
		line, err := t.next(ctx, prompt)
		if !errors.Is(err, errAborted) {
			return line, err
		}
		if aborted {
			return "", errQuit
		}
		t.say("(Ctrl-C again, or Ctrl-D, leaves)")
	}
}

// typed is a line, or why there is none.
type typed struct {
	text string
	err  error
}

// next waits for a line. Where lines cannot be edited, as on a terminal of a
// few columns, Ctrl-C is a signal; the line is then still under way. What is
// being typed when the conversation ends ends with the program.
func (t *talk) next(ctx context.Context, prompt string) (string, error) {
	if t.typing == nil {
		for len(t.interrupts) > 0 { // of before
			<-t.interrupts
		}
		typing := make(chan typed, 1)
		t.typing = typing
		go func() {
			line, err := t.in.Read(prompt)
			typing <- typed{line, err}
		}()
	}
	select {
	case line := <-t.typing:
		t.typing = nil
		return line.text, line.err
	case <-t.interrupts:
		return "", errAborted
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// command does what begins with a slash.
func (t *talk) command(text string) error {
	name, rest, _ := strings.Cut(strings.TrimSpace(text), " ")
	rest = strings.TrimSpace(rest)
	switch name {
	case "/help":
		fmt.Fprint(t.stdout, chatHelp)
	case "/quit", "/exit":
		return errQuit
	case "/route":
		t.route()
	case "/save":
		return t.save(rest)
	case "/clear":
		t.begin(t.flags.system)
	case "/system":
		t.flags.system = rest
		t.begin(rest)
	case "/undo":
		for n := len(t.messages); n > 0 && t.messages[n-1].Role != "system"; n = len(t.messages) {
			role := t.messages[n-1].Role
			t.messages = t.messages[:n-1]
			if role == "user" {
				break
			}
		}
	default:
		return fmt.Errorf("no command %.40q; /help lists them", name)
	}
	return nil
}

// ask says text to the model and shows its answer. What came of an answer that
// was stopped stays in the conversation.
func (t *talk) ask(ctx context.Context, text string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for len(t.interrupts) > 0 { // of before
		<-t.interrupts
	}
	stopped, left := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(left)
		select {
		case <-t.interrupts:
			close(stopped)
			cancel()
		case <-ctx.Done():
		}
	}()
	req := client.ChatRequest{
		Model: t.flags.model, Messages: append(t.messages, client.Message{Role: "user", Content: text}),
		MaxTokens: t.flags.tokens, Temperature: &t.flags.temperature,
	}
	if t.flags.seeded {
		req.Seed = &t.flags.seed
	}
	var show shower
	a, err := t.client.Chat(ctx, req, func(s string, thought bool) { fmt.Fprint(t.stdout, show.piece(s, thought)) })
	fmt.Fprintln(t.stdout, show.end())
	t.last = a
	cancel()
	<-left
	select {
	case <-stopped:
		t.say("(stopped)")
		err = nil
	default:
	}
	if err != nil && a.Text == "" {
		return err // nothing was said: the question may be asked again
	}
	t.messages = append(req.Messages, client.Message{Role: "assistant", Content: a.Text})
	return err
}

// shower shows reasoning apart from what is said.
type shower struct{ thinking bool }

// Dim text, on terminals.
const dim, plain = "\x1b[2m", "\x1b[0m"

func (s *shower) piece(text string, thought bool) string {
	switch {
	case thought && !s.thinking:
		s.thinking = true
		return dim + text
	case !thought && s.thinking:
		s.thinking = false
		return plain + "\n\n" + text
	}
	return text
}

func (s *shower) end() string {
	if s.thinking {
		s.thinking = false
		return plain
	}
	return ""
}

// route shows where the last answer came from.
func (t *talk) route() {
	a := t.last
	if a.Total == 0 {
		fmt.Fprintln(t.stdout, "no answer yet")
		return
	}
	fmt.Fprintf(t.stdout, "%s\n%d tokens after %d of prompt, %.1f tokens/s, first after %.0f ms\n", a.Route, a.Tokens, a.PromptTokens, a.Rate(), float64(a.FirstToken.Microseconds())/1000)
	if a.Timing != "" {
		fmt.Fprintln(t.stdout, a.Timing)
	}
}

// save writes the conversation.
func (t *talk) save(file string) error {
	if file == "" {
		return errors.New("/save wants the name of a file")
	}
	var b strings.Builder
	if strings.HasSuffix(file, ".json") {
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(false)
		e.SetIndent("", "  ")
		if err := e.Encode(map[string]any{"messages": t.messages}); err != nil {
			return err
		}
	} else {
		for _, m := range t.messages {
			fmt.Fprintf(&b, "%s:\n%s\n\n", m.Role, m.Content)
		}
	}
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, os.ErrExist) {
		return fmt.Errorf("%s exists; choose another name", file)
	}
	if err != nil {
		return err
	}
	if _, err := f.WriteString(b.String()); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := f.Close(); err != nil {
		return err
	}
	fmt.Fprintf(t.stdout, "%d messages in %s\n", len(t.messages), file)
	return nil
}

// signals are those that end a command. A conversation takes Ctrl-C itself.
func signals(args []string) []os.Signal {
	if len(args) > 0 && args[0] == "chat" {
		return []os.Signal{syscall.SIGTERM}
	}
	return []os.Signal{os.Interrupt, syscall.SIGTERM}
}
