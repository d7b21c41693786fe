package node

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/expert/content"
	"github.com/moeswarm/moeswarm/gating/chat"
	"github.com/moeswarm/moeswarm/gating/engine"
	"github.com/moeswarm/moeswarm/gating/prompt"
	"github.com/moeswarm/moeswarm/internal/entry"
	"github.com/moeswarm/moeswarm/internal/ggml"
	"github.com/moeswarm/moeswarm/internal/httpapi"
	"github.com/moeswarm/moeswarm/internal/owner"
	"github.com/moeswarm/moeswarm/routing"
	"github.com/moeswarm/moeswarm/routing/audit"
	"github.com/moeswarm/moeswarm/swarm"
)

// Node is one node of the swarm. Everything in it is constant after New.
type Node struct {
	cfg       Config
	sets      expert.Sets
	gates     *gates
	renderers []*chat.Renderer // of the models gated
	net       *swarm.Node
	router    *routing.Router
	codes     *expert.Coder // of the models gated
	pool      *ggml.Pool
	keeper    *keeper
	demand    *demandMeter
	speed     *speedMeter
	// placers choose experts of the models that leave the choice to the node.
	placers map[expert.ModelID]*placer
	// gatings choose whether the node gates the models that leave it that.
	gatings map[expert.ModelID]*gatingChoice
	audit   *audit.Inspector // nil: results are not checked
	economy *economy         // nil: no ledger
	friends *friends         // nil: there is a ledger
	entry   *entry.Entry
	http    *httpapi.Server
	ln      net.Listener // nil without HTTP; open since New, so that a taken port is told at once
	began   time.Time
	// hots keeps hot experts of gated models at home.
	hots map[expert.ModelID]*hotExperts
	// parts is the models that come in parts.
	parts    map[expert.ModelID]*partsHolder
	download *rate.Limiter
	leaving  atomic.Bool                     // others take over what this node does
	life     atomic.Pointer[context.Context] // of what runs inside, while Run runs
	ready    chan struct{}
	served   chan struct{} // closed when HTTP has given its last answer
}

// httpGrace is how long answers over HTTP may go on once the node is told to
// stop: longer than gating nodes give each other (5 s), and short enough that
// the last words over HTTP come before the network ends (8.5 s).
const httpGrace = 6 * time.Second

// New checks the configuration and builds the components. It starts nothing,
// but takes the HTTP port, so that a port in use is known at once; Run or
// Close gives it back.
func New(cfg Config) (*Node, error) {
	cfg, err := cfg.validate()
	if err != nil {
		return nil, err
	}
	n := &Node{cfg: cfg, sets: expert.Sets{}, began: time.Now(), ready: make(chan struct{}), served: make(chan struct{})}
	n.hots = map[expert.ModelID]*hotExperts{}
	n.parts, n.download = map[expert.ModelID]*partsHolder{}, swarm.NewRate(cfg.MaxDownload)
	n.gates = &gates{engines: map[expert.ModelID]*engine.Engine{}, covered: n.covered, count: n.countWork, asked: cfg.Cheat.Asked}
	pool := ggml.NewPool(cfg.Threads)
	n.pool = pool
	n.speed = newSpeedMeter(n.sets, cfg.Models, cfg.Owner.MaxCPU)
	n.keeper, n.demand, n.placers = newKeeper(n), newDemandMeter(cfg.Models), map[expert.ModelID]*placer{}
	n.gatings = map[expert.ModelID]*gatingChoice{}
	if cfg.Economy != nil {
		if n.economy, err = newEconomy(n, *cfg.Economy, cfg.Key); err != nil {
			return nil, err
		}
	} else {
		n.friends = newFriends(n, cfg)
	}
	offers := make([]swarm.Offer, len(cfg.Models))
	for i, m := range cfg.Models {
		if offers[i], err = n.hold(m, pool); err != nil {
			return nil, err
		}
	}
	n.codes = n.coder()
	if n.net, err = n.newNetwork(offers); err != nil {
		return nil, err
	}
	if n.audit, err = n.newAudit(pool); err != nil {
		return nil, err
	}
	if n.router, err = n.newRouter(); err != nil {
		return nil, err
	}
	n.demand.Router = n.router
	if err := n.newPlacers(); err != nil {
		return nil, err
	}
	n.keeper.apply(owner.Active) // the bound of MaxCPU holds from the start
	for _, m := range cfg.Models {
		if h := n.newHot(m); h != nil {
			n.hots[m.Model.ID()] = h
		}
	}
	if err := n.loadReputations(); err != nil {
		return nil, err
	}
	for _, m := range cfg.Models {
		if !m.Gate || !m.Model.Whole() {
			continue
		}
		renderer, err := newRenderer(m.Model.File(), cfg)
		if err != nil {
			return nil, fmt.Errorf("model %s: %w", m.Name, err)
		}
		n.renderers = append(n.renderers, renderer)
		if n.gates.engines[m.Model.ID()], err = newEngine(m, n.gated(m.Model.ID()), renderer, pool, n.watchSteps(), n.router.Away, cfg); err != nil {
			return nil, err
		}
	}
	if n.entry, err = n.newEntry(); err != nil {
		return nil, err
	}
	if cfg.HTTP == "" {
		return n, nil
	}
	if n.http, err = n.newHTTP(); err != nil {
		return nil, err
	}
	if n.ln, err = net.Listen("tcp", cfg.HTTP); err != nil {
		return nil, fmt.Errorf("HTTP endpoint: %w; choose another address with --http", err)
	}
	if cfg.TLS != nil {
		n.ln = tls.NewListener(n.ln, cfg.TLS)
	}
	return n, nil
}

// hold makes the set of a model's experts and the offer that tells of it.
func (n *Node) hold(m Model, pool *ggml.Pool) (swarm.Offer, error) {
	id := m.Model.ID()
	if n.sets[id] != nil {
		return swarm.Offer{}, fmt.Errorf("model %s (%s) is given twice; put its experts into one --experts", m.Name, id.Short())
	}
	offer := n.offerOf(m)
	if m.Model.Whole() {
		offer.Held, offer.Gates = expert.IDsOf(id, m.Hold), m.Gate
	}
	set, err := expert.NewSet(m.Model, offer.Held, pool)
	if err != nil {
		return swarm.Offer{}, err
	}
	n.sets[id] = set
	if !m.Model.Whole() {
		n.parts[id] = n.newParts(m, set, pool)
	}
	return offer, nil
}

// offerOf is the offer of a model before it is said what is served.
func (n *Node) offerOf(m Model) swarm.Offer {
	shape := m.Model.Shape()
	layers := make([]int, shape.Layers)
	for _, l := range shape.SparseLayers {
		layers[l] = shape.Experts
	}
	o := swarm.Offer{Model: m.Model.ID(), Name: m.Name, Layers: layers, CIDs: contentIDs(m.Model.Manifest())}
	if n.economy != nil && m.mayGate() {
		o.Price = uint64(n.economy.cfg.price(m.Model.ID()))
	}
	n.dress(&o)
	return o
}

// contentIDs names every expert of a model by content, held here or not: what
// is missing is looked up by the same names.
func contentIDs(m *expert.Manifest) map[expert.ID][]byte {
	cids := make(map[expert.ID][]byte, len(m.Experts))
	for i, id := range m.IDs() {
		cids[id] = m.Experts[i].Hash.CID()
	}
	return cids
}

func (n *Node) newNetwork(offers []swarm.Offer) (*swarm.Node, error) {
	cfg := swarm.Config{
		Key: n.cfg.Key, Listen: n.cfg.Listen, Announce: n.cfg.Announce, Join: n.cfg.Join, MDNS: n.cfg.MDNS,
		Reach: n.cfg.Reach, Rendezvous: n.cfg.Rendezvous,
		Offers: offers, Linger: n.served, Log: n.cfg.Log,
	}
	if n.economy != nil {
		cfg.Toll, cfg.Debts, cfg.Pay = n.economy, n.economy, n.economy.pay
		cfg.Signer, cfg.Evidence, cfg.Transcripts = n.economy, n.economy.clerk, n.economy.outputs
		cfg.Listener = n.economy.listener
	} else {
		cfg.Debts, cfg.Credit = n.friends, n.friends
	}
	// Interfaces stay nil unless there is something behind them: nil is how
	// the swarm knows that this node serves none.
	if slices.ContainsFunc(n.cfg.Models, func(m Model) bool { return len(m.Hold) > 0 || m.Auto || !m.Model.Whole() }) {
		cfg.Serve, cfg.Threads = n.speed, n.cfg.Threads
		if n.cfg.Misbehave != nil {
			cfg.Serve = n.cfg.Misbehave(n.sets)
		}
	}
	if slices.ContainsFunc(n.cfg.Models, Model.mayGate) {
		cfg.Completer, cfg.Coder, cfg.HalfAnswers = n.gates, n.codes, n.cfg.HalfAnswers
	}
	if len(n.cfg.Models) > 0 || n.cfg.Content != nil {
		shelf := content.NewShelf(n.cfg.Content)
		shelf.Damaged = func(m *expert.Model, h expert.Digest) {
			n.cfg.Say("model file %s has changed since it was imported, or is damaged; that part is not given to peers", m.Name())
		}
		for _, m := range n.cfg.Models {
			if m.Model.Whole() {
				shelf.Add(m.Model)
			}
		}
		cfg.Shelf, cfg.MaxUpload = shelf, n.cfg.MaxUpload
	}
	return swarm.New(cfg)
}

// coder knows the models that this node gates.
func (n *Node) coder() *expert.Coder {
	var gated []*expert.Model
	for _, m := range n.cfg.Models {
		if m.mayGate() {
			gated = append(gated, m.Model)
		}
	}
	return expert.NewCoder(gated...)
}

func (n *Node) newRouter() (*routing.Router, error) {
	caller := crediting{Node: n.net, keys: new(keys)}
	if n.economy != nil {
		caller.credits, caller.signed = n.economy.credits, true
		n.economy.caller = caller // what goes there is no work to look like
		caller.samples = n.economy.samples
	} else {
		caller.credits = n.friends.credits
	}
	return routing.New(routing.Config{
		Check: n.check(), Kind: n.kinds(), Relayed: n.net.Relayed,
		Local: n.sets, LocalHolds: n.sets.Holds,
		Directory: n.net, Caller: caller, Starter: caller, Prober: n.net, Missing: n.net.LookUp,
		Policy: n.cfg.Routing, Log: n.cfg.Log,
	})
}

func (n *Node) newEntry() (*entry.Entry, error) {
	names := func(peers []routing.Peer) []string {
		s := make([]string, len(peers))
		for i, p := range peers {
			s[i] = string(p)
		}
		return s
	}
	cfg := entry.Config{
		Self:  n.ID(),
		Gates: func(m expert.ModelID) []string { return names(n.net.Gates(m)) },
		Find: func(ctx context.Context, m expert.ModelID) ([]string, error) {
			peers, err := n.net.FindGates(ctx, m)
			return names(peers), err
		},
		Remote: func(peer string) prompt.Completer { return n.net.Remote(routing.Peer(peer)) },
		// Nodes that start together hear of each other within two seconds, and
		// nobody sits before a blank screen for long.
		Policy: entry.Policy{MissingWait: 4 * time.Second},
		Log:    n.cfg.Log,
	}
	if e := n.economy; e != nil {
		cfg.Gates = func(m expert.ModelID) []string { return names(e.gates(n.net.Gates(m), e.standing.gatesOf(e.self, m))) }
		cfg.Find = func(ctx context.Context, m expert.ModelID) ([]string, error) {
			assigned, err := e.standing.readGatesOf(ctx, e.self, m)
			if err != nil {
				return nil, err
			}
			known, _ := n.net.FindGates(ctx, m) // those that nobody knows may still be reached
			return names(e.gates(known, assigned)), nil
		}
		cfg.Remote = func(peer string) prompt.Completer {
			return distrusting{n.net.Remote(routing.Peer(peer)), e, routing.Peer(peer)}
		}
	}
	if slices.ContainsFunc(n.cfg.Models, Model.mayGate) {
		cfg.Local, cfg.LocalModels = n.gates, n.gates.has
	}
	return entry.New(cfg)
}

func (n *Node) newHTTP() (*httpapi.Server, error) {
	return httpapi.New(httpapi.Config{
		Completer:   n.entry,
		Models:      n.models,
		Resolve:     n.resolve,
		Swarm:       func() any { return n.View() },
		Leaderboard: n.leaderboard,
		Owner:       owner.Handler(n.cfg.Owner.Token, n.keeper.hold, n.complain()),
		Hosts:       n.cfg.Hosts,
		Keys:        n.cfg.Keys,
		Origins:     n.cfg.Origins,
		Rate:        n.cfg.Rate,
		Limits:      httpapi.Limits{Grace: httpGrace},
		Log:         n.cfg.Log,
	})
}

// models lists what the swarm can complete: models with a gating node.
func (n *Node) models() []httpapi.Model {
	var out []httpapi.Model
	for _, m := range n.net.Models() {
		if m.Gates > 0 {
			out = append(out, httpapi.Model{ID: m.Model, Name: m.Name, Created: n.began})
		}
	}
	return out
}

// A node that has just joined hears of the models within some gossip rounds.
// Until it is older than youth, a request for a model that it has not heard of
// waits up to newsTime instead of failing.
const (
	youth    = 15 * time.Second
	newsTime = 5 * time.Second
)

// resolve finds the model that a request names.
func (n *Node) resolve(name string) (expert.ModelID, error) {
	deadline := time.NewTimer(newsTime)
	defer deadline.Stop()
	for {
		changed := n.net.Changed()
		id, err := httpapi.Resolve(n.models(), name)
		if err == nil || !errors.Is(err, prompt.ErrUnknownModel) || time.Since(n.began) > youth {
			return id, err
		}
		select {
		case <-changed:
		case <-deadline.C:
			return id, err
		}
	}
}

// Ready is closed when the node listens and, if it was told whom to join, has
// reached one of them or given up waiting for them for now.
func (n *Node) Ready() <-chan struct{} { return n.ready }

// ID is this node's name in the swarm.
func (n *Node) ID() string { return string(n.net.ID()) }

// Addrs are the addresses that others can join by. They are known once ready.
func (n *Node) Addrs() []string { return n.net.Addrs() }

// URL is the HTTP endpoint's, or empty.
func (n *Node) URL() string {
	if n.ln == nil {
		return ""
	}
	if n.cfg.TLS != nil {
		return "https://" + n.ln.Addr().String()
	}
	return "http://" + n.ln.Addr().String()
}

// Close gives back what New took, when Run is not going to be called.
func (n *Node) Close() error {
	err := n.economy.close()
	if n.ln != nil {
		err = errors.Join(err, n.ln.Close())
	}
	return err
}

// heapRoom is how much garbage a node may gather before it is collected, besides
// as much as it has in use.
const heapRoom = 32 << 20

// Run runs the node until ctx ends or a component fails, then lets running
// answers finish or hands them over, and leaves the swarm.
func (n *Node) Run(ctx context.Context) error {
	// The collector runs when there is as much garbage as memory in use, which
	// is little where the weights are in a mapping: many times a second, and
	// each time it is in the way of what computes. These pages are never touched.
	defer runtime.KeepAlive(make([]byte, heapRoom))
	// Components stop in two steps. First the doors close: HTTP lets its
	// answers finish, the network says goodbye. The engines and the router go
	// on meanwhile, because those answers need them.
	doors, closeDoors := n.untilHandedOver(ctx)
	defer closeDoors()
	inner, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var (
		outside, inside sync.WaitGroup
		mu              sync.Mutex
		errs            []error
	)
	run := func(wg *sync.WaitGroup, ctx context.Context, f func(context.Context) error) {
		wg.Go(func() {
			err := f(ctx)
			if err != nil && !errors.Is(err, context.Canceled) {
				mu.Lock()
				errs = append(errs, err)
				mu.Unlock()
			}
			closeDoors() // the first to end ends all
		})
	}
	n.life.Store(&inner)
	for _, e := range n.gates.all() {
		run(&inside, inner, e.Run)
	}
	for _, h := range n.parts {
		run(&inside, inner, h.run)
	}
	for _, h := range n.hots {
		run(&inside, inner, h.run)
	}
	for _, r := range n.renderers {
		run(&inside, inner, r.Run)
	}
	run(&inside, inner, n.router.Run)
	run(&inside, inner, n.keepReputations)
	run(&inside, inner, n.keeper.run)
	if n.economy != nil {
		run(&inside, inner, n.economy.run)
		run(&inside, inner, n.economy.credits.Run)
		run(&inside, inner, n.economy.till.Run)
		run(&inside, inner, n.economy.stub.Run)
		run(&inside, inner, n.economy.clerk.Run)
		if n.audit != nil {
			run(&inside, inner, n.economy.watchAvailability)
		}
		run(&inside, inner, n.economy.outputs.run)
	} else {
		run(&inside, inner, n.friends.credits.Run)
		run(&inside, inner, n.friends.run)
	}
	if n.audit != nil {
		run(&inside, inner, n.audit.Run)
	}
	deciding, decided := context.WithCancel(ctx)
	defer decided()
	for _, p := range n.placers {
		inside.Go(func() { _ = p.run(deciding) })
	}
	for _, g := range n.gatings {
		inside.Go(func() { g.run(deciding, inner) })
	}
	run(&outside, doors, n.net.Run)
	if n.http == nil {
		close(n.served)
	} else {
		run(&outside, doors, func(ctx context.Context) error {
			defer close(n.served)
			return n.http.Serve(ctx, n.ln)
		})
	}
	run(&outside, doors, n.watch)
	outside.Wait()
	decided()
	stop()
	inside.Wait()
	return errors.Join(append(errs, n.economy.close())...)
}

// inner is the context of the engines, which end after the network.
func (n *Node) inner() context.Context { return *n.life.Load() }

// watch tells when the node is ready, and then what is missing.
func (n *Node) watch(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-n.net.Ready():
		close(n.ready)
	}
	n.watchCoverage(ctx)
	<-ctx.Done()
	return nil
}

// countWork is what the router has done so far, and how many calls each peer has
// answered.
func (n *Node) countWork() (prompt.Work, map[routing.Peer]int) {
	t := n.router.Totals()
	calls := map[routing.Peer]int{}
	for _, p := range n.router.Peers() {
		calls[p.Peer] = p.Calls
	}
	return prompt.Work{Rounds: t.Rounds, Hedges: t.Hedges}, calls
}
