package node

import (
	"context"
	"sync"
	"time"

	"github.com/pbnjay/memory"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/gating/hot"
)

const (
	// hotEvery is how often the choice of hot experts is looked at again, and
	// sooner at first: a change costs a fetch, and a few seconds of an answer say
	// little.
	hotEvery = 10 * time.Second
	// hotKick is the least pause before it is looked at because many rows wait.
	hotKick = time.Second
)

// hotExperts keeps the hottest experts of one gated model at home. They are
// computed for this node's own answers and not offered to others.
type hotExperts struct {
	node   *Node
	model  Model
	set    *expert.Set
	parts  *partsHolder // nil: the model's file is here
	budget int64
	counts *hot.Counts
	kicked chan struct{} // room for one: many rows wait for an expert

	mu   sync.Mutex
	kept map[expert.Slot]bool
	rate float64 // measured bytes a second of fetches; 0: not known
}

// newHot makes the keeper of a gated model's hot experts, nil without a budget.
func (n *Node) newHot(m Model) *hotExperts {
	if !m.mayGate() || m.Auto && m.Model.Whole() { // then the placer has the whole set
		return nil
	}
	budget := n.cfg.HotMemory
	if budget == HotAuto {
		budget = hotBudget(int64(memory.TotalMemory()), m.Model.Manifest())
	}
	if budget <= 0 {
		return nil
	}
	return &hotExperts{node: n, model: m, set: n.sets[m.Model.ID()], parts: n.parts[m.Model.ID()], budget: budget,
		counts: hot.NewCounts(), kicked: make(chan struct{}, 1), kept: make(map[expert.Slot]bool)}
}

// hotBudget is an eighth of the machine's memory, where that has room for half of
// a model's experts: with less, hardly a layer has all at home that it chooses, and
// fetching them would take the holders' lines for nothing.
func hotBudget(total int64, m *expert.Manifest) int64 {
	var experts int64
	for _, p := range m.Experts {
		experts += p.Size
	}
	if budget := total / 8; budget >= experts/2 {
		return min(budget, experts)
	}
	return 0
}

// over counts what an engine asks of an applier; a nil keeper counts nothing.
func (h *hotExperts) over(a expert.Applier) expert.Applier {
	if h == nil {
		return a
	}
	return &hot.Applier{Applier: a, Counts: h.counts, Waiting: h.waiting}
}

// waiting has a look at once when an expert that is not here should rather be
// fetched than sent the rows. These rows are sent all the same: the fetch is
// for the next ones of the prompt.
func (h *hotExperts) waiting(calls []expert.Call, rowBytes int64) {
	h.mu.Lock()
	rate, room := h.rate, h.budget
	h.mu.Unlock()
	if h.parts == nil {
		rate = 1e9 // from this machine's own disk
	}
	man := h.model.Model.Manifest()
	for _, c := range calls {
		if p, ok := man.Piece(int(c.Expert.Layer), int(c.Expert.Index)); ok && !h.set.Holds(c.Expert) && hot.Worth(len(c.Rows), rowBytes, p.Size, rate, room) {
			signal(h.kicked)
			return
		}
	}
}

// run looks at the choice again and again until ctx ends.
func (h *hotExperts) run(ctx context.Context) error {
	pause := hotKick
	if h.counts.Known() { // from before the node was started
		h.choose()
	}
	for ; ; pause = min(2*pause, hotEvery) {
		t := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			t.Stop()
			return nil
		case <-h.kicked:
			t.Reset(hotKick)
			select {
			case <-ctx.Done():
				return nil
			case <-t.C:
			}
		case <-t.C:
		}
		h.choose()
	}
}

// choose keeps what is hottest now.
func (h *hotExperts) choose() {
	held := make(map[expert.Slot]bool)
	for _, s := range h.node.offered(h.model.Model.ID()) {
		held[s] = true // these are here in any case, and offered
	}
	man := h.model.Model.Manifest()
	h.mu.Lock()
	defer h.mu.Unlock()
	var all []hot.Candidate
	for i, s := range expert.SlotsOf(man.IDs()) {
		if !held[s] {
			all = append(all, hot.Candidate{Slot: s, Bytes: man.Experts[i].Size, Rate: h.counts.Rate(s), Kept: h.kept[s]})
		}
	}
	keep := make(map[expert.Slot]bool)
	for _, s := range hot.Choose(all, h.budget) {
		keep[s] = true
	}
	var come, leave []expert.Slot
	for s := range keep {
		if !h.kept[s] {
			come = append(come, s)
		}
	}
	for s := range h.kept {
		if !keep[s] {
			leave = append(leave, s)
		}
	}
	h.kept = keep
	if len(come)+len(leave) == 0 {
		return
	}
	if h.parts != nil {
		h.rate = max(h.rate, h.parts.keepHot(keep))
		return
	}
	h.set.Drop(expert.IDsOf(man.ID(), leave))
	if err := h.set.Hold(expert.IDsOf(man.ID(), come)); err != nil {
		h.node.cfg.Log.Error("hot experts cannot be held", "model", h.model.Name, "err", err)
	}
}

// HotView is what is kept at home of a gated model.
type HotView struct {
	Budget  int64  `json:"budget_bytes"`
	Bytes   int64  `json:"bytes"`
	Count   int    `json:"experts"`
	Experts string `json:"held"` // as --experts takes it
}

func (h *hotExperts) view() *HotView {
	h.mu.Lock()
	defer h.mu.Unlock()
	v := &HotView{Budget: h.budget}
	man := h.model.Model.Manifest()
	var slots []expert.Slot
	for s := range h.kept {
		if !h.set.Holds(s.Of(man.ID())) {
			continue // on its way
		}
		p, _ := man.Piece(s.Layer, s.Index)
		slots, v.Bytes = append(slots, s), v.Bytes+p.Size
	}
	v.Count, v.Experts = len(slots), expert.FormatSpec(slots, man.Shape.SparseLayers, man.Shape.Experts)
	return v
}
