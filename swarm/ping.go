package swarm

import (
	"context"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/protocol/ping"
)

// rttWeight is how much a new round trip counts against what was measured
// before: after three of them, a minute, a change of place shows.
const rttWeight = 0.3

// pinger measures round trips with libp2p's small pings, to order gating
// nodes by. Routing measures expert calls by itself. (The peerstore's own
// average is of no use here: the hash table's requests go into it too, work
// at the other end included.)
type pinger struct {
	host host.Host
	// serving lists the connected peers that serve something.
	serving func() []peer.ID
	// measured is called when a peer's first round trip is known.
	measured func()
	soon     chan struct{} // room for one: a new peer serves something

	mu    sync.Mutex
	trips map[peer.ID]time.Duration // smoothed round trip; never 0
}

func newPinger(h host.Host) *pinger {
	return &pinger{host: h, soon: make(chan struct{}, 1), trips: make(map[peer.ID]time.Duration)}
}

// rtt is what was measured; 0 if nothing was.
func (p *pinger) rtt(id peer.ID) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.trips[id]
}

// record takes in a round trip and reports whether it is the peer's first.
func (p *pinger) record(id peer.ID, d time.Duration) (first bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	d = max(d, 1)
	old := p.trips[id]
	if old == 0 {
		p.trips[id] = d
		return true
	}
	p.trips[id] = max(1, old+time.Duration(rttWeight*float64(d-old)))
	return false
}

// keep forgets all peers but these.
func (p *pinger) keep(ids []peer.ID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	kept := make(map[peer.ID]time.Duration, len(ids))
	for _, id := range ids {
		if d := p.trips[id]; d != 0 {
			kept[id] = d
		}
	}
	p.trips = kept
}

// kick asks for new peers to be measured soon.
func (p *pinger) kick() { signal(p.soon) }

// run measures, new peers at once and all in turn, until ctx ends.
func (p *pinger) run(ctx context.Context) {
	next := time.Now()
	for pause(ctx, time.Until(next), p.soon) {
		ids := p.serving()
		all := !time.Now().Before(next)
		if all {
			next = time.Now().Add(pingEvery)
			p.keep(ids)
		}
		slots := make(chan struct{}, maxPings)
		var running sync.WaitGroup
		for _, id := range ids {
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
	ctx, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	r, ok := <-ping.Ping(ctx, p.host, id)
	if !ok || r.Error != nil {
		return false
	}
	if p.record(id, r.RTT) {
		p.measured()
	}
	return true
}
