package node

import (
	"context"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/internal/placement"
)

const (
	// autoEvery is the pause between two decisions of a node that chooses its
	// experts, while it has room; news of the swarm shortens it to autoSoon.
	autoEvery = 10 * time.Second
	autoSoon  = time.Second
	// autoRebalance is the least time between two exchanges of a full node.
	autoRebalance = 10 * time.Minute
	// autoSettle is how long intentions are given to be heard: where many change
	// in a row, gossip rounds are up to two seconds apart.
	autoSettle = 3 * time.Second
	// autoHaste replaces it when an expert is about to be lost, or nobody gates.
	autoHaste = 500 * time.Millisecond
	// autoPatience is how long a fetch may take beyond what the rate says until
	// its experts are given up, for autoLost.
	autoPatience = time.Minute
	autoLost     = time.Minute
	// handOverTime is the usual bound of the wait of a leaving node for others to
	// take what only it holds; the rest of the ten seconds is for goodbyes.
	handOverTime = 5 * time.Second
)

// stock is what a node has of one model, and how it gets more.
type stock interface {
	// held lists the experts in use now.
	held() []expert.Slot
	// want says which are to be in use: missing ones are fetched, others given
	// up once peers were told. It returns at once.
	want([]expert.Slot) error
	// rate is the bytes a second that fetches have brought; 0: not known.
	rate() float64
}

// placer chooses which experts of one model the node holds.
type placer struct {
	node   *Node
	model  Model
	stock  stock
	policy placement.Policy

	deciding   sync.Mutex // held by run, then by handOver, and guards what follows
	random     *rand.Rand
	lost       map[expert.Slot]time.Time // fetched in vain, until
	rebalanced time.Time

	mu     sync.Mutex
	wanted []expert.Slot // announced as about to change hands
}

func newPlacer(n *Node, m Model, s stock) (*placer, error) {
	policy, err := placement.Policy{}.Validate()
	return &placer{node: n, model: m, stock: s, policy: policy, lost: map[expert.Slot]time.Time{},
		random: rand.New(rand.NewPCG(placement.PeerHash(n.ID()), uint64(time.Now().UnixNano())))}, err
}

// run decides until ctx ends.
func (p *placer) run(ctx context.Context) error {
	p.deciding.Lock()
	defer p.deciding.Unlock()
	if !wait(ctx, p.jitter(autoSoon)) {
		return nil
	}
	for ctx.Err() == nil {
		changed := p.node.net.Changed()
		p.round(ctx)
		select {
		case <-ctx.Done():
		case <-time.After(p.jitter(autoEvery)):
		case <-changed:
			wait(ctx, p.jitter(autoSoon))
		}
	}
	return nil
}

// jitter is around d, so that nodes do not decide at the same moment.
func (p *placer) jitter(d time.Duration) time.Duration {
	return d/2 + time.Duration(p.random.Float64()*float64(d))
}

// wait waits for d, and reports whether ctx still lives.
func wait(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// view is the swarm as this node sees it now.
func (p *placer) view(now time.Time) placement.View {
	held := map[expert.Slot]bool{}
	for _, s := range p.stock.held() {
		held[s] = true
	}
	id := p.model.Model.ID()
	own := map[expert.Slot]float64{}
	for id, d := range p.node.demand.of(id) {
		own[expert.Slot{Layer: int(id.Layer), Index: int(id.Index)}] = d
	}
	v := viewOf(surroundings{self: p.node.ID(), man: p.model.Model.Manifest(), claims: p.node.net.Claims(id),
		standing: p.node.standing(), held: held, own: own,
		lost: func(s expert.Slot) bool { return now.Before(p.lost[s]) }})
	v.Budget = max(1, p.model.Memory-p.node.gatings[id].bytes())
	v.Rate, v.Speed, v.Seed = p.stock.rate(), p.node.speed.now(), p.random.Uint64()
	return v
}

// slot names an expert of a view.
func (p *placer) slot(i int) expert.Slot {
	id := p.model.Model.Manifest().IDs()[i]
	return expert.Slot{Layer: int(id.Layer), Index: int(id.Index)}
}

// round decides once and does what was decided.
func (p *placer) round(ctx context.Context) {
	now := time.Now()
	v := p.view(now)
	d := placement.Decide(v, p.policy)
	if len(d.Fetch) > 0 && d.Fetch[0].Why == placement.Better {
		if now.Sub(p.rebalanced) < autoRebalance {
			return
		}
		p.rebalanced = now
	}
	var handOver []expert.Slot
	for _, i := range d.HandOver {
		handOver = append(handOver, p.slot(i))
	}
	if len(d.Fetch) == 0 {
		p.tell(handOver)
		if len(d.Drop) > 0 {
			p.change(v, nil, d.Drop)
		}
		return
	}
	intended := handOver
	urgent := false
	for _, f := range d.Fetch {
		intended = append(intended, p.slot(f.Expert))
		urgent = urgent || f.Why == placement.Missing
	}
	p.tell(intended)
	settle := autoSettle
	if urgent {
		settle = autoHaste
	}
	if !wait(ctx, p.jitter(settle)) {
		return
	}
	p.confirm(ctx, d)
	p.tell(handOver)
}

// confirm looks again, gives way where others are first, and fetches the rest.
func (p *placer) confirm(ctx context.Context, d placement.Decision) {
	v := p.view(time.Now())
	var kept []placement.Fetch
	var bytes int64
	for _, f := range d.Fetch {
		if placement.Confirm(f, v.Experts[f.Expert], p.policy) {
			kept = append(kept, f)
			bytes += v.Experts[f.Expert].Bytes
		}
	}
	if len(kept) == 0 {
		return
	}
	// Room is made for what is still to come, and only by what may still go.
	free := v.Budget
	for _, e := range v.Experts {
		if e.Held {
			free -= e.Bytes
		}
	}
	var drop []int
	for _, i := range d.Drop {
		if e := v.Experts[i]; free < bytes && e.Held && e.Above >= p.policy.Want {
			drop = append(drop, i)
			free += e.Bytes
		}
	}
	for len(kept) > 0 && bytes > free { // somebody let go meanwhile
		bytes -= v.Experts[kept[len(kept)-1].Expert].Bytes
		kept = kept[:len(kept)-1]
	}
	if len(kept) == 0 {
		return
	}
	var fresh []expert.Slot
	for _, f := range kept {
		fresh = append(fresh, p.slot(f.Expert))
	}
	p.tell(fresh)
	p.change(v, fresh, drop)
	p.await(ctx, fresh, bytes, v.Rate)
}

// change makes the stock what it is, less some, plus others.
func (p *placer) change(v placement.View, fresh []expert.Slot, drop []int) {
	gone := map[expert.Slot]bool{}
	for _, i := range drop {
		gone[p.slot(i)] = true
	}
	want := slices.DeleteFunc(slices.Clone(p.stock.held()), func(s expert.Slot) bool { return gone[s] })
	if err := p.stock.want(append(want, fresh...)); err != nil {
		p.node.cfg.Log.Error("experts cannot be chosen", "model", p.model.Name, "err", err)
	}
}

// await waits until experts are here. What does not come is given up for a
// while.
func (p *placer) await(ctx context.Context, fresh []expert.Slot, bytes int64, rate float64) {
	patience := autoPatience
	if rate > 0 {
		patience += time.Duration(3 * float64(bytes) / rate * float64(time.Second))
	}
	deadline := time.Now().Add(patience)
	for {
		held := p.stock.held()
		left := slices.DeleteFunc(slices.Clone(fresh), func(s expert.Slot) bool { return slices.Contains(held, s) })
		if len(left) == 0 {
			return
		}
		if time.Now().After(deadline) {
			for _, s := range left {
				p.lost[s] = time.Now().Add(autoLost)
			}
			if err := p.stock.want(held); err != nil {
				p.node.cfg.Log.Error("experts cannot be chosen", "model", p.model.Name, "err", err)
			}
			return
		}
		if !wait(ctx, 100*time.Millisecond) {
			return
		}
	}
}

// tell announces what is about to change hands.
func (p *placer) tell(wanted []expert.Slot) {
	p.mu.Lock()
	same := slices.Equal(p.wanted, wanted)
	p.wanted = slices.Clone(wanted)
	p.mu.Unlock()
	if !same {
		p.node.offerAgain(p.model.Model.ID())
	}
}

// announced is what was told last.
func (p *placer) announced() []expert.Slot {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.wanted
}

// handOver offers what too few others hold before the node leaves, and waits
// until others have it, or until it is time. Nobody is waited for where nobody
// chooses its own experts.
func (p *placer) handOver() {
	p.deciding.Lock() // run ends as the node is told to stop
	defer p.deciding.Unlock()
	v := p.view(time.Now())
	going := placement.Leave(v.Experts, placement.Policy{Want: 1})
	if len(going) == 0 || v.Takers == 0 {
		p.sayLost(going)
		return
	}
	p.tell(p.stock.held()) // none of them counts any more
	p.node.cfg.Say("model %s: handing over %d experts that nobody else holds", p.model.Name, len(going))
	for deadline := time.Now().Add(p.node.cfg.handOver); time.Now().Before(deadline) && len(going) > 0; {
		time.Sleep(100 * time.Millisecond)
		going = placement.Leave(p.view(time.Now()).Experts, placement.Policy{Want: 1})
	}
	p.sayLost(going)
}

// sayLost names the experts that go with the node.
func (p *placer) sayLost(going []int) {
	if len(going) == 0 {
		return
	}
	slots := make([]expert.Slot, len(going))
	for i, e := range going {
		slots[i] = p.slot(e)
	}
	p.node.cfg.Say("model %s: nobody took over %s", p.model.Name, strings.Join(expert.Describe(slots), ", "))
}
