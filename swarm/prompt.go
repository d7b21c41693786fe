package swarm

import (
	"time"

	"github.com/libp2p/go-libp2p/core/protocol"
)

// promptProtocol carries one prompt a stream: a prompt frame one way; chunks
// and a prompt end the other. Keep-alives go both ways all the time, because
// an answer may take long to begin and a peer that vanished says nothing.
const promptProtocol protocol.ID = "/moeswarm/prompt/2"

const (
	// promptBeat is the pause between two keep-alives.
	promptBeat = 2 * time.Second
	// promptSilence is how long a peer may be silent before it is taken for
	// lost: four keep-alives late, and the fifth under way. A shorter one takes
	// a busy machine for a dead one, and a replay costs a whole prefill.
	promptSilence = 10 * time.Second
	// promptFarewell is how long the end of an answer may take to be read: some
	// round trips of a poor line.
	promptFarewell = time.Second
	// promptGrace is how long running answers may go on when the node is told
	// to stop; then they are handed over. Short answers end, and the whole
	// stop stays below the 10 s that the program promises.
	promptGrace = 5 * time.Second
	// promptTotal and promptPeer bound the prompts being answered, in all and
	// for one peer. An engine has a limit of its own, which comes first for
	// any real one; one entry node may stand for many users.
	promptTotal = 256
	promptPeer  = 64
)

// promptTimes adjusts the times of a prompt stream. Zero values mean the
// constants above.
type promptTimes struct {
	Dial, Beat, Silence, Grace, Farewell time.Duration
}

func (t promptTimes) withDefaults() promptTimes {
	if t.Dial <= 0 {
		t.Dial = callDialTimeout
	}
	if t.Beat <= 0 {
		t.Beat = promptBeat
	}
	if t.Silence <= 0 {
		t.Silence = promptSilence
	}
	if t.Farewell <= 0 {
		t.Farewell = promptFarewell
	}
	if t.Grace <= 0 {
		t.Grace = promptGrace
	}
	return t
}
