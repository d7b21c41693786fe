package swarm

import (
	"time"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/routing"
	"github.com/moeswarm/moeswarm/swarm/wire"
)

// RowCoder makes the codes that rows travel as, a quarter of their floats. It
// reports false where they have to travel as floats. *expert.Coder is one.
type RowCoder interface {
	Encode(in expert.Batch, calls []expert.Call, to *expert.Codes) bool
}

const (
	// callDialTimeout bounds the opening of a stream, dialling included: three
	// round trips of a bad line with one packet lost on each.
	callDialTimeout = 5 * time.Second
	// callInFlight bounds the frames in flight at one peer. Holders admit
	// fewer by default; more than this is a runaway asker.
	callInFlight = 1024
	// callQueued bounds the bytes that wait to be sent to one peer.
	callQueued = 16 * wire.MaxFrame
	// callTries bounds the links that one call begins on. The first may have
	// died or been given up as the call came; a second that is dead before
	// the call begins means that the peer is.
	callTries = 2
	// callParts is how many frames of one ask are in flight at once: one is
	// worked on while the next travels. Two of the longest, with their
	// replies, are what a holder admits from one peer (servePeerBytes).
	callParts = 2
	// startMost is the longest answer, in bytes, that the asker's own goroutine
	// reads: a tenth of a millisecond or two. Its ask fits into one frame.
	startMost = 256 << 10
	// callIdle closes a stream that nobody used for so long, before the
	// holder does at serveIdle, so that no call meets a closing stream.
	callIdle = 5 * time.Minute
	// callTick is how often the streams are looked after.
	callTick = time.Second
	// After callQuiet ticks without a sign from a peer that owes answers it
	// gets a ping, which a living holder answers even while it computes. After
	// callDead such ticks it is taken for gone. The system tells of a process
	// that was killed at once over TCP, but over QUIC only after half a minute,
	// and of a machine that lost power after minutes.
	callQuiet = 2
	callDead  = 6
)

// callerConfig adjusts a caller. The zero value is usable.
type callerConfig struct {
	DialTimeout time.Duration
	InFlight    int
	Idle, Tick  time.Duration
	Coder       RowCoder                    // nil: rows travel as floats
	Half        bool                        // answers in half precision will do
	Listener    func(from routing.Peer) Ear // of what peers sign of their answers; nil: they are not asked to
}

func (c callerConfig) withDefaults() callerConfig {
	if c.DialTimeout <= 0 {
		c.DialTimeout = callDialTimeout
	}
	if c.InFlight <= 0 {
		c.InFlight = callInFlight
	}
	if c.Idle <= 0 {
		c.Idle = callIdle
	}
	if c.Tick <= 0 {
		c.Tick = callTick
	}
	return c
}
