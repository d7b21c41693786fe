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
	Peers    int // that keep parts of the table
	Holders  int // of them, those that publish and ask
	Experts  int // each published by one holder
	Measured int // stores, and look-ups, that are timed in each phase
	// Latency delays each message, both ways, from the second phase on.
	Latency time.Duration
	// Dead is the share of peers that answer nothing from the third phase on.
	// They are still in others' routing tables. Who asks one for the first
	// time waits for DeadTime; after that it fails at once, as dials do while
	// libp2p remembers the failure.
	Dead     float64
	DeadTime time.Duration // default 5 s, a QUIC handshake that nobody answers
	Seed     uint64
	Say      func(format string, args ...any) // progress; may be nil
}

// DHTTimes are how long stores and look-ups of one phase took, each, and how
// many failed: stores that no peer took, look-ups that did not find the holder.
type DHTTimes struct {
	Store, Get             []time.Duration
	StoreFailed, GetFailed int
}

// DHTResult is what a trial measured.
type DHTResult struct {
	Ideal, Latency, Dead DHTTimes
	FilledPerS           float64 // stores a second with all processors
	Records              float64 // that a peer keeps, on average, once all are stored
}

// What runs at a time: while the table is filled, as many as keep two
// processors busy; where latency is measured without any in the network, one,
// because it is the processors' own; else enough that it ends in minutes.
const (
	dhtFillWorkers    = 4
	dhtWaitingWorkers = 16
)

// MeasureDHT runs a trial in three phases: without latency, with it, and with
// dead peers too. It ends everything it started.
func MeasureDHT(ctx context.Context, t DHTTrial) (out DHTResult, err error) {
	if t.Say == nil {
		t.Say = func(string, ...any) {}
	}
	if t.DeadTime == 0 {
		t.DeadTime = 5 * time.Second
	}
	if t.Holders < 2 || t.Holders > t.Peers || t.Measured > t.Experts || !(t.Dead >= 0 && t.Dead*float64(t.Peers) <= float64(t.Peers-t.Holders)) {
		return out, errors.New("hash table trial: want 2 to Peers holders, no more measured than there are experts, and no dead among the holders")
	}
	w := &dhtWorld{trial: t, random: rand.New(rand.NewPCG(t.Seed, 4))}
	ctx, end := context.WithCancel(ctx)
	defer func() {
		end()
		w.close()
	}()
	if err := w.build(ctx); err != nil {
		return out, err
	}
	t.Say("%d holders store %d experts among %d peers", t.Holders, t.Experts, t.Peers)
	began := time.Now()
	if _, failed := w.each(ctx, dhtFillWorkers, w.all(), w.store); failed > 0 {
		return out, fmt.Errorf("hash table trial: %d of %d stores failed", failed, t.Experts)
	}
	out.FilledPerS = float64(t.Experts) / time.Since(began).Seconds()
	for _, p := range w.peers {
		p.records.mu.Lock()
		out.Records += float64(p.records.mu.count) / float64(len(w.peers))
		p.records.mu.Unlock()
	}
	t.Say("%d stores and look-ups", t.Measured)
	out.Ideal = w.measure(ctx, 1)
	t.Say("the same with %v each way", t.Latency)
	for _, h := range w.net.Links() {
		for _, links := range h {
			for l := range links {
				l.SetOptions(mocknet.LinkOptions{Latency: t.Latency})
			}
		}
	}
	out.Latency = w.measure(ctx, dhtWaitingWorkers)
	t.Say("the same with %.0f %% of the peers dead", 100*t.Dead)
	for _, p := range w.peers[t.Peers-int(t.Dead*float64(t.Peers)):] {
		w.bury(ctx, p)
	}
	out.Dead = w.measure(ctx, dhtWaitingWorkers)
	return out, ctx.Err()
}

// measure times stores and look-ups of some experts, drawn anew.
func (w *dhtWorld) measure(ctx context.Context, workers int) (out DHTTimes) {
	drawn := w.random.Perm(w.trial.Experts)[:w.trial.Measured]
	out.Store, out.StoreFailed = w.each(ctx, workers, drawn, w.store)
	out.Get, out.GetFailed = w.each(ctx, workers, drawn, w.get)
	w.trial.Say("a store takes %v, a look-up %v on average", mean(out.Store), mean(out.Get))
	return out
}

func mean(all []time.Duration) (sum time.Duration) {
	for _, d := range all {
		sum += d
	}
	return (sum / time.Duration(max(1, len(all)))).Round(10 * time.Microsecond)
}

func (w *dhtWorld) all() []int {
	all := make([]int, w.trial.Experts)
	for i := range all {
		all[i] = i
	}
	return all
}

// store publishes an expert, at its holder.
func (w *dhtWorld) store(ctx context.Context, i int) bool {
	return w.peers[i%w.trial.Holders].dht.Provide(ctx, w.key(i), true) == nil
}

// get looks for the holder of an expert, at another.
func (w *dhtWorld) get(ctx context.Context, i int) bool {
	asker := w.peers[(i+1+i/w.trial.Holders%(w.trial.Holders-1))%w.trial.Holders]
	holder := w.peers[i%w.trial.Holders].dht.PeerID()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	for found := range asker.dht.FindProvidersAsync(ctx, w.key(i), wantHolders) {
		if found.ID == holder {
			return true
		}
	}
	return false
}

// kadProtocol is what the hash table speaks under dhtPrefix.
const kadProtocol = dhtPrefix + "/kad/1.0.0"

// dhtWorld is the peers of a trial.
type dhtWorld struct {
	trial  DHTTrial
	random *rand.Rand
	net    mocknet.Mocknet
	peers  []dhtPeer // the holders first
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
	for i := range w.trial.Peers {
		h, err := w.host(i)
		if err != nil {
			return err
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
		w.peers = append(w.peers, p)
	}
	w.trial.Say("%d hosts", w.trial.Peers)
	if err := w.net.LinkAll(); err != nil {
		return err
	}
	return w.acquaint(ctx)
}

// bury makes a host answer nothing.
func (w *dhtWorld) bury(ctx context.Context, p dhtPeer) {
	_ = p.dht.Close()
	for _, peer := range p.host.Network().Peers() { // streams that are open would be answered
		_ = p.host.Network().ClosePeer(peer)
	}
	var asked sync.Map // by peer.ID
	p.host.SetStreamHandler(kadProtocol, func(s network.Stream) {
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
	hosts := make([]host.Host, len(w.peers))
	kad := make([]kbucket.ID, len(w.peers))
	for i, p := range w.peers {
		hosts[i], kad[i] = p.host, kbucket.ConvertPeerID(p.host.ID())
	}
	for self, p := range w.peers {
		if ctx.Err() != nil {
			return ctx.Err()
		}
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

// each does f for each of experts, some at a time, and tells how long each
// took, in ascending order, and how many failed.
func (w *dhtWorld) each(ctx context.Context, workers int, experts []int, f func(context.Context, int) bool) (took []time.Duration, failed int) {
	took = make([]time.Duration, len(experts))
	var next, bad atomic.Int64
	var all sync.WaitGroup
	for range workers {
		all.Go(func() {
			for i := int(next.Add(1)) - 1; i < len(experts) && ctx.Err() == nil; i = int(next.Add(1)) - 1 {
				ctx, cancel := context.WithTimeout(ctx, provideTimeout)
				from := time.Now()
				if !f(ctx, experts[i]) {
					bad.Add(1)
				}
				took[i] = time.Since(from)
				cancel()
			}
		})
	}
	all.Wait()
	slices.SortFunc(took, cmp.Compare[time.Duration])
	return took, int(bad.Load())
}

func (w *dhtWorld) close() {
	var all sync.WaitGroup
	for _, p := range w.peers {
		all.Go(func() { _ = p.dht.Close() })
	}
	all.Wait()
	if w.net != nil {
		_ = w.net.Close()
	}
}
