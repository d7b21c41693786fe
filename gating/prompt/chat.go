package prompt

import "encoding/json"

// Chat is a conversation to be continued. The gating node renders it into a
// prompt, because only there is the model's template.
type Chat struct {
	Messages []Message `json:"messages"`
	// Tools holds the tools that the answer may call, each the JSON object
	// {"type": "function", "function": {…}} as the user wrote it.
	Tools []json.RawMessage `json:"tools,omitempty"`
	// Force makes the answer a tool call: of the named tool, or of any when it
	// is "*". Empty: the model chooses.
	Force string `json:"force,omitempty"`
	// Variables are further values for the template, such as
	// {"enable_thinking": false}.
	Variables map[string]json.RawMessage `json:"variables,omitempty"`
	// Now is the time in seconds of Unix time that the template is told. It
	// travels with the request, so that a replay renders the same prompt.
	Now int64 `json:"now"`
	// Continue makes the answer go on with the last message, which is the
	// assistant's, instead of beginning a new one.
	Continue bool `json:"continue,omitempty"`
}

// Message is one turn of a conversation. The names are those templates know.
type Message struct {
	Role      string     `json:"role"` // system, developer, user, assistant or tool
	Content   string     `json:"content"`
	Reasoning string     `json:"reasoning_content,omitempty"` // of an assistant
	Name      string     `json:"name,omitempty"`
	CallID    string     `json:"tool_call_id,omitempty"` // of a tool's answer
	Calls     []ToolCall `json:"tool_calls,omitempty"`   // of an assistant
}

// ToolCall is one call of a tool by the model.
type ToolCall struct {
	ID        string          `json:"id,omitempty"`
	Name      string          `json:"name"`
	Arguments json.RawMessage `json:"arguments"` // a JSON object
}

// ToolSyntax names the way in which a model writes tool calls into its text.
type ToolSyntax string

const (
	ToolsNone     ToolSyntax = ""         // the template knows no tools
	ToolsHermes   ToolSyntax = "hermes"   // <tool_call>{"name", "arguments"}</tool_call>: Qwen, Granite 4
	ToolsMistral  ToolSyntax = "mistral"  // [TOOL_CALLS] [{"name", "arguments"}]
	ToolsHarmony  ToolSyntax = "harmony"  // <|channel|>commentary to=functions.NAME <|message|>{…}<|call|>: gpt-oss
	ToolsGLM      ToolSyntax = "glm"      // <tool_call>NAME <arg_key>…</arg_key><arg_value>…</arg_value></tool_call>
	ToolsDeepSeek ToolSyntax = "deepseek" // <｜tool▁call▁begin｜>NAME<｜tool▁sep｜>{…}<｜tool▁call▁end｜>
	ToolsXML      ToolSyntax = "xml"      // <tool_call><function=NAME><parameter=KEY>…</parameter></function></tool_call>: Qwen3-Coder
	ToolsGranite  ToolSyntax = "granite"  // <|tool_call|>[{"name", "arguments"}]
)

// ThinkBegin and ThinkEnd stand around what a model thinks before it answers.
const (
	ThinkBegin = "<think>"
	ThinkEnd   = "</think>"
)
