package swarm

import (
	"math/bits"
	"sync"
)

// buffersKeep is the longest buffer kept for another frame: of a prefill of 250 rows
// of 2048 for four experts each. Longer ones are rare, and left to the garbage
// collector. buffersSmall is the longest of those that serve short frames: a decoding
// step's.
const (
	buffersKeep  = 8 << 20
	buffersSmall = 64 << 10
)

// buffers keeps memory of frames for the next ones, short and long apart: memory
// that nobody had before costs more than what is written to it. The garbage collector
// takes back what is not used for a while. The zero value is ready.
type buffers struct {
	small, large kept
}

// kept is buffers of one kind.
type kept struct {
	pool  sync.Pool // *[]byte, of a buffer
	empty sync.Pool // *[]byte, of none
}

// get returns an empty buffer, or none.
func (k *kept) get() []byte {
	p, ok := k.pool.Get().(*[]byte)
	if !ok {
		return nil
	}
	buf := (*p)[:0]
	*p = nil
	k.empty.Put(p)
	return buf
}

func (k *kept) put(buf []byte) {
	p, ok := k.empty.Get().(*[]byte)
	if !ok {
		p = new([]byte)
	}
	*p = buf
	k.pool.Put(p)
}

// of is the kind that a buffer of n bytes is of.
func (b *buffers) of(n int) *kept {
	if n <= buffersSmall {
		return &b.small
	}
	return &b.large
}

// get returns an empty buffer for a short frame, of whatever capacity is at hand.
func (b *buffers) get() []byte { return b.small.get() }

// put takes a buffer back.
func (b *buffers) put(buf []byte) {
	if n := cap(buf); n > 0 && n <= buffersKeep {
		b.of(n).put(buf)
	}
}

// sized returns an empty buffer with room for n bytes. Such as are kept but too small
// are let go, and new ones are made somewhat larger, so that soon all have room.
func (b *buffers) sized(n int) []byte {
	k := b.of(n)
	if buf := k.get(); cap(buf) >= n {
		return buf
	}
	larger := 1 << bits.Len(uint(n-1))
	if k == &b.large {
		larger = min(n+n/4, buffersKeep)
	}
	return make([]byte, 0, max(n, larger))
}
