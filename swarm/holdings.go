package swarm

import (
	"errors"
	"slices"
	"time"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/routing"
)

// holdings is the table of who serves what, now, as far as this node knows.
// It is plain data: time is an argument, nothing blocks, and it is not safe
// for concurrent use ([directory] makes it so).
//
// Three sources feed it, and the better one wins: a peer's own word by hello
// or gossip, then provider records. What a peer announced lasts as long as
// the connection to it, or else until it expires. A peer that is lost keeps
// its entry but is not named as a holder until it is heard of again, so that
// nobody waits for the dead; one that said goodbye is gone at once.
type holdings struct {
	self   routing.Peer
	own    map[expert.ModelID]Offer
	limit  tableLimits
	peers  map[routing.Peer]*peerEntry
	models map[expert.ModelID]*modelEntry
	conns  map[routing.Peer]bool   // peers connected to us, in the table or not
	pinned map[expert.ModelID]bool // models let in past limit.models
	claims int                     // (peer, expert) pairs kept
}

type tableLimits struct{ peers, peerModels, peerClaims, models, claims, holders int }

// slot is an expert within its model: layer << 16 | index.
type slot uint32

func slotOf(id expert.ID) slot { return slot(id.Layer)<<16 | slot(id.Index) }

func (s slot) layer() int { return int(s >> 16) }
func (s slot) index() int { return int(s & 0xffff) }

// shape is the number of layers of a model, counted over all of them, and of
// the experts a layer has.
type shape struct {
	layers, experts int
	dense, skip     int // as in wire.Announcement
}

// perLayer is how many experts each layer has.
func (s shape) perLayer() []int {
	n := make([]int, s.layers)
	for l := s.dense; l < len(n); l += s.skip + 1 {
		n[l] = s.experts
	}
	return n
}

// claim is what one peer is known to serve of one model.
type claim struct {
	name     string
	shape    shape  // of the model as the peer states it; zero: it did not
	held     []slot // ascending; never changed in place once set
	gates    bool
	waiting  int  // frames waiting at the peer when it spoke
	prompts  int  // and prompts
	paused   bool // it computes nothing for now, so it is not named as holder and gate
	memory   int64
	price    uint64 // of a token, in nneuro
	mayGate  bool   // it gates if the swarm has too few that do
	willGate bool   // it is about to
	wanted   []slot // ascending
	demand   []byte // of each expert, layer by layer; as wire has it

	said     bool      // the peer itself announced this model
	saidHeld bool      // … and listed the experts it holds
	left     bool      // a tombstone: it said goodbye, and older news is refused
	seq      int64     // the author's order of its announcements
	ends     time.Time // of the claim
	heldEnds time.Time // of held
	unlisted bool      // some of held found no room in the holders' lists
}

type peerEntry struct {
	usable bool // named as holder and gate; false once it is lost
	held   int  // experts in all its claims
	claims map[expert.ModelID]*claim
}

type modelEntry struct {
	holders map[slot][]routing.Peer // of usable peers; slices are replaced, not changed
	peers   map[routing.Peer]*claim // every claim on this model
}

// notice is an announcement on its way into the table.
type notice struct {
	model             expert.ModelID
	name              string
	shape             shape  // zero: it says nothing of shape and holdings
	held              []slot // ascending
	gates             bool
	leaving           bool
	waiting, prompts  int
	seq               int64
	paused            bool
	memory            int64
	price             uint64
	mayGate, willGate bool
	wanted            []slot
	demand            []byte
}

// errTableFull: a limit of the table refuses another entry.
var errTableFull = errors.New("holdings table is full")

func newHoldings(self routing.Peer, offers []Offer) *holdings {
	t := &holdings{
		self: self,
		own:  make(map[expert.ModelID]Offer),
		limit: tableLimits{peers: maxPeers, peerModels: maxPeerModels, peerClaims: maxPeerClaims,
			models: maxModels, claims: maxClaims, holders: maxHolders},
		peers:  make(map[routing.Peer]*peerEntry),
		models: make(map[expert.ModelID]*modelEntry),
		conns:  make(map[routing.Peer]bool),
		pinned: make(map[expert.ModelID]bool),
	}
	for _, o := range offers {
		t.own[o.Model] = o
		t.pinned[o.Model] = true
	}
	return t
}

// announce takes in a peer's own word. It reports whether anything but the
// expiry and the load changed. Old news is not an error.
func (t *holdings) announce(p routing.Peer, n notice, now time.Time) (changed bool, err error) {
	if p == t.self {
		return false, nil
	}
	if c := t.claim(p, n.model); c != nil && c.said && n.seq <= c.seq {
		return false, nil
	}
	if n.leaving && t.claim(p, n.model) == nil {
		return false, nil
	}
	c, m, err := t.admit(p, n.model)
	if err != nil {
		return false, err
	}
	e := t.peers[p]
	if err := t.room(e, len(n.held)-len(c.held)); n.shape != (shape{}) && err != nil {
		t.tidy(p, n.model)
		return false, err
	}
	changed = !c.said || c.paused != n.paused || c.willGate != n.willGate || c.left != n.leaving || c.gates != n.gates || c.name != n.name || !e.usable && !n.leaving
	c.said, c.left, c.seq = true, n.leaving, n.seq
	t.setPaused(p, m, c, n.paused)
	c.memory, c.price, c.mayGate, c.willGate = n.memory, n.price, n.mayGate, n.willGate
	c.name, c.gates, c.waiting, c.prompts, c.ends = n.name, n.gates && !n.leaving, n.waiting, n.prompts, now.Add(announceTTL)
	if !e.usable && !n.leaving {
		t.setUsable(p, true)
	}
	switch {
	case n.leaving:
		t.setHeld(p, m, c, nil)
		c.saidHeld, c.wanted, c.demand = false, nil, nil
	case n.shape != (shape{}):
		changed = changed || !c.saidHeld || !slices.Equal(c.held, n.held) || !slices.Equal(c.wanted, n.wanted)
		c.wanted = n.wanted
		if n.demand != nil && c.gates {
			c.demand = n.demand
		}
		c.shape, c.saidHeld, c.heldEnds = n.shape, true, now.Add(announceTTL)
		t.setHeld(p, m, c, n.held)
	}
	return changed, nil
}

// found takes in a provider record for an expert. The peer's own word wins
// over it, and it does not bring back a peer that was lost.
func (t *holdings) found(p routing.Peer, id expert.ID, now time.Time) (changed bool, err error) {
	if p == t.self {
		return false, nil
	}
	if c := t.claim(p, id.Model); c != nil && (c.saidHeld || c.left) {
		return false, nil
	}
	c, m, err := t.admit(p, id.Model)
	if err != nil {
		return false, err
	}
	c.heldEnds = now.Add(foundTTL)
	if !c.said {
		c.ends = c.heldEnds
	}
	at, have := slices.BinarySearch(c.held, slotOf(id))
	if have {
		return false, nil
	}
	if err := t.room(t.peers[p], 1); err != nil {
		t.tidy(p, id.Model)
		return false, err
	}
	t.setHeld(p, m, c, slices.Insert(slices.Clone(c.held), at, slotOf(id)))
	return true, nil
}

// foundGate takes in a provider record for a gating node.
func (t *holdings) foundGate(p routing.Peer, model expert.ModelID, now time.Time) (changed bool, err error) {
	if p == t.self {
		return false, nil
	}
	if c := t.claim(p, model); c != nil && c.said {
		return false, nil
	}
	c, _, err := t.admit(p, model)
	if err != nil {
		return false, err
	}
	changed = !c.gates
	c.gates, c.ends = true, now.Add(foundTTL)
	return changed, nil
}

// refused drops experts that a peer says it does not hold. Its next
// announcement may bring them back.
func (t *holdings) refused(p routing.Peer, ids []expert.ID) (changed bool) {
	for _, id := range ids {
		c := t.claim(p, id.Model)
		if c == nil {
			continue
		}
		if at, have := slices.BinarySearch(c.held, slotOf(id)); have {
			t.setHeld(p, t.models[id.Model], c, slices.Delete(slices.Clone(c.held), at, at+1))
			changed = true
		}
	}
	return changed
}

// refusedPrompt notes that a peer says it does not gate a model. Its next
// announcement may take that back.
func (t *holdings) refusedPrompt(p routing.Peer, model expert.ModelID) (changed bool) {
	c := t.claim(p, model)
	if c == nil || !c.gates {
		return false
	}
	c.gates = false
	return true
}

// connected notes that there is a connection to p. What p says from now on
// is new, even if its clock was set back since it was last here.
func (t *holdings) connected(p routing.Peer) (changed bool) {
	e := t.peers[p]
	if !t.conns[p] && e != nil {
		for _, c := range e.claims {
			c.seq = 0
		}
	}
	t.conns[p] = true
	if e != nil && !e.usable {
		t.setUsable(p, true)
		return true
	}
	return false
}

// disconnected notes that the last connection to p is gone.
func (t *holdings) disconnected(p routing.Peer, now time.Time) (changed bool) {
	delete(t.conns, p)
	e := t.peers[p]
	if e == nil {
		return false
	}
	for _, c := range e.claims {
		if c.said {
			c.ends = now.Add(announceTTL)
		}
		if c.saidHeld {
			c.heldEnds = now.Add(announceTTL)
		}
	}
	return t.unreachable(p)
}

// unreachable notes that p cannot be reached. It is named no more until it
// connects or announces something again.
func (t *holdings) unreachable(p routing.Peer) (changed bool) {
	e := t.peers[p]
	if e == nil || !e.usable {
		return false
	}
	t.setUsable(p, false)
	return true
}

// expire drops what has ended by now.
func (t *holdings) expire(now time.Time) (changed bool) {
	for p, e := range t.peers {
		for model, c := range e.claims {
			lasts := t.conns[p] && !c.left
			if !(lasts && c.saidHeld) && len(c.held) > 0 && !now.Before(c.heldEnds) {
				t.setHeld(p, t.models[model], c, nil)
				c.saidHeld = false
				changed = true
			}
			if !(lasts && c.said) && !now.Before(c.ends) {
				t.drop(p, model)
				changed = true
			}
		}
	}
	return changed
}

// holders returns the usable peers that hold an expert. The slice is never
// changed after it was returned.
func (t *holdings) holders(id expert.ID) []routing.Peer {
	if m := t.models[id.Model]; m != nil {
		return m.holders[slotOf(id)]
	}
	return nil
}
