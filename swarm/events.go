package swarm

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/host/eventbus"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/swarm/wire"
)

// eventBuffer holds connections that come and go at once; libp2p waits when
// it is full.
const eventBuffer = 256

// recordSweepEvery is how often expired provider records are dropped. They
// are not given out meanwhile, so it bounds memory alone.
const recordSweepEvery = time.Minute

// events takes the host's events until stop.
type events struct {
	sub  event.Subscription
	done sync.WaitGroup
}

func (n *Node) startEvents(l *live) (*events, error) {
	sub, err := l.host.EventBus().Subscribe([]any{
		new(event.EvtPeerConnectednessChanged),
		new(event.EvtPeerIdentificationCompleted),
		new(event.EvtLocalReachabilityChanged),
		new(event.EvtHostReachableAddrsChanged),
	}, eventbus.BufSize(eventBuffer))
	if err != nil {
		return nil, fmt.Errorf("swarm: the host's events: %w", err)
	}
	e := &events{sub: sub}
	e.done.Go(func() {
		for ev := range sub.Out() {
			switch ev := ev.(type) {
			case event.EvtPeerConnectednessChanged:
				n.connectedness(l, ev.Peer, ev.Connectedness)
			case event.EvtPeerIdentificationCompleted:
				n.identified(l, ev.Peer, ev.Protocols)
			case event.EvtLocalReachabilityChanged:
				l.reach.state.set(ev.Reachability)
			case event.EvtHostReachableAddrsChanged:
				l.reach.state.setAddrs(ev)
				if err := l.reach.offerRelay(l.host, len(ev.Reachable) > 0); err != nil {
					n.log.Warn("relaying for others", "err", err)
				}
			}
		}
	})
	return e, nil
}

func (e *events) stop() {
	if e != nil {
		_ = e.sub.Close() // closes Out
		e.done.Wait()
	}
}

// connectedness notes that a peer came or went. One that served something is
// dialled once more: it may be the connection that broke, not the peer.
func (n *Node) connectedness(l *live, id peer.ID, c network.Connectedness) {
	p := routingPeer(id)
	if c == network.Connected || c == network.Limited {
		l.dialer.welcome(id)
		_ = n.dir.write(func(t *holdings, _ time.Time) (bool, error) {
			t.connected(p)
			return true, nil
		})
		return
	}
	var served bool
	_ = n.dir.write(func(t *holdings, now time.Time) (bool, error) {
		served = t.disconnected(p, now) && len(t.peerView(p).Models) > 0
		return true, nil
	})
	if served {
		l.dialer.want(id)
	}
}

// identified says hello to a peer that just connected and speaks our
// protocols.
func (n *Node) identified(l *live, id peer.ID, protocols []protocol.ID) {
	if !slices.Contains(protocols, helloProtocol) {
		n.log.Debug("a peer is not of this program", "peer", id)
		return
	}
	l.work.run(func() {
		if err := l.greeter.greet(l.ctx, id, l.announcer.hello()); err != nil {
			n.log.Debug("hello", "err", err)
		}
	})
}

// connect joins the parts of the network to the node and to each other.
func (n *Node) connect(l *live) {
	heard := func(from peer.ID, a wire.Announcement) { n.heard(l, from, a) }
	l.gossip.heard, l.greeter.heard = heard, heard
	l.gossip.joined = l.announcer.kick
	l.greeter.helloed = func(from peer.ID) { n.hailed(l, from) }
	l.dialer.failed = func(p peer.ID) { n.unreachable(routingPeer(p)) }
	l.finder.found, l.finder.met = n.foundHolder, l.dialer.want
	l.finder.lookedUp = n.hooks.lookedUp
	l.pinger.serving = func() []peer.ID { return n.serving(l) }
	l.pinger.measured = func() {
		_ = n.dir.write(func(*holdings, time.Time) (bool, error) { return true, nil })
	}
}

// serving lists the connected peers that serve something.
func (n *Node) serving(l *live) (out []peer.ID) {
	for _, id := range l.host.Network().Peers() {
		n.dir.read(func(t *holdings) {
			if t.peers[routingPeer(id)] != nil {
				out = append(out, id)
			}
		})
	}
	return out
}

// hailed notes that a peer's hello was taken in.
func (n *Node) hailed(l *live, from peer.ID) {
	if slices.ContainsFunc(n.joinAt, func(p peer.AddrInfo) bool { return p.ID == from }) {
		l.hailOnce.Do(func() { close(l.hailed) })
	}
}

// becomeReady closes n.ready when the time has come.
func (n *Node) becomeReady(ctx context.Context, l *live) {
	if len(n.joinAt) > 0 {
		t := time.NewTimer(readyWait)
		defer t.Stop()
		select {
		case <-l.hailed:
		case <-t.C:
		case <-ctx.Done():
			return
		}
	}
	close(n.ready)
}

// expire keeps tables tidy until ctx ends.
func (n *Node) expire(ctx context.Context, l *live) {
	connected := func(p peer.ID) bool { return linked(l.host, p) }
	swept := n.now()
	for pause(ctx, expireEvery, nil) {
		_ = n.dir.write(func(t *holdings, now time.Time) (bool, error) { return t.expire(now), nil })
		l.gossip.filter.sweep(connected)
		if now := n.now(); now.Sub(swept) >= recordSweepEvery {
			l.records.sweep()
			swept = now
		}
	}
}

// sought lists the models whose holders this node wants to know: those it
// gates, and those it was asked about.
func (n *Node) sought() (out []expert.ModelID) {
	n.dir.read(func(t *holdings) {
		for m := range t.pinned {
			if o, ours := t.own[m]; !ours || o.Gates {
				out = append(out, m)
			}
		}
	})
	return out
}
