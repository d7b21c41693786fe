package httpapi

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"

	"github.com/moeswarm/moeswarm/gating/prompt"
)

// parser checks fields one by one and keeps the first error.
type parser struct {
	err error
}

func (p *parser) refuse(param, format string, args ...any) {
	if p.err == nil {
		p.err = badField(param, fmt.Sprintf(format, args...))
	}
}

// text gives an optional short string.
func (p *parser) text(param string, v *string, maxBytes int) string {
	if v == nil {
		return ""
	}
	if len(*v) > maxBytes {
		p.refuse(param, "%d bytes are too long; at most %d are accepted", len(*v), maxBytes)
		return ""
	}
	return *v
}

// integer gives an optional whole number between low and high.
func (p *parser) integer(param string, v *int64, absent, low, high int64) int64 {
	if v == nil {
		return absent
	}
	if *v < low || *v > high {
		p.refuse(param, "%d is not between %d and %d", *v, low, high)
	}
	return *v
}

// number gives an optional number between low and high.
func (p *parser) number(param string, v *float64, absent, low, high float64) float64 {
	if v == nil {
		return absent
	}
	if *v < low || *v > high {
		p.refuse(param, "%v is not between %v and %v", *v, low, high)
	}
	return *v
}

// seed gives the seed, if there is one. Clients send signed and unsigned
// numbers of 64 bits; both are the same bits to us.
func (p *parser) seed(raw json.RawMessage) (seed uint64, ok bool) {
	if absent(raw) {
		return 0, false
	}
	if v, err := strconv.ParseInt(string(raw), 10, 64); err == nil {
		return uint64(v), true
	}
	v, err := strconv.ParseUint(string(raw), 10, 64)
	if err != nil {
		p.refuse("seed", "want a whole number of at most 64 bits, not %.40s", raw)
	}
	return v, err == nil
}

// prompt gives the text of a prompt: a string, or an array with one string.
func (p *parser) prompt(raw json.RawMessage) string {
	if absent(raw) {
		p.refuse("prompt", "it is missing; send a string")
		return ""
	}
	values, problem := list(raw, 1)
	switch {
	case problem == tooMany:
		p.refuse("prompt", "only one prompt is accepted in a request; send several requests")
	case problem == numbers:
		p.refuse("prompt", "arrays of token ids are not supported; send the text as a string")
	case problem != "":
		p.refuse("prompt", "want a string or an array with one string")
	case len(values) == 0:
		p.refuse("prompt", "the array is empty; send a string")
	default:
		return values[0]
	}
	return ""
}

// stops gives the stop strings: none, a string, or an array of strings. Empty
// ones, which some clients send for none, are left out.
func (p *parser) stops(raw json.RawMessage) []string {
	if absent(raw) {
		return nil
	}
	values, problem := list(raw, maxStops)
	if problem == tooMany {
		p.refuse("stop", "more than %d stop strings", maxStops)
	} else if problem != "" {
		p.refuse("stop", "want a string or an array of at most %d strings", maxStops)
	}
	var stops []string
	for _, s := range values {
		if len(s) > maxStopBytes {
			p.refuse("stop", "a stop string of %d bytes is too long; at most %d are accepted", len(s), maxStopBytes)
		}
		if s != "" {
			stops = append(stops, s)
		}
	}
	return stops
}

func absent(raw json.RawMessage) bool { return len(raw) == 0 || string(raw) == "null" }

// What may be wrong with a list of strings.
const (
	tooMany = "too many"
	numbers = "token ids"
	other   = "something else"
)

// list reads a string or an array of at most limit strings. It reads value by
// value, since an array in a body of the allowed size may be of a million.
func list(raw json.RawMessage, limit int) (values []string, problem string) {
	d := json.NewDecoder(bytes.NewReader(raw))
	first, err := d.Token()
	if text, ok := first.(string); ok && err == nil {
		return []string{text}, ""
	}
	if first != json.Delim('[') {
		return nil, other
	}
	for d.More() {
		v, err := d.Token()
		if err != nil {
			return nil, other
		}
		switch v := v.(type) {
		case string:
			if len(values) == limit {
				return nil, tooMany
			}
			values = append(values, v)
		case float64:
			return nil, numbers
		default:
			if v == json.Delim('[') && tokenArray(d) {
				return nil, numbers
			}
			return nil, other
		}
	}
	return values, ""
}

// tokenArray tells whether the array just entered begins with a number.
func tokenArray(d *json.Decoder) bool {
	v, err := d.Token()
	_, number := v.(float64)
	return err == nil && number
}

// bias gives the tokens whose likelihood is to be changed: an object of
// numbers, with token ids for names.
func (p *parser) bias(raw json.RawMessage) []prompt.Bias {
	if absent(raw) {
		return nil
	}
	var m map[string]float64
	if err := json.Unmarshal(raw, &m); err != nil {
		p.refuse("logit_bias", "want an object such as {\"50256\": -100}, with token ids for names")
		return nil
	}
	if len(m) > maxBiased {
		p.refuse("logit_bias", "%d tokens; at most %d are accepted", len(m), maxBiased)
		return nil
	}
	var all []prompt.Bias
	for name, add := range m {
		id, err := strconv.ParseInt(name, 10, 32)
		if err != nil || id < 0 {
			p.refuse("logit_bias", "%.40q is not a token id", name)
			return nil
		}
		if !(add >= -maxBias && add <= maxBias) {
			p.refuse("logit_bias", "%v is not between %d and %d", add, -maxBias, maxBias)
			return nil
		}
		all = append(all, prompt.Bias{Token: int32(id), Add: float32(add)})
	}
	slices.SortFunc(all, func(a, b prompt.Bias) int { return cmp.Compare(a.Token, b.Token) })
	return slices.CompactFunc(all, func(a, b prompt.Bias) bool { return a.Token == b.Token })
}

// format gives the schema that a response_format asks for; nil for text.
func (p *parser) format(raw json.RawMessage) json.RawMessage {
	if absent(raw) {
		return nil
	}
	var f struct {
		Type       string `json:"type"`
		JSONSchema *struct {
			Schema json.RawMessage `json:"schema"`
		} `json:"json_schema"`
	}
	if err := json.Unmarshal(raw, &f); err != nil {
		p.refuse("response_format", "want an object such as {\"type\": \"json_object\"}")
		return nil
	}
	switch f.Type {
	case "text":
		return nil
	case "json_object":
		return json.RawMessage(`{"type":"object"}`)
	case "json_schema":
		if f.JSONSchema == nil || absent(f.JSONSchema.Schema) {
			p.refuse("response_format", "json_schema.schema is missing")
			return nil
		}
		return f.JSONSchema.Schema
	}
	p.refuse("response_format", "the type is %.40q; want text, json_object or json_schema", f.Type)
	return nil
}
