package swarm

import (
	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/routing"
)

// What holders sign of their answers passes through this package unread, several
// answers to a statement and behind them.

// SessionName names a stream of calls in what is signed of its answers. The holder
// draws it, so that nobody has it sign twice under one name and number.
type SessionName [16]byte

// Signer is the holder's side. Its methods are called by several goroutines.
type Signer interface {
	// Note is what there is to sign of an answer, which is on its way; nil: nothing.
	Note(w Work) []byte
	// Sign signs notes for one asker and stream, wire.MaxWord at most, in this order.
	// Empty: it does not.
	Sign(asker routing.Peer, s SessionName, notes [][]byte) []byte
}

// Work is a holder's answer to one frame of calls, to be noted. What it points to is
// good for the time of the call.
type Work struct {
	Asker   routing.Peer
	Seq     uint64       // of the frame in its stream; no two are noted
	In      expert.Batch // as the holder has it: where codes came, the floats made of them
	Calls   []expert.Call
	Results []expert.Result // as the asker will have them
}

// Ear is the asker's side, for one stream to a holder. Hear and Twice may be called
// at the same time.
type Ear interface {
	// Hear takes a statement about some answers and says of each what is wrong with it;
	// nil: nothing.
	Hear(statement []byte, about []Heard) []error
	// Twice takes two statements about one answer, unheard perhaps.
	Twice(seq uint64, a, b routing.Said)
}

// Heard is one answer that a statement is about.
type Heard struct {
	Place int // in the statement
	Seq   uint64
	Model expert.ModelID
	Layer uint16
	Rows  int // of output
}
