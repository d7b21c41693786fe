package node

import (
	"math"
	"time"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/internal/placement"
	"github.com/moeswarm/moeswarm/routing"
	"github.com/moeswarm/moeswarm/swarm"
)

// halved is what is left of 1 after a time.
func halved(d time.Duration) float64 {
	return math.Exp2(-max(0, d).Seconds() / demandHalfLife.Seconds())
}

// surroundings is what a view of the swarm is made from.
type surroundings struct {
	self     string
	man      *expert.Manifest
	claims   []swarm.Claim
	standing func(routing.Peer) float64 // 0 to 1
	held     map[expert.Slot]bool       // by this node
	own      map[expert.Slot]float64    // demand as this node measured it; may be nil
	lost     func(expert.Slot) bool     // could not be had just now
}

// viewOf makes what placement decides from. The experts are in the manifest's
// order.
func viewOf(s surroundings) placement.View {
	ids := s.man.IDs()
	v := placement.View{Experts: make([]placement.Expert, len(ids))}
	at := make(map[expert.Slot]int, len(ids))
	demand := demandOf(s)
	self := placement.PeerHash(s.self)
	for i, id := range ids {
		slot := expert.Slot{Layer: int(id.Layer), Index: int(id.Index)}
		at[slot] = i
		d, known := demand[slot]
		if !known {
			d = 1
		}
		v.Experts[i] = placement.Expert{Bytes: s.man.Experts[i].Size, Demand: d, Held: s.held[slot], Lost: s.lost(slot)}
	}
	for _, c := range s.claims {
		if !c.Usable || c.Paused {
			continue
		}
		if c.Memory > 0 {
			v.Takers++
		}
		peer, worth := placement.PeerHash(string(c.Peer)), s.standing(c.Peer)
		above := func(i int) bool { return placement.Rank(peer, i) > placement.Rank(self, i) }
		moving := make(map[expert.Slot]bool, len(c.Wanted))
		for _, slot := range c.Wanted {
			moving[slot] = true
		}
		for _, slot := range c.Held {
			i, ok := at[slot]
			if !ok || moving[slot] { // it is to be taken over, so it does not count
				continue
			}
			v.Experts[i].Replicas += worth
			if above(i) && worth > 0.5 {
				v.Experts[i].Above++
			}
		}
		holds := make(map[expert.Slot]bool, len(c.Held))
		for _, slot := range c.Held {
			holds[slot] = true
		}
		for _, slot := range c.Wanted {
			if i, ok := at[slot]; ok && !holds[slot] && above(i) {
				v.Experts[i].Intended++
			}
		}
	}
	return v
}

// demandOf is what gating nodes measured, on average, this one among them.
func demandOf(s surroundings) map[expert.Slot]float64 {
	sum, count := map[expert.Slot]float64{}, 0.0
	add := func(demand map[expert.Slot]float64) {
		if len(demand) == 0 {
			return
		}
		count++
		for slot, d := range demand {
			// A liar cannot make more of an expert than a layer has calls.
			sum[slot] += min(d, 1024)
		}
	}
	add(s.own)
	for _, c := range s.claims {
		if c.Gates && c.Usable {
			add(c.Demand)
		}
	}
	if count == 0 {
		return nil
	}
	// What a gate has not seen asked for, it says nothing of.
	for slot := range sum {
		sum[slot] /= count
	}
	for i := range s.man.Experts {
		id := s.man.IDs()[i]
		slot := expert.Slot{Layer: int(id.Layer), Index: int(id.Index)}
		if _, ok := sum[slot]; !ok {
			sum[slot] = 0
		}
	}
	return sum
}

// standing is how much a peer's copy counts: a stranger's in full, less the
// worse it behaved, nothing once it is excluded.
func (n *Node) standing() func(routing.Peer) float64 {
	worth := map[routing.Peer]float64{}
	whole := routing.NewReputation().Score()
	for _, p := range n.router.Peers() {
		switch {
		case p.Excluded != "":
			worth[p.Peer] = 0
		case whole > 0:
			worth[p.Peer] = min(1, p.Reputation.Score()/whole)
		}
	}
	return func(p routing.Peer) float64 {
		if w, known := worth[p]; known {
			return w
		}
		return 1
	}
}
