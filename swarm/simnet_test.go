package swarm

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"sync/atomic"
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

// simSwarm is a gating node and holders in virtual time, with a router.
type simSwarm struct {
	*simNet
	t       *testing.T
	gate    *testNode
	holders []*testNode
	router  *routing.Router
	world   expert.Applier
	ids     []expert.ID
	working chan *testNode // a holder that begins to work on a call, for who waits for one
	stop    func()
}

// simHolder is one of the holders: where, what, and how it misbehaves.
type simHolder struct {
	link   simswarm.Link
	held   []int // of each layer
	faults []simswarm.Fault
}

// startSim starts it all and waits until the gate knows the holders. A call
// takes a holder 1 ms.
func startSim(t *testing.T, holders ...simHolder) *simSwarm {
	t.Helper()
	s := &simSwarm{simNet: newSimNet(), t: t, ids: experts(0, 1, 2, 3), working: make(chan *testNode)}
	s.world = experttest.NewFake(1, 64, s.ids...)
	s.gate = s.node(t, nil, Config{Offers: []Offer{gates()}})
	for _, h := range holders {
		s.join(&h.link, holds(h.held...), h.faults...)
	}
	s.route(routing.Config{})
	return s
}

// castLayers is one layer of 16 experts, as in the wan scenario.
func castLayers() []int { return []int{16} }

// startCast is startSim with the holders of a scenario: the same values as the
// other fabrics'. Results that are wrong are found, as by a recomputation.
func startCast(t *testing.T, cast simswarm.Cast, fault simswarm.Fault) *simSwarm {
	t.Helper()
	s := &simSwarm{simNet: newSimNet(), t: t, working: make(chan *testNode)}
	for x := range castLayers()[0] {
		s.ids = append(s.ids, expert.ID{Model: testModel(), Index: uint16(x)})
	}
	s.world = experttest.NewFake(1, 64, s.ids...)
	s.gate = s.node(t, nil, Config{Offers: []Offer{{Model: testModel(), Name: "test", Layers: castLayers(), Gates: true}}})
	for i, held := range cast.Shares(s.ids) {
		link := cast.LinkOf(i)
		var faults []simswarm.Fault
		if i == cast.Liar && fault != nil {
			faults = append(faults, fault)
		}
		s.join(&link, Offer{Model: testModel(), Name: "test", Layers: castLayers(), Held: held}, faults...)
	}
	s.route(routing.Config{Check: func(ctx context.Context, c routing.Checked) func() error {
		return func() error { return s.recompute(ctx, c) }
	}})
	return s
}

// recompute is a check that knows what is right.
func (s *simSwarm) recompute(ctx context.Context, a routing.Checked) error {
	for i, want := range s.world.Apply(ctx, a.In, a.Calls) {
		if a.Results[i].Err == nil && !slices.Equal(a.Results[i].Out.Data, want.Out.Data) {
			s.router.Condemn(a.Peer, "a wrong result")
			return expert.ErrBadResult
		}
	}
	return nil
}

// join starts a holder, whose calls take 1 ms each.
func (s *simSwarm) join(link *simswarm.Link, o Offer, faults ...simswarm.Fault) {
	work := &tellingWork{Applier: simswarm.Modelled(s.world, simswarm.Work{PerCall: time.Millisecond}), told: s.working}
	n := s.node(s.t, link, Config{Join: s.gate.Addrs(), Offers: []Offer{o}, Serve: simswarm.With(work, faults...)})
	work.who.Store(n)
	s.holders = append(s.holders, n)
}

// tellingWork tells whoever waits for it that a holder begins to work.
type tellingWork struct {
	expert.Applier
	who  atomic.Pointer[testNode]
	told chan<- *testNode
}

func (w *tellingWork) Apply(ctx context.Context, in expert.Batch, calls []expert.Call) []expert.Result {
	if n := w.who.Load(); n != nil {
		select {
		case w.told <- n:
		default:
		}
	}
	return w.Applier.Apply(ctx, in, calls)
}

// route starts the gate's router once the gate knows the holders.
func (s *simSwarm) route(cfg routing.Config) {
	s.t.Helper()
	t, holders := s.t, s.holders
	for known := 0; known < len(holders); time.Sleep(10 * time.Millisecond) {
		known = 0
		for _, p := range s.gate.Peers() {
			if p.Usable {
				known++
			}
		}
	}
	var err error
	cfg.Directory, cfg.Caller, cfg.Prober, cfg.Missing, cfg.Policy = s.gate, s.gate, s.gate, s.gate.LookUp, routing.Policy{Seed: 1}
	if s.router, err = routing.New(cfg); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.router.Run(ctx) }()
	s.stop = func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		for _, n := range append(s.holders, s.gate) {
			n.stop()
		}
		s.net.Close()
	}
}

// round applies experts of layer 0 to a row and checks the results.
func (s *simSwarm) round(i int, index ...int) time.Duration {
	s.t.Helper()
	in := experttest.Batch(uint64(i), 1, 64)
	var calls []expert.Call
	for _, x := range index {
		calls = append(calls, expert.Call{Expert: s.ids[x], Rows: []int32{0}})
	}
	began := time.Now()
	got := s.router.Apply(context.Background(), in, calls)
	took := time.Since(began)
	for c, want := range s.world.Apply(context.Background(), in, calls) {
		if got[c].Err != nil || !slices.Equal(got[c].Out.Data, want.Out.Data) {
			s.t.Fatalf("round %d: wrong result of expert %d: %v", i, index[c], got[c].Err)
		}
	}
	return took
}

// Nodes find each other over simulated links, a router asks over real QUIC,
// and the delays are those of the links. Then near and far are swapped, as in
// the stale-map scenario.
func TestSimnetStaleMap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := []int{0, 1, 2, 3}
		s := startSim(t, simHolder{link: simswarm.Link{RTT: 5 * time.Millisecond}, held: all}, simHolder{link: simswarm.Link{RTT: 30 * time.Millisecond}, held: all})
		defer s.stop()
		for i := range 100 {
			s.round(i, i%4)
			time.Sleep(10 * time.Millisecond) // probes need their second
		}
		if took := s.round(0, 0); took < 6*time.Millisecond || took > 8*time.Millisecond {
			t.Errorf("a call to the near holder takes %v, want 6 ms and a little", took)
		}
		s.swap(s.holders[0], s.holders[1])
		slow := 0
		for i := range 64 {
			if s.round(i, i%4) > 10*time.Millisecond {
				slow++
			}
		}
		if slow > 10 {
			t.Errorf("%d of 64 calls were slow after the swap, want 10 at most", slow)
		}
	})
}

// The wan scenario: a layer of eight calls takes its round trip, its work, and
// not much more. Results are those of one machine, as in every round here.
func TestSimnetWAN(t *testing.T) {
	for _, n := range simswarm.Networks() {
		t.Run(n.Name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := startCast(t, simswarm.WAN(n), nil)
				defer s.stop()
				r := rand.New(rand.NewPCG(1, 1))
				var took []time.Duration
				for i := range 120 {
					if d := s.round(i, r.Perm(16)[:8]...); i >= 20 {
						took = append(took, d)
					}
				}
				slices.Sort(took)
				p50 := took[len(took)/2]
				if least, most := n.Link.RTT-n.Link.Jitter, n.Link.RTT+n.Link.Jitter+8*time.Millisecond; p50 < least || p50 > most {
					t.Errorf("p50 of layer rounds is %v, want %v to %v", p50, least, most)
				}
				s.inBudget()
			})
		})
	}
}

// The failures scenario: every five seconds a holder dies without a word, and
// another comes. It dies while it works on a call: between two layers the gate may
// hear of it first, and ask it nothing.
func TestSimnetFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cast := simswarm.Failures()
		s := startCast(t, cast, nil)
		defer s.stop()
		shares := cast.Shares(s.ids)
		r := rand.New(rand.NewPCG(2, 1))
		began, kills := time.Now(), 0
		for i := 0; kills < 3 || time.Since(began) < 4*cast.KillEvery; i++ {
			s.round(i, r.Perm(16)[:4]...)
			if time.Since(began) < time.Duration(kills+1)*cast.KillEvery {
				continue
			}
			dead := make(chan *testNode, 1)
			go func() {
				n := <-s.working
				n.kill()
				dead <- n
			}()
			s.round(i, r.Perm(16)...)
			victim := slices.Index(s.holders, <-dead)
			s.holders = slices.Delete(s.holders, victim, victim+1)
			kills++
			for down := time.Now(); time.Since(down) < cast.Down; {
				s.round(i, r.Perm(16)[:4]...)
			}
			s.join(&cast.Link, Offer{Model: testModel(), Name: "test", Layers: castLayers(), Held: shares[victim]})
			shares = append(slices.Delete(shares, victim, victim+1), shares[victim])
		}
		if m := s.router.Totals(); m.Missing > 0 || m.Failovers == 0 {
			t.Errorf("%d calls ended without a holder, %d failovers", m.Missing, m.Failovers)
		}
		s.inBudget()
	})
}

// The slow-replica scenario: three holders of everything, of which one takes ten
// times as long, in spells that can be learnt of and at single asks that cannot.
// The 99th of a hundred layers takes at most twice as long as the median one.
func TestSimnetSlowReplica(t *testing.T) {
	for name, fault := range map[string]simswarm.Fault{
		"spells": simswarm.Spells(10, 400*time.Millisecond, 100*time.Millisecond, 1),
		"single": simswarm.SlowSeldom(10, 0.05, 1),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cast := simswarm.SlowReplica()
				cast.Liar = 0 // the one that misbehaves
				s := startCast(t, cast, fault)
				defer s.stop()
				r := rand.New(rand.NewPCG(3, 1))
				var took []time.Duration
				for i := range 420 {
					if d := s.round(i, r.Perm(16)[:8]...); i >= 20 {
						took = append(took, d)
					}
				}
				slices.Sort(took)
				p50, p99 := took[len(took)/2], took[len(took)*99/100]
				t.Logf("p50 %v, p99 %v", p50, p99)
				if p99 > 2*p50 {
					t.Errorf("p99 of layer rounds is %v, p50 %v: more than twice", p99, p50)
				}
				s.inBudget()
			})
		})
	}
}

// The liar scenario: no wrong result is used, and the liar is named.
func TestSimnetLiar(t *testing.T) {
	for name, fault := range map[string]simswarm.Fault{"lying": simswarm.Lying(), "seldom": simswarm.LyingSeldom(0.05, 1, nil), "replaying": simswarm.Replaying()} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cast := simswarm.OneLiar()
				s := startCast(t, cast, fault)
				defer s.stop()
				r := rand.New(rand.NewPCG(3, 1))
				for i := range 100 {
					s.round(i, r.Perm(16)[:8]...)
				}
				for _, p := range s.router.Peers() {
					if liar := p.Peer == s.holders[cast.Liar].ID(); liar != (p.Excluded != "") {
						t.Errorf("peer %s, a liar: %v; excluded: %q", p.Peer, liar, p.Excluded)
					}
				}
				s.inBudget()
			})
		})
	}
}

// inBudget makes sure that no more calls than allowed were duplicated.
func (s *simSwarm) inBudget() {
	s.t.Helper()
	if t := s.router.Totals(); float64(t.HedgedCalls) > 0.05*float64(t.RemoteCalls) {
		s.t.Errorf("%d of %d calls were duplicated", t.HedgedCalls, t.RemoteCalls)
	}
}

// Misbehaving holders cost time, never a result: one of three is bad, each
// expert has a good holder.
func TestSimnetFaults(t *testing.T) {
	for _, f := range []struct {
		name  string
		fault simswarm.Fault
	}{
		{"absent", simswarm.Absent()},
		{"failing", simswarm.Failing(0.05, 1)},
		{"slow", simswarm.Slow(10)},
		{"slow after a while", simswarm.SlowAfter(20, 10)},
		{"slow in spells", simswarm.Spells(10, time.Second, 300*time.Millisecond, 1)},
		{"slow seldom", simswarm.SlowSeldom(10, 0.1, 1)},
		{"withholding", simswarm.Withholding()},
		{"withholding seldom", simswarm.WithholdingSeldom(0.02, 1)},
	} {
		t.Run(f.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				link := simswarm.Link{RTT: 20 * time.Millisecond, Jitter: 2 * time.Millisecond}
				near := simswarm.Link{RTT: 10 * time.Millisecond} // it is asked first
				s := startSim(t, simHolder{near, []int{0, 1, 2, 3}, []simswarm.Fault{f.fault}}, simHolder{link: link, held: []int{0, 1, 2}}, simHolder{link: link, held: []int{1, 2, 3}})
				defer s.stop()
				for i := range 100 {
					s.round(i, i%4, (i+1)%4, (i+2)%4)
				}
				if m := s.router.Totals().Missing; m > 0 {
					t.Errorf("%d calls ended without a holder", m)
				}
			})
		})
	}
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
