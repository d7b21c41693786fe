package expert

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Slot is the place of an expert in a model, whichever model that is.
type Slot struct{ Layer, Index int }

// Of names the expert in that place of a model.
func (s Slot) Of(m ModelID) ID { return ID{Model: m, Layer: uint16(s.Layer), Index: uint16(s.Index)} }

// SlotsOf drops the model from names.
func SlotsOf(ids []ID) []Slot {
	slots := make([]Slot, len(ids))
	for i, id := range ids {
		slots[i] = Slot{Layer: int(id.Layer), Index: int(id.Index)}
	}
	return slots
}

// IDsOf names the experts in the given places of a model.
func IDsOf(m ModelID, slots []Slot) []ID {
	ids := make([]ID, len(slots))
	for i, s := range slots {
		ids[i] = s.Of(m)
	}
	return ids
}

// maxSpec is the longest text that [ParseSpec] reads: every layer of the
// largest model on its own with some ranges of experts.
const maxSpec = 64 << 10

// ParseSpec reads which experts of a model are meant. layers are the model's
// sparse layers, ascending, and experts is the number of experts of each.
//
//	all | none | LAYERS:EXPERTS[;LAYERS:EXPERTS...]
//
// LAYERS and EXPERTS are numbers and ranges separated by commas, or *: "*:0-3",
// "0,2:*", "1-3:0,5-7". A range of layers means the sparse layers in it. The
// slots come back sorted, none twice.
func ParseSpec(s string, layers []int, experts int) ([]Slot, error) {
	slots, err := parseSpec(s, layers, experts)
	if err != nil {
		return nil, fmt.Errorf("experts %.80q: %w", s, err)
	}
	return slots, nil
}

func parseSpec(s string, layers []int, experts int) ([]Slot, error) {
	if len(s) > maxSpec {
		return nil, fmt.Errorf("%d characters long, the limit is %d", len(s), maxSpec)
	}
	if len(layers) == 0 || experts < 1 {
		return nil, errors.New("the model has no experts")
	}
	switch strings.TrimSpace(s) {
	case "all":
		s = "*:*"
	case "none":
		return nil, nil
	}
	picked := make(map[Slot]bool)
	for item := range strings.SplitSeq(s, ";") {
		ls, es, ok := strings.Cut(item, ":")
		if !ok {
			return nil, fmt.Errorf("%.40q: want all, none, or LAYERS:EXPERTS such as *:0-3", strings.TrimSpace(item))
		}
		inLayers, err := parseList(ls, numbers{"layer", layers})
		if err != nil {
			return nil, err
		}
		inExperts, err := parseList(es, numbers{"expert", upTo(experts)})
		if err != nil {
			return nil, err
		}
		for _, l := range inLayers {
			for _, e := range inExperts {
				picked[Slot{l, e}] = true
			}
		}
	}
	slots := make([]Slot, 0, len(picked))
	for slot := range picked {
		slots = append(slots, slot)
	}
	sortSlots(slots)
	return slots, nil
}

// numbers are the layers or experts that there are, ascending.
type numbers struct {
	what string
	all  []int
}

// parseList reads "*" or numbers and ranges separated by commas.
func parseList(s string, n numbers) ([]int, error) {
	s = strings.TrimSpace(s)
	if s == "*" {
		return n.all, nil
	}
	var out []int
	for part := range strings.SplitSeq(s, ",") {
		low, high, isRange := strings.Cut(strings.TrimSpace(part), "-")
		a, err := n.parse(low, part)
		if err != nil {
			return nil, err
		}
		b := a
		if isRange {
			if b, err = n.parse(high, part); err != nil {
				return nil, err
			}
		}
		if a > b {
			return nil, fmt.Errorf("%s %d-%d: the range runs backwards", n.what, a, b)
		}
		if !isRange && !slices.Contains(n.all, a) {
			return nil, fmt.Errorf("%s %d: %s", n.what, a, n.there())
		}
		for _, x := range n.all {
			if a <= x && x <= b {
				out = append(out, x)
			}
		}
	}
	return out, nil
}

func (n numbers) parse(s, part string) (int, error) {
	x, err := strconv.ParseUint(strings.TrimSpace(s), 10, 31)
	if errors.Is(err, strconv.ErrRange) {
		return 0, fmt.Errorf("%s %.40q: %s", n.what, part, n.there())
	}
	if err != nil {
		return 0, fmt.Errorf("%s %.40q: want a number, a range such as 0-3, or *", n.what, part)
	}
	if first, last := n.all[0], n.all[len(n.all)-1]; int(x) < first || int(x) > last {
		return 0, fmt.Errorf("%s %d: %s", n.what, x, n.there())
	}
	return int(x), nil
}

func (n numbers) there() string {
	if n.what == "layer" && n.all[len(n.all)-1] != len(n.all)-1 { // some layers are dense
		return "the model has experts in layers " + formatList(n.all)
	}
	return fmt.Sprintf("the model has %ss %s", n.what, formatList(n.all))
}

func upTo(n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	return all
}

func sortSlots(slots []Slot) {
	slices.SortFunc(slots, func(a, b Slot) int {
		return cmp.Or(cmp.Compare(a.Layer, b.Layer), cmp.Compare(a.Index, b.Index))
	})
}

// FormatSpec writes slots in the form that [ParseSpec] reads, short and always
// the same for the same slots.
func FormatSpec(slots []Slot, layers []int, experts int) string {
	groups := groupSlots(slots)
	if len(groups) == 0 {
		return "none"
	}
	all := func(n, of int, list string) string {
		if n == of {
			return "*"
		}
		return list
	}
	var items []string
	for _, g := range groups {
		items = append(items, all(len(g.layers), len(layers), formatList(g.layers))+":"+all(len(g.experts), experts, formatList(g.experts)))
	}
	if s := strings.Join(items, ";"); s != "*:*" {
		return s
	}
	return "all"
}

// Describe says for people which experts are meant, one line for all layers of
// which the same ones are: "layer 2: experts 4-7", "layers 0-3: expert 1".
func Describe(slots []Slot) []string {
	plural := func(word string, n []int) string {
		if len(n) > 1 {
			word += "s"
		}
		return word + " " + formatList(n)
	}
	var lines []string
	for _, g := range groupSlots(slots) {
		lines = append(lines, plural("layer", g.layers)+": "+plural("expert", g.experts))
	}
	return lines
}

// slotGroup holds layers of which the same experts are meant.
type slotGroup struct{ layers, experts []int }

// groupSlots groups slots, by the first layer of each group.
func groupSlots(slots []Slot) []slotGroup {
	slots = slices.Clone(slots)
	sortSlots(slots)
	slots = slices.Compact(slots)
	var groups []slotGroup
	seen := make(map[string]int) // the experts as text -> group
	for len(slots) > 0 {
		layer := slots[0].Layer
		var experts []int
		for len(slots) > 0 && slots[0].Layer == layer {
			experts = append(experts, slots[0].Index)
			slots = slots[1:]
		}
		key := formatList(experts)
		i, ok := seen[key]
		if !ok {
			i = len(groups)
			seen[key] = i
			groups = append(groups, slotGroup{experts: experts})
		}
		groups[i].layers = append(groups[i].layers, layer)
	}
	return groups
}

// formatList writes ascending numbers with runs as ranges: "0,5-7".
func formatList(n []int) string {
	var b strings.Builder
	for i := 0; i < len(n); {
		j := i
		for j+1 < len(n) && n[j+1] == n[j]+1 {
			j++
		}
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(strconv.Itoa(n[i]))
		if j > i {
			b.WriteString("-" + strconv.Itoa(n[j]))
		}
		i = j + 1
	}
	return b.String()
}
