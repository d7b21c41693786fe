package swarm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/routing"
	"github.com/moeswarm/moeswarm/swarm/wire"
)

// errDead: the link had ended when the call came for it, before anything was
// sent. The call may take another link.
var errDead = fmt.Errorf("%w: the stream had ended", expert.ErrUnreachable)

// errIdle is why a link ends that nobody used for long.
var errIdle = errors.New("not used")

// link is the asker's end of the stream to one peer. Calls may begin before
// the stream is open; their frames wait in the outbox.
type link struct {
	// Constant after construction.
	host host.Host
	to   routing.Peer
	peer peer.ID // the same
	out  *outbox
	// bodies is memory for answers, which askers may give back; nil: there is none.
	bodies *buffers
	// listening is what is heard of the answers' signatures; nil: there are none.
	listening *listening

	// Atomic.
	read   atomic.Int64 // bytes read so far
	inBody atomic.Bool  // an answer has begun to arrive
	stream atomic.Pointer[network.Stream]

	watch linkWatch // touched by tick alone

	mu struct {
		sync.Mutex
		awaited map[uint64]*awaited // by call id
		lastID  uint64
		orphans int   // answers that may still come for calls that were cancelled
		err     error // why the link is dead; nil: it lives
	}
}

// awaited is what a call waits for.
type awaited struct {
	id   uint64
	kind wire.Kind
	size int          // of the only body that fits, or anySize
	or   int          // of another that would fit; 0: none
	done chan arrival // room for one; nil: then
	then taker        // told once
	over atomic.Bool  // then was told
	// heard is what a word about the answer will be compared with; of no rows: none is
	// wanted.
	heard Heard
}

// taker takes what came, without blocking.
type taker interface{ take(arrival) }

// finish hands over what came.
func (w *awaited) finish(got arrival) {
	if w.then == nil {
		w.done <- got
	} else if w.over.CompareAndSwap(false, true) {
		w.then.take(got)
	}
}

// anySize: whatever the kind's limit allows.
const anySize = -1

// arrival is the body that came, or why none will.
type arrival struct {
	body []byte
	word *routing.Word // what the peer will sign about it; nil: nothing
	err  error
}

func newLink(h host.Host, to routing.Peer, p peer.ID, memory *buffers) *link {
	l := &link{host: h, to: to, peer: p, out: newOutbox(memory, nil)}
	l.mu.awaited = make(map[uint64]*awaited)
	return l
}

// run opens the stream and serves the link until the stream or ctx ends. It
// returns why.
func (l *link) run(ctx context.Context, timeout time.Duration) error {
	s, err := l.open(ctx, timeout)
	if err != nil {
		return fmt.Errorf("cannot open a stream: %w", err)
	}
	l.stream.Store(&s)
	stop := context.AfterFunc(ctx, func() { _ = s.Reset() })
	defer stop()

	var writer sync.WaitGroup
	var writeErr error
	writer.Go(func() {
		if writeErr = l.out.run(s); writeErr != nil {
			_ = s.Reset() // ends the reading below
		}
	})
	listened := l.listening.start()
	err = l.readAll(s)
	_ = s.Reset() // ends the writing
	listened()
	l.out.fail()
	writer.Wait()
	return errors.Join(context.Cause(ctx), err, writeErr)
}

func (l *link) open(ctx context.Context, timeout time.Duration) (network.Stream, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	return openStream(ctx, l.host, l.peer, expertsProtocol)
}

// readAll hands out what arrives until the stream ends or the peer breaks the
// protocol.
func (l *link) readAll(s io.Reader) error {
	r := wire.NewReader(countingReader{s, &l.read})
	for {
		h, err := r.Next()
		if err != nil && !errors.Is(err, wire.ErrKind) {
			return err
		}
		if err == nil && h.Kind == wire.KindWord {
			if err := l.listening.take(r); err != nil {
				return err
			}
			continue
		}
		w, known := l.arrived(h)
		switch {
		case w != nil:
			if err := l.answer(r, h, w); err != nil {
				return err
			}
		case !known:
			return fmt.Errorf("%w: %v nobody asked for", wire.ErrFormat, h.Kind)
		} // else too late: Next skips it
	}
}

// answer reads the body that w awaits and hands it over. An error ends the
// stream.
func (l *link) answer(r *wire.Reader, h wire.Header, w *awaited) error {
	l.inBody.Store(true)
	defer l.inBody.Store(false)
	if h.Kind == wire.KindRefusal {
		body, err := r.Body(nil)
		w.finish(arrival{err: refused(body, err)})
		return err
	}
	if h.Kind != w.kind || w.size != anySize && h.Len != w.size && (w.or == 0 || h.Len != w.or) {
		err := fmt.Errorf("%w: %v of %d bytes, want %v of %d", expert.ErrBadResult, h.Kind, h.Len, w.kind, w.size)
		w.finish(arrival{err: err})
		return err
	}
	var room []byte // what has no known size grows as it arrives
	switch {
	case w.size == anySize:
	case l.bodies != nil:
		room = l.bodies.sized(h.Len)
	default:
		room = make([]byte, 0, h.Len)
	}
	body, err := r.Body(room)
	if err != nil {
		w.finish(arrival{err: fmt.Errorf("%w: %w", expert.ErrUnreachable, err)})
		return err
	}
	got := arrival{body: body}
	if w.heard.Rows > 0 {
		got.word = l.listening.expect(w.id, w.heard)
	}
	w.finish(got)
	return nil
}

// refused is the error that a refusal's body stands for.
func refused(body []byte, err error) error {
	if err != nil {
		return fmt.Errorf("%w: %w", expert.ErrUnreachable, err)
	}
	r, err := wire.ParseRefusal(body)
	if err != nil {
		return fmt.Errorf("%w: %w", expert.ErrBadResult, err)
	}
	return r.Err()
}

// arrived takes the call that h answers off the list. It returns nil, true
// for an answer to a call that was cancelled.
func (l *link) arrived(h wire.Header) (w *awaited, known bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if w = l.mu.awaited[h.ID]; w != nil {
		delete(l.mu.awaited, h.ID)
		return w, true
	}
	if l.mu.orphans > 0 {
		l.mu.orphans--
		return nil, true
	}
	return nil, false
}

// begin puts w on the list and gives it its id.
func (l *link) begin(w *awaited, most int) error {
	queued := l.out.queued()
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.mu.err != nil:
		return fmt.Errorf("%w: %w", errDead, l.mu.err)
	case len(l.mu.awaited) >= most || queued > callQueued:
		return fmt.Errorf("%w: %d calls in flight to %v, %d bytes waiting", expert.ErrOverloaded, len(l.mu.awaited), l.to, queued)
	}
	l.mu.lastID++
	w.id = l.mu.lastID
	l.mu.awaited[w.id] = w
	return nil
}

// exchange sends the frame b and waits for what is awaited. When ctx ends
// first, the frame is taken back, or the peer is told to stop, and exchange
// returns at once.
func (l *link) exchange(ctx context.Context, w *awaited, b []byte) (arrival, error) {
	l.out.put(outFrame{b: b, id: w.id}) // if it is closed, fail follows
	select {
	case got := <-w.done:
		return got, got.err
	case <-ctx.Done():
		l.withdraw(w)
		return arrival{}, context.Cause(ctx)
	}
}

// withdraw takes a call back, or tells the peer to stop.
func (l *link) withdraw(w *awaited) {
	unsent := l.out.drop(w.id)
	l.mu.Lock()
	_, due := l.mu.awaited[w.id]
	delete(l.mu.awaited, w.id)
	tell := due && !unsent
	if tell {
		l.mu.orphans++
	}
	l.mu.Unlock()
	if tell {
		l.out.put(outFrame{b: wire.AppendCancel(l.out.memory.get(), w.id), id: w.id})
	}
}

// fail ends the link: whoever waits learns it at once.
func (l *link) fail(err error) {
	l.mu.Lock()
	if l.mu.err == nil {
		l.mu.err = err
	}
	waiting := l.mu.awaited
	l.mu.awaited = make(map[uint64]*awaited)
	l.mu.Unlock()
	for _, w := range waiting {
		w.finish(arrival{err: fmt.Errorf("%w: %w", expert.ErrUnreachable, err)})
	}
}

// countingReader counts what is read through it.
type countingReader struct {
	io.Reader
	n *atomic.Int64
}

func (r countingReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	r.n.Add(int64(n))
	return n, err
}
