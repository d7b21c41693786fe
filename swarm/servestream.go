package swarm

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/network"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/routing"
	"github.com/moeswarm/moeswarm/swarm/wire"
)

// serveStream is the holder's end of a stream of expert calls.
type serveStream struct {
	// Constant after construction.
	server *server
	stream network.Stream
	peer   routing.Peer
	out    *outbox
	born   time.Time

	// Atomic.
	due  atomic.Int64 // when the frame being read must be here, since born; 0: none
	came atomic.Int64 // when the last frame came or was done with, since born

	signing atomic.Pointer[signing] // nil: answers are not signed

	mu struct {
		sync.Mutex
		jobs map[uint64]*job // waiting or worked on, by call id
	}
}

func newServeStream(s *server, ns network.Stream, peer routing.Peer) *serveStream {
	st := &serveStream{server: s, stream: ns, peer: peer, born: time.Now()}
	st.out = newOutbox(&s.memory, func(f outFrame) {
		if f.cost > 0 {
			s.intake.release(peer, 0, f.cost)
		}
	})
	st.mu.jobs = make(map[uint64]*job)
	return st
}

// run serves the stream until it ends, and says why. It returns when nothing
// works for the stream any more, but for workers that were told to stop.
func (st *serveStream) run(work context.Context) error {
	var writer sync.WaitGroup
	writer.Go(func() {
		if st.out.run(st.stream) == nil {
			_ = st.stream.Close() // the server stops
		} else {
			_ = st.stream.Reset()
		}
	})
	err := st.readAll(work)
	_ = st.stream.Reset()
	st.out.fail()
	st.cancelAll()
	writer.Wait()
	return err
}

// readAll takes frames until the stream ends or the peer breaks the protocol.
func (st *serveStream) readAll(work context.Context) error {
	r := wire.NewReader(st.stream)
	for {
		st.out.below(serveBacklog)
		h, err := r.Next()
		st.came.Store(int64(time.Since(st.born)))
		if errors.Is(err, wire.ErrKind) {
			st.say(wire.Refusal{Code: wire.CodeBadCall, Expert: wire.NoExpert, Detail: "unknown frame kind"}, h.ID)
			continue
		}
		if err != nil {
			return err
		}
		st.due.Store(int64(time.Since(st.born) + frameTime(h.Len)))
		switch h.Kind {
		case wire.KindCall, wire.KindChallenge:
			err = st.takeCall(work, r, h)
		case wire.KindCancel:
			st.cancel(h.ID)
		case wire.KindPing:
			err = st.pong(r, h)
		case wire.KindReceipt:
			err = st.acknowledged(r)
		case wire.KindSession:
			st.takeSession()
		default:
			err = fmt.Errorf("%w: %v has no place here", wire.ErrFormat, h.Kind)
		}
		if err != nil {
			return err
		}
		st.due.Store(0)
	}
}

// takeCall reads a call and queues it, or refuses it. An error ends the
// stream.
func (st *serveStream) takeCall(work context.Context, r *wire.Reader, h wire.Header) error {
	s := st.server
	if s.cfg.Paused() {
		st.turnAway(h.ID, errPaused)
		return nil // Next skips the body
	}
	if s.cfg.Debts != nil {
		if err := s.cfg.Debts.Admit(st.peer); err != nil {
			st.turnAway(h.ID, err)
			return nil // Next skips the body
		}
	}
	if err := s.intake.admit(st.peer, 1, int64(h.Len)); err != nil {
		st.turnAway(h.ID, err)
		return nil // Next skips the body
	}
	j := s.newJob(st, h, work)
	body, err := r.Body(j.body)
	if err != nil {
		s.drop(j)
		return err // the stream is broken
	}
	j.came = time.Now()
	j.body = body
	if err = j.parse(); err != nil {
		s.drop(j)
		st.turnAway(h.ID, err)
		return nil
	}
	st.mu.Lock()
	_, twice := st.mu.jobs[j.id]
	if !twice {
		st.mu.jobs[j.id] = j
	}
	st.mu.Unlock()
	if twice {
		s.drop(j)
		return fmt.Errorf("%w: call id %d is in use", wire.ErrFormat, h.ID)
	}
	if !s.intake.push(j) {
		s.refuse(j, expert.ErrOverloaded, "this node is stopping")
	}
	return nil
}

// turnAway refuses a call that was not queued.
func (st *serveStream) turnAway(id uint64, err error) {
	st.server.counts.add(st.peer, Served{Refused: 1})
	refusal := wire.Refusal{Code: wire.ExpertCode(err), Expert: wire.NoExpert, Detail: err.Error()}
	_, refusal.Wait = st.server.intake.load()
	var missing *missingExpert
	if errors.As(err, &missing) {
		refusal.Expert = missing.id.Index
	}
	st.say(refusal, id)
}

func (st *serveStream) say(r wire.Refusal, id uint64) {
	st.out.put(outFrame{b: wire.AppendRefusal(st.server.memory.get(), id, r), id: id})
}

// pong answers a ping at once: it does not wait behind calls.
func (st *serveStream) pong(r *wire.Reader, h wire.Header) error {
	q := st.server.intake
	cost := int64(wire.HeaderLen + wire.PongSize(h.Len))
	if err := q.admit(st.peer, 0, cost); err != nil {
		st.turnAway(h.ID, err)
		return nil
	}
	payload, err := r.Body(st.server.memory.get())
	if err != nil {
		q.release(st.peer, 0, cost)
		return err
	}
	waiting, wait := q.load()
	b := wire.AppendPong(st.server.memory.get(), h.ID, wire.Pong{Waiting: waiting, Queued: wait, Payload: payload})
	st.server.memory.put(payload)
	if !st.out.put(outFrame{b: b, id: h.ID, cost: cost}) {
		q.release(st.peer, 0, cost)
	}
	return nil
}

// takeSession begins to sign answers, unless that has begun.
func (st *serveStream) takeSession() {
	if st.server.cfg.Signer != nil && st.signing.Load() == nil {
		st.signing.Store(newSigning(st))
	}
}

// cancel stops the work on a call, wherever it is.
func (st *serveStream) cancel(id uint64) {
	st.mu.Lock() // with it held, a job in the table is no other's yet
	j := st.mu.jobs[id]
	waited := j != nil && st.server.intake.remove(j)
	if j != nil && !waited {
		j.end.cancel() // who works on it drops it
	}
	st.mu.Unlock()
	switch {
	case j == nil:
		st.out.drop(id) // done, perhaps not yet sent
	case waited:
		st.server.counts.add(st.peer, Served{Cancelled: 1})
		st.server.drop(j)
	}
}

func (st *serveStream) cancelAll() {
	st.mu.Lock()
	ids := make([]uint64, 0, len(st.mu.jobs))
	for id := range st.mu.jobs {
		ids = append(ids, id)
	}
	st.mu.Unlock()
	for _, id := range ids {
		st.cancel(id)
	}
}

// tick ends the stream when a frame takes too long, or nothing has come for
// too long.
func (st *serveStream) tick(idle time.Duration) {
	now := time.Since(st.born)
	due := time.Duration(st.due.Load())
	st.mu.Lock()
	busy := len(st.mu.jobs) > 0
	st.mu.Unlock()
	if due != 0 && now > due || st.out.late() || !busy && now-time.Duration(st.came.Load()) > idle {
		_ = st.stream.Reset()
	}
}
