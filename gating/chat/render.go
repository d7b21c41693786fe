package chat

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/moeswarm/moeswarm/gating/prompt"
)

// Config says how to render.
type Config struct {
	// Source is the model's Jinja template; empty: Builtin is used.
	Source string
	// Builtin is the name of a built-in template, used instead of Source when
	// Override is set or there is no Source.
	Builtin  string
	Override bool
	// Begin and End are the texts of the tokens that begin and end a text, as
	// templates want them.
	Begin, End string
	// AddsBegin says that the tokenizer puts Begin before every prompt; then a
	// template's own is taken away.
	AddsBegin bool
	// Worker is the command line of a process that runs [Serve]; needed for
	// Source.
	Worker []string
	// Time bounds one rendering. Default 5 s: the longest templates take some
	// milliseconds for a long conversation.
	Time time.Duration
}

const defaultTime = 5 * time.Second

// MaxSource bounds a template in bytes: thirty times the longest published.
const MaxSource = 1 << 20

// Renderer renders conversations with one template. Several goroutines may use
// it at once.
type Renderer struct {
	cfg     Config
	builtin format
	jinja   *process // nil: the built-in template
	tools   prompt.ToolSyntax
}

// New checks the configuration. It starts nothing; a process starts with the
// first rendering and ends with Run.
func New(cfg Config) (*Renderer, error) {
	if cfg.Time <= 0 {
		cfg.Time = defaultTime
	}
	r := &Renderer{cfg: cfg}
	name := strings.TrimSpace(cfg.Source) // some files hold a name for a template
	if !cfg.Override && cfg.Source != "" && !slices.Contains(Names(), name) {
		if len(cfg.Source) > MaxSource {
			return nil, fmt.Errorf("the chat template has %d bytes, want at most %d; use --chat-template with one of %s", len(cfg.Source), MaxSource, strings.Join(Names(), ", "))
		}
		r.tools = Syntax(cfg.Source)
		r.jinja = newProcess(cfg.Worker, cfg.Time)
		return r, nil
	}
	if cfg.Override || cfg.Source == "" {
		name = cfg.Builtin
	}
	var err error
	r.builtin, err = byName(name)
	return r, err
}

// Name says which template is in use.
func (r *Renderer) Name() string {
	if r.jinja != nil {
		return "the model's own"
	}
	return r.builtin.name
}

// Tools is how the model writes tool calls.
func (r *Renderer) Tools() prompt.ToolSyntax { return r.tools }

// errTools: the model cannot be told of tools.
var errTools = errors.New("this model's chat template knows no tools; leave tools out, or ask another model")

// Render makes the prompt of a conversation. An error wraps
// prompt.ErrBadRequest: another node has the same template.
func (r *Renderer) Render(ctx context.Context, c *prompt.Chat) (string, error) {
	if len(c.Tools) > 0 && r.tools == prompt.ToolsNone {
		return "", fmt.Errorf("%w: %w", prompt.ErrBadRequest, errTools)
	}
	if r.jinja == nil {
		return r.builtin.render(c.Messages, c.Continue), nil
	}
	text, err := r.jinja.render(ctx, job{Source: r.cfg.Source, Begin: r.cfg.Begin, End: r.cfg.End, Chat: c})
	if err != nil {
		if ctx.Err() != nil {
			return "", context.Cause(ctx)
		}
		return "", fmt.Errorf("%w: the model's chat template cannot be rendered: %w; whoever runs the gating node can choose a built-in one with --chat-template (%s)",
			prompt.ErrBadRequest, err, strings.Join(Names(), ", "))
	}
	if r.cfg.AddsBegin && r.cfg.Begin != "" {
		text = strings.TrimPrefix(text, r.cfg.Begin)
	}
	return text, nil
}

// Run ends the process, if there is one, when ctx ends. Nothing is rendered
// after that.
func (r *Renderer) Run(ctx context.Context) error {
	<-ctx.Done()
	if r.jinja != nil {
		r.jinja.close()
	}
	return nil
}
