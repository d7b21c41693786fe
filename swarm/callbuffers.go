package swarm

import (
	"math/bits"
	"sync"
)

// buffersKeep is the longest buffer kept for another frame: a prefill's of
// 512 rows of 2048. Longer ones are rare, and left to the garbage collector.
const buffersKeep = 4 << 20

// buffers keeps memory of frames for the next ones. The garbage collector
// takes back what is not used for a while. The zero value is ready.
type buffers struct {
	pool  sync.Pool // *[]byte, of a buffer
	empty sync.Pool // *[]byte, of none
}

// get returns an empty buffer of whatever capacity is at hand.
func (b *buffers) get() []byte {
	p, ok := b.pool.Get().(*[]byte)
	if !ok {
		return nil
	}
	buf := (*p)[:0]
	*p = nil
	b.empty.Put(p)
	return buf
}

// put takes a buffer back.
func (b *buffers) put(buf []byte) {
	if cap(buf) == 0 || cap(buf) > buffersKeep {
		return
	}
	p, ok := b.empty.Get().(*[]byte)
	if !ok {
		p = new([]byte)
	}
	*p = buf
	b.pool.Put(p)
}

// sized returns an empty buffer with room for n bytes. Such as are kept but too small
// are let go, and new ones are made somewhat larger, so that soon all have room.
func (b *buffers) sized(n int) []byte {
	if buf := b.get(); cap(buf) >= n {
		return buf
	}
	return make([]byte, 0, max(n, 1<<bits.Len(uint(n-1))))
}
