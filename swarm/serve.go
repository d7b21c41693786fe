package swarm

import (
	"context"
	"log/slog"
	"runtime"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/routing"
	"github.com/moeswarm/moeswarm/swarm/wire"
)

const (
	// serveFrames bounds the frames that wait or are worked on: at 1 ms each
	// a second of work, past which another holder is quicker.
	serveFrames = 1024
	// servePeerFrames bounds those of one peer, so that four peers at the
	// least share a full queue.
	servePeerFrames = serveFrames / 4
	// serveBytes bounds the memory of frames: calls that came in until they
	// are worked on, and replies until they are on their way.
	serveBytes = 16 * wire.MaxFrame
	// servePeerBytes bounds that of one peer. The longest frame and its reply
	// must fit, and the next one while they are worked on.
	servePeerBytes = 4 * wire.MaxFrame
	// serveStreams bounds the streams of one peer. An asker needs one, and
	// another while the system has not noticed that the first is dead.
	serveStreams = 4
	// serveBacklog is how many frames may wait to be written to a peer before
	// nothing more is read from it. Replies are charged as memory; this holds
	// for a peer that causes refusals and does not read them.
	serveBacklog = 2048
	// serveIdle closes a stream on which nothing came for so long.
	serveIdle = 10 * time.Minute
	// serveGrace bounds the time for the frames being worked on when the
	// server is told to stop. They take milliseconds; the rest is writing.
	serveGrace = 3 * time.Second
	// serveTick is how often the streams are looked after.
	serveTick = time.Second
)

// serverConfig says what a server serves. The zero value of every field but
// Apply is usable.
type serverConfig struct {
	Apply expert.Applier       // an expert.Summer too, if it can
	Holds func(expert.ID) bool // refuses at once what Apply would; nil: Apply says
	Sign  func([]byte) []byte  // with the node's key; nil: challenges are not answered
	Log   *slog.Logger         // nil: discards

	Workers            int // frames worked on at once; 0: one a thread
	Frames, PeerFrames int
	Bytes, PeerBytes   int64
	Grace, Idle, Tick  time.Duration
}

func (c serverConfig) withDefaults() serverConfig {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Workers <= 0 {
		c.Workers = runtime.GOMAXPROCS(0)
	}
	if c.Frames <= 0 {
		c.Frames = serveFrames
	}
	if c.PeerFrames <= 0 {
		c.PeerFrames = min(servePeerFrames, c.Frames)
	}
	if c.Bytes <= 0 {
		c.Bytes = serveBytes
	}
	if c.PeerBytes <= 0 {
		c.PeerBytes = min(servePeerBytes, c.Bytes)
	}
	if c.Grace <= 0 {
		c.Grace = serveGrace
	}
	if c.Idle <= 0 {
		c.Idle = serveIdle
	}
	if c.Tick <= 0 {
		c.Tick = serveTick
	}
	return c
}

// server answers the expert calls of other peers. A goroutine a stream reads
// frames, workers compute, another goroutine a stream writes; none of them
// waits for a peer that another peer's frames depend on.
type server struct {
	// Constant after construction.
	host   host.Host
	cfg    serverConfig
	intake *intake
	counts counts

	challenged *meters[routing.Peer]

	bodies  sync.Pool // of *[]byte: memory for frames
	serving sync.WaitGroup

	mu struct {
		sync.Mutex
		work    context.Context // of the work on frames; nil: not running
		streams map[*serveStream]struct{}
	}
}

func newServer(h host.Host, cfg serverConfig) *server {
	s := &server{host: h, cfg: cfg.withDefaults(), challenged: newMeters[routing.Peer](challengePace)}
	s.intake = newIntake(s.cfg)
	s.mu.streams = make(map[*serveStream]struct{})
	return s
}

// run serves until ctx ends. Then it refuses what waits and what still comes,
// lets the frames being worked on be answered, for a grace, and returns when
// every goroutine has ended. Run it once.
func (s *server) run(ctx context.Context) error {
	work, stopWork := context.WithCancel(context.WithoutCancel(ctx))
	defer stopWork()
	s.mu.Lock()
	s.mu.work = work
	s.mu.Unlock()
	var workers sync.WaitGroup
	for range s.cfg.Workers {
		workers.Go(s.work)
	}
	s.host.SetStreamHandler(expertsProtocol, s.handle)
	s.watch(ctx.Done())

	for _, j := range s.intake.close() {
		s.refuse(j, expert.ErrOverloaded, "this node is stopping")
	}
	over, cancel := context.WithTimeout(work, s.cfg.Grace)
	defer cancel()
	s.watch(s.intake.idle, over.Done())
	stopWork()
	workers.Wait()
	s.host.RemoveStreamHandler(expertsProtocol)
	s.closeStreams(over)
	return nil
}

// watch looks after the streams until one of the channels is closed.
func (s *server) watch(until ...<-chan struct{}) {
	until = append(until, nil) // at least two
	tick := time.NewTicker(s.cfg.Tick)
	defer tick.Stop()
	for {
		select {
		case <-until[0]:
			return
		case <-until[1]:
			return
		case <-tick.C:
			for _, st := range s.all() {
				st.tick(s.cfg.Idle)
			}
		}
	}
}

// closeStreams has the last replies written, until over ends, and waits for
// the streams' goroutines.
func (s *server) closeStreams(over context.Context) {
	s.mu.Lock()
	s.mu.work = nil // no more streams
	s.mu.Unlock()
	for _, st := range s.all() {
		st.out.close()
		defer context.AfterFunc(over, func() { _ = st.stream.Reset() })()
	}
	s.serving.Wait()
}

func (s *server) all() []*serveStream {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]*serveStream, 0, len(s.mu.streams))
	for st := range s.mu.streams {
		all = append(all, st)
	}
	return all
}

// handle serves one stream; libp2p calls it in a goroutine of its own.
func (s *server) handle(ns network.Stream) {
	peer := routingPeer(ns.Conn().RemotePeer())
	s.mu.Lock()
	work := s.mu.work
	if work == nil || !s.intake.join(peer) {
		s.mu.Unlock()
		_ = ns.ResetWithError(network.StreamResourceLimitExceeded)
		return
	}
	st := newServeStream(s, ns, peer)
	s.mu.streams[st] = struct{}{}
	s.serving.Add(1)
	s.mu.Unlock()
	defer s.serving.Done()

	err := st.run(work)
	s.mu.Lock()
	delete(s.mu.streams, st)
	s.mu.Unlock()
	s.intake.part(peer)
	s.cfg.Log.Debug("served stream ended", "peer", peer, "why", err)
}

// Load is what waits here now, for announcements.
func (s *server) Load() routing.Load {
	waiting, wait := s.intake.load()
	return routing.Load{Waiting: waiting, Queued: wait}
}

// Served counts what was done for each peer so far; see [Served].
func (s *server) Served() map[routing.Peer]Served { return s.counts.snapshot() }
