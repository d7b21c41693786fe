package swarm

import (
	"log/slog"
	"runtime"
	"time"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/swarm/wire"
)

const (
	// serveFrames bounds the frames that wait or are worked on: at 1 ms each
	// a second of work, past which another holder is quicker.
	serveFrames = 1024
	// servePeerFrames bounds those of one peer, so that four peers at the
	// least share a full queue.
	servePeerFrames = serveFrames / 4
	// serveBytes bounds the memory of frames: calls that came in until they
	// are worked on, and replies until they are on their way.
	serveBytes = 16 * wire.MaxFrame
	// servePeerBytes bounds that of one peer. The longest frame and its reply
	// must fit, and the next one while they are worked on.
	servePeerBytes = 4 * wire.MaxFrame
	// serveStreams bounds the streams of one peer. An asker needs one, and
	// another while the system has not noticed that the first is dead.
	serveStreams = 4
	// serveBacklog is how many frames may wait to be written to a peer before
	// nothing more is read from it. Replies are charged as memory; this holds
	// for a peer that causes refusals and does not read them.
	serveBacklog = 2048
	// serveIdle closes a stream on which nothing came for so long.
	serveIdle = 10 * time.Minute
	// serveGrace bounds the time for the frames being worked on when the
	// server is told to stop. They take milliseconds; the rest is writing.
	serveGrace = 3 * time.Second
	// serveTick is how often the streams are looked after.
	serveTick = time.Second
)

// serverConfig says what a server serves. The zero value of every field but
// Apply is usable.
type serverConfig struct {
	Apply expert.Applier       // an expert.Summer too, if it can
	Holds func(expert.ID) bool // refuses at once what Apply would; nil: Apply says
	Sign  func([]byte) []byte  // with the node's key; nil: challenges are not answered
	// Paused reports that nothing is computed for others now; nil: never.
	Paused func() bool
	Debts  Debts        // nil: nobody owes anything
	Signer Signer       // of answers; nil: none are signed
	Log    *slog.Logger // nil: discards

	Workers            int // frames worked on at once; 0: one a thread
	Frames, PeerFrames int
	Bytes, PeerBytes   int64
	Grace, Idle, Tick  time.Duration
}

func (c serverConfig) withDefaults() serverConfig {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Paused == nil {
		c.Paused = func() bool { return false }
	}
	if c.Workers <= 0 {
		c.Workers = runtime.GOMAXPROCS(0)
	}
	if c.Frames <= 0 {
		c.Frames = serveFrames
	}
	if c.PeerFrames <= 0 {
		c.PeerFrames = min(servePeerFrames, c.Frames)
	}
	if c.Bytes <= 0 {
		c.Bytes = serveBytes
	}
	if c.PeerBytes <= 0 {
		c.PeerBytes = min(servePeerBytes, c.Bytes)
	}
	if c.Grace <= 0 {
		c.Grace = serveGrace
	}
	if c.Idle <= 0 {
		c.Idle = serveIdle
	}
	if c.Tick <= 0 {
		c.Tick = serveTick
	}
	return c
}
