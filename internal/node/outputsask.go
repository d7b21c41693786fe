package node

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

	"github.com/moeswarm/moeswarm/internal/ledger"
	"github.com/moeswarm/moeswarm/internal/ledger/transcript"
	"github.com/moeswarm/moeswarm/routing"
	"github.com/moeswarm/moeswarm/swarm"
)

// Reply implements swarm.Transcripts.
func (o *outputs) Reply(ctx context.Context, from routing.Peer, request []byte) ([]byte, error) {
	peer, err := swarm.KeyOf(from)
	if err != nil {
		return nil, err
	}
	var a ledger.Ask
	if err := ledger.Decode(request, &a); err != nil {
		return nil, err
	}
	if err := ledger.Verify(o.e.cfg.Chain, a.Chunk); err != nil {
		return nil, err
	}
	if a.Kind == ledger.AskLook {
		return nil, o.admit(ctx, peer, a)
	}
	if err := o.mayread(ctx, peer, a); err != nil {
		return nil, err
	}
	return o.show(a.Chunk)
}

// complains says whether a request carries its client's own complaint.
func (o *outputs) complains(a ledger.Ask) bool {
	c := a.Complaint
	return c.Client == a.Chunk.Client && c.Chunk == a.Chunk.ID() && ledger.Verify(o.e.cfg.Chain, c) == nil
}

// admit takes a client's answer in to be looked at.
func (o *outputs) admit(ctx context.Context, peer ledger.Key, a ledger.Ask) error {
	if peer != a.Chunk.Client {
		return fmt.Errorf("%w: only who was answered hands an answer in", ledger.ErrUnauthorized)
	}
	if _, ok := o.model(a.Chunk.Model); !ok {
		return fmt.Errorf("%w: this node does not gate the model", ledger.ErrUnknown)
	}
	p, err := o.draw(ctx, a.Chunk, 0)
	if err != nil {
		return err
	}
	if !p.has(o.e.self) || !p.drawn && !o.complains(a) {
		return fmt.Errorf("%w: the answer was not drawn for this node", ledger.ErrUnauthorized)
	}
	fresh, err := o.reserve(a, p.drawn)
	if err != nil || !fresh {
		return err
	}
	l := look{chunk: a.Chunk, complaint: a.Complaint}
	if slices.Index(p.auditors, o.e.self) < p.paid {
		l.tokens = a.Tokens
		if err := o.e.gate.TakeAudit(ctx, peer, auditOf(a), a.Payment); err != nil {
			o.unreserve(a, p.drawn)
			o.count(func(v *OutputsView) { v.Unpaid++ })
			return err
		}
	}
	o.looks <- l // there is room, as it was reserved
	return nil
}

// reserve makes room for a look; fresh is false where the answer was looked at, or
// is about to be.
func (o *outputs) reserve(a ledger.Ask, drawn bool) (fresh bool, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	k := keyOf(a.Chunk)
	if o.known[k] {
		return false, nil
	}
	if !drawn && o.complained[a.Chunk.Client] >= maxComplaints {
		return false, fmt.Errorf("%w: %d complaints in this epoch", ledger.ErrCap, maxComplaints)
	}
	if o.waiting >= maxLooks {
		return false, fmt.Errorf("%w: %d answers wait to be looked at", ledger.ErrCap, maxLooks)
	}
	if !drawn {
		o.complained[a.Chunk.Client]++
	}
	if len(o.known) >= maxKnown {
		clear(o.known) // one of them might be looked at twice
	}
	o.known[k] = true
	o.waiting++
	return true, nil
}

// unreserve gives the room back of a look that is not paid for.
func (o *outputs) unreserve(a ledger.Ask, drawn bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.known, keyOf(a.Chunk))
	o.waiting--
	if !drawn {
		o.complained[a.Chunk.Client]--
	}
}

// maxKnown bounds the answers that are remembered so that none is looked at
// twice.
const maxKnown = 1 << 16

// mayread says why a peer may not see a transcript. Those may whom the ledger
// drew with the answer, if it was drawn or its client wants it, and the jurors of
// a case about it.
func (o *outputs) mayread(ctx context.Context, peer ledger.Key, a ledger.Ask) error {
	if a.Case != (ledger.Hash{}) {
		ctx, cancel := context.WithTimeout(ctx, readTime)
		defer cancel()
		k, err := ledger.View{Getter: o.e.cfg.Ledger}.Case(ctx, a.Case)
		if err != nil {
			return err
		}
		sits := func(j ledger.Juror) bool { return j.Peer == peer }
		if k.Kind != ledger.CaseOutput || k.Evidence != a.Chunk.Deed() || k.Phase == ledger.PhaseFinal ||
			!slices.ContainsFunc(k.First.Jurors, sits) && !slices.ContainsFunc(k.Second.Jurors, sits) {
			return fmt.Errorf("%w: no juror of an open case about the answer", ledger.ErrUnauthorized)
		}
		return nil
	}
	p, err := o.draw(ctx, a.Chunk, 1) // an audit that began at the end of its time goes on
	if err != nil {
		return err
	}
	if !p.has(peer) || !p.drawn && !o.complains(a) {
		return fmt.Errorf("%w: the answer was not drawn for you", ledger.ErrUnauthorized)
	}
	return nil
}

// show is the transcript of an answer up to a chunk, of one given here or one
// that a case is about.
func (o *outputs) show(c ledger.Chunk) ([]byte, error) {
	if b := o.recall(c.Deed()); b != nil {
		return b, nil
	}
	if c.Gate != o.e.self {
		return nil, errNoTranscript
	}
	t, err := o.e.archive.Get(transcript.Name{Client: c.Client, Session: c.Session})
	if err != nil {
		return nil, errors.Join(errNoTranscript, err)
	}
	if c.Index >= uint64(len(t.Parts)) || t.Parts[c.Index].Chunk != c {
		return nil, errNoTranscript
	}
	t.Parts = t.Parts[:c.Index+1]
	o.count(func(v *OutputsView) { v.Shown++ })
	return t.Encode(), nil
}

// complain is how the owner has an answer looked at; nil without a ledger.
func (n *Node) complain() func(answer string) error {
	if n.economy == nil {
		return nil
	}
	return func(answer string) error {
		b, err := hex.DecodeString(answer)
		if err != nil || len(b) != len(ledger.Session{}) {
			return fmt.Errorf("%.40q is no answer; \"moeswarm wallet answers\" lists them", answer)
		}
		return n.economy.outputs.Complain(ledger.Session(b))
	}
}
