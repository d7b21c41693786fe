package node

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/moeswarm/moeswarm/internal/ledger"
	"github.com/moeswarm/moeswarm/internal/ledger/court"
	"github.com/moeswarm/moeswarm/routing"
	"github.com/moeswarm/moeswarm/routing/audit"
	"github.com/moeswarm/moeswarm/swarm"
)

// ruleTime bounds this node's own judgement before it accuses anybody.
const ruleTime = 2 * time.Minute

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
	ctx, cancel := context.WithTimeout(e.node.inner(), ruleTime)
	defer cancel()
	f, h, err := e.frame(ctx, a.Checked, s)
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
