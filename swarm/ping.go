package swarm

import (
	"context"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/protocol/ping"
)

// pinger measures round trips with libp2p's small pings. The result, an
// average that forgets, is kept in the host's peerstore. It serves to order
// gating nodes; routing measures expert calls by itself.
type pinger struct {
	host host.Host
	// serving lists the connected peers that serve something.
	serving func() []peer.ID
	// measured is called when a peer's first round trip is known.
	measured func()
	soon     chan struct{} // room for one: a new peer serves something
}

// rtt is what was measured; 0 if nothing was.
func (p *pinger) rtt(id peer.ID) time.Duration { return p.host.Peerstore().LatencyEWMA(id) }

// kick asks for new peers to be measured soon.
func (p *pinger) kick() { signal(p.soon) }

// run measures, new peers at once and all in turn, until ctx ends.
func (p *pinger) run(ctx context.Context) {
	next := time.Now()
	for pause(ctx, time.Until(next), p.soon) {
		all := !time.Now().Before(next)
		if all {
			next = time.Now().Add(pingEvery)
		}
		slots := make(chan struct{}, maxPings)
		var running sync.WaitGroup
		for _, id := range p.serving() {
			if !all && p.rtt(id) > 0 {
				continue
			}
			slots <- struct{}{}
			running.Go(func() {
				defer func() { <-slots }()
				p.measure(ctx, id)
			})
		}
		running.Wait()
	}
}

// measure pings a peer once and reports whether it answered.
func (p *pinger) measure(ctx context.Context, id peer.ID) bool {
	first := p.rtt(id) == 0
	ctx, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	r, ok := <-ping.Ping(ctx, p.host, id)
	answered := ok && r.Error == nil
	if answered && first {
		p.measured()
	}
	return answered
}
