package swarm

import (
	"context"
	"fmt"
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/x/simlibp2p"
	"github.com/marcopolo/simnet"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/expert/experttest"
	"github.com/moeswarm/moeswarm/internal/simswarm"
	"github.com/moeswarm/moeswarm/routing"
)

// simNet is real QUIC between real nodes over links of package simswarm, in
// virtual time: it works inside a synctest bubble only.
type simNet struct {
	net   *simnet.Simnet
	mu    sync.Mutex
	links map[string]simswarm.Link // by the address of one end; the gate has none
	paths map[string]*simswarm.Path
	count int
}

// simBandwidth is what simnet needs: it has no links without limit.
const simBandwidth = 1000 * simlibp2p.OneMbps

func newSimNet() *simNet {
	s := &simNet{links: map[string]simswarm.Link{}, paths: map[string]*simswarm.Path{}}
	s.net = &simnet.Simnet{LatencyFunc: s.latency}
	s.net.Start()
	return s
}

// latency draws a packet's delay from its pair's path. Losses and bandwidth
// are QUIC's own business here.
func (s *simNet) latency(p *simnet.Packet) time.Duration {
	from, to := host4(p.From), host4(p.To)
	s.mu.Lock()
	defer s.mu.Unlock()
	link, direction, key := s.links[to], simswarm.Out, from+" "+to
	if l, ok := s.links[from]; ok {
		link, direction, key = l, simswarm.Back, to+" "+from
	}
	path := s.paths[key]
	if path == nil {
		path = link.Path(1, key, "")
		s.paths[key] = path
	}
	return path.Delay(direction, 0, time.Time{})
}

func host4(a net.Addr) string {
	h, _, _ := net.SplitHostPort(a.String())
	return h
}

// node starts a node at an address of its own.
func (s *simNet) node(t *testing.T, link *simswarm.Link, cfg Config) *testNode {
	t.Helper()
	ip := simnet.IntToPublicIPv4(s.count).String()
	s.count++
	if link != nil {
		s.mu.Lock()
		s.links[ip] = *link
		s.mu.Unlock()
	}
	cfg.Listen = []string{fmt.Sprintf("/ip4/%s/udp/8000/quic-v1", ip)}
	n := newTestNode(t, cfg)
	each := simnet.LinkSettings{BitsPerSecond: simBandwidth}
	n.hooks.host = []libp2p.Option{
		// Asking others for our own address never comes to rest in virtual time.
		libp2p.DisableIdentifyAddressDiscovery(),
		// Its dials back leave from a real socket.
		func(c *libp2p.Config) error {
			c.AutoNATConfig.EnableService = false
			return nil
		},
		simlibp2p.QUICSimnet(s.net, simnet.NodeBiDiLinkSettings{Downlink: each, Uplink: each}),
	}
	n.start()
	<-n.Ready()
	return n
}

// Nodes find each other over simulated links, a router asks over real QUIC,
// and the delays are those of the links. It is the stale-map scenario, with a
// liar's worth of other faults left to package simswarm.
func TestSimnetRouter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSimNet()
		defer s.net.Close()
		gate := s.node(t, nil, Config{Offers: []Offer{gates()}})
		ids := experts(0, 1, 2, 3)
		world := experttest.NewFake(1, 64, ids...)
		work := simswarm.Modelled(world, simswarm.Work{PerCall: time.Millisecond})
		near := s.node(t, &simswarm.Link{RTT: 5 * time.Millisecond}, Config{Join: gate.Addrs(), Offers: []Offer{holds(0, 1, 2, 3)}, Serve: work})
		far := s.node(t, &simswarm.Link{RTT: 30 * time.Millisecond}, Config{Join: gate.Addrs(), Offers: []Offer{holds(0, 1, 2, 3)}, Serve: work})
		for len(gate.Holders(ids[0])) < 2 {
			time.Sleep(10 * time.Millisecond)
		}
		r, err := routing.New(routing.Config{Directory: gate, Caller: gate, Prober: gate, Missing: gate.LookUp, Policy: routing.Policy{Seed: 1}})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- r.Run(ctx) }()
		one := func(i int) time.Duration {
			in := experttest.Batch(uint64(i), 1, 64)
			calls := []expert.Call{{Expert: ids[i%4], Rows: []int32{0}}}
			began := time.Now()
			got := r.Apply(ctx, in, calls)[0]
			took := time.Since(began)
			if want := world.Apply(ctx, in, calls)[0]; got.Err != nil || !slices.Equal(got.Out.Data, want.Out.Data) {
				t.Fatalf("call %d: wrong result, %v", i, got.Err)
			}
			return took
		}
		for i := range 100 {
			one(i)
			time.Sleep(10 * time.Millisecond) // probes need their second
		}
		if took := one(0); took < 6*time.Millisecond || took > 8*time.Millisecond {
			t.Errorf("a call to the near holder takes %v, want 6 ms and a little", took)
		}
		// Swapped under the router's feet.
		s.swap(near, far)
		slow := 0
		for i := range 64 {
			if one(i) > 10*time.Millisecond {
				slow++
			}
		}
		if slow > 10 {
			t.Errorf("%d of 64 calls were slow after the swap, want 10 at most", slow)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		for _, n := range []*testNode{near, far, gate} {
			n.stop()
		}
	})
}

// swap makes the near holder 50 ms far and the far one 5 ms near.
func (s *simNet) swap(near, far *testNode) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for n, rtt := range map[*testNode]time.Duration{near: 50 * time.Millisecond, far: 5 * time.Millisecond} {
		ip, _ := n.listenAt[0].ValueForProtocol(4)
		s.links[ip] = simswarm.Link{RTT: rtt}
	}
	clear(s.paths)
}
