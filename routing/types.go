package routing

import (
	"context"
	"sync"
	"time"

	"github.com/moeswarm/moeswarm/expert"
)

// Peer names another node: its libp2p peer id in base58.
type Peer string

// Ask is what goes to one peer in one frame: calls of one layer on rows of
// one token batch. Only rows that some call names need to travel.
type Ask struct {
	In    expert.Batch
	Calls []expert.Call
	Sum   bool // want the weighted sum of [expert.Summer], not one result per call
	// Once is shared by the asks about one batch, for what is made of the whole of it.
	// Nil: it is made anew for each.
	Once *Once
}

// Once holds what a caller makes of a batch, such as rows as they travel, that goes
// to several peers. It may be used by several goroutines at once.
type Once struct {
	mu    sync.Mutex
	there bool
	made  any
}

// Do gives what was made of the batch; when it is asked first, it has it made, in
// the memory of what was made of an earlier batch, if any.
func (o *Once) Do(make func(old any) any) any {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.there {
		o.made, o.there = make(o.made), true
	}
	return o.made
}

// again forgets the batch, but not the memory. Nobody reads that any more.
func (o *Once) again() { o.there = false }

// Answer is what came back for an [Ask].
type Answer struct {
	Results []expert.Result // without Sum: one per call, in the order asked
	// Sum has the shape of Ask.In; rows that no call names are zero.
	Sum expert.Batch

	Queued            time.Duration // how long the frame waited at the holder, as the holder says
	Compute           time.Duration // how long the holder worked on it, as the holder says
	Waiting           int           // frames that waited at the holder when it answered
	BytesOut, BytesIn int           // size of the two frames, as measured here
	Half              bool          // it came in half precision, as was allowed

	// Done takes back the memory of Results and Sum, which nobody may read from then
	// on. Whoever has the answer calls it once at most. Nil: there is nothing to take
	// back.
	Done func()

	// Signed is what the peer signs of the answer, frame by frame; nil: nothing.
	Signed []Signed
}

// Signed is a peer's word on one frame of an answer.
type Signed struct {
	First, Calls int  // which calls of the ask
	Codes        bool // their rows went out as codes
	Word         *Word
}

// Load is what a holder says about its queue.
type Load struct {
	Waiting int           // frames that wait there now
	Queued  time.Duration // how long a frame that came now would wait for its turn
}

// Caller sends an ask to a peer and waits for its answer. An error wraps one
// of the errors of package expert, which says whom to blame. Two methods of an
// error, if it has them, say more: RetryAfter() time.Duration is how long an
// overloaded peer asks to be left alone, UnknownExpert() (uint16, bool) is the
// index of the one expert that the peer does not hold; without it, all experts
// of the ask are in doubt.
//
// A Caller keeps no reference to the ask once it has returned, and when ctx
// ends it returns promptly and tells the peer to stop. The answer belongs to
// the router.
type Caller interface {
	Call(ctx context.Context, to Peer, a Ask) (Answer, error)
}

// Starter is a [Caller] that need not be waited for, so that an ask costs no
// goroutine.
type Starter interface {
	// Start begins what Call does, and returns before there is an answer. Once
	// it is over, done is called, once, perhaps before Start returns; it does
	// not block. What it gets reads the answer, and is called once at the most.
	// The ask may be kept until then. stop tells the peer to stop, as the end of
	// Call's ctx does; done is called soon then, if it was not before.
	Start(ctx context.Context, to Peer, a Ask, done func(read func() (Answer, error))) (stop func(why error))
}

// Prober measures the way to a peer: it has payload bytes sent there and
// back, and reports the peer's load.
type Prober interface {
	Probe(ctx context.Context, to Peer, payload int) (Load, error)
}

// Directory knows who holds what. It answers from memory, at once, and the
// slice it returns is shared and must not be changed. No order is promised.
type Directory interface {
	Holders(id expert.ID) []Peer
}

// Attempt is one try of some calls at one peer.
type Attempt struct {
	Peer  Peer
	Calls []int         // indices into the calls planned, ascending
	After time.Duration // how long to wait before it starts; above 0 it is a hedge
}

// Checked is a good answer from a peer, given to [Config.Check] before the
// layer that asked for it returns. What it points to is shared: it must not be
// changed, nor kept once the check has returned.
type Checked struct {
	Peer    Peer
	In      expert.Batch
	Calls   []expert.Call
	Results []expert.Result // one per call, those that failed included; nil of a sum
	Sum     *expert.Batch   // of a sum only, in the shape of In
	Signed  []Signed        // as in Answer, by the order of Calls; nil: nothing
}
