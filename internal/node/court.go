package node

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/internal/ledger"
	"github.com/moeswarm/moeswarm/internal/ledger/court"
	"github.com/moeswarm/moeswarm/routing"
	"github.com/moeswarm/moeswarm/routing/audit"
	"github.com/moeswarm/moeswarm/swarm"
)

const (
	// wordLag is by how many epochs a holder's signature may be behind or before
	// this node's clock: neither hears of a new epoch at once.
	wordLag = 2
	// ruleTime bounds this node's own judgement before it accuses anybody.
	ruleTime = 2 * time.Minute
)

// newClerk makes what is this node's part in cases.
func (e *economy) newClerk() (err error) {
	e.results = court.Results{Chain: e.cfg.Chain, Weights: e.node.network}
	e.clerk, err = court.New(court.Config{
		Dir: filepath.Join(e.cfg.Dir, "court"), Self: e.self, Ledger: e.cfg.Ledger, Log: e.node.cfg.Log,
		Fetch: func(ctx context.Context, from ledger.Key, hash ledger.Hash) ([]byte, error) {
			p, err := swarm.PeerOf(from)
			if err != nil {
				return nil, err
			}
			return e.node.net.FetchEvidence(ctx, p, hash)
		},
		Judges: map[ledger.CaseKind]court.Judge{ledger.CaseResult: e.results, ledger.CaseOutput: e.outputs},
	})
	e.outputs.accuse = func(m *ledger.OpenCase, evidence []byte) error { return e.clerk.Accuse(m, evidence) }
	return err
}

// word signs an answer of this node for who asked; nil: the epoch is not known
// yet, so that nobody could take it for anything.
func (e *economy) word(w swarm.Work) []byte {
	k, err := e.keys.of(w.Asker)
	if err != nil || e.standing.params.Load() == nil {
		return nil
	}
	id := w.Calls[0].Expert
	r := ledger.Result{Holder: e.self, Gate: k, Model: ledger.Hash(id.Model), Epoch: e.standing.epoch.Load(),
		Session: w.Session, Seq: w.Seq, Layer: id.Layer}
	r.Rows, r.Input, r.Output = court.Frame{In: w.In, Calls: w.Calls, Results: w.Results}.Roots()
	r = r.Sign(e.cfg.Chain, e.key)
	return ledger.Encode(&r)
}

// header reads what a peer signed of a frame of an answer, as far as that needs
// no hashing.
func (e *economy) header(from routing.Peer, calls []expert.Call, s routing.Signed) (h ledger.Result, err error) {
	k, err := e.keys.of(from)
	if err != nil {
		return h, err
	}
	if err := ledger.Decode(s.Statement, &h); err != nil {
		return h, err
	}
	now := e.standing.epoch.Load()
	id := calls[s.First].Expert
	if h.Holder != k || h.Gate != e.self || h.Model != ledger.Hash(id.Model) || h.Layer != id.Layer || h.Epoch > now+wordLag || h.Epoch+wordLag < now {
		return h, fmt.Errorf("%w: the peer signed something else", ledger.ErrMalformed)
	}
	return h, nil
}

// signedRows is how many rows of an answer a peer signed for.
func (e *economy) signedRows(from routing.Peer, a routing.Ask, answer routing.Answer) (rows int) {
	for _, s := range answer.Signed {
		h, err := e.header(from, a.Calls, s)
		n := 0
		for _, c := range a.Calls[s.First : s.First+s.Calls] {
			n += len(c.Rows)
		}
		if err == nil && int(h.Rows) == n {
			rows += n
		}
	}
	return rows
}

// frame is what the peer signed, as the peer had it, and the header that fits it.
func (e *economy) frame(c routing.Checked, s routing.Signed) (f court.Frame, h ledger.Result, err error) {
	if h, err = e.header(c.Peer, c.Calls, s); err != nil {
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
	if err := ledger.Verify(e.cfg.Chain, h); err != nil {
		return f, h, err
	}
	if rows, in, out := f.Roots(); rows != h.Rows || in != h.Input || out != h.Output {
		return f, h, fmt.Errorf("%w: the peer signed another answer", ledger.ErrMalformed)
	}
	return f, h, nil
}

// vouch checks what a peer signed of an answer under audit. Who signed nothing is
// not paid, and that is all.
func (e *economy) vouch(c routing.Checked) error {
	for _, s := range c.Signed {
		if _, _, err := e.frame(c, s); err != nil {
			return err
		}
	}
	return nil
}

// accuse opens a case against a peer that signed a lie, unless the jury's own
// arithmetic would acquit it.
func (e *economy) accuse(a audit.Accusation) {
	log := e.node.cfg.Log
	for _, s := range a.Signed {
		if a.Call < s.First || a.Call >= s.First+s.Calls {
			continue
		}
		err := e.accuseOf(a, s)
		if err != nil {
			log.Warn("a liar is not accused before the ledger", "peer", a.Peer, "err", err)
		}
		return
	}
}

func (e *economy) accuseOf(a audit.Accusation, s routing.Signed) error {
	f, h, err := e.frame(a.Checked, s)
	if err != nil {
		return err
	}
	// Answers that were under way when it was found out are one deed with the first.
	e.mu.Lock()
	again := e.accused[h.Holder]
	e.mu.Unlock()
	if again {
		return nil
	}
	x, err := f.Exhibit(h, a.Call-s.First, a.Rows)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(e.node.inner(), ruleTime)
	defer cancel()
	ruling, err := e.results.Rule(ctx, x)
	if err != nil {
		return err
	}
	p, err := e.cfg.Ledger.Provider(ctx, h.Holder)
	if err != nil {
		return err
	}
	m, err := e.cfg.Ledger.Model(ctx, h.Model)
	if err != nil {
		return err
	}
	if f := ledger.Find(ruling, m.Tolerance(ledger.CaseResult, p.Class)); f != ledger.Guilty {
		return fmt.Errorf("a jury would find it %v: its error is %d millionths", f, ruling.Error)
	}
	b := x.Encode()
	hash := ledger.Sum(b)
	e.node.cfg.Say("accusing %s before the ledger: a result of layer %d, expert %d is off by %.1f %%", a.Peer, h.Layer, x.Expert, float64(ruling.Error)/10_000)
	if err := e.clerk.Accuse(&ledger.OpenCase{Results: []ledger.Result{h}, Input: hash, Output: hash}, b); err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.accused) >= maxBacked {
		clear(e.accused)
	}
	e.accused[h.Holder] = true
	return nil
}

// audited counts what was found of holders, for their receipts and for what this
// node says of them on the ledger.
func (e *economy) audited(v audit.Verdict) {
	k, err := e.keys.of(v.Peer)
	if err != nil {
		return
	}
	if v.Outcome == audit.Cleared {
		e.credits.Passed(k, ledger.Hash(v.Model))
	}
	e.tallies.saw(e.standing.seated(e.self, ledger.Hash(v.Model)), ledger.Hash(v.Model), k, v.Outcome)
}

// twice shows the ledger two things that a holder signed about one answer, and
// asks that holder nothing more.
func (e *economy) twice(from routing.Peer, a, b []byte) {
	var x, y ledger.Result
	if ledger.Decode(a, &x) != nil || ledger.Decode(b, &y) != nil || !x.Contradicts(y) ||
		ledger.Verify(e.cfg.Chain, x) != nil || ledger.Verify(e.cfg.Chain, y) != nil {
		return
	}
	e.node.condemn(from, "it signed two answers to one call")
	e.show(&ledger.Equivocation{Results: []ledger.Result{x, y}})
}

// twiceSealed shows the ledger two parts of an answer that a gating node signed for
// one place.
func (e *economy) twiceSealed(a, b ledger.Chunk) {
	e.show(&ledger.Equivocation{Chunks: []ledger.Chunk{a, b}})
}

// show has the clerk bring a contradiction to the ledger.
func (e *economy) show(m *ledger.Equivocation) {
	if err := e.clerk.Accuse(m); err != nil {
		e.node.cfg.Log.Warn("a contradiction is not shown to the ledger", "err", err)
	}
}
