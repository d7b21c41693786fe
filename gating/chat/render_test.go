package chat

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/moeswarm/moeswarm/gating/prompt"
)

// TestMain is also the process that templates run in.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == "worker" {
		if err := Serve(os.Stdin, os.Stdout); err != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// renderer runs a template until the test ends.
func renderer(t *testing.T, cfg Config) *Renderer {
	t.Helper()
	exec, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cfg.Worker = []string{exec, "worker"}
	r, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return r
}

func conversation() *prompt.Chat {
	return &prompt.Chat{
		Messages: []prompt.Message{
			{Role: "system", Content: "Be brief."},
			{Role: "user", Content: `Hi <b> & "you"`},
			{Role: "assistant", Content: "Calling.", Calls: []prompt.ToolCall{{ID: "call00001", Name: "weather", Arguments: json.RawMessage(`{"z":1,"a":[1,2.5,"x"],"n":null}`)}}},
			{Role: "tool", Content: "42", Name: "weather", CallID: "call00001"},
			{Role: "assistant", Content: "It is 42."},
			{Role: "user", Content: "Bye"},
		},
		Tools: []json.RawMessage{json.RawMessage(`{"type":"function","function":{"name":"weather","description":"The weather.","parameters":{"type":"object","properties":{"z":{"type":"integer","description":"a z"},"a":{"type":"array","items":{"type":"string"}}},"required":["z"]}}}`)},
		Now:   1700000000,
	}
}

func render1(t *testing.T, source string) string {
	t.Helper()
	r := renderer(t, Config{Source: source, Begin: "<s>", End: "</s>"})
	c := conversation()
	if r.Tools() == prompt.ToolsNone {
		c.Tools = nil
	}
	text, err := r.Render(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestOwnTemplate(t *testing.T) {
	for _, tc := range []struct{ source, want string }{
		{`{% for m in messages %}{{ '<' + m['role'] + '>' + m.content }}{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}` + "\n",
			`<system>Be brief.<user>Hi <b> & "you"<assistant>Calling.<tool>42<assistant>It is 42.<user>Bye<assistant>`},
		{"{{ strftime_now('%d %B %Y %H:%M') }} {{ bos_token }}{{ eos_token }}", "14 November 2023 22:13 <s></s>"},
		{"{{ strftime_now('%-d %b %y %% %Q') }}", "14 Nov 23 % %Q"},
		{"{# tools #}{{ messages[2].tool_calls[0].function.arguments | tojson }}[TOOL_CALLS]", `{"z": 1, "a": [1, 2.5, "x"], "n": null}[TOOL_CALLS]`},
		{"{% set ns = namespace(n=0) %}{% for m in messages[::-1] %}{% if m.role == 'user' %}{% set ns.n = ns.n + loop.index0 %}{% endif %}{% endfor %}{{ ns.n }}", "4"},
	} {
		if got := render1(t, tc.source); got != tc.want {
			t.Errorf("%s:\n got %q\nwant %q", tc.source, got, tc.want)
		}
	}
}

// TestTextArguments: some templates add the arguments of a tool call to a
// text, which an object does not allow.
func TestTextArguments(t *testing.T) {
	got := render1(t, "{# tools <tool_call> #}{% for m in messages %}{% if m.tool_calls %}{{ 'args ' + m.tool_calls[0].function.arguments + '!' }}{% endif %}{% endfor %}")
	if want := `args {"z":1,"a":[1,2.5,"x"],"n":null}!`; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestBeginIsNotDoubled(t *testing.T) {
	for _, adds := range []bool{false, true} {
		r := renderer(t, Config{Source: "{{ bos_token }}x", Begin: "<s>", AddsBegin: adds})
		want := map[bool]string{false: "<s>x", true: "x"}[adds]
		if got, err := r.Render(t.Context(), &prompt.Chat{Messages: []prompt.Message{{Role: "user"}}}); err != nil || got != want {
			t.Errorf("adds %v: %q, %v, want %q", adds, got, err, want)
		}
	}
}

// TestHostileTemplates: nothing that a template does harms the node, and the
// next conversation is rendered.
func TestHostileTemplates(t *testing.T) {
	const good = "{{ messages[0].content }}"
	for name, source := range map[string]string{
		"loops":       "{% for a in range(1000000) %}{% for b in range(1000000) %}{% for c in range(1000000) %}{% endfor %}{% endfor %}{% endfor %}",
		"doubles":     "{% set ns = namespace(x='aaaaaaaaaaaaaaaa') %}{% for i in range(64) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}{{ ns.x }}",
		"multiplies":  "{{ 'a' * 100000000000 }}",
		"recurses":    "{% macro f(x) %}{{ f(x) }}{% endmacro %}{{ f(1) }}",
		"says much":   "{% for a in range(10000000) %}xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx{% endfor %}",
		"long range":  "{{ range(100000000000)|list|length }}",
		"raises":      "{{ raise_exception('no such role') }}",
		"no syntax":   "{% if %}",
		"nests":       strings.Repeat("{% if true %}", 80000),
		"nests value": "{{ " + strings.Repeat("(", 200000) + "1" + strings.Repeat(")", 200000) + " }}",
		"unknown":     "{{ x.y.z() }}",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := renderer(t, Config{Source: source, Time: 2 * time.Second})
			c := &prompt.Chat{Messages: []prompt.Message{{Role: "user", Content: "hi"}}}
			_, err := r.Render(t.Context(), c)
			if !errors.Is(err, prompt.ErrBadRequest) || !strings.Contains(err.Error(), "--chat-template") {
				t.Errorf("%v, want a bad request that says what to do", err)
			}
			r.cfg.Source = good
			if got, err := r.Render(t.Context(), c); err != nil || got != "hi" {
				t.Errorf("afterwards: %q, %v", got, err)
			}
		})
	}
}

func TestRenderIsCancelled(t *testing.T) {
	r := renderer(t, Config{Source: "{% for a in range(1000000) %}{% for b in range(1000000) %}{% endfor %}{% endfor %}", Time: time.Hour})
	ctx, cancel := context.WithCancel(t.Context())
	begun := make(chan struct{})
	go func() {
		for { // until the process runs
			r.jinja.mu.Lock()
			running := r.jinja.mu.child != nil
			r.jinja.mu.Unlock()
			if running {
				break
			}
		}
		close(begun)
		cancel()
	}()
	_, err := r.Render(ctx, conversationWithoutTools())
	<-begun
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want that it was cancelled", err)
	}
	if r.jinja.mu.child != nil {
		t.Error("the process lives on")
	}
}

func conversationWithoutTools() *prompt.Chat {
	c := conversation()
	c.Tools = nil
	return c
}

// TestPublishedTemplates renders the templates of well-known models, which the
// Jinja library brings along for its own tests. What they should say is for
// that library to test; here they run in our process, with our values.
func TestPublishedTemplates(t *testing.T) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/ardanlabs/jinja").Output()
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(strings.TrimSpace(string(out)), "testdata/templates/*.jinja"))
	if err != nil || len(files) < 10 {
		t.Fatalf("%d templates, %v", len(files), err)
	}
	syntaxes := map[string]prompt.ToolSyntax{
		"Qwen3-8B-Q8_0": prompt.ToolsHermes, "gpt-oss-20b-Q8_0": prompt.ToolsHarmony, "GLM-5.2": prompt.ToolsGLM,
		"Qwen3.5-35B-A3B-Q8_0": prompt.ToolsXML, "Ministral-3-14B-Instruct-2512-Q4_0": prompt.ToolsMistral,
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".jinja")
		t.Run(name, func(t *testing.T) {
			source, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			r := renderer(t, Config{Source: string(source), Begin: "<s>", End: "</s>"})
			if want, ok := syntaxes[name]; ok && r.Tools() != want {
				t.Errorf("tool syntax %q, want %q", r.Tools(), want)
			}
			c := conversation()
			if r.Tools() == prompt.ToolsNone {
				c.Tools = nil
				c.Messages = []prompt.Message{c.Messages[0], c.Messages[1], c.Messages[4], c.Messages[5]}
			}
			text, err := r.Render(t.Context(), c)
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range []string{"Be brief.", `Hi <b> & "you"`, "It is 42.", "Bye"} {
				if !strings.Contains(text, want) {
					t.Errorf("no %q in %q", want, text)
				}
			}
			if r.Tools() != prompt.ToolsNone && !strings.Contains(text, "The weather.") {
				t.Errorf("no tool in %q", text)
			}
		})
	}
}

func TestBuiltins(t *testing.T) {
	messages := []prompt.Message{{Role: "system", Content: "S"}, {Role: "user", Content: "U"}, {Role: "assistant", Content: "A"}, {Role: "user", Content: "V"}}
	for name, want := range map[string]string{
		"chatml":  "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nU<|im_end|>\n<|im_start|>assistant\nA<|im_end|>\n<|im_start|>user\nV<|im_end|>\n<|im_start|>assistant\n",
		"llama3":  "<|start_header_id|>system<|end_header_id|>\n\nS<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nU<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\nA<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nV<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n",
		"llama2":  "[INST] <<SYS>>\nS\n<</SYS>>\n\nU [/INST] A</s>[INST] V [/INST]",
		"mistral": "[INST] S\n\nU [/INST] A</s>[INST] V [/INST]",
		"gemma":   "<start_of_turn>user\nS\n\nU<end_of_turn>\n<start_of_turn>model\nA<end_of_turn>\n<start_of_turn>user\nV<end_of_turn>\n<start_of_turn>model\n",
		"plain":   "S\nUser: U\nAssistant: A\nUser: V\nAssistant:",
	} {
		r, err := New(Config{Builtin: name})
		if err != nil {
			t.Fatal(err)
		}
		got, err := r.Render(t.Context(), &prompt.Chat{Messages: messages})
		if err != nil || got != want {
			t.Errorf("%s:\n got %q, %v\nwant %q", name, got, err, want)
		}
		got, err = r.Render(t.Context(), &prompt.Chat{Messages: messages[:3], Continue: true})
		if err != nil || !strings.HasSuffix(got, "A") {
			t.Errorf("%s, going on: %q, %v", name, got, err)
		}
	}
	if _, err := New(Config{Builtin: "fancy"}); err == nil || !strings.Contains(err.Error(), "chatml") {
		t.Errorf("%v, want the names there are", err)
	}
	if r, err := New(Config{Source: "llama2"}); err != nil || r.Name() != "llama2" {
		t.Errorf("a name for a template: %v", err)
	}
	if _, err := (&Renderer{}).Render(t.Context(), conversation()); !errors.Is(err, prompt.ErrBadRequest) {
		t.Errorf("tools without a syntax: %v", err)
	}
}

func TestBuiltinByMarks(t *testing.T) {
	for _, tc := range []struct {
		tokens []string
		want   string
	}{
		{nil, "plain"},
		{[]string{"<|im_start|>", "<|im_end|>", "[INST]"}, "chatml"},
		{[]string{"[INST]", "[/INST]"}, "mistral"},
		{[]string{"<|im_start|>"}, "plain"},
	} {
		got := Builtin(func(s string) bool { return strings.Contains(strings.Join(tc.tokens, " ")+" ", s+" ") })
		if got != tc.want {
			t.Errorf("%q: %s, want %s", tc.tokens, got, tc.want)
		}
	}
}

// FuzzValue: JSON of any shape gives a value or an error.
func FuzzValue(f *testing.F) {
	f.Add([]byte(`{"a":[1,2.5,"x",null,true,{"b":{}}]}`))
	f.Add([]byte(strings.Repeat("[", 100)))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if v, err := value(raw); err == nil && json.Valid(raw) && v.IsUndefined() {
			t.Errorf("%q is undefined", raw)
		}
	})
}
