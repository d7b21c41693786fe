package swarm

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/ipfs/go-cid"
	dht "github.com/libp2p/go-libp2p-kad-dht"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/moeswarm/moeswarm/expert"
)

// Numbers of providers asked for. A look-up ends early once it has them.
const (
	wantHolders = 20 // of one expert: several times what a call needs
	wantGates   = 16 // of one model
	wantServers = 64 // of one model, any part of it
	wantAnybody = 16 // that serves anything; they know the rest
)

// finder asks the hash table who serves what.
type finder struct {
	dht *dht.IpfsDHT
	log *slog.Logger
	now func() time.Time
	key func(expert.ID) cid.Cid
	// found is told of each holder of an expert that turns up, met of every
	// peer that turns up in any look-up.
	found func(peer.ID, expert.ID)
	met   func(peer.ID)
	// lookedUp is called when a look-up of an expert is over; for tests.
	lookedUp func(expert.ID)

	grown  chan struct{} // room for one: the routing table got a new peer
	rooted chan struct{} // closed when it got its first
	queue  chan expert.ID

	mu struct {
		sync.Mutex
		asked map[expert.ID]time.Time // looked up at, or waiting to be
	}
}

func newFinder(d *dht.IpfsDHT, log *slog.Logger, now func() time.Time, key func(expert.ID) cid.Cid) *finder {
	f := &finder{dht: d, log: log, now: now, key: key,
		grown: make(chan struct{}, 1), rooted: make(chan struct{}), queue: make(chan expert.ID, maxLookups)}
	f.mu.asked = make(map[expert.ID]time.Time)
	return f
}

// lookUp queues look-ups of experts that were not asked for just now. It
// does not block; what finds no room is left out.
func (f *finder) lookUp(ids []expert.ID) {
	now := f.now()
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.mu.asked) > 4*maxLookups {
		for id, at := range f.mu.asked {
			if now.Sub(at) >= lookupAgain {
				delete(f.mu.asked, id)
			}
		}
	}
	for _, id := range ids {
		if at, ok := f.mu.asked[id]; ok && now.Sub(at) < lookupAgain {
			continue
		}
		select {
		case f.queue <- id:
			f.mu.asked[id] = now
		default:
			return
		}
	}
}

// run works off the queue until ctx ends.
func (f *finder) run(ctx context.Context) {
	var workers sync.WaitGroup
	for range lookupWorkers {
		workers.Go(func() {
			for {
				select {
				case <-ctx.Done():
					return
				case id := <-f.queue:
					f.holders(ctx, id)
				}
			}
		})
	}
	workers.Wait()
}

func (f *finder) holders(ctx context.Context, id expert.ID) {
	n := f.providers(ctx, f.key(id), wantHolders, func(p peer.ID) { f.found(p, id) })
	f.log.Debug("looked for holders", "expert", id, "found", n)
	if f.lookedUp != nil {
		f.lookedUp(id)
	}
}

// providers looks for up to want providers of a key, tells each of them to
// take and to met, and returns how many there were, this node left out.
func (f *finder) providers(ctx context.Context, key cid.Cid, want int, take func(peer.ID)) (n int) {
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	f.takeRoot(ctx)
	for info := range f.dht.FindProvidersAsync(ctx, key, want) {
		if info.ID == f.dht.PeerID() {
			continue
		}
		n++
		take(info.ID)
		f.met(info.ID)
	}
	return n
}

// takeRoot waits for a first peer to ask. Connections come a moment before
// it is known that the peer keeps a part of the hash table.
func (f *finder) takeRoot(ctx context.Context) {
	if len(f.dht.Host().Network().Peers()) == 0 {
		return
	}
	t := time.NewTimer(rootWait)
	defer t.Stop()
	select {
	case <-f.rooted:
	case <-t.C:
	case <-ctx.Done():
	}
}

// discover looks for peers that serve something: as soon as there is a hash
// table to ask, soon again while the swarm forms, and then seldom, so that
// parts of a swarm that lost sight of each other meet again.
func (f *finder) discover(ctx context.Context, models func() []expert.ModelID) {
	const soonest, latest = 2 * time.Second, 5 * time.Minute
	rest := soonest
	for {
		if f.dht.RoutingTable().Size() == 0 {
			if !pause(ctx, latest, f.grown) {
				return
			}
			rest = soonest
			continue
		}
		f.providers(ctx, servesKey(), wantAnybody, func(peer.ID) {})
		for _, m := range models() {
			f.providers(ctx, manifestKey(m), wantServers, func(peer.ID) {})
		}
		if !pause(ctx, rest, nil) {
			return
		}
		rest = min(2*rest, latest)
	}
}
