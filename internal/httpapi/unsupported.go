package httpapi

import (
	"encoding/json"
	"strconv"
	"strings"
)

// refuse reports a field that asks for something the swarm cannot do.
func (f *fields) refuse() error {
	for _, x := range []struct {
		name    string
		value   json.RawMessage
		neutral func(raw string) bool
		message string
	}{
		{"n", f.N, is(1), "only 1 is supported: send the request again for another answer"},
		{"best_of", f.BestOf, is(1), "only 1 is supported"},
		{"echo", f.Echo, isFalse, "not supported: the answer never repeats the prompt"},
		{"suffix", f.Suffix, func(raw string) bool { return raw == `""` }, "not supported"},
		{"logprobs", f.Logprobs, isFalse, "not supported"},
		{"logit_bias", f.LogitBias, isEmptyObject, "not supported"},
		{"presence_penalty", f.PresencePenalty, is(0), "not supported; there is repeat_penalty"},
		{"frequency_penalty", f.FrequencyPenalty, is(0), "not supported; there is repeat_penalty"},
	} {
		if raw := string(x.value); raw != "" && raw != "null" && !x.neutral(raw) {
			e := badField(x.name, x.message)
			e.code = "unsupported_value"
			return e
		}
	}
	return nil
}

func isFalse(raw string) bool { return raw == "false" }

func isEmptyObject(raw string) bool {
	return raw[0] == '{' && strings.TrimSpace(raw[1:len(raw)-1]) == ""
}

func is(want float64) func(string) bool {
	return func(raw string) bool {
		v, err := strconv.ParseFloat(raw, 64)
		return err == nil && v == want
	}
}
