package trunk

import (
	"fmt"
	"sync"
)

// cache holds the keys and values of all sequences.
type cache struct {
	layers       int
	keys, values int // floats per position and layer; 0 values: they are part of the keys
	context      int // positions a sequence may have

	mu    sync.Mutex
	slots map[int]*sequence // guarded by mu; a sequence belongs to its slot's user
}

// sequence is what one slot holds: per layer, (room, keys) keys and (room,
// values) values, contiguous so that a head's vectors are that far apart.
type sequence struct {
	length int // positions stored in every layer
	room   int // positions there is memory for
	next   int // during prepare: the position after its last row, -1 before its first
	k, v   [][]float32
}

// roomFor is the number of positions that memory is allocated for when n are
// needed: in steps of an eighth of n, 64 at least, so that neither copying nor
// what is not used is a large part of a long sequence's cost.
func (c *cache) roomFor(n int) int {
	grain := 64
	for grain*16 <= n {
		grain *= 2
	}
	return min((n+grain-1)/grain*grain, c.context)
}

func newCache(layers, keys, values, context int) cache {
	return cache{layers: layers, keys: keys, values: values, context: context, slots: map[int]*sequence{}}
}

// bytes is the memory of a sequence of n positions.
func (c *cache) bytes(n int) int64 {
	return int64(c.roomFor(n)) * int64(c.layers) * int64(c.keys+c.values) * 4
}

func (c *cache) get(slot int) *sequence {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.slots[slot]
}

// getOrNew also makes a sequence for a slot that has none.
func (c *cache) getOrNew(slot int) *sequence {
	c.mu.Lock()
	defer c.mu.Unlock()
	seq := c.slots[slot]
	if seq == nil {
		seq = &sequence{k: make([][]float32, c.layers), v: make([][]float32, c.layers)}
		c.slots[slot] = seq
	}
	return seq
}

func (c *cache) release(slot int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.slots, slot)
}

func (c *cache) held(slot int) int {
	if seq := c.get(slot); seq != nil {
		return seq.length
	}
	return 0
}

func (c *cache) truncate(slot, n int) {
	if seq := c.get(slot); seq != nil {
		seq.length = min(seq.length, max(n, 0))
	}
}

func (c *cache) copy(from, to, n int) int {
	src := c.get(from)
	if src == nil {
		n = 0
	}
	if src == nil || from == to {
		c.truncate(to, n)
		return c.held(to)
	}
	n = max(min(n, src.length), 0)
	dst := c.getOrNew(to)
	dst.length = 0
	dst.grow(n, c)
	for l := range dst.k {
		copy(dst.k[l], src.k[l][:n*c.keys])
		copy(dst.v[l], src.v[l][:n*c.values])
	}
	dst.length = n
	return n
}

// prepare checks a step's rows against what the slots hold, makes room for
// them and forgets what they overwrite. It appends the sequence of each row to
// seqs.
func (c *cache) prepare(s Step, seqs []*sequence) ([]*sequence, error) {
	for _, slot := range s.Slots {
		seq := c.getOrNew(slot)
		seq.next = -1
		seqs = append(seqs, seq)
	}
	for i, seq := range seqs {
		pos := s.Positions[i]
		if seq.next < 0 {
			if pos < 0 || pos > seq.length {
				return seqs, fmt.Errorf("trunk: row %d is at position %d of slot %d, which holds %d", i, pos, s.Slots[i], seq.length)
			}
		} else if pos != seq.next {
			return seqs, fmt.Errorf("trunk: row %d is at position %d of slot %d, after %d", i, pos, s.Slots[i], seq.next-1)
		}
		if pos >= c.context {
			return seqs, fmt.Errorf("trunk: position %d is beyond the model's context of %d", pos, c.context)
		}
		seq.next = pos + 1
	}
	for _, seq := range seqs {
		seq.grow(seq.next, c)
		seq.length = seq.next
	}
	return seqs, nil
}

// grow makes room for n positions, keeping those stored.
func (q *sequence) grow(n int, c *cache) {
	if n <= q.room {
		return
	}
	room := c.roomFor(n)
	for l := range q.k {
		k, v := make([]float32, room*c.keys), make([]float32, room*c.values)
		copy(k, q.k[l][:q.length*c.keys])
		copy(v, q.v[l][:q.length*c.values])
		q.k[l], q.v[l] = k, v
	}
	q.room = room
}
