package swarm

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/routing"
)

// ModelView is what this node knows of one model in the swarm.
type ModelView struct {
	Model   expert.ModelID
	Name    string // as most who serve it say; may be empty
	Gates   int    // usable gating nodes, this node included
	Holders int    // usable nodes that hold some of its experts, this node included
	Coverage
}

// PeerView is what this node knows of one peer.
type PeerView struct {
	Peer      routing.Peer
	Addrs     []string // complete with /p2p/ID
	Connected bool
	Usable    bool          // false: lost, until it is heard of again
	RTT       time.Duration // measured round trip, smoothed; 0: not measured
	Way       Way           // how it is connected
	Models    []PeerModel
}

// PeerModel is what a peer serves of one model.
type PeerModel struct {
	Model   expert.ModelID
	Name    string
	Gates   bool
	Held    []LayerExperts
	Waiting int    // frames that waited at the peer when it last said so
	Paused  bool   // it computes nothing for now
	Memory  int64  // bytes for experts that it chooses itself; 0: it does not choose
	Price   uint64 // of a token that it gates, in nneuro; 0: none
}

// modelViews lists the models that someone serves, by name and id.
func (t *holdings) modelViews() []ModelView {
	ids := slices.Collect(maps.Keys(t.own))
	for id := range t.models {
		if _, ours := t.own[id]; !ours {
			ids = append(ids, id)
		}
	}
	var out []ModelView
	for _, id := range ids {
		v := ModelView{Model: id, Name: t.name(id), Gates: len(t.gates(id)), Coverage: t.coverage(id)}
		if o := t.own[id]; o.Gates {
			v.Gates++
		}
		if len(t.own[id].Held) > 0 {
			v.Holders++
		}
		if m := t.models[id]; m != nil {
			for p, c := range m.peers {
				if len(c.held) > 0 && t.peers[p].usable && !c.paused {
					v.Holders++
				}
			}
		}
		if v.Gates+v.Holders > 0 {
			out = append(out, v)
		}
	}
	slices.SortFunc(out, func(a, b ModelView) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), slices.Compare(a.Model[:], b.Model[:]))
	})
	return out
}

// name is the model's name as our own offer has it, or as most peers say.
func (t *holdings) name(model expert.ModelID) string {
	if o, ok := t.own[model]; ok && o.Name != "" {
		return o.Name
	}
	votes := map[string]int{"": 0}
	if m := t.models[model]; m != nil {
		for _, c := range m.peers {
			if c.name != "" {
				votes[c.name]++
			}
		}
	}
	return slices.MaxFunc(slices.Collect(maps.Keys(votes)), func(a, b string) int {
		return cmp.Or(votes[a]-votes[b], cmp.Compare(b, a))
	})
}

// gates lists the usable gating nodes of a model, in no order.
func (t *holdings) gates(model expert.ModelID) []routing.Peer {
	m := t.models[model]
	if m == nil {
		return nil
	}
	var out []routing.Peer
	for p, c := range m.peers {
		if c.gates && t.peers[p].usable && !c.paused {
			out = append(out, p)
		}
	}
	return out
}

// peerView tells what a peer serves; the rest of the view is for the caller
// to fill in.
func (t *holdings) peerView(p routing.Peer) PeerView {
	v := PeerView{Peer: p, Connected: t.conns[p], Usable: t.conns[p]}
	e := t.peers[p]
	if e == nil {
		return v
	}
	v.Usable = e.usable
	for model, c := range e.claims {
		if c.left || !c.gates && len(c.held) == 0 && c.memory == 0 {
			continue
		}
		v.Models = append(v.Models, PeerModel{Model: model, Name: c.name, Gates: c.gates,
			Held: byLayer(c.held), Waiting: c.waiting, Paused: c.paused, Memory: c.memory, Price: c.price})
	}
	slices.SortFunc(v.Models, func(a, b PeerModel) int { return slices.Compare(a.Model[:], b.Model[:]) })
	return v
}

// known lists every peer that is connected or in the table, by id.
func (t *holdings) known() []routing.Peer {
	all := maps.Clone(t.conns)
	for p := range t.peers {
		all[p] = true
	}
	return slices.Sorted(maps.Keys(all))
}
