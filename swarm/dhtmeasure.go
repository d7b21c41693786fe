package swarm

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ipfs/go-cid"
	dht "github.com/libp2p/go-libp2p-kad-dht"
	kbucket "github.com/libp2p/go-libp2p-kbucket"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	mocknet "github.com/libp2p/go-libp2p/p2p/net/mock"
	"github.com/multiformats/go-multiaddr"

	"github.com/moeswarm/moeswarm/expert"
)

// DHTTrial says how to measure the hash table. Its hosts are real, with the
// real Kademlia and this package's record store, in one process; what carries
// their streams is libp2p's network in memory, which has no handshakes.
type DHTTrial struct {
	Peers   int // that keep parts of the table
	Holders int // of them, those that publish
	Experts int // each published by one holder
	Asked   int // experts looked up
	Workers int // stores or look-ups under way at a time
	// Latency delays each message, both ways; 0: none.
	Latency time.Duration
	// Dead is the share of peers that answer nothing. They are in others'
	// routing tables when the trial begins, and stay in those of peers that do
	// not ask them. Who asks one for the first time waits for DeadTime; after
	// that it fails at once, as dials do while libp2p remembers the failure.
	Dead     float64
	DeadTime time.Duration // default 5 s, a QUIC handshake that nobody answers
	Seed uint64
	Say  func(format string, args ...any) // progress; may be nil
}

// DHTTimes are how long stores and look-ups took, each, and how many failed:
// stores that no peer took, look-ups that did not find the holder.
type DHTTimes struct {
	Store, Get             []time.Duration
	StoreFailed, GetFailed int
	// StoreWall and GetWall are from the first to the last.
	StoreWall, GetWall time.Duration
	// Records is how many provider records a live peer keeps, on average.
	Records float64
}

// MeasureDHT runs a trial. It ends everything it started.
func MeasureDHT(ctx context.Context, t DHTTrial) (DHTTimes, error) {
	if t.Say == nil {
		t.Say = func(string, ...any) {}
	}
	if t.DeadTime == 0 {
		t.DeadTime = 5 * time.Second
	}
	if t.Holders < 1 || t.Holders > t.Peers || t.Workers < 1 || t.Dead < 0 || t.Dead >= 1 {
		return DHTTimes{}, errors.New("hash table trial: want 1 to Peers holders, 1 or more workers, and some alive")
	}
	w := &dhtWorld{trial: t, random: rand.New(rand.NewPCG(t.Seed, 4))}
	ctx, end := context.WithCancel(ctx)
	defer func() {
		end()
		w.close()
	}()
	if err := w.build(ctx); err != nil {
		return DHTTimes{}, err
	}
	var out DHTTimes
	t.Say("storing %d experts of %d holders among %d peers", t.Experts, t.Holders, t.Peers)
	out.Store, out.StoreFailed, out.StoreWall = w.each(ctx, t.Experts, func(ctx context.Context, i int) bool {
		return w.alive[i%t.Holders].dht.Provide(ctx, w.key(i), true) == nil
	})
	for _, p := range w.alive {
		p.records.mu.Lock()
		out.Records += float64(p.records.mu.count) / float64(len(w.alive))
		p.records.mu.Unlock()
	}
	t.Say("looking up %d of them", t.Asked)
	chosen := w.random.Perm(t.Experts)[:min(t.Asked, t.Experts)]
	out.Get, out.GetFailed, out.GetWall = w.each(ctx, len(chosen), func(ctx context.Context, i int) bool {
		// Whoever asks is not the holder, and has a life of its own.
		asker := w.alive[(chosen[i]+1+i%max(1, t.Holders-1))%t.Holders]
		holder := w.alive[chosen[i]%t.Holders].dht.PeerID()
		ctx, stop := context.WithCancel(ctx)
		defer stop()
		for found := range asker.dht.FindProvidersAsync(ctx, w.key(chosen[i]), wantHolders) {
			if found.ID == holder {
				return true
			}
		}
		return false
	})
	return out, ctx.Err()
}

// kadProtocol is what the hash table speaks under dhtPrefix.
const kadProtocol = dhtPrefix + "/kad/1.0.0"

// dhtWorld is the peers of a trial.
type dhtWorld struct {
	trial  DHTTrial
	random *rand.Rand
	net    mocknet.Mocknet
	alive  []dhtPeer
	dead   []host.Host
}

type dhtPeer struct {
	host    host.Host
	dht     *dht.IpfsDHT
	records *recordStore
}

func (w *dhtWorld) key(i int) cid.Cid {
	return expertKey(expert.ID{Model: expert.ModelID{1}, Layer: uint16(i / 128), Index: uint16(i % 128)})
}

// build makes the peers and gives each the routing table that it would have
// after some time: up to twenty peers of each bucket.
func (w *dhtWorld) build(ctx context.Context) error {
	w.net = mocknet.New()
	w.net.SetLinkDefaults(mocknet.LinkOptions{Latency: w.trial.Latency})
	dead := int(w.trial.Dead * float64(w.trial.Peers))
	for i := range w.trial.Peers {
		h, err := w.host(i)
		if err != nil {
			return err
		}
		if i >= w.trial.Peers-dead {
			w.dead = append(w.dead, h)
			continue
		}
		p := dhtPeer{host: h, records: newRecordStore(h.ID(), h.Peerstore(), time.Now)}
		// As newDHT does, but a server from the start, since nobody tests
		// here whether it can be reached, and without checks of the table,
		// which would look at every peer in it first.
		p.dht, err = dht.New(ctx, h, dht.ProtocolPrefix(dhtPrefix), dht.Mode(dht.ModeServer), dht.DisableValues(),
			dht.ProviderStore(p.records), dht.DisableAutoRefresh())
		if err != nil {
			return fmt.Errorf("hash table trial: %w", err)
		}
		w.alive = append(w.alive, p)
	}
	for _, h := range w.dead {
		w.bury(ctx, h)
	}
	w.trial.Say("%d hosts, %d of them dead", w.trial.Peers, dead)
	if err := w.net.LinkAll(); err != nil {
		return err
	}
	return w.acquaint(ctx)
}

// bury makes a host answer nothing.
func (w *dhtWorld) bury(ctx context.Context, h host.Host) {
	var asked sync.Map // by peer.ID
	h.SetStreamHandler(kadProtocol, func(s network.Stream) {
		if _, again := asked.LoadOrStore(s.Conn().RemotePeer(), true); again {
			_ = s.Reset()
			return
		}
		t := time.AfterFunc(w.trial.DeadTime, func() { _ = s.Reset() })
		context.AfterFunc(ctx, func() {
			t.Stop()
			_ = s.Reset()
		})
	})
}

func (w *dhtWorld) host(i int) (host.Host, error) {
	var seed [ed25519.SeedSize]byte
	binary.LittleEndian.PutUint64(seed[:], w.trial.Seed)
	binary.LittleEndian.PutUint64(seed[8:], uint64(i))
	key, err := crypto.UnmarshalEd25519PrivateKey(ed25519.NewKeyFromSeed(seed[:]))
	if err != nil {
		return nil, err
	}
	at, err := multiaddr.NewMultiaddr(fmt.Sprintf("/ip4/10.%d.%d.%d/tcp/4160", i>>16, i>>8&255, i&255))
	if err != nil {
		return nil, err
	}
	return w.net.AddPeer(key, at)
}

// acquaint fills the routing tables and address books.
func (w *dhtWorld) acquaint(ctx context.Context) error {
	hosts := slices.Clone(w.dead)
	for _, p := range w.alive {
		hosts = append(hosts, p.host)
	}
	kad := make([]kbucket.ID, len(hosts))
	for i, h := range hosts {
		kad[i] = kbucket.ConvertPeerID(h.ID())
	}
	for n, p := range w.alive {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		self := len(w.dead) + n
		buckets := map[int]int{}
		for _, i := range w.random.Perm(len(hosts)) {
			cpl := kbucket.CommonPrefixLen(kad[self], kad[i])
			if i == self || buckets[cpl] >= provideAround {
				continue
			}
			buckets[cpl]++
			p.host.Peerstore().AddAddrs(hosts[i].ID(), hosts[i].Addrs(), time.Hour)
			if err := p.host.Peerstore().AddProtocols(hosts[i].ID(), kadProtocol); err != nil {
				return err
			}
			if _, err := p.dht.RoutingTable().TryAddPeer(hosts[i].ID(), true, false); err != nil {
				continue // the bucket is full after all: the table splits its last one late
			}
		}
	}
	return nil
}

// each does f(0) to f(n-1), some at a time, and tells how long each took.
func (w *dhtWorld) each(ctx context.Context, n int, f func(context.Context, int) bool) (took []time.Duration, failed int, wall time.Duration) {
	took = make([]time.Duration, n)
	var next, bad atomic.Int64
	var workers sync.WaitGroup
	began := time.Now()
	for range w.trial.Workers {
		workers.Go(func() {
			for i := int(next.Add(1)) - 1; i < n && ctx.Err() == nil; i = int(next.Add(1)) - 1 {
				ctx, cancel := context.WithTimeout(ctx, provideTimeout)
				from := time.Now()
				if !f(ctx, i) {
					bad.Add(1)
				}
				took[i] = time.Since(from)
				cancel()
			}
		})
	}
	workers.Wait()
	slices.SortFunc(took, cmp.Compare[time.Duration])
	return took, int(bad.Load()), time.Since(began)
}

func (w *dhtWorld) close() {
	var all sync.WaitGroup
	for _, p := range w.alive {
		all.Go(func() { _ = p.dht.Close() })
	}
	all.Wait()
	if w.net != nil {
		_ = w.net.Close()
	}
}
