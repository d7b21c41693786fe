package grammar

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/big"
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
	return Choice([]Framed{{before, schema, after}})
}

// Framed is a schema with the texts around it.
type Framed struct {
	Before string
	Schema []byte
	After  string
}

// Choice is a grammar of texts that any of several schemas allows.
func Choice(all []Framed) (*Grammar, error) {
	b := newBuilder()
	end := b.emit(instruction{op: opReturn})
	var places []int32
	for i, f := range all {
		c, err := newCompiler(b, f.Schema, fmt.Sprint(i))
		if err != nil {
			return nil, err
		}
		last := b.text(f.After, end)
		at, err := c.compile(c.root, "#", maxDepth, last)
		if err != nil {
			return nil, err
		}
		if f.Before == "" {
			at = b.space(at)
		}
		places = append(places, b.text(f.Before, at))
	}
	if len(places) == 0 || len(places) > maxChoices {
		return nil, fmt.Errorf("%w: %d alternatives", ErrSchema, len(places))
	}
	b.start = b.either(places...)
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
	for _, k := range slices.Sorted(mapsKeys(n)) {
		return fmt.Errorf("%w: %s: the keyword %.40q is not supported here", ErrSchema, where, k)
	}
	return nil
}

func mapsKeys(n node) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range n {
			if !yield(k) {
				return
			}
		}
	}
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
		quote := c.text(`"`, next)
		var at int32
		switch format {
		case "date":
			at = c.date(quote)
		case "time":
			at = c.clock(quote)
		case "date-time":
			at = c.date(c.text("T", c.clock(quote)))
		case "uuid":
			at = c.uuid(quote)
		default:
			return 0, fmt.Errorf("%w: %s/format: %.40q is not supported; there are date, time, date-time and uuid", ErrSchema, where, format)
		}
		return c.text(`"`, at), nil
	}
	low, high, err := n.counts("minLength", "maxLength", where)
	if err != nil {
		return 0, err
	}
	return c.str(low, high, next), nil
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

// property is one of an object's.
type property struct {
	name     string
	schema   json.RawMessage
	required bool
}

// properties reads the properties in the order of the schema.
func properties(n node, where string) ([]property, error) {
	raw, ok := n["properties"]
	delete(n, "properties")
	var all []property
	if ok {
		d := json.NewDecoder(bytes.NewReader(raw))
		if t, err := d.Token(); err != nil || t != json.Delim('{') {
			return nil, fmt.Errorf("%w: %s/properties: want an object", ErrSchema, where)
		}
		for d.More() {
			var p property
			name, err := d.Token()
			if err == nil {
				p.name, _ = name.(string)
				err = d.Decode(&p.schema)
			}
			if err != nil {
				return nil, fmt.Errorf("%w: %s/properties: %w", ErrSchema, where, err)
			}
			all = slices.DeleteFunc(all, func(q property) bool { return q.name == p.name })
			all = append(all, p)
		}
	}
	var required []string
	if _, err := n.take("required", &required, where); err != nil {
		return nil, err
	}
	for _, name := range required {
		i := slices.IndexFunc(all, func(p property) bool { return p.name == name })
		if i < 0 {
			all = append(all, property{name: name, schema: json.RawMessage("true")})
			i = len(all) - 1
		}
		all[i].required = true
	}
	return all, nil
}

func (c *compiler) objectOf(n node, where string, next int32, sub sub) (int32, error) {
	all, err := properties(n, where)
	if err != nil {
		return 0, err
	}
	more, ok := n["additionalProperties"]
	delete(n, "additionalProperties")
	if len(all) == 0 {
		switch {
		case !ok || string(bytes.TrimSpace(more)) == "true":
			return c.object(next), nil
		case string(bytes.TrimSpace(more)) == "false":
			return c.text("{", c.space(c.text("}", next))), nil
		}
		var failed error
		at := c.mapping("map "+c.name+" "+where, next, func(next int32) int32 {
			at, err := sub(more, "additionalProperties", next)
			if err != nil {
				failed = err
			}
			return at
		})
		return at, failed
	}
	// From the last property to the first: first is where to go on when none
	// was said before, later when one was.
	end := c.text("}", next)
	first, later := end, end
	for i := len(all) - 1; i >= 0; i-- {
		p := all[i]
		name, err := canonical(json.RawMessage(quoted(p.name)))
		if err != nil {
			return 0, fmt.Errorf("%w: %s: %w", ErrSchema, where, err)
		}
		value, err := sub(p.schema, "properties/"+p.name, c.space(later))
		if err != nil {
			return 0, err
		}
		pair := c.text(name, c.colon(value))
		after := c.text(",", c.space(pair))
		if p.required {
			first, later = pair, after
		} else {
			first, later = c.either(pair, first), c.either(after, later)
		}
	}
	return c.text("{", c.space(first)), nil
}

func quoted(s string) string {
	b, _ := json.Marshal(s) // a string has a JSON form
	return string(b)
}
