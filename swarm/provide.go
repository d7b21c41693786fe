package swarm

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ipfs/go-cid"
	dht "github.com/libp2p/go-libp2p-kad-dht"
)

// provider keeps this node's records in the hash table: at once in its own
// part, which answers whoever asks this node, then with the nodes closest to
// each key, and again before the records expire.
type provider struct {
	dht  *dht.IpfsDHT
	keys []cid.Cid
	log  *slog.Logger

	grown chan struct{} // room for one: the routing table got a new peer
	round func()        // called after each round; for tests
}

const (
	// settle is how long the routing table may still grow before records go
	// out again because it grew.
	settle = 2 * time.Second
	// provideSpacing is the pause between two records. On one machine a record
	// takes half a millisecond of two cores, which are needed for better things
	// while a node with thousands of experts starts; hello and gossip have told
	// of them already.
	provideSpacing = 2 * time.Millisecond
	// provideAround is the number of nodes that a look-up reaches whatever the
	// key is (Kademlia's k). In a smaller swarm records do not move.
	provideAround = 20
	// provideRetry is the pause after a round in which nothing was taken.
	provideRetry = 15 * time.Second
)

// run publishes until ctx ends.
func (p *provider) run(ctx context.Context) {
	if len(p.keys) == 0 {
		return
	}
	for _, k := range p.keys {
		if err := p.dht.Provide(ctx, k, false); err != nil {
			p.log.Warn("a provider record cannot be kept", "key", k, "err", err)
		}
	}
	for {
		// Without peers there is nobody to give records to.
		size := p.dht.RoutingTable().Size()
		if size == 0 {
			if !p.wait(ctx, reprovideEvery) {
				return
			}
			continue
		}
		rest := provideRetry
		if p.publish(ctx) {
			// A tenth of jitter keeps nodes that started together apart.
			rest = reprovideEvery - time.Duration(rand.Float64()*0.1*float64(reprovideEvery))
		}
		if p.round != nil {
			p.round()
		}
		if !p.untilGrown(ctx, rest, size) {
			return
		}
	}
}

// publish gives every record to the nodes closest to its key. It reports
// whether any of them was taken.
func (p *provider) publish(ctx context.Context) bool {
	keys := make(chan cid.Cid)
	var taken atomic.Int64
	var workers sync.WaitGroup
	for range min(provideWorkers, len(p.keys)) {
		workers.Go(func() {
			for k := range keys {
				ctx, cancel := context.WithTimeout(ctx, provideTimeout)
				if err := p.dht.Provide(ctx, k, true); err != nil {
					p.log.Debug("a provider record was not published", "key", k, "err", err)
				} else {
					taken.Add(1)
				}
				cancel()
			}
		})
	}
	// In random order, so that rounds cut short do not neglect the same ones.
	spacing := time.NewTicker(provideSpacing)
	defer spacing.Stop()
	for _, i := range rand.Perm(len(p.keys)) {
		select {
		case keys <- p.keys[i]:
			<-spacing.C
		case <-ctx.Done():
		}
	}
	close(keys)
	workers.Wait()
	p.log.Debug("provider records published", "taken", taken.Load(), "of", len(p.keys))
	return taken.Load() > 0
}

// untilGrown waits for d, or until the routing table has twice the size it
// had when the records went out: the nodes closest to a key are then others.
func (p *provider) untilGrown(ctx context.Context, d time.Duration, size int) bool {
	deadline := time.Now().Add(d)
	for {
		if !p.wait(ctx, time.Until(deadline)) {
			return false
		}
		if !time.Now().Before(deadline) {
			return true
		}
		if now := p.dht.RoutingTable().Size(); now > provideAround && now >= 2*size {
			return pause(ctx, settle, nil)
		}
	}
}

func (p *provider) wait(ctx context.Context, d time.Duration) bool {
	return pause(ctx, d, p.grown)
}
