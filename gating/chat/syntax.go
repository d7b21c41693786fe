package chat

import (
	"strings"

	"github.com/moeswarm/moeswarm/gating/prompt"
)

// Syntax tells from a template's text how its model writes tool calls. What
// is looked for is what the template itself writes for calls made earlier.
func Syntax(template string) prompt.ToolSyntax {
	has := func(s string) bool { return strings.Contains(template, s) }
	switch {
	case !has("tools"):
		return prompt.ToolsNone
	case has("<arg_key>"):
		return prompt.ToolsGLM
	case has("<|channel|>") && has("functions."):
		return prompt.ToolsHarmony
	case has("<｜tool▁call▁begin｜>"):
		return prompt.ToolsDeepSeek
	case has("<function="):
		return prompt.ToolsXML
	case has("<tool_call>"):
		return prompt.ToolsHermes
	case has("[TOOL_CALLS]"):
		return prompt.ToolsMistral
	case has("<|tool_call|>"):
		return prompt.ToolsGranite
	}
	return prompt.ToolsNone
}
