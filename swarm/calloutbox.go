package swarm

import (
	"errors"
	"io"
	"slices"
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

// inlineTime is how long whoever puts a frame may try to write it itself: many
// times what handing it to the transport takes, and little enough to wait. Each
// deadline costs a timer, so one serves for several frames, as long as half of the
// time is left.
// inlineMost is the longest frame it tries: the credit a new stream has.
const (
	inlineTime = 20 * time.Millisecond
	inlineMost = 256 << 10
)

// deadlineWriter is what an outbox writes to: a stream.
type deadlineWriter interface {
	io.Writer
	SetWriteDeadline(time.Time) error
}

// outbox writes frames to one stream, in the order they were put. A frame that
// finds nothing before it is written by whoever puts it, which saves waking
// another goroutine; but never waits for the peer: what does not go at once,
// and what comes meanwhile, is written by the goroutine that runs the outbox.
type outbox struct {
	// Constant after construction.
	born    time.Time
	memory  *buffers         // of frames
	wake    chan struct{}    // one token: something changed for the writer
	room    chan struct{}    // one token: something changed for a waiter in below
	written func(f outFrame) // called as each frame leaves, written or not; may be nil

	until time.Time // the write deadline that is set, zero: none; the writer's

	// Atomic.
	moved atomic.Int64 // bytes written so far
	due   atomic.Int64 // when the write under way must end, since born; 0: none

	mu struct {
		sync.Mutex
		frames []outFrame // waiting, oldest first
		bytes  int        // of all frames put and not yet left
		closed bool       // nothing more is put; what is here is still written
		broken bool       // nothing more is written either

		stream  deadlineWriter // once run has begun; nil: only run writes
		writing bool           // somebody writes
		err     error          // of a write by whoever put the frame
	}
}

// outFrame is one frame in an outbox, which owns b from put on.
type outFrame struct {
	b    []byte
	id   uint64 // the call it belongs to
	cost int64  // for the owner's accounts
	left int    // bytes at the end of b to be written still, if a part is on its way; 0: all
}

// rest is what of the frame is to be written.
func (f outFrame) rest() []byte {
	if f.left > 0 {
		return f.b[len(f.b)-f.left:]
	}
	return f.b
}

func newOutbox(memory *buffers, written func(outFrame)) *outbox {
	return &outbox{born: time.Now(), memory: memory, wake: make(chan struct{}, 1), room: make(chan struct{}, 1), written: written}
}

// put writes a frame or queues it. It reports false, and leaves f with the
// caller, when the outbox is closed.
func (o *outbox) put(f outFrame) bool {
	o.mu.Lock()
	if o.mu.closed {
		o.mu.Unlock()
		return false
	}
	o.mu.bytes += len(f.b)
	w := o.mu.stream
	if w == nil || o.mu.writing || len(o.mu.frames) > 0 || len(f.b) > inlineMost {
		o.mu.frames = append(o.mu.frames, f)
		o.mu.Unlock()
		signal(o.wake)
		return true
	}
	o.mu.writing = true
	o.mu.Unlock()
	o.writeNow(w, f)
	return true
}

// writeNow writes a frame for whoever puts it. What does not go within
// inlineTime is left to the outbox's own goroutine.
func (o *outbox) writeNow(w deadlineWriter, f outFrame) {
	if now := time.Now(); o.until.Before(now.Add(inlineTime / 2)) {
		o.until = now.Add(inlineTime)
		_ = w.SetWriteDeadline(o.until)
	}
	n, err := w.Write(f.b)
	o.moved.Add(int64(n))
	o.mu.Lock()
	o.mu.writing = false
	f.left = len(f.b) - n
	later := err != nil && isTimeout(err) && f.left > 0 && !o.mu.broken
	if later {
		o.mu.frames = slices.Insert(o.mu.frames, 0, f)
	} else if err != nil && !isTimeout(err) {
		o.mu.err = err
	}
	wake := o.mu.err != nil || len(o.mu.frames) > 0 || o.mu.closed
	o.mu.Unlock()
	if wake {
		signal(o.wake)
	}
	if !later {
		o.leave([]outFrame{f})
	}
}

func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}

// drop takes the frames of call id out again, if they still wait, and reports
// whether there was one.
func (o *outbox) drop(id uint64) bool {
	o.mu.Lock()
	var dropped []outFrame
	kept := o.mu.frames[:0]
	for _, f := range o.mu.frames {
		if f.id == id && f.left == 0 {
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
	o.mu.Lock()
	o.mu.stream, _ = w.(deadlineWriter)
	o.mu.Unlock()
	for {
		var open bool
		var err error
		taken, open, err = o.take(taken[:0])
		if err != nil {
			o.fail()
			return err
		}
		if len(taken) == 0 {
			if !open {
				return nil
			}
			<-o.wake
			continue
		}
		b := taken[0].rest()
		if len(taken) > 1 {
			joined = joined[:0]
			for _, f := range taken {
				joined = append(joined, f.rest()...)
			}
			b = joined
		}
		if s, ok := w.(deadlineWriter); ok && !o.until.IsZero() { // writeNow has set one
			o.until = time.Time{}
			_ = s.SetWriteDeadline(o.until)
		}
		err = o.write(w, b)
		o.mu.Lock()
		o.mu.writing = false
		o.mu.Unlock()
		o.leave(taken)
		if err != nil {
			o.fail()
			return err
		}
	}
}

// take moves the frames for the next write to dst: one, or as many as fit. It
// takes none while somebody else writes. open says whether more may come, err
// why nothing can be written any more.
func (o *outbox) take(dst []outFrame) (taken []outFrame, open bool, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.mu.writing || o.mu.err != nil {
		return dst, true, o.mu.err
	}
	n, size := 0, 0
	for n < len(o.mu.frames) {
		size += len(o.mu.frames[n].rest())
		if n > 0 && size > outboxWrite {
			break
		}
		n++
	}
	dst = append(dst, o.mu.frames[:n]...)
	rest := copy(o.mu.frames, o.mu.frames[n:])
	clear(o.mu.frames[rest:])
	o.mu.frames = o.mu.frames[:rest]
	o.mu.writing = len(dst) > 0
	return dst, !o.mu.closed, nil
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
