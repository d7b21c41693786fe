package swarm

import "sync"

// buffersKeep is the longest buffer kept for another frame: a prefill's of
// 512 rows of 2048. Longer ones are rare, and left to the garbage collector.
const buffersKeep = 4 << 20

// buffers keeps memory of frames for the next ones. The garbage collector
// takes back what is not used for a while. The zero value is ready.
type buffers struct{ pool sync.Pool }

// get returns an empty buffer of whatever capacity is at hand.
func (b *buffers) get() []byte {
	if p, ok := b.pool.Get().(*[]byte); ok {
		return (*p)[:0]
	}
	return nil
}

// put takes a buffer back.
func (b *buffers) put(buf []byte) {
	if cap(buf) > 0 && cap(buf) <= buffersKeep {
		b.pool.Put(&buf)
	}
}
