package swarm

import (
	"fmt"
	"maps"
	"slices"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/routing"
)

// The bookkeeping under [holdings]: entries come and go, and the lists of
// holders follow. Lists are replaced and never changed in place, because
// routing reads them without a lock.

// claim returns what p claims of model; nil if nothing.
func (t *holdings) claim(p routing.Peer, model expert.ModelID) *claim {
	if e := t.peers[p]; e != nil {
		return e.claims[model]
	}
	return nil
}

// admit returns the claim of p on model, a new one if there is none and the
// limits allow it.
func (t *holdings) admit(p routing.Peer, model expert.ModelID) (*claim, *modelEntry, error) {
	e, m := t.peers[p], t.models[model]
	if e != nil && e.claims[model] != nil {
		return e.claims[model], m, nil
	}
	switch {
	case m == nil && len(t.models) >= t.limit.models && !t.pinned[model]:
		return nil, nil, fmt.Errorf("%w: %d models", errTableFull, len(t.models))
	case e != nil && len(e.claims) >= t.limit.peerModels:
		return nil, nil, fmt.Errorf("%w: %d models of one peer", errTableFull, len(e.claims))
	case e == nil && len(t.peers) >= t.limit.peers && !t.evict():
		return nil, nil, fmt.Errorf("%w: %d peers", errTableFull, len(t.peers))
	}
	if e == nil {
		e = &peerEntry{usable: true, claims: make(map[expert.ModelID]*claim)}
		t.peers[p] = e
	}
	if m = t.models[model]; m == nil { // evict may have dropped it
		m = &modelEntry{holders: make(map[slot][]routing.Peer), peers: make(map[routing.Peer]*claim)}
		t.models[model] = m
	}
	c := &claim{}
	e.claims[model], m.peers[p] = c, c
	return c, m, nil
}

// room refuses more experts of one peer, or of all, than the limits allow.
func (t *holdings) room(e *peerEntry, more int) error {
	if more > 0 && (e.held+more > t.limit.peerClaims || t.claims+more > t.limit.claims) {
		return fmt.Errorf("%w: %d experts claimed by one peer, %d by all", errTableFull, e.held, t.claims)
	}
	return nil
}

// tidy drops a claim that admit made and nothing was put into.
func (t *holdings) tidy(p routing.Peer, model expert.ModelID) {
	if c := t.claim(p, model); c != nil && !c.said && !c.gates && len(c.held) == 0 {
		t.drop(p, model)
	}
}

// evict makes room for a peer by dropping one that is lost.
func (t *holdings) evict() bool {
	for p, e := range t.peers {
		if !e.usable {
			for _, model := range slices.Collect(maps.Keys(e.claims)) {
				t.drop(p, model)
			}
			return true
		}
	}
	return false
}

// drop removes a claim, and peer and model with it when nothing is left.
func (t *holdings) drop(p routing.Peer, model expert.ModelID) {
	e, m := t.peers[p], t.models[model]
	t.setHeld(p, m, e.claims[model], nil)
	delete(e.claims, model)
	delete(m.peers, p)
	if len(e.claims) == 0 {
		delete(t.peers, p)
	}
	if len(m.peers) == 0 {
		delete(t.models, model)
	}
}

// setUsable makes p named, or not named, as a holder of what it holds.
func (t *holdings) setUsable(p routing.Peer, usable bool) {
	e := t.peers[p]
	e.usable = usable
	for model, c := range e.claims {
		m := t.models[model]
		if c.paused {
			continue
		}
		c.unlisted = false
		for _, s := range c.held {
			if usable {
				t.list(m, c, s, p)
			} else {
				unlist(m, s, p)
			}
		}
	}
}

// setPaused makes p named, or not named, as a holder of a model.
func (t *holdings) setPaused(p routing.Peer, m *modelEntry, c *claim, paused bool) {
	if c.paused == paused {
		return
	}
	c.paused = paused
	if !t.peers[p].usable {
		return
	}
	for _, s := range c.held {
		if paused {
			unlist(m, s, p)
		} else {
			t.list(m, c, s, p)
		}
	}
}

// setHeld replaces what p holds. held is ascending and becomes the table's.
func (t *holdings) setHeld(p routing.Peer, m *modelEntry, c *claim, held []slot) {
	t.claims += len(held) - len(c.held)
	t.peers[p].held += len(held) - len(c.held)
	old := c.held
	c.held = held
	if !t.peers[p].usable || c.paused {
		return
	}
	relist := c.unlisted // room may have come up
	c.unlisted = false
	for i, j := 0, 0; i < len(old) || j < len(held); {
		switch {
		case j == len(held) || i < len(old) && old[i] < held[j]:
			unlist(m, old[i], p)
			i++
		case i == len(old) || held[j] < old[i]:
			t.list(m, c, held[j], p)
			j++
		default:
			if relist && !slices.Contains(m.holders[held[j]], p) {
				t.list(m, c, held[j], p)
			}
			i, j = i+1, j+1
		}
	}
}

// list names p as a holder of s, if there is room.
func (t *holdings) list(m *modelEntry, c *claim, s slot, p routing.Peer) {
	old := m.holders[s]
	if len(old) >= t.limit.holders {
		c.unlisted = true
		return
	}
	m.holders[s] = append(old[:len(old):len(old)], p)
}

// unlist takes p off the holders of s.
func unlist(m *modelEntry, s slot, p routing.Peer) {
	old := m.holders[s]
	at := slices.Index(old, p)
	switch {
	case at < 0:
	case len(old) == 1:
		delete(m.holders, s)
	default:
		m.holders[s] = slices.Concat(old[:at], old[at+1:])
	}
}
