package swarm

import (
	"cmp"
	"maps"
	"slices"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/routing"
)

// LayerExperts names experts of one layer.
type LayerExperts struct {
	Layer   int
	Experts []int // ascending
}

// Coverage says whether the swarm holds all of a model, as far as this node
// knows.
type Coverage struct {
	// Known is false while nobody has told this node what shape the model has;
	// the other fields are then zero.
	Known   bool
	Experts int            // experts of the model, over all layers
	Held    int            // those with a holder, this node included
	Missing []LayerExperts // the others, by layer
	Single  []LayerExperts // those with one holder only, by layer
}

// Complete reports whether every expert has a holder.
func (c Coverage) Complete() bool { return c.Known && c.Held == c.Experts }

// coverage says which experts of a model have no usable holder.
func (t *holdings) coverage(model expert.ModelID) Coverage {
	layers := t.layers(model)
	if layers == nil {
		return Coverage{}
	}
	own := make(map[slot]bool)
	for _, id := range t.own[model].Held {
		own[slotOf(id)] = true
	}
	var holders map[slot][]routing.Peer
	if m := t.models[model]; m != nil {
		holders = m.holders
	}
	c := Coverage{Known: true}
	for l, experts := range layers {
		c.Experts += experts
		var missing, single []int
		for x := range experts {
			s := slot(l)<<16 | slot(x)
			n := len(holders[s])
			if own[s] {
				n++
			}
			switch n {
			case 0:
				missing = append(missing, x)
				continue
			case 1:
				single = append(single, x)
			}
			c.Held++
		}
		if missing != nil {
			c.Missing = append(c.Missing, LayerExperts{Layer: l, Experts: missing})
		}
		if single != nil {
			c.Single = append(c.Single, LayerExperts{Layer: l, Experts: single})
		}
	}
	return c
}

// layers gives the experts of each layer: as our own offer has it, or else
// as most usable peers state it, so that one liar changes nothing.
func (t *holdings) layers(model expert.ModelID) []int {
	if o, ok := t.own[model]; ok {
		return o.Layers
	}
	m := t.models[model]
	if m == nil {
		return nil
	}
	votes := make(map[shape]int)
	for p, c := range m.peers {
		if c.shape != (shape{}) && !c.left && t.peers[p].usable {
			votes[c.shape]++
		}
	}
	if len(votes) == 0 {
		return nil
	}
	best := slices.MaxFunc(slices.Collect(maps.Keys(votes)), func(a, b shape) int {
		return cmp.Or(votes[a]-votes[b], a.layers-b.layers, a.experts-b.experts, b.dense-a.dense, b.skip-a.skip)
	})
	return best.perLayer()
}

// byLayer groups ascending slots.
func byLayer(held []slot) []LayerExperts {
	var out []LayerExperts
	for _, s := range held {
		if n := len(out); n == 0 || out[n-1].Layer != s.layer() {
			out = append(out, LayerExperts{Layer: s.layer()})
		}
		last := &out[len(out)-1]
		last.Experts = append(last.Experts, s.index())
	}
	return out
}
