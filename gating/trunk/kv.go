package trunk

import "fmt"

// cache holds the keys and values of all sequences.
type cache struct {
	layers, width int // width: floats per position and layer, KVHeads·HeadDim
	context       int // positions a sequence may have
	slots         map[int]*sequence
}

// sequence is what one slot holds: per layer, (Positions, width) keys and
// values, contiguous so that a head's vectors are width floats apart.
type sequence struct {
	length int // positions stored in every layer
	room   int // positions there is memory for
	k, v   [][]float32
}

// grain is the number of positions a sequence's memory grows by at least;
// beyond that it grows by half, so that copying stays a small part of a long
// sequence's cost.
const grain = 64

// prepare checks a step's rows against what the slots hold, makes room for
// them and forgets what they overwrite.
func (c *cache) prepare(s Step) error {
	first := map[int]bool{}
	next := map[int]int{}
	for i, slot := range s.Slots {
		pos := s.Positions[i]
		seq := c.slots[slot]
		if !first[slot] {
			first[slot] = true
			held := 0
			if seq != nil {
				held = seq.length
			}
			if pos < 0 || pos > held {
				return fmt.Errorf("trunk: row %d is at position %d of slot %d, which holds %d", i, pos, slot, held)
			}
		} else if pos != next[slot] {
			return fmt.Errorf("trunk: row %d is at position %d of slot %d, after %d", i, pos, slot, next[slot]-1)
		}
		if pos >= c.context {
			return fmt.Errorf("trunk: position %d is beyond the model's context of %d", pos, c.context)
		}
		next[slot] = pos + 1
	}
	for slot, n := range next {
		seq := c.slots[slot]
		if seq == nil {
			seq = &sequence{k: make([][]float32, c.layers), v: make([][]float32, c.layers)}
			c.slots[slot] = seq
		}
		seq.grow(n, c)
		seq.length = n
	}
	return nil
}

func (q *sequence) grow(n int, c *cache) {
	if n <= q.room {
		return
	}
	room := min(max(n, q.room+q.room/2, q.room+grain), c.context)
	for l := range q.k {
		k, v := make([]float32, room*c.width), make([]float32, room*c.width)
		copy(k, q.k[l])
		copy(v, q.v[l])
		q.k[l], q.v[l] = k, v
	}
	q.room = room
}
