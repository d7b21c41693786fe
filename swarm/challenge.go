package swarm

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/routing"
	"github.com/moeswarm/moeswarm/swarm/wire"
)

// Challenges: a peer that gave results is asked to show the inner layer of
// some of them and to sign what it answers. A holder signs only what it
// computes anew, so that nobody can make it sign another's word.

// challengePace bounds the challenges of one peer: a gating node audits some
// hundredths of its calls, a few a second, and more at once after a step.
var challengePace = pace{perSecond: 20, burst: 100}

// errNoOpening: challenges are not answered here. Nobody is to blame.
var errNoOpening = fmt.Errorf("%w: this node opens no work", expert.ErrOverloaded)

// parseChallenge does for a challenge what parse does for a call.
func (j *job) parseChallenge() error {
	s := j.stream.server
	if _, opens := s.cfg.Apply.(expert.Opener); !opens || s.cfg.Sign == nil {
		return errNoOpening
	}
	if !s.challenged.allow(j.stream.peer, time.Now()) {
		return fmt.Errorf("%w: too many challenges", expert.ErrOverloaded)
	}
	if err := wire.ParseChallenge(j.body, &j.call); err != nil {
		return err
	}
	for _, c := range j.call.Calls {
		j.rows += len(c.Rows)
		if s.cfg.Holds != nil && !s.cfg.Holds(c.Expert) {
			return &missingExpert{c.Expert}
		}
	}
	// The inner length is not known here; it is less than eight times the
	// width in every published model.
	reply := int64(min(wire.OpeningSize(j.rows, 8*j.call.In.Dim), wire.MaxBody(wire.KindOpening)))
	if err := s.intake.admit(j.stream.peer, 0, reply); err != nil {
		return err
	}
	j.charged += reply
	return nil
}

// open computes the answer to a challenge and encodes it.
func (s *server) open(j *job) ([]byte, error) {
	c := j.call
	results := s.cfg.Apply.Apply(j.end, c.In, c.Calls)
	inner := s.cfg.Apply.(expert.Opener).Inner(j.end, c.In, c.Calls)
	if len(results) != len(c.Calls) || len(inner) != len(c.Calls) {
		return nil, fmt.Errorf("%d results and %d openings for %d calls", len(results), len(inner), len(c.Calls))
	}
	var o wire.Opening
	for i := range inner {
		if err := errors.Join(results[i].Err, inner[i].Err); err != nil {
			return nil, err
		}
		o.Gate, o.Up = joined(o.Gate, inner[i].Gate), joined(o.Up, inner[i].Up)
	}
	r := routing.Receipt{
		Call: routing.HashCalls(c.In, c.Calls), Result: routing.HashResults(results), Inner: routing.HashInner(inner),
		At: time.Now(),
	}
	o.At, o.Call, o.Result = r.At, r.Call, r.Result
	copy(o.Sig[:], s.cfg.Sign(r.Signed()))
	return wire.AppendOpening(s.memory.get(), j.id, o)
}

// joined puts the rows of b behind those of a.
func joined(a, b expert.Batch) expert.Batch {
	return expert.Batch{Rows: a.Rows + b.Rows, Dim: b.Dim, Data: append(a.Data, b.Data...)}
}

// Challenge has a peer open calls; the signature is checked. An error wraps
// one of the errors of package expert.
func (c *caller) Challenge(ctx context.Context, to routing.Peer, in expert.Batch, calls []expert.Call) (routing.Opening, error) {
	l, err := c.link(ctx, to)
	if err != nil {
		return routing.Opening{}, err
	}
	b, err := wire.AppendChallenge(c.memory.get(), 0, wire.Call{In: in, Calls: calls})
	if err != nil {
		return routing.Opening{}, err
	}
	w := &awaited{kind: wire.KindOpening, size: anySize, done: make(chan arrival, 1)}
	sent := len(b)
	got, err := c.send(ctx, l, w, b)
	if err != nil {
		return routing.Opening{}, fmt.Errorf("challenge of %s: %w", to, err)
	}
	open, err := toOpening(to, in, calls, got.body)
	if err != nil {
		return routing.Opening{}, fmt.Errorf("challenge of %s: %w", to, err)
	}
	open.BytesOut, open.BytesIn = sent, wire.HeaderLen+len(got.body)
	return open, nil
}

// toOpening reads the reply to a challenge. What it returns shares memory with
// body. An error wraps [expert.ErrBadResult].
func toOpening(from routing.Peer, in expert.Batch, calls []expert.Call, body []byte) (routing.Opening, error) {
	o, err := wire.ParseOpening(body)
	if err != nil {
		return routing.Opening{}, err
	}
	rows := 0
	for _, c := range calls {
		rows += len(c.Rows)
	}
	if o.Gate.Rows != rows {
		return routing.Opening{}, fmt.Errorf("%w: %d rows opened of %d", expert.ErrBadResult, o.Gate.Rows, rows)
	}
	open := routing.Opening{Inner: make([]expert.Inner, len(calls))}
	at, ff := 0, o.Gate.Dim
	for i, c := range calls {
		n := len(c.Rows)
		open.Inner[i].Gate = expert.Batch{Rows: n, Dim: ff, Data: o.Gate.Data[at*ff : (at+n)*ff]}
		open.Inner[i].Up = expert.Batch{Rows: n, Dim: ff, Data: o.Up.Data[at*ff : (at+n)*ff]}
		at += n
	}
	r := routing.Receipt{
		Peer: from, Call: routing.HashCalls(in, calls), Result: o.Result, Inner: routing.HashInner(open.Inner),
		At: o.At, Sig: o.Sig[:],
	}
	if r.Call != o.Call {
		return routing.Opening{}, fmt.Errorf("%w: the receipt is for other calls", expert.ErrBadResult)
	}
	if err := VerifyReceipt(r); err != nil {
		return routing.Opening{}, err
	}
	open.Receipt = r
	return open, nil
}

// VerifyReceipt checks a receipt's signature by the key in its peer's name. An
// error wraps [expert.ErrBadResult].
func VerifyReceipt(r routing.Receipt) error {
	id, err := peerID(r.Peer)
	if err != nil {
		return fmt.Errorf("%w: %w", expert.ErrBadResult, err)
	}
	key, err := id.ExtractPublicKey()
	if err != nil {
		return fmt.Errorf("%w: %w", expert.ErrBadResult, err)
	}
	if ok, err := key.Verify(r.Signed(), r.Sig); err != nil || !ok {
		return fmt.Errorf("%w: the receipt is not signed by %s", expert.ErrBadResult, r.Peer)
	}
	return nil
}

// Challenge has a peer open calls of one layer, about
// [wire.MaxChallengeRows] rows of output at most, and sign what it answers to
// them.
func (n *Node) Challenge(ctx context.Context, to routing.Peer, in expert.Batch, calls []expert.Call) (routing.Opening, error) {
	l := n.live.Load()
	if l == nil {
		return routing.Opening{}, errNotRunning
	}
	return l.services.caller.Challenge(ctx, to, in, calls)
}
