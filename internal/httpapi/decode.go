package httpapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strings"

	"github.com/moeswarm/moeswarm/gating/prompt"
)

// ask is a checked request for answers.
type ask struct {
	prompt.Request        // of the first answer; without Model, and without a seed unless seeded
	model          string // as the client wrote it; empty: the only one
	n              int    // answers
	stops          []string
	seeded         bool
	stream         bool
	includeUsage   bool
	returnTokens   bool
	toolChoice     toolChoice
	oneCall        bool // at most one tool call
}

// fields are those that all routes share. Pointers and raw messages tell
// absent and null from zero.
type fields struct {
	Model               *string         `json:"model"`
	MaxTokens           *int64          `json:"max_tokens"`
	MaxCompletionTokens *int64          `json:"max_completion_tokens"`
	Temperature         *float64        `json:"temperature"`
	TopP                *float64        `json:"top_p"`
	N                   *int64          `json:"n"`
	Seed                json.RawMessage `json:"seed"`
	Stop                json.RawMessage `json:"stop"`
	Stream              *bool           `json:"stream"`
	StreamOptions       *struct {
		IncludeUsage bool `json:"include_usage"`
	} `json:"stream_options"`
	FrequencyPenalty *float64        `json:"frequency_penalty"`
	PresencePenalty  *float64        `json:"presence_penalty"`
	LogitBias        json.RawMessage `json:"logit_bias"`
	ResponseFormat   json.RawMessage `json:"response_format"`

	// Our own.
	TopK          *int64   `json:"top_k"`
	MinP          *float64 `json:"min_p"`
	RepeatPenalty *float64 `json:"repeat_penalty"`
	ReturnTokens  *bool    `json:"return_tokens"`
	BestEffort    *float64 `json:"best_effort"`
}

// textFields are the body of a completion of a text.
type textFields struct {
	fields
	Prompt   json.RawMessage `json:"prompt"`
	Logprobs *int64          `json:"logprobs"`
}

const (
	// defaultMaxTokens is OpenAI's for texts.
	defaultMaxTokens = 16
	// defaultTemperature is OpenAI's.
	defaultTemperature = 1
	// maxAnswers is how many answers one request may ask for; OpenAI has 128,
	// but there each takes another machine's time.
	maxAnswers = 16
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
	// maxPenalty and maxBias are OpenAI's.
	maxPenalty, maxBias = 2, 100
	// maxBiased bounds the tokens with a bias, as the wire does.
	maxBiased = 1024
	// maxTextAlternatives and maxChatAlternatives are OpenAI's.
	maxTextAlternatives, maxChatAlternatives = 5, 20
)

// decodeText checks the body of a completion of a text. It is pure.
func decodeText(body []byte, maxTokens int) (ask, error) {
	var f textFields
	if err := unmarshal(body, textRoute(), &f); err != nil {
		return ask{}, err
	}
	p := parser{}
	a := f.ask(&p, defaultMaxTokens, maxTokens)
	a.Text = p.prompt(f.Prompt)
	if f.Logprobs != nil {
		a.Logprobs = true
		a.Alternatives = int(p.integer("logprobs", f.Logprobs, 0, 0, maxTextAlternatives))
	}
	if p.err != nil {
		return ask{}, p.err
	}
	return a, nil
}

// unmarshal reads a body into v, and refuses fields that ask for what cannot
// be done.
func unmarshal(body []byte, r route, v any) error {
	if err := json.Unmarshal(body, v); err != nil {
		return badJSON(body, r, err)
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(body, &all); err != nil {
		return badJSON(body, r, err)
	}
	return refuse(r, all)
}

// ask checks the fields that all routes share.
func (f *fields) ask(p *parser, tokens, maxTokens int) ask {
	var a ask
	a.model = p.text("model", f.Model, maxModelBytes)
	a.stops = p.stops(f.Stop)
	a.n = int(p.integer("n", f.N, 1, 1, maxAnswers))
	a.MaxTokens = int(p.integer("max_tokens", f.MaxTokens, int64(tokens), 1, int64(maxTokens)))
	if f.MaxCompletionTokens != nil { // the newer name wins
		a.MaxTokens = int(p.integer("max_completion_tokens", f.MaxCompletionTokens, 0, 1, int64(maxTokens)))
	}
	a.Sampling = prompt.Sampling{
		Temperature:      float32(p.number("temperature", f.Temperature, defaultTemperature, 0, 2)),
		TopP:             float32(p.number("top_p", f.TopP, 1, 0, 1)),
		TopK:             int(p.integer("top_k", f.TopK, 0, 0, maxTopK)),
		MinP:             float32(p.number("min_p", f.MinP, 0, 0, 1)),
		RepeatPenalty:    float32(p.number("repeat_penalty", f.RepeatPenalty, 1, 0, maxRepeatPenalty)),
		FrequencyPenalty: float32(p.number("frequency_penalty", f.FrequencyPenalty, 0, -maxPenalty, maxPenalty)),
		PresencePenalty:  float32(p.number("presence_penalty", f.PresencePenalty, 0, -maxPenalty, maxPenalty)),
		Bias:             p.bias(f.LogitBias),
	}
	if a.Sampling.TopP == 0 {
		// Ours means "all" by 0; the client means the smallest set there is.
		a.Sampling.TopP = math.SmallestNonzeroFloat32
	}
	a.BestEffort = float32(p.number("best_effort", f.BestEffort, 0, 0, 1))
	a.Sampling.Seed, a.seeded = p.seed(f.Seed)
	a.Schema = p.format(f.ResponseFormat)
	a.stream = f.Stream != nil && *f.Stream
	a.returnTokens = f.ReturnTokens != nil && *f.ReturnTokens
	if f.StreamOptions != nil {
		a.includeUsage = f.StreamOptions.IncludeUsage
		if !a.stream {
			p.refuse("stream_options", "goes with \"stream\": true only")
		}
	}
	return a
}

// requests are what to complete, one for each answer. They differ in their
// seeds, by a number that users do not add by themselves.
func (a *ask) requests() []prompt.Request {
	const apart = 0x9e3779b97f4a7c15
	all := make([]prompt.Request, a.n)
	for i := range all {
		all[i] = a.Request
		all[i].Sampling.Seed += uint64(i) * apart
	}
	return all
}

// badJSON explains why a body cannot be decoded.
func badJSON(body []byte, r route, err error) *apiError {
	if t, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		if t.Field == "" {
			return &apiError{status: http.StatusBadRequest, code: "invalid_json", message: "the body must be a JSON object, not " + t.Value}
		}
		ours := strings.NewReplacer("ollamaFields.", "", "messageFields.", "", "fields.", "") // in the path of the field
		want := map[string]string{"string": "a string", "bool": "true or false", "int64": "a whole number", "float64": "a number"}[t.Type.String()]
		if want == "" {
			want = "an object"
		}
		return badField(ours.Replace(t.Field), fmt.Sprintf("want %s, not %.40s", want, t.Value))
	}
	message := "the body is not valid JSON: " + err.Error()
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		message = fmt.Sprintf("the body is not valid JSON at byte %d: %v", syntax.Offset, err)
	}
	if len(bytes.TrimSpace(body)) == 0 {
		message = "the body is empty; send a JSON object such as " + r.example
	}
	return &apiError{status: http.StatusBadRequest, code: "invalid_json", message: message}
}
