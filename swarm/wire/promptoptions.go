package wire

import (
	"encoding/json"
	"fmt"

	"github.com/moeswarm/moeswarm/gating/prompt"
)

// promptOptions is the part of a prompt that most prompts do without, as JSON:
// a conversation is JSON by nature. Field names are part of the format; a name
// that is not known is ignored, since it asks for something that came later.
type promptOptions struct {
	Chat             *prompt.Chat    `json:"chat,omitempty"`
	FrequencyPenalty float32         `json:"frequency_penalty,omitempty"`
	PresencePenalty  float32         `json:"presence_penalty,omitempty"`
	Bias             []prompt.Bias   `json:"bias,omitempty"`
	Logprobs         bool            `json:"logprobs,omitempty"`
	Alternatives     int             `json:"alternatives,omitempty"`
	Schema           json.RawMessage `json:"schema,omitempty"`
	Task             prompt.Task     `json:"task,omitempty"`
	Tokens           []int32         `json:"tokens,omitempty"`
	Plain            bool            `json:"plain,omitempty"`
}

// MaxBias bounds the tokens with a bias. OpenAI's limit is 1024 as well.
const MaxBias = 1024

// MaxAlternatives bounds the likeliest tokens told at each place, as OpenAI
// does.
const MaxAlternatives = 20

func optionsOf(r prompt.Request) promptOptions {
	return promptOptions{
		Chat: r.Chat, FrequencyPenalty: r.Sampling.FrequencyPenalty, PresencePenalty: r.Sampling.PresencePenalty,
		Bias: r.Sampling.Bias, Logprobs: r.Logprobs, Alternatives: r.Alternatives, Schema: r.Schema,
		Task: r.Task, Tokens: r.Tokens, Plain: r.Plain,
	}
}

func (o promptOptions) empty() bool {
	return o.Chat == nil && o.FrequencyPenalty == 0 && o.PresencePenalty == 0 && len(o.Bias) == 0 &&
		!o.Logprobs && o.Alternatives == 0 && o.Schema == nil && o.Task == "" && len(o.Tokens) == 0 && !o.Plain
}

func (o promptOptions) set(r *prompt.Request) {
	r.Chat, r.Logprobs, r.Alternatives, r.Schema = o.Chat, o.Logprobs, o.Alternatives, o.Schema
	r.Task, r.Tokens, r.Plain = o.Task, o.Tokens, o.Plain
	r.Sampling.FrequencyPenalty, r.Sampling.PresencePenalty, r.Sampling.Bias = o.FrequencyPenalty, o.PresencePenalty, o.Bias
}

// appendOptions appends nothing for options that ask for nothing.
func appendOptions(b []byte, o promptOptions) ([]byte, error) {
	if o.empty() {
		return b, nil
	}
	text, err := json.Marshal(o)
	if err != nil {
		return b, fmt.Errorf("%w: options: %w", prompt.ErrBadRequest, err)
	}
	return append(b, text...), nil
}

func parseOptions(text []byte) (o promptOptions, err error) {
	if len(text) == 0 {
		return o, nil
	}
	if err := json.Unmarshal(text, &o); err != nil {
		return promptOptions{}, fmt.Errorf("%w: options: %w", prompt.ErrBadRequest, err)
	}
	return o, nil
}
