package swarm

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"

	"github.com/moeswarm/moeswarm/gating/prompt"
	"github.com/moeswarm/moeswarm/routing"
)

// Why an answer is broken off.
var (
	errAskerGone = errors.New("who asked is gone")
	errStopping  = fmt.Errorf("%w: this node is stopping", prompt.ErrLost)
)

// promptServerConfig says who answers. The zero value of every field but
// Completer is usable.
type promptServerConfig struct {
	Completer      prompt.Completer
	Log            *slog.Logger // nil: discards
	Paused         func() bool  // no new answers now; nil: never
	Total, PerPeer int          // prompts answered at once
	Times          promptTimes
	Toll           Toll // nil: nothing is paid
}

// promptServer answers the prompts of other peers, one stream each.
type promptServer struct {
	// Constant after construction.
	host host.Host
	cfg  promptServerConfig
	idle chan struct{} // closed once no answers are taken and none is running

	answers sync.WaitGroup

	mu struct {
		sync.Mutex
		work    context.Context // of the answers; nil: not running
		closed  bool            // no new answers
		running int
		peers   map[routing.Peer]int // → answers running
	}
}

func newPromptServer(h host.Host, cfg promptServerConfig) *promptServer {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Paused == nil {
		cfg.Paused = func() bool { return false }
	}
	if cfg.Total <= 0 {
		cfg.Total = promptTotal
	}
	if cfg.PerPeer <= 0 {
		cfg.PerPeer = min(promptPeer, cfg.Total)
	}
	cfg.Times = cfg.Times.withDefaults()
	p := &promptServer{host: h, cfg: cfg, idle: make(chan struct{})}
	p.mu.peers = make(map[routing.Peer]int)
	return p
}

// run serves until ctx ends. Then running answers may go on for a grace, and
// those that are not done are handed over: their askers are told to replay
// elsewhere. It returns when every goroutine has ended. Run it once.
func (p *promptServer) run(ctx context.Context) error {
	work, stop := context.WithCancelCause(context.WithoutCancel(ctx))
	defer stop(nil)
	p.mu.Lock()
	p.mu.work = work
	p.mu.Unlock()
	p.host.SetStreamHandler(promptProtocol, p.handle)

	<-ctx.Done()
	p.mu.Lock()
	p.mu.closed = true
	p.idleLocked()
	p.mu.Unlock()
	grace := time.NewTimer(p.cfg.Times.Grace)
	defer grace.Stop()
	select {
	case <-p.idle:
	case <-grace.C:
	}
	stop(errStopping)
	p.host.RemoveStreamHandler(promptProtocol)
	p.mu.Lock()
	p.mu.work = nil // a handler that libp2p starts only now finds this
	p.mu.Unlock()
	p.answers.Wait()
	return nil
}

func (p *promptServer) idleLocked() {
	if p.mu.closed && p.mu.running == 0 {
		select {
		case <-p.idle:
		default:
			close(p.idle)
		}
	}
}

// handle serves one stream; libp2p calls it in a goroutine of its own.
func (p *promptServer) handle(s network.Stream) {
	peer := routingPeer(s.Conn().RemotePeer())
	p.mu.Lock()
	work := p.mu.work
	if work == nil {
		p.mu.Unlock()
		_ = s.Reset()
		return
	}
	p.answers.Add(1)
	err := p.enterLocked(peer)
	p.mu.Unlock()
	defer p.answers.Done()

	a := newAnswer(s, p.cfg.Times, p.cfg.Toll)
	if err != nil {
		a.end(err) // the prompt itself is not read
		_ = s.Close()
		return
	}
	err = a.run(work, p.cfg.Completer)
	p.leave(peer)
	defer a.farewell()
	p.cfg.Log.Debug("answer ended", "peer", peer, "tokens", a.tokens, "why", err)
}

// enterLocked admits an answer for peer, or says why it does not.
func (p *promptServer) enterLocked(peer routing.Peer) error {
	switch {
	case p.mu.closed:
		return errStopping
	case p.cfg.Paused():
		return fmt.Errorf("%w: this node is paused by its owner", prompt.ErrBusy)
	case p.mu.running >= p.cfg.Total || p.mu.peers[peer] >= p.cfg.PerPeer:
		return fmt.Errorf("%w: %d answers are running, %d for you", prompt.ErrBusy, p.mu.running, p.mu.peers[peer])
	}
	p.mu.running++
	p.mu.peers[peer]++
	return nil
}

func (p *promptServer) leave(peer routing.Peer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mu.running--
	if p.mu.peers[peer]--; p.mu.peers[peer] == 0 {
		delete(p.mu.peers, peer)
	}
	p.idleLocked()
}

// Running is how many answers are being given to peers now.
func (p *promptServer) Running() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mu.running
}
