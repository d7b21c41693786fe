package httpapi

import "github.com/moeswarm/moeswarm/gating/prompt"

// usage counts a request's tokens, all its answers together.
type usage struct {
	PromptTokens     int         `json:"prompt_tokens"`
	CompletionTokens int         `json:"completion_tokens"`
	TotalTokens      int         `json:"total_tokens"`
	Details          predictions `json:"completion_tokens_details,omitzero"`
	Prompt           reused      `json:"prompt_tokens_details,omitzero"`
}

// reused counts the tokens of the prompt that were kept from an earlier one, of
// the answer that kept the most.
type reused struct {
	Cached int `json:"cached_tokens"`
}

// predictions counts the tokens that were tried ahead of their time: those that
// are in the answers, and those that are not.
type predictions struct {
	Accepted int `json:"accepted_prediction_tokens"`
	Rejected int `json:"rejected_prediction_tokens"`
}

// count takes in an answer's drafts so far, of which before were counted.
func (p *predictions) count(before, now prompt.Drafts) {
	p.Accepted += now.Accepted - before.Accepted
	p.Rejected += now.Drafted - now.Accepted - (before.Drafted - before.Accepted)
}
