package chat

import (
	"fmt"
	"slices"
	"strings"

	"github.com/moeswarm/moeswarm/gating/prompt"
)

// format is a built-in template.
type format struct {
	name string
	// marks are special tokens; a vocabulary that has all of them was made for
	// the format. Empty: never chosen by itself.
	marks  []string
	render func(messages []prompt.Message, goOn bool) string
}

// formats are the built-in templates; earlier ones are preferred.
func formats() []format {
	return []format{
		{"chatml", []string{"<|im_start|>", "<|im_end|>"}, turns("<|im_start|>", "\n", "<|im_end|>\n", "assistant")},
		{"llama3", []string{"<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"}, turns("<|start_header_id|>", "<|end_header_id|>\n\n", "<|eot_id|>", "assistant")},
		{"granite", []string{"<|start_of_role|>", "<|end_of_role|>"}, turns("<|start_of_role|>", "<|end_of_role|>", "<|end_of_text|>\n", "assistant")},
		{"zephyr", []string{"<|user|>", "<|assistant|>"}, turns("<|", "|>\n", "</s>\n", "assistant")},
		{"gemma", []string{"<start_of_turn>", "<end_of_turn>"}, gemma},
		{"mistral", []string{"[INST]", "[/INST]"}, mistral},
		{"llama2", nil, llama2},
		{"plain", nil, plain},
	}
}

// Names lists the built-in templates.
func Names() []string {
	var names []string
	for _, f := range formats() {
		names = append(names, f.name)
	}
	return names
}

// byName finds a built-in template.
func byName(name string) (format, error) {
	for _, f := range formats() {
		if f.name == name {
			return f, nil
		}
	}
	return format{}, fmt.Errorf("no built-in chat template %.40q; there are %s", name, strings.Join(Names(), ", "))
}

// Builtin names the built-in template for a model without one: that whose
// special tokens its vocabulary has, else "plain", a transcript with the names
// of who speaks, for models that were never taught to chat.
func Builtin(has func(token string) bool) string {
	for _, f := range formats() {
		if len(f.marks) > 0 && !slices.ContainsFunc(f.marks, func(m string) bool { return !has(m) }) {
			return f.name
		}
	}
	return "plain"
}

// turns renders messages that all look alike: before, role, after, content,
// end.
func turns(before, after, end, assistant string) func([]prompt.Message, bool) string {
	return func(messages []prompt.Message, goOn bool) string {
		var b strings.Builder
		for i, m := range messages {
			b.WriteString(before + m.Role + after + m.Content)
			if goOn && i == len(messages)-1 {
				return b.String()
			}
			b.WriteString(end)
		}
		return b.String() + before + assistant + after
	}
}

// instructions are the texts of the system, which go before the first user's
// message in formats that have no place for them, and the other messages.
func instructions(messages []prompt.Message) (system string, others []prompt.Message) {
	var texts []string
	for _, m := range messages {
		if m.Role == "system" || m.Role == "developer" {
			texts = append(texts, m.Content)
		} else {
			others = append(others, m)
		}
	}
	return strings.Join(texts, "\n\n"), others
}

func gemma(messages []prompt.Message, goOn bool) string {
	system, others := instructions(messages)
	others = slices.Clone(others)
	for i := range others {
		if others[i].Role == "assistant" {
			others[i].Role = "model"
		} else if system != "" {
			others[i].Content, system = system+"\n\n"+others[i].Content, ""
		}
	}
	return turns("<start_of_turn>", "\n", "<end_of_turn>\n", "model")(others, goOn)
}

func mistral(messages []prompt.Message, goOn bool) string {
	return instructed(messages, goOn, func(system, content string) string {
		if system != "" {
			content = system + "\n\n" + content
		}
		return "[INST] " + content + " [/INST]"
	})
}

func llama2(messages []prompt.Message, goOn bool) string {
	return instructed(messages, goOn, func(system, content string) string {
		if system != "" {
			content = "<<SYS>>\n" + system + "\n<</SYS>>\n\n" + content
		}
		return "[INST] " + content + " [/INST]"
	})
}

func instructed(messages []prompt.Message, goOn bool, user func(system, content string) string) string {
	system, others := instructions(messages)
	var b strings.Builder
	for i, m := range others {
		if m.Role != "assistant" {
			b.WriteString(user(system, m.Content))
			system = ""
			continue
		}
		b.WriteString(" " + m.Content)
		if !goOn || i < len(others)-1 {
			b.WriteString("</s>")
		}
	}
	return b.String()
}

func plain(messages []prompt.Message, goOn bool) string {
	var b strings.Builder
	for i, m := range messages {
		switch m.Role {
		case "user":
			b.WriteString("User: ")
		case "assistant":
			b.WriteString("Assistant: ")
		case "tool":
			b.WriteString("Tool: ")
		}
		b.WriteString(m.Content)
		if goOn && i == len(messages)-1 {
			return b.String()
		}
		b.WriteString("\n")
	}
	return b.String() + "Assistant:"
}
