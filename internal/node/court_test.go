package node

import (
	"context"
	"testing"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/internal/ledger"
	"github.com/moeswarm/moeswarm/internal/ledger/state"
)

// liar gives results that are off by a twentieth, whichever way they are asked
// for.
type liar struct{ expert.Applier }

func (l liar) Apply(ctx context.Context, in expert.Batch, calls []expert.Call) []expert.Result {
	results := l.Applier.Apply(ctx, in, calls)
	for i, r := range results {
		out := expert.NewBatch(r.Out.Rows, r.Out.Dim)
		for k, x := range r.Out.Data {
			out.Data[k] = x * 1.05
		}
		results[i].Out = out
	}
	return results
}

// testCommit is how many blocks jurors have to commit themselves.
const testCommit = 8

// courtParams are short terms and juries.
func courtParams(p *ledger.Params) {
	p.CommitBlocks, p.RevealBlocks, p.AppealBlocks = testCommit, 8, 4
	p.JurorAbsentBps = 20
}

// TestLiarLosesItsBond: a holder that lies is found by a gating node's audit; a
// case is opened with what it signed; jurors are drawn, who fetch the evidence,
// recompute, commit and reveal; and the holder's bond is a tenth less.
func TestLiarLosesItsBond(t *testing.T) {
	const jurors = 4
	p := newPaid(t, 1, func(g *state.Genesis) {
		courtParams(&g.Params)
		for i := range byte(jurors) {
			g.Providers[ledger.KeyOf(actor(60+i))] = ledger.Provider{Roles: ledger.RoleHolder, Bond: 1000 * ledger.Neuro}
		}
		g.Providers[ledger.KeyOf(actor(70))] = ledger.Provider{Roles: ledger.RoleHolder, Bond: 1000 * ledger.Neuro}
	}, ledger.KeyOf(actor(0)), ledger.KeyOf(actor(70)))
	all := expert.SlotsOf(p.model.Manifest().IDs())
	var bench []*Node
	for i := range byte(jurors) {
		bench = append(bench, p.start(actor(60+i), Model{Name: "tiny", Model: p.model, Hold: all[:1]}, 0))
	}
	p.misbehave = func(a expert.Applier) expert.Applier { return liar{a} }
	bad := p.start(actor(70), Model{Name: "tiny", Model: p.model, Hold: all}, 0)
	p.misbehave = nil
	client := p.client(actor(100), deposit)
	p.until("the liar to be known", func() bool { return len(p.gates[0].net.Holders(p.model.Manifest().IDs()[9])) >= 2 })

	// The gate's receipts say what it audited.
	audited := func() bool {
		for _, r := range p.holder.economy.stub.Receipts() {
			if r.Passed > 0 {
				return true
			}
		}
		return false
	}
	// Answers are right whoever lies; sooner or later the liar is asked. A receipt
	// goes out with work, so what was audited last is in the next answer's.
	r := p.request(24)
	want := p.alone(r)
	p.until("an accusation, and receipts with audits", func() bool {
		got, _, _, err := answerOf(t.Context(), client, r, nil)
		if err != nil {
			t.Fatal(err)
		}
		sameTokens(t, got, want)
		s := p.gates[0].economy.clerk.Stats()
		return s.Opened+s.Waiting > 0 && audited()
	})
	p.until("a case", func() bool { return p.gates[0].economy.clerk.Stats().Opened > 0 })
	view := ledger.View{Getter: p.gates[0].cfg.Economy.Ledger}
	ids, err := view.Duties(t.Context(), bad.economy.self)
	if err != nil || len(ids) != 1 {
		t.Fatalf("cases %v, %v", ids, err)
	}
	now := func() ledger.Case {
		k, err := view.Case(t.Context(), ids[0])
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	states := func(least ledger.JurorState) func() bool {
		return func() bool {
			k := now()
			for _, j := range k.First.Jurors {
				if j.State < least {
					return false
				}
			}
			return len(k.First.Jurors) >= 3
		}
	}
	p.ticksTo("the jury", now, ledger.PhaseCommit)
	p.until("commitments", states(ledger.JurorCommitted))
	p.ticksTo("the end of the commitments", now, ledger.PhaseReveal)
	p.until("revelations", states(ledger.JurorRevealed))
	p.ticksTo("a finding", now, ledger.PhaseAppeal)
	if k := now(); k.First.Finding != ledger.Guilty || k.First.Ruling.Error < 40_000 || k.First.Ruling.Error > 60_000 {
		t.Errorf("finding %v, %+v", k.First.Finding, k.First.Ruling)
	}
	p.ticksTo("the end", now, ledger.PhaseFinal)
	v, err := view.Provider(t.Context(), bad.economy.self)
	if err != nil || v.Bond != 900*ledger.Neuro || v.Strikes != 1 || v.OpenCases != 0 {
		t.Errorf("the liar's record: %+v, %v", v, err)
	}
	honest, err := view.Provider(t.Context(), p.holder.economy.self)
	if err != nil || honest.Bond != 1000*ledger.Neuro {
		t.Errorf("the honest holder has %v, %v", honest.Bond, err)
	}
	if err := p.ledger.Audit(); err != nil {
		t.Error(err)
	}
	ruled := 0
	for _, n := range bench {
		ruled += n.economy.clerk.Stats().Rulings
	}
	if ruled == 0 {
		t.Error("no juror of the bench ruled")
	}
}

func sameTokens(t *testing.T, got, want []int32) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d tokens, want %d", len(got), len(want))
	}
	for i := range got {
		if got[i] != want[i] {
			t.Fatalf("token %d is %d, want %d", i, got[i], want[i])
		}
	}
}
