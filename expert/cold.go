package expert

import (
	"cmp"
	"slices"

	"github.com/moeswarm/moeswarm/internal/mapping"
)

// GiveBack returns the weights of the experts that were used least since the
// last call to the operating system, up to share of the set's bytes, and
// reports how many bytes those are. They stay held: the next call for one
// reads its pages again, which takes longer. Memory that is no mapping of a
// file, and systems that know no such thing, are left alone.
func (s *Set) GiveBack(share float64) (bytes int64) {
	s.busy.RLock() // nothing is unmapped meanwhile
	defer s.busy.RUnlock()
	now := s.state.Load()
	ids := slices.Clone(now.ids)
	used := make(map[ID]int64, len(ids))
	for _, id := range ids {
		used[id] = now.ffns[id].rows.Swap(0)
	}
	slices.SortStableFunc(ids, func(a, b ID) int { return cmp.Compare(used[a], used[b]) })
	want := int64(share * float64(now.bytes))
	for _, id := range ids {
		w, err := s.from.Weights(id)
		if err != nil || bytes >= want {
			break
		}
		for _, t := range []Tensor{w.W1, w.W2, w.W3} {
			if mapping.PageOut(t.Data) {
				bytes += int64(len(t.Data))
			}
		}
	}
	return bytes
}
