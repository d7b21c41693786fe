package wire

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"unicode/utf8"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/gating/prompt"
)

const promptFixed = 32 + 4 + 4*6 + 8 + 4 + 4 // body bytes before the prefix

// AppendPrompt appends a prompt frame. An error wraps [prompt.ErrBadRequest].
func AppendPrompt(b []byte, r prompt.Request) ([]byte, error) {
	if err := checkPrompt(r); err != nil {
		return b, err
	}
	options, err := appendOptions(nil, optionsOf(r))
	if err != nil {
		return b, err
	}
	if len(options)+len(r.Text) > MaxPromptBytes {
		return b, fmt.Errorf("%w: a conversation of %d bytes, at most %d allowed", prompt.ErrBadRequest, len(options)+len(r.Text), MaxPromptBytes)
	}
	size := promptFixed + 4*len(r.Prefix) + len(options) + len(r.Text)
	b = slices.Grow(b, HeaderLen+size)
	b = appendHeader(b, KindPrompt, 0, size)
	b = append(b, r.Model[:]...)
	b = binary.LittleEndian.AppendUint32(b, uint32(r.MaxTokens))
	s := r.Sampling
	b = binary.LittleEndian.AppendUint32(b, math.Float32bits(s.Temperature))
	b = binary.LittleEndian.AppendUint32(b, uint32(s.TopK))
	for _, f := range [...]float32{s.TopP, s.MinP, s.RepeatPenalty, r.BestEffort} {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(f))
	}
	b = binary.LittleEndian.AppendUint64(b, s.Seed)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(r.Prefix)))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(options)))
	b = appendNumbers(b, r.Prefix)
	b = append(b, options...)
	return append(b, r.Text...), nil
}

// ParsePrompt reads a prompt frame's body. The request shares no memory with
// it. Sampling numbers are finite; whether they make sense is for the
// completer to say. An error wraps [prompt.ErrBadRequest].
func ParsePrompt(body []byte) (prompt.Request, error) {
	var r prompt.Request
	k := cursor{b: body}
	copy(r.Model[:], k.take(len(r.Model)))
	maxTokens := k.u32()
	r.Sampling.Temperature = k.f32()
	topK := k.u32()
	r.Sampling.TopP, r.Sampling.MinP, r.Sampling.RepeatPenalty = k.f32(), k.f32(), k.f32()
	r.BestEffort = k.f32()
	r.Sampling.Seed = k.u64()
	n, optional := k.u32(), k.u32()
	if k.short || n > MaxPrefix || int(n) > len(k.b)/4 || maxTokens > math.MaxInt32 || topK > math.MaxInt32 {
		return prompt.Request{}, fmt.Errorf("%w: prompt frame of %d bytes with %d tokens of prefix", prompt.ErrBadRequest, len(body), n)
	}
	r.MaxTokens, r.Sampling.TopK = int(maxTokens), int(topK)
	if n > 0 {
		r.Prefix = slices.Clone(numbers[int32](k.take(4 * int(n))))
	}
	if optional > MaxPromptBytes {
		return prompt.Request{}, fmt.Errorf("%w: %d bytes of options", prompt.ErrBadRequest, optional)
	}
	options := k.take(int(optional))
	if k.short {
		return prompt.Request{}, fmt.Errorf("%w: %d bytes of options, fewer came", prompt.ErrBadRequest, optional)
	}
	o, err := parseOptions(options)
	if err != nil {
		return prompt.Request{}, err
	}
	o.set(&r)
	r.Text = string(k.b)
	if err := checkPrompt(r); err != nil {
		return prompt.Request{}, err
	}
	return r, nil
}

func checkPrompt(r prompt.Request) error {
	s := r.Sampling
	switch {
	case len(r.Text) > MaxPromptBytes:
		return fmt.Errorf("%w: prompt of %d bytes, at most %d allowed", prompt.ErrBadRequest, len(r.Text), MaxPromptBytes)
	case !utf8.ValidString(r.Text):
		return fmt.Errorf("%w: the prompt is not UTF-8", prompt.ErrBadRequest)
	case len(r.Prefix) > MaxPrefix:
		return fmt.Errorf("%w: prefix of %d tokens, at most %d allowed", prompt.ErrBadRequest, len(r.Prefix), MaxPrefix)
	case len(r.Prefix) > 0 && slices.Min(r.Prefix) < 0:
		return fmt.Errorf("%w: negative token in the prefix", prompt.ErrBadRequest)
	case r.MaxTokens <= 0 || r.MaxTokens > math.MaxInt32:
		return fmt.Errorf("%w: %d tokens asked for", prompt.ErrBadRequest, r.MaxTokens)
	case s.TopK < 0 || s.TopK > math.MaxInt32:
		return fmt.Errorf("%w: top-k %d", prompt.ErrBadRequest, s.TopK)
	case !(r.BestEffort >= 0 && r.BestEffort <= 1):
		return fmt.Errorf("%w: a best-effort share of %v; want 0 to 1", prompt.ErrBadRequest, r.BestEffort)
	case len(r.Tokens) > MaxPrefix:
		return fmt.Errorf("%w: %d tokens to be turned into text, at most %d allowed", prompt.ErrBadRequest, len(r.Tokens), MaxPrefix)
	case len(s.Bias) > MaxBias || r.Alternatives < 0 || r.Alternatives > MaxAlternatives:
		return fmt.Errorf("%w: %d tokens with a bias, %d alternatives; at most %d and %d allowed", prompt.ErrBadRequest, len(s.Bias), r.Alternatives, MaxBias, MaxAlternatives)
	case !expert.Finite([]float32{s.Temperature, s.TopP, s.MinP, s.RepeatPenalty, s.FrequencyPenalty, s.PresencePenalty}):
		return fmt.Errorf("%w: sampling numbers must be finite", prompt.ErrBadRequest)
	}
	return nil
}
