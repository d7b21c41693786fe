package httpapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"

	"github.com/moeswarm/moeswarm/gating/prompt"
)

// completion is a checked request for a completion.
type completion struct {
	prompt.Request        // without Model, and without a seed unless seeded
	model          string // as the client wrote it; empty: the only one
	stops          []string
	seeded         bool
	stream         bool
	includeUsage   bool
	returnTokens   bool
}

// fields are those of a request's body that count. Pointers and raw messages
// tell absent and null from zero.
type fields struct {
	Model         *string         `json:"model"`
	Prompt        json.RawMessage `json:"prompt"`
	MaxTokens     *int64          `json:"max_tokens"`
	Temperature   *float64        `json:"temperature"`
	TopP          *float64        `json:"top_p"`
	Seed          json.RawMessage `json:"seed"`
	Stop          json.RawMessage `json:"stop"`
	Stream        *bool           `json:"stream"`
	StreamOptions *struct {
		IncludeUsage bool `json:"include_usage"`
	} `json:"stream_options"`

	// Our own.
	TopK          *int64   `json:"top_k"`
	MinP          *float64 `json:"min_p"`
	RepeatPenalty *float64 `json:"repeat_penalty"`
	ReturnTokens  *bool    `json:"return_tokens"`
	BestEffort    *float64 `json:"best_effort"`

	// Known, and accepted only with a value that asks for nothing.
	N                json.RawMessage `json:"n"`
	BestOf           json.RawMessage `json:"best_of"`
	Echo             json.RawMessage `json:"echo"`
	Suffix           json.RawMessage `json:"suffix"`
	Logprobs         json.RawMessage `json:"logprobs"`
	LogitBias        json.RawMessage `json:"logit_bias"`
	PresencePenalty  json.RawMessage `json:"presence_penalty"`
	FrequencyPenalty json.RawMessage `json:"frequency_penalty"`
}

const (
	// defaultMaxTokens is OpenAI's for this route.
	defaultMaxTokens = 16
	// defaultTemperature is OpenAI's.
	defaultTemperature = 1
	// maxStops is OpenAI's.
	maxStops = 4
	// maxStopBytes bounds one stop string. Text is held back while it may be
	// the beginning of one, and a kilobyte is more than any format's marker.
	maxStopBytes = 1024
	// maxModelBytes bounds the model's name, which errors and answers repeat.
	maxModelBytes = 256
	// maxTopK is above every vocabulary.
	maxTopK = 1 << 20
	// maxRepeatPenalty is far above what leaves sense in a text (about 1.3).
	maxRepeatPenalty = 10
)

// decode checks a request's body. It is pure.
func decode(body []byte, maxTokens int) (completion, error) {
	var f fields
	if err := json.Unmarshal(body, &f); err != nil {
		return completion{}, badJSON(body, err)
	}
	if err := f.refuse(); err != nil {
		return completion{}, err
	}
	var c completion
	p := parser{}
	c.model = p.text("model", f.Model, maxModelBytes)
	c.Text = p.prompt(f.Prompt)
	c.stops = p.stops(f.Stop)
	c.MaxTokens = int(p.integer("max_tokens", f.MaxTokens, defaultMaxTokens, 1, int64(maxTokens)))
	c.Sampling = prompt.Sampling{
		Temperature:   float32(p.number("temperature", f.Temperature, defaultTemperature, 0, 2)),
		TopP:          float32(p.number("top_p", f.TopP, 1, 0, 1)),
		TopK:          int(p.integer("top_k", f.TopK, 0, 0, maxTopK)),
		MinP:          float32(p.number("min_p", f.MinP, 0, 0, 1)),
		RepeatPenalty: float32(p.number("repeat_penalty", f.RepeatPenalty, 1, 0, maxRepeatPenalty)),
	}
	if c.Sampling.TopP == 0 {
		// Ours means "all" by 0; the client means the smallest set there is.
		c.Sampling.TopP = math.SmallestNonzeroFloat32
	}
	c.BestEffort = float32(p.number("best_effort", f.BestEffort, 0, 0, 1))
	c.Sampling.Seed, c.seeded = p.seed(f.Seed)
	c.stream = f.Stream != nil && *f.Stream
	c.returnTokens = f.ReturnTokens != nil && *f.ReturnTokens
	if f.StreamOptions != nil {
		c.includeUsage = f.StreamOptions.IncludeUsage
		if !c.stream {
			p.refuse("stream_options", "goes with \"stream\": true only")
		}
	}
	if p.err != nil {
		return completion{}, p.err
	}
	return c, nil
}

// badJSON explains why a body cannot be decoded.
func badJSON(body []byte, err error) *apiError {
	if t, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		if t.Field == "" {
			return &apiError{status: http.StatusBadRequest, code: "invalid_json", message: "the body must be a JSON object, not " + t.Value}
		}
		want := map[string]string{"string": "a string", "bool": "true or false", "int64": "a whole number", "float64": "a number"}[t.Type.String()]
		if want == "" {
			want = "an object"
		}
		return badField(t.Field, fmt.Sprintf("want %s, not %.40s", want, t.Value))
	}
	message := "the body is not valid JSON: " + err.Error()
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		message = fmt.Sprintf("the body is not valid JSON at byte %d: %v", syntax.Offset, err)
	}
	if len(bytes.TrimSpace(body)) == 0 {
		message = `the body is empty; send a JSON object such as {"prompt": "Once upon a time"}`
	}
	return &apiError{status: http.StatusBadRequest, code: "invalid_json", message: message}
}
