package swarm

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/network"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/gating/prompt"
	"github.com/moeswarm/moeswarm/routing"
	"github.com/moeswarm/moeswarm/swarm/wire"
)

// This package carries what pays for answers and calls, and does not read it:
// statements are bytes of wire.MaxSigned at most.

// Payer is the asker's side of paying for one answer. First and Next are called
// by one goroutine, Seal by another.
type Payer interface {
	// First is what goes along with the prompt; empty: nothing will be paid.
	First(ctx context.Context) ([]byte, error)
	// Next is what is due when the answer has so many tokens; empty: nothing. An
	// error ends the answer.
	Next(ctx context.Context, promptTokens, tokens int) ([]byte, error)
	// Last is what is due when the answer has ended; empty: nothing.
	Last(ctx context.Context, promptTokens, tokens int) ([]byte, error)
	// Seal takes what the gating node signed about the tokens so far. An error
	// ends the answer.
	Seal(statement []byte, promptTokens int, tokens []int32) error
	// Close ends the account. The answer had so many tokens.
	Close(promptTokens, tokens int)
}

// Toll is a gating node's side: it decides whom to answer, and for what.
type Toll interface {
	// Open begins the account of one answer, or says why there will be none.
	// request is r as it came, see [ReadRequest].
	Open(from routing.Peer, r prompt.Request, request []byte) (Tab, error)
}

// Tab is the account of one answer at a gating node.
type Tab interface {
	// Pay takes a payment; an empty one says that none will come. An error ends
	// the answer.
	Pay(statement []byte) error
	// Cover waits until a chunk may go out, and the work on an answer may begin
	// for the zero chunk. An error ends the answer.
	Cover(ctx context.Context, c prompt.Chunk) error
	// Seal is the signed statement that goes out with a chunk, about the answer
	// up to it; nil: none. An error ends the answer. Chunks have a trace.
	Seal(c prompt.Chunk) ([]byte, error)
	// Close ends the account.
	Close()
}

// paying is one answer's payer, at work beside the reading of the answer.
type paying struct {
	payer  Payer
	tokens []int32       // of the answer; the reader's, as is sealed
	sealed []byte        // statement about the next chunk, too; nil: none
	count  atomic.Int64  // len(tokens)
	prompt atomic.Int64  // tokens of it
	moved  chan struct{} // count changed; room for 1
	fault  atomic.Pointer[error]
	ended  bool // the last chunk came; the reader's
}

func newPaying(p Payer) *paying { return &paying{payer: p, moved: make(chan struct{}, 1)} }

// got counts what a chunk brought, and takes the seal that came before it. A nil
// paying counts nothing.
func (y *paying) got(c prompt.Chunk) error {
	if y == nil {
		return nil
	}
	y.ended = y.ended || c.Finish != prompt.FinishNone
	y.prompt.Store(int64(c.PromptTokens))
	if c.HasToken {
		y.tokens = append(y.tokens, c.Token)
	}
	y.count.Store(int64(len(y.tokens)))
	signal(y.moved)
	if y.sealed == nil {
		return nil
	}
	statement := y.sealed
	y.sealed = nil
	if err := y.payer.Seal(statement, int(y.prompt.Load()), y.tokens); err != nil {
		return fmt.Errorf("%w: %w", prompt.ErrLost, err)
	}
	return nil
}

// seal keeps a gating node's statement until the chunk behind it is there.
// Whoever asked for none ignores it.
func (y *paying) seal(statement []byte) {
	if y != nil {
		y.sealed = statement
	}
}

// whole reports whether the answer came to its end, so that all of it is due.
func (y *paying) whole() bool { return y != nil && y.ended }

// settle writes what is due at the end of an answer, and closes the stream, which
// delivers it. The writer has ended.
func (y *paying) settle(ctx context.Context, s network.Stream, within time.Duration) {
	if y.send(ctx, s, within, y.payer.Last) != nil || s.Close() != nil {
		_ = s.Reset()
	}
}

// due writes what is due now.
func (y *paying) due(ctx context.Context, s network.Stream, within time.Duration) error {
	return y.send(ctx, s, within, y.payer.Next)
}

func (y *paying) send(ctx context.Context, s network.Stream, within time.Duration, what func(ctx context.Context, promptTokens, tokens int) ([]byte, error)) error {
	b, err := what(ctx, int(y.prompt.Load()), int(y.count.Load()))
	if err != nil || len(b) == 0 {
		return err
	}
	_ = s.SetWriteDeadline(time.Now().Add(within))
	_, err = s.Write(wire.AppendSigned(nil, wire.KindPayment, b))
	return err
}

// why is err, or what the payer had to say if that ended the answer.
func (y *paying) why(err error) error {
	if y != nil && err != nil {
		if fault := y.fault.Load(); fault != nil {
			return *fault
		}
	}
	return err
}

func (y *paying) changed() <-chan struct{} {
	if y == nil {
		return nil
	}
	return y.moved
}

func (y *paying) close() {
	if y != nil {
		y.payer.Close(int(y.prompt.Load()), int(y.count.Load()))
	}
}

// free is the account where nothing is paid.
type free struct{}

func (free) Pay([]byte) error                          { return nil }
func (free) Cover(context.Context, prompt.Chunk) error { return nil }
func (free) Seal(prompt.Chunk) ([]byte, error)         { return nil, nil }
func (free) Close()                                    {}

// ReadRequest reads a request as a client sent it.
func ReadRequest(b []byte) (prompt.Request, error) { return wire.ParsePrompt(b) }

// Debts is a holder's account of what peers owe it.
type Debts interface {
	// Admit refuses calls of a peer that owes too much.
	Admit(from routing.Peer) error
	// Served counts rows through experts of a model, as they were answered.
	Served(from routing.Peer, model expert.ModelID, rows int)
	// Receipt takes what a peer signed about the work so far. An error ends
	// its stream.
	Receipt(from routing.Peer, statement []byte) error
}

// Acknowledge sends a holder a signed statement about its work, on the stream of
// calls to it. It reports false where there is no such stream; a later statement
// says the same and more.
func (n *Node) Acknowledge(to routing.Peer, statement []byte) bool {
	l := n.live.Load()
	return l != nil && l.services.caller.tell(to, statement)
}

// tell puts a statement on the stream to a peer, if one is open.
func (c *caller) tell(to routing.Peer, statement []byte) bool {
	c.mu.Lock()
	l := c.mu.links[to]
	c.mu.Unlock()
	return l != nil && l.stream.Load() != nil && l.out.put(outFrame{b: wire.AppendSigned(c.memory.get()[:0], wire.KindReceipt, statement)})
}

// acknowledged takes a receipt. A holder that keeps no accounts ignores it.
func (st *serveStream) acknowledged(r *wire.Reader) error {
	body, err := r.Body(nil)
	if err != nil || st.server.cfg.Debts == nil {
		return err
	}
	return st.server.cfg.Debts.Receipt(st.peer, body)
}
