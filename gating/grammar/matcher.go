package grammar

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
)

// Limits on what following an answer may cost.
const (
	// maxStack bounds the nesting of rules: 64 levels of JSON take three or four
	// each.
	maxStack = 256
	// maxPlaces bounds the places where a matcher stands at once. An anyOf has
	// one for each of its schemas.
	maxPlaces = 4 * maxChoices
	// maxStates bounds the states that are remembered, of a kilobyte each;
	// finding one mask may take maxMore.
	maxStates = 1 << 11
	maxMore   = 1 << 14
	// maxMasks bounds the masks that are remembered, of some 20 KB each.
	maxMasks = 64
	// maxWork bounds the steps of finding one mask: about a second.
	maxWork = 1 << 25
)

// ErrText: the tokens accepted are not what the grammar allows.
var ErrText = errors.New("text does not fit the grammar")

// errAmbiguous: following the schema would take too long.
var errAmbiguous = fmt.Errorf("%w: it leaves too many choices open at once", ErrSchema)

// frame is an activation of a rule: where to go on, and the one below.
type frame struct{ ret, below int32 }

// place is where a matcher stands: at an instruction that takes a byte, in an
// activation. Activation 0 is the outermost level.
type place struct{ pc, frame int32 }

const (
	unknown = -2 // a transition not found yet
	dead    = -1 // no place is left
)

// state is a set of places.
type state struct {
	places   []place
	complete bool // the text may end here
	next     *[256]int32
}

// Matcher follows one answer. It belongs to one goroutine at a time.
type Matcher struct {
	g *Grammar
	v *Vocabulary

	frames []frame
	depth  []int32
	byRet  map[frame]int32 // -> its number
	states []state
	byKey  map[string]int32 // places -> number of the state
	masks  map[int32][]uint64

	now   int32
	ended bool
	work  int
	err   error

	// Scratch of closure.
	todo []place
	seen map[place]bool
}

// NewMatcher stands before the first token.
func NewMatcher(g *Grammar, v *Vocabulary) *Matcher {
	m := &Matcher{g: g, v: v, seen: map[place]bool{}}
	m.forget()
	m.now = m.closure([]place{{g.start, 0}})
	return m
}

func (m *Matcher) forget() {
	m.frames, m.depth = []frame{{}}, []int32{0}
	m.byRet = map[frame]int32{}
	m.states, m.byKey, m.masks = nil, map[string]int32{}, map[int32][]uint64{}
}

// Accept moves on by a token. An error wraps ErrText or ErrSchema; the matcher
// is of no use after it.
func (m *Matcher) Accept(id int32) error {
	if m.err != nil {
		return m.err
	}
	m.work = 0
	if m.v.isEnd[id] {
		if m.ended || !m.states[m.now].complete {
			m.err = fmt.Errorf("%w: it ends too early", ErrText)
		}
		m.ended = true
		return m.err
	}
	text := m.v.bytes(id)
	if len(text) == 0 || m.ended {
		m.err = fmt.Errorf("%w: token %d", ErrText, id)
		return m.err
	}
	for _, c := range text {
		if m.now = m.step(m.now, c); m.now == dead {
			if m.err == nil {
				m.err = fmt.Errorf("%w: %q", ErrText, text)
			}
			return m.err
		}
	}
	m.tidy()
	return m.err
}

// Mask rules out the tokens that may not come next: their logits become minus
// infinity.
func (m *Matcher) Mask(logits []float32) error {
	if m.err != nil {
		return m.err
	}
	allowed, ok := m.masks[m.now]
	if !ok {
		m.work = 0
		allowed = m.mask()
		if m.err != nil {
			return m.err
		}
		if len(m.masks) >= maxMasks {
			clear(m.masks)
		}
		m.masks[m.now] = allowed
	}
	never := float32(math.Inf(-1))
	for i := range logits {
		if i >= m.v.size || allowed[i>>6]&(1<<(i&63)) == 0 {
			logits[i] = never
		}
	}
	m.tidy()
	return m.err
}

// mask is the set of tokens that may come next. Tokens come in the order of
// their bytes, so that each begins where the one before it had come to.
func (m *Matcher) mask() []uint64 {
	allowed := make([]uint64, (m.v.size+63)/64)
	if m.ended {
		return allowed
	}
	if m.states[m.now].complete {
		for _, id := range m.v.ends {
			allowed[id>>6] |= 1 << (id & 63)
		}
	}
	path := []int32{m.now} // the state after each byte of the present token
	for i := range m.v.tokens {
		t := &m.v.tokens[i]
		if t.same < len(path)-1 {
			path = path[:t.same+1]
		}
		if path[len(path)-1] == dead { // after bytes that this token has too
			continue
		}
		for len(path)-1 < len(t.bytes) && path[len(path)-1] != dead {
			path = append(path, m.step(path[len(path)-1], t.bytes[len(path)-1]))
			if m.err != nil {
				return nil
			}
		}
		if path[len(path)-1] != dead {
			allowed[t.id>>6] |= 1 << (t.id & 63)
		}
	}
	return allowed
}

// step is the state after a byte.
func (m *Matcher) step(from int32, c byte) int32 {
	s := &m.states[from]
	if s.next == nil {
		s.next = new([256]int32)
		for i := range s.next {
			s.next[i] = unknown
		}
	}
	if to := s.next[c]; to != unknown {
		return to
	}
	var places []place
	for _, p := range s.places {
		m.work++
		if i := &m.g.code[p.pc]; m.g.sets[i.set].has(c) {
			places = append(places, place{i.next, p.frame})
		}
	}
	next := s.next // closure may move the states
	to := int32(dead)
	if len(places) > 0 {
		to = m.closure(places)
	}
	next[c] = to
	return to
}

// closure goes on from places to the instructions that take a byte, and gives
// the state that these are.
func (m *Matcher) closure(from []place) int32 {
	clear(m.seen)
	m.todo = append(m.todo[:0], from...)
	var s state
	for len(m.todo) > 0 {
		p := m.todo[len(m.todo)-1]
		m.todo = m.todo[:len(m.todo)-1]
		if m.seen[p] {
			continue
		}
		m.seen[p] = true
		if m.work++; m.work > maxWork || len(m.seen) > 16*maxPlaces {
			m.err = errAmbiguous
			return dead
		}
		switch i := m.g.code[p.pc]; i.op {
		case opByte:
			s.places = append(s.places, p)
		case opSplit:
			m.todo = append(m.todo, place{i.next, p.frame}, place{i.other, p.frame})
		case opJump:
			m.todo = append(m.todo, place{i.next, p.frame})
		case opCall:
			if f, ok := m.push(i.next, p.frame); ok {
				m.todo = append(m.todo, place{i.other, f})
			}
		case opReturn:
			if p.frame == 0 {
				s.complete = true
			} else {
				f := m.frames[p.frame]
				m.todo = append(m.todo, place{f.ret, f.below})
			}
		}
	}
	if len(s.places) > maxPlaces {
		m.err = errAmbiguous
		return dead
	}
	if len(s.places) == 0 && !s.complete {
		return dead
	}
	return m.number(s)
}

// push gives the number of an activation; ok is false when it nests too deep.
func (m *Matcher) push(ret, below int32) (number int32, ok bool) {
	f := frame{ret, below}
	if n, ok := m.byRet[f]; ok {
		return n, true
	}
	if m.depth[below] >= maxStack {
		return 0, false
	}
	n := int32(len(m.frames))
	m.frames, m.depth = append(m.frames, f), append(m.depth, m.depth[below]+1)
	m.byRet[f] = n
	return n, true
}

// number gives the number of a state.
func (m *Matcher) number(s state) int32 {
	slices.SortFunc(s.places, func(a, b place) int {
		if a.pc != b.pc {
			return int(a.pc) - int(b.pc)
		}
		return int(a.frame) - int(b.frame)
	})
	key := make([]byte, 0, 8*len(s.places)+1)
	for _, p := range s.places {
		key = binary.LittleEndian.AppendUint32(key, uint32(p.pc))
		key = binary.LittleEndian.AppendUint32(key, uint32(p.frame))
	}
	if s.complete {
		key = append(key, 1)
	}
	if n, ok := m.byKey[string(key)]; ok {
		return n
	}
	if len(m.states) >= maxStates+maxMore {
		m.err = errAmbiguous
		return dead
	}
	n := int32(len(m.states))
	m.states = append(m.states, s)
	m.byKey[string(key)] = n
	return n
}

// tidy forgets all states but the present one when there are too many.
func (m *Matcher) tidy() {
	if len(m.states) <= maxStates && len(m.frames) <= 8*maxStates || m.err != nil {
		return
	}
	now, frames := m.states[m.now], m.frames
	m.forget()
	s := state{complete: now.complete}
	for _, p := range now.places {
		s.places = append(s.places, place{p.pc, m.again(frames, p.frame)})
	}
	m.now = m.number(s)
}

// again numbers an activation of former frames anew.
func (m *Matcher) again(frames []frame, n int32) int32 {
	if n == 0 {
		return 0
	}
	f, _ := m.push(frames[n].ret, m.again(frames, frames[n].below))
	return f
}
