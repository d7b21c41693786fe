package grammar

import (
	"encoding/json"
	"fmt"
	"slices"
)

// Pairs is how a syntax of tool calls writes arguments one after another: each
// is Key, its name, Value, its value, End. Strings stand there without quotes
// and escapes, all else as JSON. The texts may hold marks.
type Pairs struct {
	Key, Value string
	// Close ends a value, and so stands in no string; Close and then End is
	// what follows it.
	Close, End string
	// Without are further texts that end a call, so that no string holds them.
	Without []string
}

// pairs writes the properties of the compiler's schema, an object.
func (c *compiler) pairs(p Pairs, next int32) (int32, error) {
	n := c.plain(c.root)
	if n == nil {
		n = node{}
	}
	if kinds := kindsOf(n); kinds != nil && !kinds["object"] {
		return 0, fmt.Errorf("%w: #/type: arguments are an object", ErrSchema)
	}
	delete(n, "type")
	all, err := properties(n, "#")
	if err != nil {
		return 0, err
	}
	delete(n, "additionalProperties") // those that are not named are not said
	if err := n.done("#"); err != nil {
		return 0, err
	}
	for _, property := range slices.Backward(all) {
		value, err := c.pairValue(property, p, c.marked(p.End, next))
		if err != nil {
			return 0, err
		}
		pair := c.marked(p.Key+property.name+p.Value, value)
		if property.required {
			next = pair
		} else {
			next = c.either(pair, next)
		}
	}
	return next, nil
}

// pairValue is a value and what closes it. Who reads it takes it for text where
// the schema says, in so many words, that it is a string.
func (c *compiler) pairValue(p property, pairs Pairs, next int32) (int32, error) {
	where := "#/properties/" + p.name
	n, any, err := at(p.schema, where)
	if err != nil {
		return 0, err
	}
	var kind string
	if any || json.Unmarshal(n["type"], &kind) != nil || kind != "string" {
		return c.compile(p.schema, where, maxDepth-1, c.mark(pairs.Close, next))
	}
	delete(n, "type")
	closed := c.mark(pairs.Close, next)
	if raw, ok := n["const"]; ok {
		delete(n, "const")
		n["enum"] = json.RawMessage("[" + string(raw) + "]")
	}
	var values []string
	if ok, err := n.take("enum", &values, where); err != nil {
		return 0, err
	} else if ok {
		if err := n.done(where); err != nil {
			return 0, err
		}
		if len(values) == 0 || len(values) > maxChoices {
			return 0, fmt.Errorf("%w: %s: %d values", ErrSchema, where, len(values))
		}
		var places []int32
		for _, v := range values {
			places = append(places, c.text(v, closed))
		}
		return c.either(places...), nil
	}
	var format string
	if ok, err := n.take("format", &format, where); err != nil {
		return 0, err
	} else if ok {
		if err := n.done(where); err != nil {
			return 0, err
		}
		return c.format(format, where, closed)
	}
	if err := n.done(where); err != nil {
		return 0, err
	}
	return c.until(pairs.Close, pairs.Without, next), nil
}
