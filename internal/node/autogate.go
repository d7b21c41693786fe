package node

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/internal/placement"
	"github.com/moeswarm/moeswarm/routing"
	"github.com/moeswarm/moeswarm/swarm"
)

// gateDrain is how long a node that steps back from gating lets answers end;
// those left are lost to it and go on at another.
const gateDrain = 30 * time.Second

// trunkStock is how a node gets the trunk of one model, and gives it up.
type trunkStock interface {
	// gating reports whether the engine runs and is offered.
	gating() bool
	// setGates begins to gate, at once or when the trunk has come; or it takes
	// the offer back while the engine still runs.
	setGates(bool) error
	// endGate ends the engine, if it runs.
	endGate()
	// rate is the bytes a second that fetches have brought; 0: not known.
	rate() float64
}

// gatingChoice decides whether the node gates one model.
type gatingChoice struct {
	node   *Node
	model  Model
	stock  trunkStock
	policy placement.Policy
	random *rand.Rand
	lost   time.Time // the trunk could not be had; until then it is left
	queue  steady    // prompts that wait at a gate

	mu   sync.Mutex
	will bool // announced as about to gate
}

func newGatingChoice(n *Node, m Model) (*gatingChoice, error) {
	policy, err := placement.Policy{}.Validate()
	g := &gatingChoice{node: n, model: m, policy: policy, stock: &wholeTrunk{node: n, model: m},
		random: rand.New(rand.NewPCG(placement.PeerHash(n.ID()), uint64(time.Now().UnixNano())))}
	if h := n.parts[m.Model.ID()]; h != nil {
		g.stock = h
	}
	return g, err
}

// run decides until ctx ends. The engine goes on until inner ends: answers that
// are running need it.
func (g *gatingChoice) run(ctx, inner context.Context) {
	defer g.stock.endGate()
	defer func() { <-inner.Done() }()
	select {
	case <-ctx.Done():
		return
	case <-g.node.net.Ready():
	}
	settle(ctx, g.jitter(autoSettle), g.node.net.Changed, g.orphaned)
	for ctx.Err() == nil {
		changed := g.node.net.Changed()
		g.round(ctx)
		every, soon := autoEvery, autoSoon
		if g.orphaned() {
			every, soon = autoSettle, autoHaste
		}
		select {
		case <-ctx.Done():
		case <-time.After(g.jitter(every)):
		case <-changed:
			wait(ctx, g.jitter(soon))
		}
	}
}

// settle lets a newcomer first hear who gates, for d. One that hears how the
// last gating node goes has heard enough: it is waited for.
func settle(ctx context.Context, d time.Duration, changed func() <-chan struct{}, orphaned func() bool) {
	enough := time.After(d)
	for gated := false; ; {
		news := changed()
		alone := orphaned()
		if gated && alone {
			return
		}
		gated = !alone
		select {
		case <-ctx.Done():
			return
		case <-enough:
			return
		case <-news:
		}
	}
}

// orphaned reports whether nobody is heard of who gates the model, this node
// included: its prompts find nobody, and a gating node that leaves may be
// waiting for one that begins.
func (g *gatingChoice) orphaned() bool {
	return !g.stock.gating() && !g.node.another(g.model.Model.ID(), func(c swarm.Claim) bool { return c.Gates })
}

// another reports whether another node that takes part says so of a model.
func (n *Node) another(id expert.ModelID, says func(swarm.Claim) bool) bool {
	return slices.ContainsFunc(n.net.Claims(id), func(c swarm.Claim) bool { return c.Usable && !c.Paused && says(c) })
}

// jitter is around d, so that nodes do not decide at the same moment.
func (g *gatingChoice) jitter(d time.Duration) time.Duration {
	return d/2 + time.Duration(g.random.Float64()*float64(d))
}

// round decides once and does what was decided. Who is asked to give the trunk
// up while nobody else has it keeps it.
func (g *gatingChoice) round(ctx context.Context) {
	if !g.stock.gating() {
		g.stock.endGate() // of a trunk that came after it was given up
	}
	if g.node.net.Paused() || time.Now().Before(g.lost) {
		return
	}
	t := g.view()
	switch placement.DecideTrunk(t, g.policy) {
	case placement.Take:
		g.take(ctx, t)
	case placement.LetGo:
		g.letGo(ctx)
	}
}

// view is what the node knows of the model's gates now.
func (g *gatingChoice) view() placement.Trunk {
	id := g.model.Model.ID()
	t := trunkOf(g.node.ID(), g.model.Model.Manifest(), g.node.net.Claims(id), g.node.standing())
	if len(g.node.offered(id)) > 0 {
		t.Holders++
	}
	if t.Budget = g.model.Memory; t.Budget == 0 {
		t.Budget = math.MaxInt64
	}
	t.Held, t.Seed = g.stock.gating(), g.random.Uint64()
	if t.Held {
		// The mean over all gates, this one among them.
		t.Waiting = (t.Waiting*t.Gates + float64(g.node.waitingPrompts(id))) / (t.Gates + 1)
	}
	t.Waiting = g.queue.add(t.Waiting, time.Now())
	t.Speed = g.node.speed.now()
	return t
}

// steadyFor is after how long what was seen counts half: a queue of some seconds
// is no reason to fetch a trunk, one of minutes is.
const steadyFor = time.Minute

// steady is an average of what was seen lately. The zero value is ready.
type steady struct {
	value float64
	at    time.Time
}

// add takes in what is seen now, and returns the average.
func (s *steady) add(now float64, at time.Time) float64 {
	if s.at.IsZero() {
		s.at = at
	}
	keep := math.Exp2(-max(0, at.Sub(s.at)).Seconds() / steadyFor.Seconds())
	s.value, s.at = keep*s.value+(1-keep)*now, at
	return s.value
}

// trunkOf makes what placement decides about a trunk from what peers say.
func trunkOf(self string, man *expert.Manifest, claims []swarm.Claim, standing func(routing.Peer) float64) placement.Trunk {
	t := placement.Trunk{Bytes: man.Trunk.Size}
	place := len(man.Experts) // the trunk's in the order of peers, after the experts'
	own := placement.Rank(placement.PeerHash(self), place)
	waiting := 0.0
	for _, c := range claims {
		if !c.Usable || c.Paused {
			continue
		}
		if len(c.Held) > 0 {
			t.Holders++
		}
		worth := standing(c.Peer)
		above := worth > 0.5 && placement.Rank(placement.PeerHash(string(c.Peer)), place) > own
		switch {
		case c.Gates:
			t.Gates += worth
			waiting += worth * float64(c.Prompts)
			if above {
				t.Above++
			}
		case c.WillGate && above:
			t.Intended++
		}
		if c.MayGate && !c.Gates {
			t.Takers++
		}
	}
	if t.Gates > 0 {
		t.Waiting = waiting / t.Gates
	}
	return t
}

// handOverGating lets another node begin to gate a model before this one leaves:
// new prompts go elsewhere at once, the trunk can still be fetched from here,
// and answers that run go on. Nobody is waited for where nobody would begin.
func (n *Node) handOverGating(m Model) {
	id := m.Model.ID()
	if !n.gates.has(id) {
		return
	}
	gates := func(c swarm.Claim) bool { return c.Gates }
	if n.another(id, gates) || !n.another(id, func(c swarm.Claim) bool { return c.MayGate }) {
		return
	}
	for _, o := range n.net.Offers() {
		if o.Model == id && o.Gates {
			if err := n.setOffer(o); err != nil {
				n.cfg.Log.Error("an offer is not taken", "model", m.Name, "err", err)
				return
			}
		}
	}
	n.cfg.Say("model %s: nobody else gates it; waiting for one that begins to", m.Name)
	for deadline := time.Now().Add(n.cfg.handOver); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		if n.another(id, gates) {
			return
		}
	}
	n.cfg.Say("model %s: nobody began to gate it", m.Name)
}

// take announces that the node is about to gate, gives way where others are
// first, and begins. What does not come in its time is left for a while.
func (g *gatingChoice) take(ctx context.Context, t placement.Trunk) {
	g.tell(true)
	defer g.tell(false)
	settle := autoSettle
	if t.Gates < 1 {
		settle = autoHaste
	}
	if !wait(ctx, g.jitter(settle)) || !placement.ConfirmTrunk(g.view(), g.policy) {
		return
	}
	say, name := g.node.cfg.Say, g.model.Name
	say("model %s: too few nodes gate it; this one begins to, with a trunk of %s", name, size(t.Bytes))
	if err := g.stock.setGates(true); err != nil {
		g.lost = time.Now().Add(autoLost)
		say("model %s cannot be gated here: %v", name, err)
		return
	}
	patience := autoPatience
	if rate := g.stock.rate(); rate > 0 {
		patience += time.Duration(3 * float64(t.Bytes) / rate * float64(time.Second))
	}
	for deadline := time.Now().Add(patience); !g.stock.gating(); {
		if time.Now().After(deadline) {
			g.lost = time.Now().Add(autoLost)
			if err := g.stock.setGates(false); err != nil {
				g.node.cfg.Log.Error("gating cannot be given up", "model", name, "err", err)
			}
			say("model %s: the trunk does not come; trying again later", name)
			return
		}
		if !wait(ctx, 100*time.Millisecond) {
			return
		}
	}
}

// letGo takes the offer to gate back, lets answers end, and ends the engine.
func (g *gatingChoice) letGo(ctx context.Context) {
	g.node.cfg.Say("model %s: enough others gate it; this node no longer does", g.model.Name)
	if err := g.stock.setGates(false); err != nil {
		g.node.cfg.Log.Error("gating cannot be given up", "model", g.model.Name, "err", err)
		return
	}
	// Peers hear of it at once, but prompts may be on their way.
	busy := true
	for deadline := time.Now().Add(gateDrain); busy && time.Now().Before(deadline); {
		if !wait(ctx, autoSoon) {
			return // the engine ends with the node
		}
		e := g.node.gates.engine(g.model.Model.ID())
		busy = e != nil && e.Stats().Running+e.Stats().Waiting > 0
	}
	g.stock.endGate()
}

// tell announces whether the node is about to gate.
func (g *gatingChoice) tell(will bool) {
	g.mu.Lock()
	g.will = will
	g.mu.Unlock()
	g.node.offerAgain(g.model.Model.ID())
}

// announced is what was told last; false of nobody.
func (g *gatingChoice) announced() bool {
	if g == nil {
		return false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.will
}

// on reports whether the node gates the model by choice; false of nobody.
func (g *gatingChoice) on() bool { return g != nil && g.stock.gating() }

// bytes is what the trunk takes of the memory for the model.
func (g *gatingChoice) bytes() int64 {
	if g == nil || !g.announced() && !g.on() {
		return 0
	}
	return g.model.Model.Manifest().Trunk.Size
}

// wholeTrunk is the trunk of a model whose file is at hand.
type wholeTrunk struct {
	node  *Node
	model Model

	mu    sync.Mutex
	gates bool   // offered
	close func() // ends the engine; nil: it does not run
}

func (w *wholeTrunk) rate() float64 { return 0 }

func (w *wholeTrunk) gating() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.gates
}

func (w *wholeTrunk) setGates(on bool) error {
	w.mu.Lock()
	if on && w.close == nil {
		end, err := w.node.openGate(w.model)
		if err != nil {
			w.mu.Unlock()
			return err
		}
		w.close = end
	}
	w.gates = on
	w.mu.Unlock()
	w.node.offerAgain(w.model.Model.ID())
	return nil
}

func (w *wholeTrunk) endGate() {
	w.mu.Lock()
	end := w.close
	w.gates, w.close = false, nil
	w.mu.Unlock()
	if end != nil {
		end()
	}
}
