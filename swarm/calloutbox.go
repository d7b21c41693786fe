package swarm

import (
	"io"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// outboxWrite is the most that goes into one write: what yamux and Noise
	// put into one message. Frames that wait together go out together.
	outboxWrite = 60 << 10
	// frameGrace and slowestRate bound the time one frame may take on its
	// way: some seconds, and more for a long frame, down to the rate of a
	// poor upload line. A peer slower than that is as good as gone.
	frameGrace  = 10 * time.Second
	slowestRate = 64 << 10 // bytes a second
)

// frameTime is how long a frame of n bytes may take.
func frameTime(n int) time.Duration {
	return frameGrace + time.Duration(n)*time.Second/slowestRate
}

// outbox writes frames to one stream, in the order they were put, from the
// one goroutine that runs it. Whoever puts a frame never waits for the peer.
type outbox struct {
	// Constant after construction.
	born    time.Time
	memory  *buffers         // of frames
	wake    chan struct{}    // one token: something changed for the writer
	room    chan struct{}    // one token: something changed for a waiter in below
	written func(f outFrame) // called as each frame leaves, written or not; may be nil

	// Atomic.
	moved atomic.Int64 // bytes written so far
	due   atomic.Int64 // when the write under way must end, since born; 0: none

	mu struct {
		sync.Mutex
		frames []outFrame // waiting, oldest first
		bytes  int        // of all frames put and not yet left
		closed bool       // nothing more is put; what is here is still written
		broken bool       // nothing more is written either
	}
}

// outFrame is one frame in an outbox, which owns b from put on.
type outFrame struct {
	b    []byte
	id   uint64 // the call it belongs to
	cost int64  // for the owner's accounts
}

func newOutbox(memory *buffers, written func(outFrame)) *outbox {
	return &outbox{born: time.Now(), memory: memory, wake: make(chan struct{}, 1), room: make(chan struct{}, 1), written: written}
}

// put queues a frame. It reports false, and leaves f with the caller, when
// the outbox is closed.
func (o *outbox) put(f outFrame) bool {
	o.mu.Lock()
	if o.mu.closed {
		o.mu.Unlock()
		return false
	}
	o.mu.frames = append(o.mu.frames, f)
	o.mu.bytes += len(f.b)
	o.mu.Unlock()
	signal(o.wake)
	return true
}

// drop takes the frames of call id out again, if they still wait, and reports
// whether there was one.
func (o *outbox) drop(id uint64) bool {
	o.mu.Lock()
	var dropped []outFrame
	kept := o.mu.frames[:0]
	for _, f := range o.mu.frames {
		if f.id == id {
			dropped = append(dropped, f)
		} else {
			kept = append(kept, f)
		}
	}
	clear(o.mu.frames[len(kept):])
	o.mu.frames = kept
	o.mu.Unlock()
	o.leave(dropped)
	return len(dropped) > 0
}

// queued returns how many bytes wait or are being written.
func (o *outbox) queued() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.mu.bytes
}

// below waits until fewer than limit frames wait, or the outbox is broken. At
// most one goroutine may wait.
func (o *outbox) below(limit int) {
	for {
		o.mu.Lock()
		ok := len(o.mu.frames) < limit || o.mu.broken
		o.mu.Unlock()
		if ok {
			return
		}
		<-o.room
	}
}

// close ends the outbox: what waits is still written, then run returns.
func (o *outbox) close() {
	o.mu.Lock()
	o.mu.closed = true
	o.mu.Unlock()
	signal(o.wake)
}

// late reports whether the write under way should have ended by now.
func (o *outbox) late() bool {
	due := o.due.Load()
	return due != 0 && time.Since(o.born) > time.Duration(due)
}

// run writes frames to w until the outbox is closed and empty, which gives
// nil, or a write fails.
func (o *outbox) run(w io.Writer) error {
	var taken []outFrame
	var joined []byte
	for {
		var open bool
		taken, open = o.take(taken[:0])
		if len(taken) == 0 {
			if !open {
				return nil
			}
			<-o.wake
			continue
		}
		b := taken[0].b
		if len(taken) > 1 {
			joined = joined[:0]
			for _, f := range taken {
				joined = append(joined, f.b...)
			}
			b = joined
		}
		err := o.write(w, b)
		o.leave(taken)
		if err != nil {
			o.fail()
			return err
		}
	}
}

// take moves the frames for the next write to dst: one, or as many as fit.
func (o *outbox) take(dst []outFrame) (taken []outFrame, open bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	n, size := 0, 0
	for n < len(o.mu.frames) {
		size += len(o.mu.frames[n].b)
		if n > 0 && size > outboxWrite {
			break
		}
		n++
	}
	dst = append(dst, o.mu.frames[:n]...)
	rest := copy(o.mu.frames, o.mu.frames[n:])
	clear(o.mu.frames[rest:])
	o.mu.frames = o.mu.frames[:rest]
	return dst, !o.mu.closed
}

// write writes b in pieces, so that progress shows.
func (o *outbox) write(w io.Writer, b []byte) error {
	o.due.Store(int64(time.Since(o.born) + frameTime(len(b))))
	defer o.due.Store(0)
	for len(b) > 0 {
		n, err := w.Write(b[:min(len(b), outboxWrite)])
		o.moved.Add(int64(n))
		if err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// leave settles the accounts of frames that have left, and keeps their memory
// for the next ones.
func (o *outbox) leave(frames []outFrame) {
	o.mu.Lock()
	for _, f := range frames {
		o.mu.bytes -= len(f.b)
	}
	o.mu.Unlock()
	for i, f := range frames {
		o.memory.put(f.b)
		frames[i].b = nil
	}
	signal(o.room)
	if o.written != nil {
		for _, f := range frames {
			o.written(f)
		}
	}
}

// fail drops what waits and takes nothing more.
func (o *outbox) fail() {
	o.mu.Lock()
	rest := o.mu.frames
	o.mu.frames, o.mu.closed, o.mu.broken = nil, true, true
	o.mu.Unlock()
	signal(o.wake)
	o.leave(rest)
}

// signal leaves a token in c unless there is one.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
