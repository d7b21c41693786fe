package grammar

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"slices"
	"strings"
)

// literals are given values, those of the right type.
func (c *compiler) literals(n node, values []json.RawMessage, where string, next int32) (int32, error) {
	allowed := kindsOf(n)
	delete(n, "type")
	if err := n.done(where); err != nil {
		return 0, err
	}
	if len(values) == 0 || len(values) > maxChoices {
		return 0, fmt.Errorf("%w: %s: %d values", ErrSchema, where, len(values))
	}
	var places []int32
	for _, v := range values {
		text, err := canonical(v)
		if err != nil {
			return 0, fmt.Errorf("%w: %s: %w", ErrSchema, where, err)
		}
		if kind := kindOf(text); allowed == nil || allowed[kind] || kind == "integer" && allowed["number"] {
			places = append(places, c.text(text, next))
		}
	}
	if len(places) == 0 {
		return 0, fmt.Errorf("%w: %s: none of the values is of the type", ErrSchema, where)
	}
	return c.either(places...), nil
}

// kindOf is the type of a value in JSON.
func kindOf(text string) string {
	switch text[0] {
	case '{':
		return "object"
	case '[':
		return "array"
	case '"':
		return "string"
	case 't', 'f':
		return "boolean"
	case 'n':
		return "null"
	}
	if strings.ContainsAny(text, ".eE") {
		return "number"
	}
	return "integer"
}

// canonical is a value as the grammar writes it.
func canonical(raw json.RawMessage) (string, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return "", err
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return "", err
	}
	return strings.TrimSuffix(b.String(), "\n"), nil
}

// types gives the types that a schema names, or those that its keywords mean.
func types(n node, where string) ([]string, error) {
	raw, ok := n["type"]
	if !ok {
		for _, guess := range []struct{ keyword, kind string }{{"properties", "object"}, {"required", "object"}, {"additionalProperties", "object"}, {"items", "array"}, {"minLength", "string"}, {"maxLength", "string"}} {
			if _, ok := n[guess.keyword]; ok {
				return []string{guess.kind}, nil
			}
		}
		return []string{"object", "array", "string", "number", "boolean", "null"}, nil
	}
	delete(n, "type")
	var one string
	if json.Unmarshal(raw, &one) == nil {
		return []string{one}, nil
	}
	var many []string
	if json.Unmarshal(raw, &many) != nil || len(many) == 0 {
		return nil, fmt.Errorf("%w: %s/type: want a type or a list of types", ErrSchema, where)
	}
	return many, nil
}

func (c *compiler) typed(n node, where string, next int32, sub sub) (int32, error) {
	kinds, err := types(n, where)
	if err != nil {
		return 0, err
	}
	for _, bound := range []string{"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"} {
		if _, ok := n[bound]; ok && slices.Contains(kinds, "number") {
			return 0, fmt.Errorf("%w: %s/%s: is supported for the type integer only", ErrSchema, where, bound)
		}
	}
	var places []int32
	for _, kind := range kinds {
		at, err := c.kind(kind, n, where, next, sub)
		if err != nil {
			return 0, err
		}
		places = append(places, at)
	}
	if err := n.done(where); err != nil {
		return 0, err
	}
	return c.either(places...), nil
}

func (c *compiler) kind(kind string, n node, where string, next int32, sub sub) (int32, error) {
	switch kind {
	case "null":
		return c.text("null", next), nil
	case "boolean":
		return c.either(c.text("true", next), c.text("false", next)), nil
	case "number":
		return c.number(next), nil
	case "integer":
		return c.bounded(n, where, next)
	case "string":
		return c.stringOf(n, where, next)
	case "array":
		return c.arrayOf(n, where, next, sub)
	case "object":
		return c.objectOf(n, where, next, sub)
	}
	return 0, fmt.Errorf("%w: %s/type: there is no type %.40q", ErrSchema, where, kind)
}

// count takes a keyword that counts something.
func (n node) count(keyword, where string, absent int) (int, error) {
	var v float64
	ok, err := n.take(keyword, &v, where)
	if err != nil || !ok {
		return absent, err
	}
	if v < 0 || v > maxCount || v != math.Trunc(v) {
		return 0, fmt.Errorf("%w: %s/%s: %v is not a whole number from 0 to %d", ErrSchema, where, keyword, v, maxCount)
	}
	return int(v), nil
}

// counts takes a pair of keywords for a least and a most.
func (n node) counts(least, most, where string) (low, high int, err error) {
	if low, err = n.count(least, where, 0); err != nil {
		return 0, 0, err
	}
	if high, err = n.count(most, where, -1); err != nil {
		return 0, 0, err
	}
	if high >= 0 && high < low {
		return 0, 0, fmt.Errorf("%w: %s: %s is above %s", ErrSchema, where, least, most)
	}
	return low, high, nil
}

func (c *compiler) bounded(n node, where string, next int32) (int32, error) {
	var low, high *big.Int
	for _, k := range []struct {
		name   string
		bound  **big.Int
		lower  bool
		strict int64
	}{{"minimum", &low, true, 0}, {"exclusiveMinimum", &low, true, 1}, {"maximum", &high, false, 0}, {"exclusiveMaximum", &high, false, -1}} {
		var number json.Number
		ok, err := n.take(k.name, &number, where)
		if err != nil {
			return 0, err
		}
		if !ok {
			continue
		}
		const most = 40 // characters
		v, whole := new(big.Int).SetString(string(number), 10)
		if !whole || len(number) > most {
			return 0, fmt.Errorf("%w: %s/%s: %.60s is not a whole number of at most %d digits", ErrSchema, where, k.name, number, most)
		}
		v.Add(v, big.NewInt(k.strict))
		if *k.bound == nil || k.lower == (v.Cmp(*k.bound) > 0) {
			*k.bound = v
		}
	}
	switch {
	case low == nil && high == nil:
		return c.integer(next), nil
	case low != nil && high != nil && low.Cmp(high) > 0:
		return 0, fmt.Errorf("%w: %s: no integer lies between %v and %v", ErrSchema, where, low, high)
	}
	return c.between(low, high, next), nil
}

func (c *compiler) stringOf(n node, where string, next int32) (int32, error) {
	var format string
	if ok, err := n.take("format", &format, where); err != nil {
		return 0, err
	} else if ok {
		at, err := c.format(format, where, c.text(`"`, next))
		return c.text(`"`, at), err
	}
	low, high, err := n.counts("minLength", "maxLength", where)
	if err != nil {
		return 0, err
	}
	return c.str(low, high, next), nil
}

// format is the text of a string of a named form.
func (c *compiler) format(name, where string, next int32) (int32, error) {
	switch name {
	case "date":
		return c.date(next), nil
	case "time":
		return c.clock(next), nil
	case "date-time":
		return c.date(c.text("T", c.clock(next))), nil
	case "uuid":
		return c.uuid(next), nil
	}
	return 0, fmt.Errorf("%w: %s/format: %.40q is not supported; there are date, time, date-time and uuid", ErrSchema, where, name)
}

func (c *compiler) arrayOf(n node, where string, next int32, sub sub) (int32, error) {
	low, high, err := n.counts("minItems", "maxItems", where)
	if err != nil {
		return 0, err
	}
	items, ok := n["items"]
	delete(n, "items")
	if !ok {
		return c.list(low, high, next, c.value), nil
	}
	var failed error
	item := func(next int32) int32 {
		// A rule of its own, since a list has many items.
		return c.call("items "+c.name+" "+where, next, func(next int32) int32 {
			at, err := sub(items, "items", next)
			if err != nil {
				failed = err
			}
			return at
		})
	}
	at := c.list(low, high, next, item)
	return at, failed
}
