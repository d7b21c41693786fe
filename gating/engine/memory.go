package engine

import "slices"

// memory keeps account of the trunk's memory for keys and values, hands out
// slots, and keeps what ended sequences leave for those that begin alike. It
// belongs to Run's goroutine.
type memory struct {
	slots  Slots
	budget int64 // bytes; 0: no bound

	used int64
	free []int // slots that were used and are not any more
	next int   // the first slot that was never used
	kept []*kept
}

// kept is the keys and values of a sequence that has ended.
type kept struct {
	slot  int
	user  string
	ids   []int32 // what they are of
	bytes int64
	trace *tracing // of the same; nil: it was not traced
}

const (
	// mostKept bounds the search for a beginning, which looks at all kept.
	mostKept = 256
	// leastKept is the tokens below which keeping them is not worth it.
	leastKept = 8
)

// room is the number of positions that a sequence needs memory for before its
// next step: all its tokens, so that a prompt once begun can be read to its
// end, and a draft.
func (s *sequence) room() int { return min(len(s.ids)+MaxDrafts, s.limit) }

// admit gives a sequence a slot with memory for its tokens, and the longest
// beginning that is kept of an earlier sequence of the same user. It reports
// false when there is not enough memory now.
//
// Only the same user's: how much was reused shows in the answer and in its
// time, and would tell a stranger what others have asked.
func (m *memory) admit(s *sequence) bool {
	k, common := m.match(s)
	need := m.slots.Bytes(s.room())
	switch {
	case k == nil:
		if !m.make(need, nil) {
			return false
		}
		s.slot, s.bytes = m.slot(), need
	case common*4 >= len(k.ids)*3 || m.budget > 0 && !m.fits(need, k):
		// The same conversation goes on: it takes over what is kept, and what
		// it does not share is written over.
		if !m.make(need-k.bytes, k) {
			return false
		}
		m.forget(k)
		s.slot, s.bytes = k.slot, max(need, k.bytes)
		need = s.bytes - k.bytes
	default: // another begins alike
		if !m.make(need, k) {
			return false
		}
		s.slot, s.bytes = m.slot(), need
		common = m.slots.Copy(k.slot, s.slot, common)
		m.touch(k)
	}
	m.used += need
	s.fed, s.cached = common, common
	if k != nil {
		s.trace.resume(k.trace, common)
	}
	return true
}

// match finds the kept sequence with the longest common beginning. The last
// token is always computed: its logits are wanted.
func (m *memory) match(s *sequence) (best *kept, common int) {
	if s.pool != nil {
		return nil, 0 // it wants the hidden state of every token
	}
	for _, k := range m.kept {
		if k.user != s.user {
			continue
		}
		n, most := 0, min(len(k.ids), len(s.ids)-1)
		if s.trace != nil && k.trace == nil {
			most = 0 // what it chose is not known any more
		}
		for n < most && k.ids[n] == s.ids[n] {
			n++
		}
		if n >= leastKept && n >= common {
			best, common = k, n
		}
	}
	return best, common
}

// fits tells whether there is memory for so many bytes more when all that is
// kept but one is forgotten.
func (m *memory) fits(need int64, but *kept) bool {
	free := m.budget - m.used
	for _, k := range m.kept {
		if k != but {
			free += k.bytes
		}
	}
	return need <= free
}

// make forgets what is kept, longest unused first, until there is memory for
// so many bytes more. When that cannot be, it forgets nothing.
func (m *memory) make(need int64, but *kept) bool {
	if m.budget <= 0 {
		return true
	}
	if !m.fits(need, but) {
		return false
	}
	for i := 0; m.used+need > m.budget && i < len(m.kept); {
		if m.kept[i] == but {
			i++
			continue
		}
		m.drop(m.kept[i])
	}
	return true
}

// grow gives a running sequence memory for its next step.
func (m *memory) grow(s *sequence) bool {
	need := m.slots.Bytes(s.room())
	if need <= s.bytes {
		return true
	}
	if !m.make(need-s.bytes, nil) {
		return false
	}
	m.used += need - s.bytes
	s.bytes = need
	return true
}

// suspend takes a running sequence's memory away. What it had computed is
// computed again, to the same bits, when there is memory.
func (m *memory) suspend(s *sequence) {
	m.slots.Release(s.slot)
	m.used -= s.bytes
	s.bytes, s.fed = 0, 0
}

// end takes back a sequence's slot, and keeps its keys and values unless they
// are not exact.
func (m *memory) end(s *sequence) {
	if s.fed < leastKept || s.inexact {
		m.suspend(s)
		m.free = append(m.free, s.slot)
		return
	}
	if len(m.kept) >= mostKept {
		m.drop(m.kept[0])
	}
	m.kept = append(m.kept, &kept{slot: s.slot, user: s.user, ids: slices.Clone(s.ids[:s.fed]), bytes: s.bytes, trace: s.trace})
}

func (m *memory) slot() int {
	if n := len(m.free); n > 0 {
		s := m.free[n-1]
		m.free = m.free[:n-1]
		return s
	}
	m.next++
	return m.next - 1
}

// touch makes a kept sequence the last to be forgotten.
func (m *memory) touch(k *kept) {
	m.forget(k)
	m.kept = append(m.kept, k)
}

// forget takes a kept sequence off the list; its slot goes on being used.
func (m *memory) forget(k *kept) {
	i := slices.Index(m.kept, k)
	m.kept = slices.Delete(m.kept, i, i+1)
}

// drop gives up a kept sequence.
func (m *memory) drop(k *kept) {
	m.forget(k)
	m.slots.Release(k.slot)
	m.used -= k.bytes
	m.free = append(m.free, k.slot)
}

// clear drops all that is kept.
func (m *memory) clear() {
	for len(m.kept) > 0 {
		m.drop(m.kept[0])
	}
}

// capacity is the number of positions, at most most, that a sequence alone has
// memory for.
func capacity(slots Slots, budget int64, most int) int {
	if budget <= 0 {
		return most
	}
	low, high := 0, most // low fits
	for low < high {
		mid := (low + high + 1) / 2
		if slots.Bytes(mid) <= budget {
			low = mid
		} else {
			high = mid - 1
		}
	}
	return low
}
