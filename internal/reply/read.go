package reply

import (
	"encoding/json"
	"strings"

	"github.com/moeswarm/moeswarm/gating/prompt"
)

// Tools are the parameters of the tools that may be called, by name; they say
// which arguments are text, in syntaxes that do not.
type Tools map[string]map[string]string // tool -> parameter -> its type

// ToolsOf reads the tools of a request.
func ToolsOf(all []json.RawMessage) Tools {
	tools := Tools{}
	for _, raw := range all {
		var t struct {
			Function struct {
				Name       string `json:"name"`
				Parameters struct {
					Properties map[string]struct {
						Type any `json:"type"`
					} `json:"properties"`
				} `json:"parameters"`
			} `json:"function"`
		}
		if json.Unmarshal(raw, &t) != nil {
			continue
		}
		types := map[string]string{}
		for name, p := range t.Function.Parameters.Properties {
			types[name], _ = p.Type.(string)
		}
		tools[t.Function.Name] = types
	}
	return tools
}

func isObject(raw json.RawMessage) bool {
	var m map[string]json.RawMessage
	return json.Unmarshal(raw, &m) == nil && m != nil
}

// readJSON reads {"name", "arguments"}, or a list of them.
func readJSON(body string, _ Tools) ([]prompt.ToolCall, bool) {
	type call struct {
		Name       string          `json:"name"`
		Arguments  json.RawMessage `json:"arguments"`
		Parameters json.RawMessage `json:"parameters"`
	}
	var calls []call
	body = strings.TrimSpace(body)
	if strings.HasPrefix(body, "[") {
		if json.Unmarshal([]byte(body), &calls) != nil {
			return nil, false
		}
	} else {
		var one call
		if json.Unmarshal([]byte(body), &one) != nil {
			return nil, false
		}
		calls = []call{one}
	}
	var out []prompt.ToolCall
	for _, c := range calls {
		if c.Arguments == nil {
			c.Arguments = c.Parameters
		}
		var text string
		if json.Unmarshal(c.Arguments, &text) == nil && text != "" { // an object as text
			c.Arguments = json.RawMessage(text)
		}
		if c.Arguments == nil {
			c.Arguments = json.RawMessage("{}")
		}
		if c.Name == "" || !isObject(c.Arguments) {
			return nil, false
		}
		out = append(out, prompt.ToolCall{Name: c.Name, Arguments: c.Arguments})
	}
	return out, len(out) > 0
}

// readMistral reads a list, or NAME[ARGS]{…}, several after one another.
func readMistral(body string, tools Tools) ([]prompt.ToolCall, bool) {
	if !strings.Contains(body, "[ARGS]") {
		return readJSON(body, tools)
	}
	var out []prompt.ToolCall
	for _, part := range strings.Split(body, "[TOOL_CALLS]") {
		head, arguments, ok := strings.Cut(part, "[ARGS]")
		name, _, _ := strings.Cut(head, "[CALL_ID]")
		name, arguments = strings.TrimSpace(name), strings.TrimSpace(arguments)
		if !ok || name == "" || !isObject(json.RawMessage(arguments)) {
			return nil, false
		}
		out = append(out, prompt.ToolCall{Name: name, Arguments: json.RawMessage(arguments)})
	}
	return out, true
}

// readDeepSeek reads NAME<sep>{…}, and the older function<sep>NAME with the
// arguments in a code block.
func readDeepSeek(body string, _ Tools) ([]prompt.ToolCall, bool) {
	var out []prompt.ToolCall
	for _, part := range strings.Split(body, "<｜tool▁call▁begin｜>") {
		part, _, _ = strings.Cut(part, "<｜tool▁call▁end｜>")
		if strings.TrimSpace(part) == "" {
			continue
		}
		name, arguments, ok := strings.Cut(part, "<｜tool▁sep｜>")
		if before, block, old := strings.Cut(arguments, "```json"); ok && old {
			name = before
			arguments, _, _ = strings.Cut(block, "```")
		}
		name, arguments = strings.TrimSpace(name), strings.TrimSpace(arguments)
		if !ok || name == "" || !isObject(json.RawMessage(arguments)) {
			return nil, false
		}
		out = append(out, prompt.ToolCall{Name: name, Arguments: json.RawMessage(arguments)})
	}
	return out, len(out) > 0
}

// readGLM reads NAME and pairs of tags.
func readGLM(body string, tools Tools) ([]prompt.ToolCall, bool) {
	name, rest, _ := strings.Cut(body, "<arg_key>")
	name = strings.TrimSpace(name)
	var a arguments
	for rest != "" {
		key, after, ok := strings.Cut(rest, "</arg_key>")
		_, after, ok2 := strings.Cut(after, "<arg_value>")
		value, after, ok3 := strings.Cut(after, "</arg_value>")
		if !ok || !ok2 || !ok3 {
			return nil, false
		}
		a.add(strings.TrimSpace(key), value, tools[name])
		_, rest, _ = strings.Cut(after, "<arg_key>")
	}
	return a.call(name)
}

// readXML reads <function=NAME> with <parameter=KEY> tags.
func readXML(body string, tools Tools) ([]prompt.ToolCall, bool) {
	_, rest, ok := strings.Cut(body, "<function=")
	name, rest, ok2 := strings.Cut(rest, ">")
	if !ok || !ok2 {
		return readJSON(body, tools)
	}
	rest, _, _ = strings.Cut(rest, "</function>")
	name = strings.TrimSpace(name)
	var a arguments
	for {
		_, after, more := strings.Cut(rest, "<parameter=")
		if !more {
			return a.call(name)
		}
		key, after, ok := strings.Cut(after, ">")
		value, after, ok2 := strings.Cut(after, "</parameter>")
		if !ok || !ok2 {
			return nil, false
		}
		a.add(strings.TrimSpace(key), strings.TrimSuffix(strings.TrimPrefix(value, "\n"), "\n"), tools[name])
		rest = after
	}
}

// arguments is a JSON object in the making.
type arguments struct {
	b strings.Builder
	n int
}

func (a *arguments) add(key, value string, types map[string]string) {
	a.b.WriteString(pair(a.n, key, value, types))
	a.n++
}

func (a *arguments) call(name string) ([]prompt.ToolCall, bool) {
	return []prompt.ToolCall{{Name: name, Arguments: json.RawMessage(a.b.String() + closed(a.n))}}, name != ""
}

// pair is member number n of a JSON object, with what stands before it. The
// value is text where the tool wants text, else the JSON that it is.
func pair(n int, key, value string, types map[string]string) string {
	raw := []byte(strings.TrimSpace(value))
	if kind := types[key]; kind == "string" || !json.Valid(raw) {
		raw, _ = json.Marshal(value) // a string has a JSON form
	}
	name, _ := json.Marshal(key)
	before := ","
	if n == 0 {
		before = "{"
	}
	return before + string(name) + ":" + string(raw)
}

// closed is the end of a JSON object of n members.
func closed(n int) string {
	if n == 0 {
		return "{}"
	}
	return "}"
}
