package draft

// Proposal is a draft: tokens that may come next, and how each came about.
// Its memory is reused by whoever fills it next.
type Proposal struct {
	Tokens  []int32
	Classes []Class // of each token
}

// Reset empties the proposal.
func (p *Proposal) Reset() { p.Tokens, p.Classes = p.Tokens[:0], p.Classes[:0] }

// Add appends a token.
func (p *Proposal) Add(id int32, c Class) {
	p.Tokens, p.Classes = append(p.Tokens, id), append(p.Classes, c)
}

const (
	// maxPlaces bounds the memory of a lookup: a table has at most so many
	// entries of 4 bytes, so all four together have at most 1 MiB. Places
	// further back are still found unless newer ones hash to the same entry.
	maxPlaces = 1 << 16
	minPlaces = 1 << 8
	// maxMatch is the longest match that is told from a longer one. Beyond
	// some 16 tokens a longer one is no better a sign (see Class).
	maxMatch = 24
	// maxCandidates bounds the places that a proposal compares, and with it
	// its time: some 10 µs in a text that repeats one line for ever.
	maxCandidates = 64
	// chained is the length of the token groups whose places are all
	// remembered; of shorter groups only the last place is.
	chained = 3
)

// Lookup finds where a sequence's last tokens occurred in it before. It keeps
// no tokens, only places: the sequence is handed to each call and may only
// have grown in between. Indexing a token takes constant time.
type Lookup struct {
	indexed int // places before this one are in the tables
	// last[n-1] has the last place where a group of n tokens ended, by the
	// group's hash, plus one; 0 is none.
	last [chained][]int32
	// before has, by place modulo its length, the place before it with the
	// same hash of chained tokens, plus one.
	before []int32
}

// NewLookup returns the lookup of a sequence of at most so many tokens.
func NewLookup(tokens int) *Lookup {
	places := minPlaces
	for places < min(tokens, maxPlaces) {
		places *= 2
	}
	l := &Lookup{before: make([]int32, places)}
	for i := range l.last {
		l.last[i] = make([]int32, places)
	}
	return l
}

// Propose appends up to n tokens that followed the longest match of the end of
// ids, the most recent among equally long ones; none when the last token is
// new. A match that reaches the end goes on with its own continuation, so that
// a repetition is drafted for as long as wanted.
func (l *Lookup) Propose(ids []int32, n int, p *Proposal) {
	if len(ids) == 0 || n <= 0 {
		return
	}
	l.index(ids)
	at, length := l.longest(ids)
	if length == 0 {
		return
	}
	first := len(p.Tokens)
	for j := range n {
		var id int32
		if next := at + 1 + j; next < len(ids) {
			id = ids[next]
		} else {
			id = p.Tokens[first+next-len(ids)]
		}
		p.Add(id, matchClass(length+j))
	}
}

// index adds the places that have a token after them.
func (l *Lookup) index(ids []int32) {
	for ; l.indexed < len(ids)-1; l.indexed++ {
		at := l.indexed
		for n := 1; n <= chained && n <= at+1; n++ {
			head := l.head(ids, at, n)
			if n == chained {
				l.before[at&(len(l.before)-1)] = *head
			}
			*head = int32(at + 1)
		}
	}
}

// head is the table entry of the n tokens that end at a place.
func (l *Lookup) head(ids []int32, at, n int) *int32 {
	h := uint32(n)
	for _, id := range ids[at-n+1 : at+1] {
		h = (h ^ uint32(id)) * 0x9e3779b1 // 2³² over the golden ratio
		h ^= h >> 16
	}
	h *= 0x85ebca6b // an odd number of many ones, so that all bits move
	h ^= h >> 15
	table := l.last[n-1]
	return &table[h&uint32(len(table)-1)]
}

// longest finds the place where the longest match ends, and its length.
func (l *Lookup) longest(ids []int32) (place, length int) {
	end := len(ids) - 1
	for n := min(chained, len(ids)); n >= 1 && length == 0; n-- {
		at := int(*l.head(ids, end, n)) - 1
		for range maxCandidates {
			if at < 0 {
				break
			}
			if m := match(ids, at, end); m > length {
				place, length = at, m
			}
			if n < chained || length == maxMatch {
				break
			}
			earlier := int(l.before[at&(len(l.before)-1)]) - 1
			if earlier >= at || end-earlier > len(l.before) {
				break // that entry belongs to a newer place by now
			}
			at = earlier
		}
	}
	return place, length
}

// match counts the equal tokens before and at two places.
func match(ids []int32, at, end int) int {
	n := 0
	for n < maxMatch && n <= at && ids[at-n] == ids[end-n] {
		n++
	}
	return n
}
