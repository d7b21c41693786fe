package grammar

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Limits on schemas.
const (
	// MaxSchema bounds a schema in bytes.
	MaxSchema = 256 << 10
	// maxCount bounds lengths of strings and lists in a schema: each unit is a
	// step of the program.
	maxCount = 4096
	// maxDepth bounds the nesting of a schema itself.
	maxDepth = 64
	// maxChoices bounds alternatives.
	maxChoices = 1024
)

// ErrSchema: the schema is malformed, or uses what is not supported. The
// message names the keyword and where it stands.
var ErrSchema = errors.New("JSON schema")

// Grammar is a compiled schema. It is constant.
type Grammar struct{ program }

// Compile turns a JSON schema into a grammar of the texts that it allows.
func Compile(schema []byte) (*Grammar, error) { return Around("", schema, "") }

// Around is Compile for a text that stands between two others, as a tool
// call's arguments do.
func Around(before string, schema []byte, after string) (*Grammar, error) {
	return Choice([]Framed{{Before: before, Schema: schema, After: after}})
}

// Framed is a schema with the texts around it, in which [Mark] stands for
// control tokens.
type Framed struct {
	Before string
	Schema []byte
	After  string
	// Pairs says that the schema's properties are written one after another
	// between tags, not as a JSON object; nil: as one.
	Pairs *Pairs
}

// Choice is a grammar of texts that any of several schemas allows.
func Choice(all []Framed) (*Grammar, error) { return choice(all, "") }

// Thinking is Choice for an answer that begins inside reasoning: anything, up
// to the text or control token that ends it, and then what is bound.
func Thinking(end string, all []Framed) (*Grammar, error) { return choice(all, end) }

func choice(all []Framed, thoughts string) (*Grammar, error) {
	b := newBuilder()
	end := b.emit(instruction{op: opReturn})
	var places []int32
	for i, f := range all {
		c, err := newCompiler(b, f.Schema, fmt.Sprint(i))
		if err != nil {
			return nil, err
		}
		last := b.marked(f.After, end)
		var at int32
		if f.Pairs != nil {
			at, err = c.pairs(*f.Pairs, last)
		} else {
			at, err = c.compile(c.root, "#", maxDepth, last)
		}
		if err != nil {
			return nil, err
		}
		if f.Before == "" {
			at = b.space(at)
		}
		places = append(places, b.marked(f.Before, at))
	}
	if len(places) == 0 || len(places) > maxChoices {
		return nil, fmt.Errorf("%w: %d alternatives", ErrSchema, len(places))
	}
	b.start = b.either(places...)
	if thoughts != "" {
		b.start = b.until(thoughts, nil, b.space(b.start))
	}
	if b.err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSchema, b.err)
	}
	return &Grammar{b.program}, nil
}

// compiler compiles one schema.
type compiler struct {
	*builder
	name string // of the schema among several
	root json.RawMessage
}

func newCompiler(b *builder, schema []byte, name string) (*compiler, error) {
	if len(schema) > MaxSchema {
		return nil, fmt.Errorf("%w: %d bytes, at most %d are accepted", ErrSchema, len(schema), MaxSchema)
	}
	if !json.Valid(schema) {
		return nil, fmt.Errorf("%w: not valid JSON", ErrSchema)
	}
	return &compiler{builder: b, name: name, root: schema}, nil
}

// ignored are keywords that allow and forbid nothing.
func ignored(keyword string) bool {
	switch keyword {
	case "title", "description", "default", "examples", "example", "$schema", "$id", "$comment", "$defs", "definitions",
		"deprecated", "readOnly", "writeOnly", "$anchor", "strict":
		return true
	}
	return false
}

// node is a schema object with its keywords.
type node map[string]json.RawMessage

// at reads a schema: true, false or an object. any is true for one that allows
// everything.
func at(raw json.RawMessage, where string) (n node, any bool, err error) {
	switch s := string(bytes.TrimSpace(raw)); {
	case s == "true":
		return nil, true, nil
	case s == "false":
		return nil, false, fmt.Errorf("%w: %s: false allows nothing", ErrSchema, where)
	}
	if err := json.Unmarshal(raw, &n); err != nil || n == nil {
		return nil, false, fmt.Errorf("%w: %s: want an object", ErrSchema, where)
	}
	for k := range n {
		if ignored(k) {
			delete(n, k)
		}
	}
	return n, len(n) == 0, nil
}

// take gets a keyword's value and marks it as used.
func (n node) take(keyword string, v any, where string) (present bool, err error) {
	raw, ok := n[keyword]
	if !ok {
		return false, nil
	}
	delete(n, keyword)
	if v == nil {
		return true, nil
	}
	if err := json.Unmarshal(raw, v); err != nil {
		return true, fmt.Errorf("%w: %s/%s: %.60s is not of the right kind", ErrSchema, where, keyword, raw)
	}
	return true, nil
}

// done refuses what nobody took.
func (n node) done(where string) error {
	for _, k := range slices.Sorted(maps.Keys(n)) {
		return fmt.Errorf("%w: %s: the keyword %.40q is not supported here", ErrSchema, where, k)
	}
	return nil
}

// compile writes the grammar of a schema that stands at where.
func (c *compiler) compile(raw json.RawMessage, where string, depth int, next int32) (int32, error) {
	if depth == 0 {
		return 0, fmt.Errorf("%w: %.100s: nested deeper than %d", ErrSchema, where, maxDepth)
	}
	n, any, err := at(raw, where)
	if err != nil {
		return 0, err
	}
	if any {
		return c.value(next), nil
	}
	sub := func(raw json.RawMessage, step string, next int32) (int32, error) {
		return c.compile(raw, where+"/"+step, depth-1, next)
	}
	var ref string
	if ok, err := n.take("$ref", &ref, where); err != nil {
		return 0, err
	} else if ok {
		if err := n.done(where); err != nil {
			return 0, err
		}
		return c.reference(ref, where, depth, next)
	}
	var values []json.RawMessage
	if ok, err := n.take("enum", &values, where); err != nil {
		return 0, err
	} else if ok {
		return c.literals(n, values, where, next)
	}
	if value, ok := n["const"]; ok {
		delete(n, "const")
		return c.literals(n, []json.RawMessage{value}, where, next)
	}
	for _, keyword := range []string{"anyOf", "oneOf", "allOf"} {
		var all []json.RawMessage
		ok, err := n.take(keyword, &all, where)
		if err != nil {
			return 0, err
		}
		if !ok {
			continue
		}
		return c.alternatives(n, keyword, all, where, next, sub)
	}
	return c.typed(n, where, next, sub)
}

// sub compiles a schema below the present one.
type sub func(raw json.RawMessage, step string, next int32) (int32, error)

func (c *compiler) alternatives(n node, keyword string, all []json.RawMessage, where string, next int32, sub sub) (int32, error) {
	allowed := kindsOf(n) // some generators repeat what the alternatives say
	delete(n, "type")
	if err := n.done(where); err != nil {
		return 0, err
	}
	for _, raw := range all {
		if allowed != nil && !within(kindsOf(c.plain(raw)), allowed) {
			return 0, fmt.Errorf("%w: %s: a type beside %s is supported where each of the schemas has a type that is among it", ErrSchema, where, keyword)
		}
	}
	switch {
	case len(all) == 0 || len(all) > maxChoices:
		return 0, fmt.Errorf("%w: %s/%s: %d alternatives", ErrSchema, where, keyword, len(all))
	case keyword == "allOf" && len(all) > 1:
		return 0, fmt.Errorf("%w: %s: allOf of several schemas is not supported; write them as one", ErrSchema, where)
	case keyword == "oneOf" && !c.disjoint(all):
		return 0, fmt.Errorf("%w: %s: oneOf is supported where its schemas differ in type, or in the constant of a required property; use anyOf", ErrSchema, where)
	}
	var places []int32
	for i, raw := range all {
		at, err := sub(raw, fmt.Sprintf("%s/%d", keyword, i), next)
		if err != nil {
			return 0, err
		}
		places = append(places, at)
	}
	return c.either(places...), nil
}

// reference calls the rule of another part of the schema.
func (c *compiler) reference(ref, where string, depth int, next int32) (int32, error) {
	raw, err := c.resolve(ref)
	if err != nil {
		return 0, fmt.Errorf("%w: %s/$ref: %w", ErrSchema, where, err)
	}
	if n, _, err := at(raw, ref); err == nil && n["$ref"] != nil { // only a reference: follow it here, so that a circle is found
		return c.compile(raw, ref, depth-1, next)
	}
	var failed error
	place := c.call("ref "+c.name+" "+ref, next, func(next int32) int32 {
		at, err := c.compile(raw, ref, depth-1, next)
		failed = err
		return at
	})
	return place, failed
}

// resolve finds what a reference means: #, or a path from it.
func (c *compiler) resolve(ref string) (json.RawMessage, error) {
	if ref == "#" {
		return c.root, nil
	}
	path, ok := strings.CutPrefix(ref, "#/")
	if !ok {
		return nil, fmt.Errorf("%.60q is not a path inside the schema, such as #/$defs/name", ref)
	}
	raw := c.root
	for _, step := range strings.Split(path, "/") {
		step = strings.ReplaceAll(strings.ReplaceAll(step, "~1", "/"), "~0", "~")
		var n map[string]json.RawMessage
		if err := json.Unmarshal(raw, &n); err != nil || n[step] == nil {
			return nil, fmt.Errorf("nothing is at %.60q", ref)
		}
		raw = n[step]
	}
	return raw, nil
}
