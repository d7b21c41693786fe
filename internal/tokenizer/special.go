package tokenizer

// part is a stretch of a text: plain text, or one special token.
type part struct {
	text string // of a plain part
	id   int32  // of a special token
	mark bool   // the part is the special token id
}

// finder finds special tokens in a text: at each place the longest, from left
// to right. It is a tree of bytes, so that its time depends on the text and
// not on how many special tokens there are (up to a thousand are usual).
type finder struct {
	next map[edge]int32 // node and byte -> node; node 0 is the root
	ends []int32        // token that ends at the node, or -1
	from [256]bool      // bytes that some token begins with
}

type edge struct {
	node int32
	c    byte
}

func newFinder() *finder { return &finder{next: make(map[edge]int32), ends: []int32{-1}} }

func (f *finder) add(text string, id int32) {
	node := int32(0)
	f.from[text[0]] = true
	for i := range len(text) {
		e := edge{node, text[i]}
		child, ok := f.next[e]
		if !ok {
			child = int32(len(f.ends))
			f.ends = append(f.ends, -1)
			f.next[e] = child
		}
		node = child
	}
	f.ends[node] = id
}

// at finds the longest token that text begins with; n is its length, 0 if
// there is none.
func (f *finder) at(text string) (id int32, n int) {
	node, ok := int32(0), false
	for i := range len(text) {
		if node, ok = f.next[edge{node, text[i]}]; !ok {
			break
		}
		if f.ends[node] >= 0 {
			id, n = f.ends[node], i+1
		}
	}
	return id, n
}

// split cuts text at the special tokens.
func (f *finder) split(text string) []part {
	var parts []part
	plain := 0 // where the plain part under way begins
	for i := 0; i < len(text); {
		if !f.from[text[i]] {
			i++
			continue
		}
		id, n := f.at(text[i:])
		if n == 0 {
			i++
			continue
		}
		if plain < i {
			parts = append(parts, part{text: text[plain:i]})
		}
		parts = append(parts, part{id: id, mark: true})
		i += n
		plain = i
	}
	if plain < len(text) {
		parts = append(parts, part{text: text[plain:]})
	}
	return parts
}
