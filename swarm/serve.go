package swarm

import (
	"context"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/routing"
)

// server answers the expert calls of other peers. A goroutine a stream reads
// frames, and workers compute and write their replies; what a peer does not
// take at once is written by another goroutine of its stream, so that nobody
// waits for a peer that another peer's frames depend on.
type server struct {
	// Constant after construction.
	host   host.Host
	cfg    serverConfig
	intake *intake
	counts counts

	memory     buffers
	jobs       sync.Pool // *job
	signer     signer
	challenged *meters[routing.Peer]
	serving    sync.WaitGroup

	mu struct {
		sync.Mutex
		work    context.Context // of the work on frames; nil: not running
		streams map[*serveStream]struct{}
	}
}

func newServer(h host.Host, cfg serverConfig) *server {
	s := &server{host: h, cfg: cfg.withDefaults(), challenged: newMeters[routing.Peer](challengePace)}
	s.intake = newIntake(s.cfg)
	s.signer = signer{wake: make(chan struct{}, 1), open: map[*signing]struct{}{}}
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
	var signer sync.WaitGroup
	signs, stopSigner := context.WithCancel(context.WithoutCancel(ctx))
	defer stopSigner()
	if s.cfg.Signer != nil {
		signer.Go(func() { s.runSigner(signs) })
	}
	s.host.SetStreamHandler(expertsProtocol, s.handle)
	s.watch(ctx.Done())

	for _, j := range s.intake.close() {
		s.refuse(j, expert.ErrOverloaded, "this node is stopping")
	}
	over, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.cfg.Grace)
	defer cancel()
	s.watch(s.intake.idle, over.Done())
	stopWork()
	workers.Wait()
	stopSigner()
	signer.Wait()
	s.signAll(true)
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
