package grammar

import "encoding/json"

// disjoint tells whether no value fits two of the schemas. It may say no where
// the answer is yes.
func (c *compiler) disjoint(all []json.RawMessage) bool {
	for i := range all {
		for j := range i {
			if !c.apart(c.plain(all[i]), c.plain(all[j])) {
				return false
			}
		}
	}
	return true
}

// plain is a schema with its reference followed.
func (c *compiler) plain(raw json.RawMessage) node {
	for range maxDepth {
		n, _, err := at(raw, "#")
		if err != nil {
			return nil
		}
		var ref string
		if json.Unmarshal(n["$ref"], &ref) != nil {
			return n
		}
		if raw, err = c.resolve(ref); err != nil {
			return nil
		}
	}
	return nil
}

// apart tells whether no value fits both.
func (c *compiler) apart(a, b node) bool {
	if values, ok := constants(a); ok {
		if others, ok := constants(b); ok {
			return !meet(values, others)
		}
	}
	if x, y := kindsOf(a), kindsOf(b); x != nil && y != nil && !meet(x, y) && !(x["number"] && y["integer"]) && !(x["integer"] && y["number"]) {
		return true
	}
	for name := range required(a) {
		if !required(b)[name] {
			continue
		}
		x, ok1 := constants(c.plain(propertyOf(a, name)))
		y, ok2 := constants(c.plain(propertyOf(b, name)))
		if ok1 && ok2 && !meet(x, y) {
			return true
		}
	}
	return false
}

// constants are the values that a schema lists.
func constants(n node) (map[string]bool, bool) {
	var values []json.RawMessage
	if v, ok := n["const"]; ok {
		values = append(values, v)
	} else if json.Unmarshal(n["enum"], &values) != nil {
		return nil, false
	}
	all := map[string]bool{}
	for _, v := range values {
		text, err := canonical(v)
		if err != nil {
			return nil, false
		}
		all[text] = true
	}
	return all, len(all) > 0
}

// kindsOf are the types of a schema, nil when it does not say.
func kindsOf(n node) map[string]bool {
	var one string
	var many []string
	if json.Unmarshal(n["type"], &one) == nil {
		many = []string{one}
	} else if json.Unmarshal(n["type"], &many) != nil {
		return nil
	}
	all := map[string]bool{}
	for _, k := range many {
		all[k] = true
	}
	return all
}

func required(n node) map[string]bool {
	var names []string
	_ = json.Unmarshal(n["required"], &names)
	all := map[string]bool{}
	for _, name := range names {
		all[name] = true
	}
	return all
}

func propertyOf(n node, name string) json.RawMessage {
	var all map[string]json.RawMessage
	_ = json.Unmarshal(n["properties"], &all)
	if all[name] == nil {
		return json.RawMessage("true")
	}
	return all[name]
}

func meet(a, b map[string]bool) bool {
	for k := range a {
		if b[k] {
			return true
		}
	}
	return false
}

// within tells whether all types are among those allowed.
func within(types, allowed map[string]bool) bool {
	for k := range types {
		if !allowed[k] && !(k == "integer" && allowed["number"]) {
			return false
		}
	}
	return len(types) > 0
}
