package grammar

import "strings"

// A control token has no bytes of its own. Here its text stands between two
// bytes that occur in no UTF-8, so that grammars can ask for it and no other
// token can be taken for it.
const fence = "\xff"

// Mark stands in a [Framed] for a control token with this text, or for the
// text itself: which of the two it is depends on the vocabulary.
func Mark(text string) string { return fence + text + fence }

// marked takes a text with marks.
func (b *builder) marked(s string, next int32) int32 {
	parts := strings.Split(s, fence)
	for i := len(parts) - 1; i >= 0; i-- {
		if i%2 == 1 {
			next = b.mark(parts[i], next)
		} else {
			next = b.text(parts[i], next)
		}
	}
	return next
}

func (b *builder) mark(s string, next int32) int32 {
	return b.either(b.text(s, next), b.text(Mark(s), next))
}

// until takes any UTF-8 up to a text, or the control token of that text, and
// goes on after it. The text is ASCII, as are those that must not occur before.
// Where it stands is the longest end of what was taken that one of the texts
// begins with (Aho and Corasick's automaton).
func (b *builder) until(end string, without []string, next int32) int32 {
	texts := append([]string{end}, without...)
	at := map[string]int32{} // what was matched so far -> where that stands
	var order []string
	for _, s := range texts {
		for n := range len(s) {
			if _, ok := at[s[:n]]; !ok {
				at[s[:n]] = b.emit(instruction{op: opJump})
				order = append(order, s[:n])
			}
		}
	}
	control := b.text(Mark(end), next)
	root := at[""]
	tail := func(next int32) int32 { return b.bytes(next, 0x80, 0xbf) }
	one := tail(root)
	two := tail(one)
	wide := b.either(b.bytes(one, 0xc2, 0xdf), b.bytes(b.bytes(one, 0xa0, 0xbf), 0xe0, 0xe0), b.bytes(two, 0xe1, 0xec, 0xee, 0xef),
		b.bytes(b.bytes(one, 0x80, 0x9f), 0xed, 0xed), b.bytes(b.bytes(two, 0x90, 0xbf), 0xf0, 0xf0), b.bytes(tail(two), 0xf1, 0xf3), b.bytes(b.bytes(two, 0x80, 0x8f), 0xf4, 0xf4))
	for _, matched := range order {
		to := map[int32][]byte{} // place -> pairs of bytes that lead there
		for c := byte(0); c < 0x80; c++ {
			if place, ok := follow(matched+string(c), end, without, at, next); ok {
				to[place] = append(to[place], c, c)
			}
		}
		places := []int32{control, wide}
		for _, s := range append(order, end) { // in an order that is always the same
			place := next
			if s != end {
				place = at[s]
			}
			if ranges := to[place]; ranges != nil {
				places = append(places, b.bytes(place, ranges...))
				delete(to, place)
			}
		}
		if b.err == nil {
			b.code[at[matched]].next = b.either(places...)
		}
	}
	return root
}

// follow is where the automaton stands after s; ok is false after a text that
// must not occur.
func follow(s, end string, without []string, at map[string]int32, next int32) (place int32, ok bool) {
	for ; ; s = s[1:] {
		if s == end {
			return next, true
		}
		for _, w := range without {
			if s == w {
				return 0, false
			}
		}
		if place, ok := at[s]; ok {
			return place, true
		}
	}
}
