package chat

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/ardanlabs/jinja"

	"github.com/moeswarm/moeswarm/gating/prompt"
)

// maxNesting bounds the depth of a value in a request.
const maxNesting = 64

// value turns JSON into a template's value. Objects keep their order: a model
// was trained on tools as people write them.
func value(raw json.RawMessage) (jinja.Value, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	return decode(d, maxNesting)
}

func decode(d *json.Decoder, depth int) (jinja.Value, error) {
	if depth == 0 {
		return jinja.Undefined(), fmt.Errorf("JSON is nested deeper than %d", maxNesting)
	}
	token, err := d.Token()
	if err != nil {
		return jinja.Undefined(), err
	}
	switch x := token.(type) {
	case json.Delim:
		if x == '{' {
			return decodeObject(d, depth)
		}
		var items []jinja.Value
		for d.More() {
			item, err := decode(d, depth-1)
			if err != nil {
				return jinja.Undefined(), err
			}
			items = append(items, item)
		}
		_, err := d.Token()
		return jinja.NewList(items), err
	case json.Number:
		if n, err := x.Int64(); err == nil {
			return jinja.NewInt(n), nil
		}
		f, err := x.Float64()
		return jinja.NewFloat(f), err
	case string:
		return jinja.NewString(x), nil
	case bool:
		return jinja.NewBool(x), nil
	}
	return jinja.None(), nil
}

func decodeObject(d *json.Decoder, depth int) (jinja.Value, error) {
	object := jinja.NewDict()
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return jinja.Undefined(), err
		}
		name, ok := key.(string)
		if !ok {
			return jinja.Undefined(), errors.New("an object without a name")
		}
		v, err := decode(d, depth-1)
		if err != nil {
			return jinja.Undefined(), err
		}
		object.AsDict().Set(name, v)
	}
	_, err := d.Token()
	return object, err
}

// message is a message as templates know it. textual gives the arguments of
// tool calls as text instead of an object.
func message(m prompt.Message, textual bool) (jinja.Value, error) {
	v := jinja.NewDict()
	set := func(name, s string) {
		if s != "" {
			v.AsDict().Set(name, jinja.NewString(s))
		}
	}
	set("role", m.Role)
	v.AsDict().Set("content", jinja.NewString(m.Content))
	set("reasoning_content", m.Reasoning)
	set("thinking", m.Reasoning)
	set("name", m.Name)
	set("tool_call_id", m.CallID)
	if len(m.Calls) == 0 {
		return v, nil
	}
	calls := make([]jinja.Value, len(m.Calls))
	for i, c := range m.Calls {
		arguments := jinja.NewString(string(c.Arguments))
		if !textual {
			var err error
			if arguments, err = value(c.Arguments); err != nil {
				return v, err
			}
		}
		function, call := jinja.NewDict(), jinja.NewDict()
		function.AsDict().Set("name", jinja.NewString(c.Name))
		function.AsDict().Set("arguments", arguments)
		call.AsDict().Set("id", jinja.NewString(c.ID))
		call.AsDict().Set("type", jinja.NewString("function"))
		call.AsDict().Set("function", function)
		calls[i] = call
	}
	v.AsDict().Set("tool_calls", jinja.NewList(calls))
	return v, nil
}

// strftime formats a time as C does, with the conversions that templates use.
func strftime(format string, t time.Time) string {
	layouts := map[byte]string{
		'Y': "2006", 'm': "01", 'd': "02", 'H': "15", 'M': "04", 'S': "05", 'b': "Jan", 'B': "January",
		'a': "Mon", 'A': "Monday", 'y': "06", 'I': "03", 'p': "PM", 'j': "002", 'e': "_2", 'Z': "MST",
		'F': "2006-01-02", 'T': "15:04:05",
	}
	var b strings.Builder
	for i := 0; i < len(format); i++ {
		if format[i] != '%' || i+1 == len(format) {
			b.WriteByte(format[i])
			continue
		}
		i++
		pad := true
		if format[i] == '-' && i+1 < len(format) { // %-d: without a leading zero
			i, pad = i+1, false
		}
		layout, known := layouts[format[i]]
		switch {
		case format[i] == '%':
			b.WriteByte('%')
		case !known:
			b.WriteString("%" + string(format[i]))
		case pad:
			b.WriteString(t.Format(layout))
		default:
			b.WriteString(strings.TrimLeft(t.Format(layout), "0 "))
		}
	}
	return b.String()
}
