package swarm

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/routing"
	"github.com/moeswarm/moeswarm/swarm/wire"
)

// expertsProtocol carries call, reply, refusal, cancel, ping and pong frames.
const expertsProtocol protocol.ID = "/moeswarm/experts/1"

// caller carries expert calls to other peers: one long-lived stream a peer,
// opened on demand and again after a failure, with many calls in flight whose
// answers come in any order. It is a [routing.Caller] and [routing.Prober].
type caller struct {
	// Constant after construction.
	host host.Host
	log  *slog.Logger
	cfg  callerConfig

	memory  buffers       // of frames that go out
	bodies  buffers       // of answers
	codes   sync.Pool     // *rowCodes
	started chan struct{} // closed when run begins
	loops   sync.WaitGroup

	mu struct {
		sync.Mutex
		ctx   context.Context // of run; nil: run has ended or not begun
		links map[routing.Peer]*link
	}
}

func newCaller(h host.Host, log *slog.Logger, cfg callerConfig) *caller {
	c := &caller{host: h, log: log, cfg: cfg.withDefaults(), started: make(chan struct{})}
	c.mu.links = make(map[routing.Peer]*link)
	return c
}

// run owns the streams and their goroutines until ctx ends. Calls that come
// before it wait for it. Run it once.
func (c *caller) run(ctx context.Context) error {
	c.mu.Lock()
	c.mu.ctx = ctx
	c.mu.Unlock()
	close(c.started)
	tick := time.NewTicker(c.cfg.Tick)
	defer tick.Stop()
	var leaving []*link
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-tick.C:
			for _, l := range c.all() {
				l.tick(c.cfg)
			}
			leaving = c.moveToDirect(leaving)
		}
	}
	c.mu.Lock()
	c.mu.ctx = nil // no more links
	c.mu.Unlock()
	c.loops.Wait()
	return nil
}

// moveToDirect lets the next calls to peers that are reached by a relay open new
// streams where a direct connection has come about since, such as through a hole
// that was punched. The links that they leave, with those left before, end when
// the last answer has come; it returns those that have not.
func (c *caller) moveToDirect(leaving []*link) (left []*link) {
	for _, l := range c.all() {
		if l.detours() {
			c.log.Debug("calls take the direct connection from now on", "peer", l.to)
			c.unlink(l)
			leaving = append(leaving, l)
		}
	}
	for _, l := range leaving {
		if l.retire() {
			_ = (*l.stream.Load()).Reset()
			continue
		}
		l.tick(c.cfg)
		left = append(left, l)
	}
	return left
}

func (c *caller) all() []*link {
	c.mu.Lock()
	defer c.mu.Unlock()
	links := make([]*link, 0, len(c.mu.links))
	for _, l := range c.mu.links {
		links = append(links, l)
	}
	return links
}

// link returns the link to a peer, a new one if there is none.
func (c *caller) link(ctx context.Context, to routing.Peer) (*link, error) {
	select {
	case <-c.started:
	case <-ctx.Done():
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if l := c.mu.links[to]; l != nil {
		return l, nil
	}
	if c.mu.ctx == nil {
		return nil, fmt.Errorf("%w: this node is stopping", expert.ErrUnreachable)
	}
	id, err := peerID(to)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", expert.ErrUnreachable, err)
	}
	l := newLink(c.host, to, id, &c.memory)
	l.bodies = &c.bodies
	if c.cfg.Listener != nil {
		l.listening = newListening(c.cfg.Listener(to))
		l.out.put(outFrame{b: wire.AppendSession(c.memory.get())})
	}
	c.mu.links[to] = l
	running := c.mu.ctx
	c.loops.Go(func() {
		err := l.run(running, c.cfg.DialTimeout)
		c.unlink(l)
		l.fail(err)
		c.log.Debug("expert stream ended", "peer", to, "why", err)
	})
	return l, nil
}

// unlink forgets l, so that the next call opens a new stream.
func (c *caller) unlink(l *link) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.mu.links[l.to] == l {
		delete(c.mu.links, l.to)
	}
}

// send gives the frame b to the link to a peer and waits for what w awaits. A
// link that was already dead is replaced: nothing of b has left this node.
func (c *caller) send(ctx context.Context, l *link, w *awaited, b []byte) (arrival, error) {
	for try := 1; ; try++ {
		err := l.begin(w, c.cfg.InFlight)
		if err == nil {
			wire.SetID(b, w.id)
			return l.exchange(ctx, w, b)
		}
		if !errors.Is(err, errDead) || try == callTries {
			return arrival{}, err
		}
		c.unlink(l)
		if l, err = c.link(ctx, l.to); err != nil {
			return arrival{}, err
		}
	}
}

// Call sends an ask and waits for the answer; see [routing.Caller]. An ask too
// large for one frame goes out in several.
func (c *caller) Call(ctx context.Context, to routing.Peer, a routing.Ask) (routing.Answer, error) {
	parts := splitAsk(a)
	if len(parts) == 1 {
		return c.callOnce(ctx, to, a)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	answers := make([]routing.Answer, len(parts))
	room := make(chan struct{}, callParts)
	var wg sync.WaitGroup
	for i, part := range parts {
		room <- struct{}{}
		wg.Go(func() {
			defer func() { <-room }()
			var err error
			if answers[i], err = c.callOnce(ctx, to, part); err != nil {
				cancel(err) // the others are of no use alone
			}
		})
	}
	wg.Wait()
	if err := context.Cause(ctx); err != nil {
		return routing.Answer{}, err
	}
	return joinAnswers(a, answers), nil
}

// callOnce sends an ask in one frame.
func (c *caller) callOnce(ctx context.Context, to routing.Peer, a routing.Ask) (routing.Answer, error) {
	l, err := c.link(ctx, to)
	if err != nil {
		return routing.Answer{}, err
	}
	b, s, err := c.encode(to, a)
	if err != nil {
		return routing.Answer{}, err
	}
	w := &awaited{done: make(chan arrival, 1)}
	s.prepare(w, c.cfg)
	got, err := c.send(ctx, l, w, b)
	return s.answer(got, err)
}

// Start begins a call; see [routing.Starter]. One whose answer is short, to a peer
// that there is a link to, takes no goroutine: the frame is written, and done is
// called by who reads the stream. Long answers are read side by side.
func (c *caller) Start(ctx context.Context, to routing.Peer, a routing.Ask, done func(func() (routing.Answer, error))) (stop func(error)) {
	c.mu.Lock()
	l := c.mu.links[to]
	c.mu.Unlock()
	if l == nil || !smallAsk(a) {
		return routing.StartWaiting(ctx, c, to, a, done)
	}
	b, s, err := c.encode(to, a)
	if err != nil {
		done(func() (routing.Answer, error) { return routing.Answer{}, err })
		return func(error) {}
	}
	w := &started{sentAsk: s, link: l, done: done}
	w.then = w
	s.prepare(&w.awaited, c.cfg)
	if err := l.begin(&w.awaited, c.cfg.InFlight); err != nil { // another link, or none
		c.memory.put(b)
		return routing.StartWaiting(ctx, c, to, a, done)
	}
	wire.SetID(b, w.id)
	l.out.put(outFrame{b: b, id: w.id}) // if it is closed, fail follows
	return w.stop
}

// started is a call that nobody waits for.
type started struct {
	awaited
	sentAsk
	link *link
	done func(read func() (routing.Answer, error))
	got  arrival
}

// take implements taker.
func (w *started) take(got arrival) {
	w.got = got
	w.done(w.read)
}

func (w *started) stop(why error) {
	w.link.withdraw(&w.awaited)
	w.finish(arrival{err: why})
}

func (w *started) read() (routing.Answer, error) { return w.answer(w.got, w.got.err) }

// sentAsk is an ask that is on its way.
type sentAsk struct {
	to     routing.Peer
	ask    routing.Ask
	bodies *buffers // takes the answer's memory back
	rows   int      // of the answer
	bytes  int      // of the frame
	coded  bool     // its rows went out as codes
}

// prepare says what is awaited.
func (s *sentAsk) prepare(w *awaited, cfg callerConfig) {
	w.kind, w.size = wire.KindReply, wire.ReplySize(s.rows, s.ask.In.Dim)
	if cfg.Half && !s.ask.Sum {
		w.or = wire.HalfReplySize(s.rows, s.ask.In.Dim)
	}
	if cfg.Listener != nil && !s.ask.Sum {
		id := s.ask.Calls[0].Expert
		w.heard = Heard{Model: id.Model, Layer: id.Layer, Rows: s.rows}
	}
}

// answer reads what came for it, or says why nothing did. Its memory may serve for
// another when nobody needs it.
func (s *sentAsk) answer(got arrival, err error) (answer routing.Answer, _ error) {
	if err == nil {
		answer, err = toAnswer(s.ask, s.rows, got.body)
	}
	if err != nil {
		return routing.Answer{}, fmt.Errorf("call to %s: %w", s.to, err)
	}
	bodies, body := s.bodies, got.body
	answer.Done = func() { bodies.put(body) }
	answer.BytesOut, answer.BytesIn = s.bytes, wire.HeaderLen+len(got.body)
	if got.word != nil {
		answer.Signed = []routing.Signed{{Calls: len(s.ask.Calls), Codes: s.coded, Word: got.word}}
	}
	return answer, nil
}

// encode makes the frame of an ask.
func (c *caller) encode(to routing.Peer, a routing.Ask) (frame []byte, s sentAsk, err error) {
	s = sentAsk{to: to, ask: a, bodies: &c.bodies}
	call := wire.Call{In: a.In, Calls: a.Calls, Sum: a.Sum, Half: c.cfg.Half && !a.Sum}
	if c.cfg.Coder != nil {
		var codes *rowCodes
		if a.Once != nil {
			codes = a.Once.Do(func(old any) any { return c.code(a, old) }).(*rowCodes)
		} else {
			codes = c.code(a, c.codes.Get())
			defer c.codes.Put(codes)
		}
		if s.coded = codes.are; s.coded {
			call.Codes = codes.Codes
		}
	}
	if frame, err = wire.AppendCall(c.memory.sized(call.MostBytes()), 0, call); err != nil {
		return nil, s, err
	}
	s.rows, s.bytes = outputRows(a), len(frame)
	return frame, s, nil
}

// rowCodes are a batch's rows as codes, where they are such.
type rowCodes struct {
	expert.Codes
	are bool
}

// code makes codes of an ask's batch, in the memory of others.
func (c *caller) code(a routing.Ask, old any) *rowCodes {
	r, _ := old.(*rowCodes)
	if r == nil {
		r = new(rowCodes)
	}
	r.are = c.cfg.Coder.Encode(a.In, a.Calls, &r.Codes)
	return r
}

// Probe has payload bytes sent to a peer and back; see [routing.Prober].
func (c *caller) Probe(ctx context.Context, to routing.Peer, payload int) (routing.Load, error) {
	l, err := c.link(ctx, to)
	if err != nil {
		return routing.Load{}, err
	}
	payload = min(max(payload, 0), wire.MaxPing)
	w := &awaited{kind: wire.KindPong, size: wire.PongSize(payload), done: make(chan arrival, 1)}
	got, err := c.send(ctx, l, w, wire.AppendPing(c.memory.get(), 0, make([]byte, payload)))
	if err != nil {
		return routing.Load{}, fmt.Errorf("probe of %s: %w", to, err)
	}
	pong, err := wire.ParsePong(got.body)
	if err != nil {
		return routing.Load{}, fmt.Errorf("probe of %s: %w: %w", to, expert.ErrBadResult, err)
	}
	return routing.Load{Waiting: pong.Waiting, Queued: pong.Queued}, nil
}
