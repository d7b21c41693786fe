package grammar

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
)

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
