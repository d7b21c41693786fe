package swarm

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"time"
)

// gatedWriter lets each write through when a token comes, and keeps what was
// written.
type gatedWriter struct {
	began chan int // length of each write as it begins
	pass  chan error
	bytes.Buffer
}

func (w *gatedWriter) Write(p []byte) (int, error) {
	w.began <- len(p)
	if err := <-w.pass; err != nil {
		return 0, err
	}
	return w.Buffer.Write(p)
}

func newGatedWriter() *gatedWriter {
	return &gatedWriter{began: make(chan int), pass: make(chan error)}
}

// TestOutboxKeepsOrder: what many goroutines put comes out whole, each one's
// frames in order, and the accounts are settled.
func TestOutboxKeepsOrder(t *testing.T) {
	var left int64
	o := newOutbox(new(buffers), func(f outFrame) { left -= f.cost }) // called by run alone here
	var wg sync.WaitGroup
	for who := range 8 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(who), 1))
			for i := range 200 {
				f := append(o.memory.get(), fmt.Sprintf("%d %d %0*d\n", who, i, r.IntN(1<<(i%12)), 0)...)
				if !o.put(outFrame{b: f, id: uint64(i), cost: 1}) {
					t.Error("closed too early")
				}
			}
		})
	}
	go func() {
		wg.Wait()
		o.close()
	}()
	var out bytes.Buffer
	if err := o.run(&out); err != nil || left != -1600 || o.queued() != 0 || o.put(outFrame{}) {
		t.Fatalf("%v, %d settled, %d bytes queued", err, -left, o.queued())
	}
	next := make([]int, 8)
	for line := range bytes.Lines(out.Bytes()) {
		var who, i, zeros int
		if _, err := fmt.Sscanf(string(line), "%d %d %d\n", &who, &i, &zeros); err != nil || next[who] != i {
			t.Fatalf("%q after frame %d: %v", line, next[who]-1, err)
		}
		next[who]++
	}
}

// TestOutboxJoinsFrames: what waits together goes out together, up to the
// size of one write; a longer frame goes alone, in pieces.
func TestOutboxJoinsFrames(t *testing.T) {
	w := newGatedWriter()
	o := newOutbox(new(buffers), nil)
	put := func(sizes ...int) {
		for _, n := range sizes {
			o.put(outFrame{b: make([]byte, n)})
		}
	}
	ended := make(chan error, 1)
	put(1)
	go func() { ended <- o.run(w) }()
	<-w.began
	put(10, 20, outboxWrite-30, 5, 2*outboxWrite+7, 6)
	o.close()
	w.pass <- nil
	for _, want := range []int{outboxWrite, 5, outboxWrite, outboxWrite, 7, 6} {
		if n := <-w.began; n != want {
			t.Errorf("a write of %d bytes, want %d", n, want)
		}
		w.pass <- nil
	}
	if err := <-ended; err != nil || o.moved.Load() != int64(w.Len()) {
		t.Errorf("%v, %d of %d bytes counted", err, o.moved.Load(), w.Len())
	}
}

// TestOutboxDrop: a frame that waits can be taken back, one on its way cannot.
func TestOutboxDrop(t *testing.T) {
	w := newGatedWriter()
	o := newOutbox(new(buffers), nil)
	o.put(outFrame{b: []byte("a"), id: 1})
	ended := make(chan error, 1)
	go func() { ended <- o.run(w) }()
	<-w.began
	o.put(outFrame{b: []byte("b"), id: 2})
	o.put(outFrame{b: []byte("c"), id: 3})
	if o.drop(1) || !o.drop(2) || o.drop(2) {
		t.Error("dropped the wrong frames")
	}
	o.close()
	w.pass <- nil
	<-w.began
	w.pass <- nil
	if err := <-ended; err != nil || w.String() != "ac" {
		t.Errorf("%v, wrote %q", err, w.String())
	}
}

// TestOutboxFails: a broken stream ends the writer, drops what waits and lets
// go whoever waits for room.
func TestOutboxFails(t *testing.T) {
	w := newGatedWriter()
	settled := 0
	o := newOutbox(new(buffers), func(outFrame) { settled++ })
	ended, free := make(chan error, 1), make(chan struct{})
	for range 10 {
		o.put(outFrame{b: make([]byte, outboxWrite)})
	}
	go func() { ended <- o.run(w) }()
	<-w.began
	go func() {
		o.below(5)
		close(free)
	}()
	select {
	case <-free:
		t.Error("room for more among 9 frames that wait")
	default:
	}
	w.pass <- io.ErrClosedPipe
	if err := <-ended; !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("%v", err)
	}
	<-free
	if o.put(outFrame{}) || settled != 10 || o.queued() != 0 {
		t.Errorf("%d frames settled, %d bytes queued", settled, o.queued())
	}
}

func TestOutboxIsLate(t *testing.T) {
	w := newGatedWriter()
	o := newOutbox(new(buffers), nil)
	go func() { _ = o.run(w) }()
	o.put(outFrame{b: make([]byte, 1)})
	<-w.began
	if o.late() {
		t.Error("late at once")
	}
	o.born = o.born.Add(-frameTime(1)) // as if that time had passed
	if !o.late() {
		t.Error("not late after the time for a frame")
	}
	w.pass <- nil
	eventually(t, "the write to end", func() bool { return !o.late() })
	o.close()
}

// slowStream takes a few bytes and then lets the deadline pass, once.
type slowStream struct {
	bytes.Buffer
	takes    int // of the first write; then everything
	err      error
	deadline bool // is set
}

func (s *slowStream) SetWriteDeadline(t time.Time) error {
	s.deadline = !t.IsZero()
	return nil
}

func (s *slowStream) Write(p []byte) (int, error) {
	if s.err == nil {
		return s.Buffer.Write(p)
	}
	n, _ := s.Buffer.Write(p[:s.takes])
	err := s.err
	s.err = nil
	return n, err
}

// TestOutboxWritesInline: a frame that finds nothing before it is written
// before put returns. What the peer does not take in time is written by the
// outbox's own goroutine, in order and whole.
func TestOutboxWritesInline(t *testing.T) {
	s := &slowStream{}
	o := newOutbox(new(buffers), nil)
	o.mu.stream = s // as run does, which is not there yet
	o.put(outFrame{b: []byte("one "), id: 1})
	if s.String() != "one " || !s.deadline || o.queued() != 0 {
		t.Fatalf("wrote %q, %d bytes queued, with a deadline: %v", s.String(), o.queued(), s.deadline)
	}
	s.takes, s.err = 2, os.ErrDeadlineExceeded
	o.put(outFrame{b: []byte("two "), id: 2})
	o.put(outFrame{b: []byte("three"), id: 3})
	if o.drop(2) {
		t.Error("a frame was taken back of which a part has been sent")
	}
	o.close()
	if err := o.run(s); err != nil || s.String() != "one two three" || s.deadline || o.queued() != 0 {
		t.Errorf("%v, wrote %q, %d bytes queued, with a deadline: %v", err, s.String(), o.queued(), s.deadline)
	}
}

// TestOutboxFailsInline: the goroutine that runs the outbox learns that a
// write of another failed.
func TestOutboxFailsInline(t *testing.T) {
	s := &slowStream{err: io.ErrClosedPipe}
	settled := 0
	o := newOutbox(new(buffers), func(outFrame) { settled++ })
	o.mu.stream = s
	o.put(outFrame{b: []byte("one"), id: 1})
	o.put(outFrame{b: []byte("two"), id: 2})
	if err := o.run(s); !errors.Is(err, io.ErrClosedPipe) || settled != 2 || o.queued() != 0 || o.put(outFrame{}) {
		t.Errorf("%v, %d frames settled, %d bytes queued", err, settled, o.queued())
	}
}
