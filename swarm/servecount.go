package swarm

import (
	"maps"
	"sync"

	"github.com/moeswarm/moeswarm/routing"
)

// maxCounted bounds the peers that served work is counted for. Past it the
// peer with the fewest frames makes room; peers cost nothing to invent.
const maxCounted = 4096

// Served counts what this node did for one peer.
type Served struct {
	Frames    uint64 // call frames answered
	Calls     uint64 // experts applied
	Rows      uint64 // rows of output, before any summing
	BytesIn   uint64 // of answered frames
	BytesOut  uint64
	Refused   uint64 // frames refused, for whatever reason
	Cancelled uint64 // frames that the peer called off, or that it left behind
}

func (s Served) plus(t Served) Served {
	return Served{
		s.Frames + t.Frames, s.Calls + t.Calls, s.Rows + t.Rows,
		s.BytesIn + t.BytesIn, s.BytesOut + t.BytesOut,
		s.Refused + t.Refused, s.Cancelled + t.Cancelled,
	}
}

// counts keeps [Served] by peer. The zero value is ready.
type counts struct {
	mu struct {
		sync.Mutex
		peers map[routing.Peer]Served
	}
}

func (c *counts) add(p routing.Peer, more Served) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.mu.peers == nil {
		c.mu.peers = make(map[routing.Peer]Served)
	}
	had, known := c.mu.peers[p]
	if !known && len(c.mu.peers) >= maxCounted {
		c.evictLocked()
	}
	c.mu.peers[p] = had.plus(more)
}

func (c *counts) evictLocked() {
	var least routing.Peer
	for p, s := range c.mu.peers {
		if least == "" || s.Frames < c.mu.peers[least].Frames {
			least = p
		}
	}
	delete(c.mu.peers, least)
}

func (c *counts) snapshot() map[routing.Peer]Served {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.mu.peers)
}
