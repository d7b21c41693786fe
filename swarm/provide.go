package swarm

import (
	"context"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
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
	keys func() ([]cid.Cid, error) // what is to be found, now
	log  *slog.Logger

	grown   chan struct{} // room for one: the routing table got a new peer
	changed chan struct{} // room for one: keys has changed
	round   func()        // called after each round; for tests

	own map[cid.Cid]bool // keys that are in our own part of the table
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
	p.own = make(map[cid.Cid]bool)
	p.fresh(ctx)
	for {
		// Without peers there is nobody to give records to.
		size := p.dht.RoutingTable().Size()
		if size == 0 || len(p.own) == 0 {
			if !p.wait(ctx, reprovideEvery) {
				return
			}
			continue
		}
		rest := provideRetry
		if p.publish(ctx, slices.Collect(maps.Keys(p.own))) {
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

// fresh puts keys that are new into our own part of the table, drops those
// that are no longer to be found, and returns the new ones. Nothing withdraws
// records that others keep; they expire.
func (p *provider) fresh(ctx context.Context) (added []cid.Cid) {
	keys, err := p.keys()
	if err != nil { // offers are checked before they are taken
		p.log.Error("an offer has no keys", "err", err)
		return nil
	}
	now := make(map[cid.Cid]bool, len(keys))
	for _, k := range keys {
		if now[k] = true; p.own[k] {
			continue
		}
		added = append(added, k)
		if err := p.dht.Provide(ctx, k, false); err != nil {
			p.log.Warn("a provider record cannot be kept", "key", k, "err", err)
		}
	}
	p.own = now
	return added
}

// publish gives records to the nodes closest to their keys. It reports
// whether any of them was taken.
func (p *provider) publish(ctx context.Context, records []cid.Cid) bool {
	keys := make(chan cid.Cid)
	var taken atomic.Int64
	var workers sync.WaitGroup
	for range min(provideWorkers, len(records)) {
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
	for _, i := range rand.Perm(len(records)) {
		select {
		case keys <- records[i]:
			<-spacing.C
		case <-ctx.Done():
		}
	}
	close(keys)
	workers.Wait()
	p.log.Debug("provider records published", "taken", taken.Load(), "of", len(records))
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

// wait waits for d or until the routing table grows, and reports whether ctx
// still lives. Records that become due meanwhile go out.
func (p *provider) wait(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			return ctx.Err() == nil
		case <-p.grown:
			return ctx.Err() == nil
		case <-ctx.Done():
			return false
		case <-p.changed:
			// A node that fetches experts changes often: one batch a while.
			if !pause(ctx, settle, nil) {
				return false
			}
			first := len(p.own) == 0
			added := p.fresh(ctx)
			switch {
			case first && len(p.own) > 0:
				return true // the rounds begin
			case len(added) > 0 && p.dht.RoutingTable().Size() > 0:
				p.publish(ctx, added)
			}
		}
	}
}
