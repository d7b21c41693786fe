package swarm

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/ipfs/go-cid"
	dht "github.com/libp2p/go-libp2p-kad-dht"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
)

// live is everything that exists only while Run runs.
type live struct {
	ctx  context.Context // ends after goodbyes and the last answers
	work busy            // what events and calls start, on ctx

	host      host.Host
	reach     *reacher
	dht       *dht.IpfsDHT
	records   *recordStore
	gossip    *gossip
	greeter   *greeter
	announcer *announcer
	dialer    *dialer
	finder    *finder
	provider  *provider
	pinger    *pinger
	services  *services

	hailOnce sync.Once
	hailed   chan struct{} // closed once one of the nodes to join said hello

	suspects suspects
}

// Run joins the swarm and serves until ctx ends; then it says goodbye, lets
// running answers end, and returns nil when everything has stopped, within
// ten seconds. Any other error means that it could not start. It runs once.
func (n *Node) Run(ctx context.Context) error {
	if n.began.Swap(true) {
		return errors.New("swarm: Run was called before; make a new node")
	}
	// The network outlives ctx: goodbyes and running answers need it.
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	l, err := n.open(life)
	if err != nil {
		return err
	}
	serving := l.services.start(life)
	events, err := n.startEvents(l)
	if err == nil {
		err = listen(l.host, n.listenAt)
	}
	if err == nil {
		n.takePart(ctx, l)
	}
	serving.drain(max(drainTimeout, n.hooks.patience), n.linger) // answers that end now still call their holders
	n.live.Store(nil)
	end()
	l.greeter.close()
	l.gossip.wait()
	l.work.wait()
	err = errors.Join(err, l.dht.Close(), l.host.Close())
	// Last: the host does not close while nobody takes its events.
	events.stop()
	_ = l.reach.offerRelay(l.host, false)
	serving.wait()
	return err
}

// takePart is a node's life in the swarm: from listening to goodbye.
func (n *Node) takePart(ctx context.Context, l *live) {
	n.live.Store(l)
	n.log.Info("listening", "peer", n.id, "addrs", n.Addrs())
	var seeking sync.WaitGroup
	n.seek(ctx, l, &seeking)
	<-ctx.Done()
	seeking.Wait()
	l.announcer.goodbye(l.ctx, l.host.Network().Peers())
}

// open builds the parts of the network. Nothing listens yet.
func (n *Node) open(life context.Context) (l *live, err error) {
	l = &live{ctx: life, hailed: make(chan struct{}), reach: &reacher{Reach: n.reach}}
	options := n.hooks.host
	if len(n.announceAt) > 0 {
		options = append(slices.Clone(options), announceOnly(n.announceAt))
	}
	if l.host, err = newHost(n.key, l.reach, options...); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, l.host.Close())
		}
	}()
	grown := make(chan struct{}, 1)
	var first sync.Once
	l.records = newRecordStore(n.id, l.host.Peerstore(), n.now)
	l.gossip = newGossip(n.id, n.log, n.now)
	if err := l.gossip.start(life, l.host); err != nil {
		return nil, err
	}
	l.dht, err = newDHT(life, l.host, l.records, func() {
		signal(grown)
		signal(l.finder.grown)
		first.Do(func() { close(l.finder.rooted) })
	})
	if err != nil {
		return nil, err
	}
	l.finder = newFinder(l.dht, n.log, n.now, n.expertKey)
	l.provider = &provider{dht: l.dht, log: n.log, grown: grown, changed: make(chan struct{}, 1), round: n.hooks.provided,
		keys: func() ([]cid.Cid, error) { return offerKeys(n.Offers()) }}
	l.dialer = newDialer(l.host, l.dht, n.log, n.now)
	l.pinger = newPinger(l.host)
	l.greeter = &greeter{host: l.host, log: n.log, now: n.now, meters: newMeters[peer.ID](helloPace())}
	l.announcer = newAnnouncer(n.offers.now, n.log, n.now)
	l.announcer.gossip, l.announcer.greeter = l.gossip, l.greeter
	l.services = newServices(l.host, n.settings, n.Paused, promptTimes{Grace: n.hooks.patience, Farewell: n.hooks.patience})
	l.announcer.waiting, l.announcer.paused = l.services.waiting, n.Paused
	n.connect(l)
	l.greeter.open()
	return l, nil
}

// seek starts everything that looks for peers, or is found by them, until
// ctx ends.
func (n *Node) seek(ctx context.Context, l *live, all *sync.WaitGroup) {
	n.hear(l, modelsTopic)
	for _, o := range n.offers.now() {
		n.hear(l, modelTopic(o.Model))
	}
	for _, node := range n.joinAt {
		j := &joiner{host: l.host, node: node, log: n.log, changed: n.dir.next}
		all.Go(func() { j.run(ctx) })
	}
	if n.mdns {
		stop := startMDNS(l.host, l.dialer, n.log)
		all.Go(func() {
			<-ctx.Done()
			stop()
		})
	}
	if n.meetName != "" {
		m := &meeting{name: n.meetName, via: n.meetVia, key: n.key, own: l.host, log: n.log, met: func(p peer.AddrInfo) {
			l.host.Peerstore().AddAddrs(p.ID, p.Addrs, peerstore.TempAddrTTL)
			l.dialer.want(p.ID)
		}}
		all.Go(func() { m.run(ctx) })
	}
	all.Go(func() { n.becomeReady(ctx, l) })
	all.Go(func() { n.expire(ctx, l) })
	all.Go(func() { l.announcer.run(ctx) })
	all.Go(func() { l.dialer.run(ctx) })
	all.Go(func() { l.finder.run(ctx) })
	all.Go(func() { l.finder.discover(ctx, n.sought) })
	all.Go(func() { l.provider.run(ctx) })
	all.Go(func() { l.pinger.run(ctx) })
}
