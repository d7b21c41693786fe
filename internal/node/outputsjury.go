package node

import (
	"context"
	"errors"
	"fmt"

	"github.com/moeswarm/moeswarm/internal/ledger"
	"github.com/moeswarm/moeswarm/internal/ledger/court"
	"github.com/moeswarm/moeswarm/internal/ledger/transcript"
)

// charge is what a gating node is accused of.
type charge byte

const (
	notShown charge = 1 // it has no transcript of what it signed
	fails    charge = 2 // the transcript does not hold
)

// exhibit is the evidence of a case about an answer: the charge, and a chunk
// that the accused signed, which says nothing of what the answer is. Everybody
// may read it; the transcript is for jurors.
type exhibit struct {
	charge charge
	chunk  ledger.Chunk
}

func (x exhibit) encode() []byte { return append([]byte{byte(x.charge)}, ledger.Encode(&x.chunk)...) }

func parseExhibit(b []byte) (x exhibit, err error) {
	if len(b) != 1+ledger.ChunkSize || charge(b[0]) != notShown && charge(b[0]) != fails {
		return x, fmt.Errorf("%w: %d bytes", court.ErrUnproven, len(b))
	}
	x.charge = charge(b[0])
	if err := ledger.Decode(b[1:], &x.chunk); err != nil {
		return x, fmt.Errorf("%w: %w", court.ErrUnproven, err)
	}
	return x, nil
}

// Judge implements court.Judge for answers. Jurors on different machines see
// shares that differ a little, and must agree to the bit: so a ruling is one of
// three, on this side of the tolerance, beyond it, or beyond twice of it.
func (o *outputs) Judge(ctx context.Context, k ledger.Case, input, _ []byte) (ledger.Ruling, error) {
	x, err := parseExhibit(input)
	if err != nil {
		return ledger.Ruling{}, err
	}
	if x.chunk.Deed() != k.Evidence || x.chunk.Gate != k.Accused || x.chunk.Model != k.Model {
		return ledger.Ruling{}, fmt.Errorf("%w: a chunk of another answer", court.ErrUnproven)
	}
	if err := ledger.Verify(o.e.cfg.Chain, x.chunk); err != nil {
		return ledger.Ruling{}, fmt.Errorf("%w: %w", court.ErrUnproven, err)
	}
	m, err := o.e.cfg.Ledger.Model(ctx, k.Model)
	if err != nil {
		return ledger.Ruling{}, err
	}
	tau := m.Tolerance(ledger.CaseOutput, k.Class)
	rule := func(f ledger.Finding) ledger.Ruling {
		r := ledger.Ruling{Output: k.Input}
		switch f {
		case ledger.Inconclusive:
			r.Error = tau + 1
		case ledger.Guilty:
			r.Error = 1_000_000
		}
		return r
	}
	if share, known, err := o.tried(k.Evidence); known {
		if err != nil {
			return ledger.Ruling{}, err
		}
		finding := ledger.Find(ledger.Ruling{Error: share}, tau)
		if finding == ledger.Innocent && x.charge == notShown {
			finding = ledger.Inconclusive // who accused saw none, and is not to blame
		}
		return rule(finding), nil
	}
	t, err := o.obtain(ctx, k, x.chunk)
	if err != nil {
		if !o.waited(ctx, k) {
			return ledger.Ruling{}, err
		}
		if o.present(ctx, k.Accused) {
			return rule(ledger.Guilty), nil // it is there, signed this, and shows nothing
		}
		return rule(ledger.Inconclusive), nil
	}
	mine, ok := o.model(k.Model)
	if !ok {
		return ledger.Ruling{}, fmt.Errorf("%w: this node does not gate the model", ledger.ErrUnknown)
	}
	return ledger.Ruling{}, o.begin(trial{k.Evidence, mine, t})
}

// errTrying: an answer takes longer to run again than a clerk has patience.
var errTrying = errors.New("the answer is being run again")

// tried is which share of an answer fails, if it is known, or an error while it
// is being found out.
func (o *outputs) tried(deed ledger.Hash) (share uint32, known bool, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	r, known := o.rulings[deed]
	if !known || r != nil {
		if known {
			share = *r
		}
		return share, known, nil
	}
	return 0, true, errTrying
}

// begin puts a trial before those who run answers again.
func (o *outputs) begin(x trial) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.rulings) >= maxRulings {
		for deed, r := range o.rulings {
			if r != nil {
				delete(o.rulings, deed)
			}
		}
	}
	select {
	case o.trials <- x:
		o.rulings[x.deed] = nil
		return errTrying
	default:
		return fmt.Errorf("%w: %d cases", ledger.ErrCap, maxTrials)
	}
}

// maxRulings bounds the trials whose end is remembered.
const maxRulings = 256

// try runs an answer again.
func (o *outputs) try(ctx context.Context, x trial) {
	share, err := o.again(ctx, x.model, x.t)
	o.mu.Lock()
	defer o.mu.Unlock()
	if err != nil {
		o.e.node.cfg.Log.Warn("the answer that a case is about could not be run again", "err", err)
		delete(o.rulings, x.deed) // the clerk comes again
		return
	}
	o.rulings[x.deed] = &share
}

// obtain has the transcript shown: by the accused, by who accuses, or by other
// jurors, so that nobody can show it to some of them alone.
func (o *outputs) obtain(ctx context.Context, k ledger.Case, c ledger.Chunk) (*transcript.Transcript, error) {
	if raw, err := o.show(c); err == nil {
		return o.read(raw, c)
	}
	ask := ledger.Ask{Kind: ledger.AskShow, Chunk: c, Case: k.ID()}
	from := []ledger.Key{k.Accused, k.Challenger}
	for _, j := range append(append([]ledger.Juror(nil), k.First.Jurors...), k.Second.Jurors...) {
		from = append(from, j.Peer)
	}
	last := errNoTranscript
	for _, peer := range from {
		if peer == o.e.self {
			continue
		}
		raw, err := o.ask(ctx, peer, ask)
		if err == nil {
			var t *transcript.Transcript
			if t, err = o.read(raw, c); err == nil {
				o.remember(c.Deed(), raw)
				return t, nil
			}
		}
		if peer == k.Accused {
			last = err
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
	return nil, fmt.Errorf("%w: %w", errNoTranscript, last)
}

// waited says whether half the time is over in which jurors commit themselves.
func (o *outputs) waited(ctx context.Context, k ledger.Case) bool {
	now, err := o.e.cfg.Ledger.Clock(ctx)
	commit := o.e.standing.param(func(p *ledger.Params) uint64 { return p.CommitBlocks }, 0)
	return err == nil && (k.Phase != ledger.PhaseCommit || now.Height+commit/2 >= k.Deadline)
}
