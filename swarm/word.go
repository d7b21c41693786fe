package swarm

import (
	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/routing"
	"github.com/moeswarm/moeswarm/swarm/wire"
)

// Work is a holder's answer to one frame of calls, to be signed. What it points
// to is good for the time of the call.
type Work struct {
	Asker   routing.Peer
	Session [wire.SessionLen]byte // of the stream, drawn by the asker
	Seq     uint64                // of the frame in it
	In      expert.Batch          // as the holder has it: where codes came, the floats made of them
	Calls   []expert.Call
	Results []expert.Result // as the asker will have them
}
