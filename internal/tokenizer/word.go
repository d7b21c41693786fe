package tokenizer

import "iter"

// word is one piece on its way from bytes to tokens: a list of symbols whose
// neighbours are joined, lowest rank first and leftmost first among equals.
// It is scratch memory, used again for each piece.
type word struct {
	nodes []node
	heap  []pair // a binary heap, the next pair to join at its root
}

// node is a symbol and its neighbours by index; -1 where there is none.
type node struct {
	symbol     int32 // -1 once it was joined to its left neighbour
	prev, next int32
}

// pair is a pair of neighbours that a merge joins. It is out of date when
// either has changed since.
type pair struct {
	join
	at          int32 // index of the left one
	left, right int32 // their symbols
}

func (a pair) before(b pair) bool {
	return a.rank < b.rank || (a.rank == b.rank && a.at < b.at)
}

func (w *word) reset() { w.nodes, w.heap = w.nodes[:0], w.heap[:0] }

func (w *word) push(symbol int32) {
	n := int32(len(w.nodes))
	if n > 0 {
		w.nodes[n-1].next = n
	}
	w.nodes = append(w.nodes, node{symbol: symbol, prev: n - 1, next: -1})
}

// join joins until no merge applies, in O(n log n).
func (w *word) join(merges map[[2]int32]join) {
	for i := range w.nodes {
		w.consider(merges, int32(i))
	}
	for len(w.heap) > 0 {
		p := w.pop()
		left := &w.nodes[p.at]
		if left.symbol != p.left || left.next < 0 || w.nodes[left.next].symbol != p.right {
			continue
		}
		right := &w.nodes[left.next]
		left.symbol, right.symbol = p.symbol, -1
		left.next = right.next
		if left.next >= 0 {
			w.nodes[left.next].prev = p.at
		}
		w.consider(merges, left.prev)
		w.consider(merges, p.at)
	}
}

// consider puts the pair that begins at node i on the heap, if a merge joins it.
func (w *word) consider(merges map[[2]int32]join, i int32) {
	if i < 0 || w.nodes[i].next < 0 {
		return
	}
	left, right := w.nodes[i].symbol, w.nodes[w.nodes[i].next].symbol
	j, ok := merges[[2]int32{left, right}]
	if !ok {
		return
	}
	w.heap = append(w.heap, pair{join: j, at: i, left: left, right: right})
	for c := len(w.heap) - 1; c > 0; {
		p := (c - 1) / 2
		if !w.heap[c].before(w.heap[p]) {
			break
		}
		w.heap[c], w.heap[p] = w.heap[p], w.heap[c]
		c = p
	}
}

func (w *word) pop() pair {
	top, last := w.heap[0], len(w.heap)-1
	w.heap[0] = w.heap[last]
	w.heap = w.heap[:last]
	for p := 0; ; {
		c := 2*p + 1
		if c >= last {
			return top
		}
		if c+1 < last && w.heap[c+1].before(w.heap[c]) {
			c++
		}
		if !w.heap[c].before(w.heap[p]) {
			return top
		}
		w.heap[c], w.heap[p] = w.heap[p], w.heap[c]
		p = c
	}
}

// symbols are what is left, from left to right.
func (w *word) symbols() iter.Seq[int32] {
	return func(yield func(int32) bool) {
		for _, n := range w.nodes {
			if n.symbol >= 0 && !yield(n.symbol) {
				return
			}
		}
	}
}
