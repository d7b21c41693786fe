package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/internal/ledger"
	"github.com/moeswarm/moeswarm/internal/ledger/court"
	"github.com/moeswarm/moeswarm/routing"
	"github.com/moeswarm/moeswarm/swarm"
)

const (
	// wordLag is by how many epochs a holder's signature may be behind or before
	// this node's clock: neither hears of a new epoch at once.
	wordLag = 2
	// wordTime bounds the wait for what a peer signs of an answer under audit; holders
	// sign within 20 ms.
	wordTime = time.Second
)

// Note implements swarm.Signer: nothing while the epoch is not known yet, so that
// nobody could take it for anything.
func (e *economy) Note(w swarm.Work) []byte {
	if e.standing.params.Load() == nil {
		return nil
	}
	id := w.Calls[0].Expert
	s := ledger.Said{Model: ledger.Hash(id.Model), Epoch: e.standing.epoch.Load(), Seq: w.Seq, Layer: id.Layer}
	s.Rows, s.Input, s.Output = court.Frame{In: w.In, Calls: w.Calls, Results: w.Results}.Roots()
	return ledger.Encode(&s)
}

// Sign implements swarm.Signer.
func (e *economy) Sign(asker routing.Peer, name swarm.SessionName, notes [][]byte) []byte {
	k, err := e.keys.of(asker)
	if err != nil {
		return nil
	}
	b := ledger.Bundle{Holder: e.self, Gate: k, Session: ledger.Session(name), Said: make([]ledger.Said, len(notes))}
	for i, n := range notes {
		if err := ledger.Decode(n, &b.Said[i]); err != nil {
			return nil
		}
	}
	b.Sign(e.cfg.Chain, e.key)
	return ledger.Encode(&b)
}

// ear hears what a holder signs on one stream of calls. Hear is called by one
// goroutine.
type ear struct {
	economy *economy
	peer    routing.Peer
	session *ledger.Session // of all its statements; nil: none was heard yet
}

// listener implements what swarm.Config asks for.
func (e *economy) listener(from routing.Peer) swarm.Ear { return &ear{economy: e, peer: from} }

// Hear implements swarm.Ear. The signature is checked, and all that needs no
// hashing of rows; those are hashed where an answer is audited.
func (r *ear) Hear(statement []byte, about []swarm.Heard) []error {
	errs := make([]error, len(about))
	b, err := r.read(statement)
	for i, h := range about {
		if errs[i] = err; err == nil {
			errs[i] = r.economy.compare(b, h)
		}
	}
	if err != nil {
		r.economy.node.cfg.Log.Warn("a holder signs what counts for nothing", "peer", r.peer, "answers", len(about), "err", err)
	}
	return errs
}

// read takes a statement in.
func (r *ear) read(statement []byte) (*ledger.Bundle, error) {
	e := r.economy
	k, err := e.keys.of(r.peer)
	if err != nil {
		return nil, err
	}
	b := new(ledger.Bundle)
	if err := ledger.Decode(statement, b); err != nil {
		return nil, err
	}
	if b.Holder != k || b.Gate != e.self || r.session != nil && b.Session != *r.session {
		return nil, fmt.Errorf("%w: of or for somebody else, or of another session", ledger.ErrMalformed)
	}
	if err := ledger.Verify(e.cfg.Chain, b); err != nil {
		return nil, err
	}
	r.session = &b.Session
	return b, nil
}

// compare says what is wrong with what a holder signed of an answer.
func (e *economy) compare(b *ledger.Bundle, h swarm.Heard) error {
	if h.Place >= len(b.Said) {
		return fmt.Errorf("%w: a place past the end", ledger.ErrMalformed)
	}
	s := b.Said[h.Place]
	now := e.standing.epoch.Load()
	if s.Seq != h.Seq || s.Model != ledger.Hash(h.Model) || s.Layer != h.Layer || int(s.Rows) != h.Rows || s.Epoch > now+wordLag || s.Epoch+wordLag < now {
		return fmt.Errorf("%w: the peer signed something else", ledger.ErrMalformed)
	}
	return nil
}

// Twice implements swarm.Ear: two things that a holder signed about one answer are
// shown to the ledger, and it is asked nothing more.
func (r *ear) Twice(seq uint64, a, b routing.Said) {
	e := r.economy
	x, err := resultOf(a)
	y, err2 := resultOf(b)
	if err != nil || err2 != nil || !x.Contradicts(y) || ledger.Verify(e.cfg.Chain, x) != nil || ledger.Verify(e.cfg.Chain, y) != nil {
		return
	}
	e.node.condemn(r.peer, fmt.Sprintf("it signed two answers to call %d", seq))
	e.show(&ledger.Equivocation{Results: []ledger.Result{x, y}})
}

// resultOf is one result of a statement, alone.
func resultOf(s routing.Said) (r ledger.Result, err error) {
	var b ledger.Bundle
	if err := ledger.Decode(s.Statement, &b); err != nil {
		return r, err
	}
	if s.Place >= len(b.Said) {
		return r, fmt.Errorf("%w: a place past the end", ledger.ErrMalformed)
	}
	return b.Result(s.Place), nil
}

// frame is what the peer signed, as the peer had it, and the header that fits it. It
// waits for the signature.
func (e *economy) frame(ctx context.Context, c routing.Checked, s routing.Signed) (f court.Frame, h ledger.Result, err error) {
	said, err := s.Word.Wait(ctx)
	if err != nil {
		return f, h, err
	}
	if h, err = resultOf(said); err != nil {
		return f, h, err
	}
	f = court.Frame{In: c.In, Calls: c.Calls[s.First : s.First+s.Calls], Results: c.Results[s.First : s.First+s.Calls]}
	if s.Codes {
		var codes expert.Codes
		if !e.node.codes.Encode(c.In, f.Calls, &codes) {
			return f, h, errors.New("rows that went out as codes have none now")
		}
		f.In = expert.NewBatch(c.In.Rows, c.In.Dim)
		codes.Floats(f.In.Data)
	}
	if rows, in, out := f.Roots(); rows != h.Rows || in != h.Input || out != h.Output {
		return f, h, fmt.Errorf("%w: the peer signed another answer", ledger.ErrMalformed)
	}
	return f, h, nil
}

// vouch checks what a peer signed of an answer under audit. Who signed nothing is
// not paid, and that is all.
func (e *economy) vouch(ctx context.Context, c routing.Checked) error {
	ctx, cancel := context.WithTimeout(ctx, wordTime)
	defer cancel()
	for _, s := range c.Signed {
		if _, _, err := e.frame(ctx, c, s); err != nil && !errors.Is(err, routing.ErrNoWord) {
			return err
		}
	}
	return nil
}
