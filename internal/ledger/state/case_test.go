package state_test

import (
	"testing"

	"github.com/moeswarm/moeswarm/internal/ledger"
	"github.com/moeswarm/moeswarm/internal/ledger/state"
)

// court is a world with many jurors and a holder, the first, who signed a
// result; the first gate accuses.
type court struct {
	*world
	accused, challenger someone
	evidence            *ledger.OpenCase
	id                  ledger.Hash
}

func newCourt(t *testing.T) *court {
	w := newWorld(t, shape{clients: 1, gates: 2, holders: 30, bond: 10_000 * ledger.Neuro, change: func(p *ledger.Params) { p.EmissionStart = 0 }})
	w.epoch()
	c := &court{world: w, accused: w.holders[0], challenger: w.gates[0]}
	c.accuse(1)
	return c
}

func (c *court) accuse(seq uint64) {
	r := ledger.Result{Holder: c.accused.key, Gate: c.challenger.key, Model: c.model, Epoch: 1, Seq: seq, Output: ledger.Hash{5}}
	c.evidence = &ledger.OpenCase{Results: []ledger.Result{r.Sign(chain, c.accused.private)}, Input: ledger.Hash{1}, Output: ledger.Hash{5}}
	c.do(c.challenger, c.evidence)
	call := r.Call()
	c.id = caseID(call, c.l.Clock().Height)
}

func caseID(call ledger.Hash, height uint64) ledger.Hash {
	return state.CaseID(ledger.Sum([]byte("deed"), call[:]), height)
}

func (c *court) now() ledger.Case {
	c.t.Helper()
	k, err := c.see().Case(c.t.Context(), c.id)
	if err != nil {
		c.t.Fatal(err)
	}
	return k
}

func (c *court) who(k ledger.Key) someone {
	for _, p := range append(append([]someone(nil), c.holders...), c.gates...) {
		if p.key == k {
			return p
		}
	}
	c.t.Fatalf("nobody has key %v", k)
	return someone{}
}

// judge brings the panel that sits through its phases; rule gives each juror's
// ruling, false for a juror who stays away.
func (c *court) judge(rule func(i int) (ledger.Ruling, bool)) ledger.Case {
	c.t.Helper()
	c.ticks(2)
	k := c.now()
	if k.Phase != ledger.PhaseCommit {
		c.t.Fatalf("phase %v after the draw", k.Phase)
	}
	salt := ledger.Hash{8}
	for i, j := range k.Panel().Jurors {
		if r, ok := rule(i); ok {
			c.do(c.who(j.Peer), &ledger.CommitVerdict{Case: c.id, Commit: r.Commitment(c.id, k.Appealed, j.Peer, salt)})
		}
	}
	c.ticks(4)
	for i, j := range k.Panel().Jurors {
		if r, ok := rule(i); ok {
			c.do(c.who(j.Peer), &ledger.RevealVerdict{Case: c.id, Ruling: r, Salt: salt})
		}
	}
	c.ticks(4)
	return c.now()
}

func all(parts uint32) func(int) (ledger.Ruling, bool) {
	return func(int) (ledger.Ruling, bool) { return ledger.Ruling{Output: ledger.Hash{3}, Error: parts}, true }
}

func TestLiarIsConvicted(t *testing.T) {
	c := newCourt(t)
	bond, purse := c.provider(c.accused).Bond, c.balance(c.challenger)
	k := c.judge(all(200_000))
	if len(k.First.Jurors) != int(c.params.JurySize) || k.First.Finding != ledger.Guilty || k.Phase != ledger.PhaseAppeal {
		t.Fatalf("%d jurors, finding %v, phase %v", len(k.First.Jurors), k.First.Finding, k.Phase)
	}
	for _, j := range k.First.Jurors {
		if j.Peer == c.accused.key || j.Peer == c.challenger.key {
			t.Error("a side sits in the jury")
		}
	}
	juror := c.who(k.First.Jurors[0].Peer)
	fee := c.balance(juror)
	c.refuse(c.challenger, &ledger.AppealCase{Case: c.id}, ledger.ErrUnauthorized)
	c.ticks(4)
	lost := bond - c.provider(c.accused).Bond
	reward := lost * 4 / 10
	if k := c.now(); k.Phase != ledger.PhaseFinal || lost != bond/10 {
		t.Errorf("phase %v, lost %v", k.Phase, lost)
	}
	if got, want := c.balance(c.challenger)-purse, ledger.Amount(c.params.JuryFee+c.params.AppealFee); got != want {
		t.Errorf("the challenger has %v more at once, want %v, its bond", got, want)
	}
	if got := c.balance(juror) - fee; got != reward/14 {
		t.Errorf("a juror has %v, want %v", got, reward/14)
	}
	p := c.provider(c.accused)
	if p.Strikes != 1 || p.OpenCases != 0 || p.Jailed == 0 {
		t.Errorf("the convicted: %+v", p)
	}
	c.refuse(c.challenger, c.evidence, ledger.ErrDuplicate)
	c.accuse(2)
	c.judge(all(200_000))
	c.ticks(4)
	if got := c.provider(c.accused); got.Strikes != 2 || got.Bond != (bond-bond/10)/2 {
		t.Errorf("after the second strike %v with %d strikes", got.Bond, got.Strikes)
	}
	c.accuse(3)
	c.judge(all(200_000))
	juror = c.who(c.now().First.Jurors[0].Peer)
	fee, left := c.balance(juror), c.provider(c.accused).Bond
	c.ticks(4)
	if got := c.provider(c.accused); got.Bond != 0 {
		t.Errorf("after the third strike %v", got.Bond)
	}
	// All is taken, but the part given away is that of a first strike.
	if got, want := c.balance(juror)-fee, left/10*4/10/14; got != want {
		t.Errorf("a juror of the third strike has %v, want %v", got, want)
	}
}

func TestFalseAccusationCosts(t *testing.T) {
	c := newCourt(t)
	bond, purse, accused := c.provider(c.challenger).Bond, c.balance(c.challenger), c.provider(c.accused).Bond
	k := c.judge(all(20_000)) // class B: up to 30,000
	c.ticks(4)
	if k.First.Finding != ledger.Innocent || c.provider(c.accused).Bond != accused {
		t.Fatalf("finding %v", k.First.Finding)
	}
	if got := bond - c.provider(c.challenger).Bond; got != bond/100 {
		t.Errorf("the challenger lost %v of its bond", got)
	}
	if got := c.balance(c.challenger) - purse; got != ledger.Amount(c.params.AppealFee) {
		t.Errorf("the challenger has %v back, want all but the jury's fee", got)
	}
}

func TestInconclusiveAndHung(t *testing.T) {
	c := newCourt(t)
	bond := c.provider(c.accused).Bond
	if k := c.judge(all(50_000)); k.First.Finding != ledger.Inconclusive {
		t.Errorf("finding %v", k.First.Finding)
	}
	c.ticks(4)
	c.accuse(2)
	k := c.judge(func(i int) (ledger.Ruling, bool) { return ledger.Ruling{Error: 500_000 * uint32(i%2)}, true })
	if k.First.Finding != ledger.NoFinding {
		t.Errorf("4 of 7 found %v", k.First.Finding)
	}
	c.ticks(4)
	if c.provider(c.accused).Bond != bond || c.provider(c.accused).OpenCases != 0 {
		t.Errorf("the accused lost something without a finding")
	}
	c.do(c.challenger, c.evidence) // a hung jury's evidence may come again
}

// TestAppeal: seven bribed jurors convict; the larger jury acquits, the seven
// pay, and who stayed away as well.
func TestAppeal(t *testing.T) {
	c := newCourt(t)
	bond, purse := c.provider(c.accused).Bond, c.balance(c.accused)
	k := c.judge(func(i int) (ledger.Ruling, bool) { return ledger.Ruling{Error: 900_000}, i > 0 })
	if k.First.Finding != ledger.Guilty {
		t.Fatalf("finding %v", k.First.Finding)
	}
	absent, bribed := c.who(k.First.Jurors[0].Peer), c.who(k.First.Jurors[1].Peer)
	full := 10_000 * ledger.Neuro
	if got := full - c.provider(absent).Bond; got != ledger.Bps(full, 20) {
		t.Errorf("who stayed away lost %v", got)
	}
	c.do(c.accused, &ledger.AppealCase{Case: c.id})
	k = c.judge(all(0))
	if len(k.Second.Jurors) != int(c.params.AppealSize) || k.Second.Finding != ledger.Innocent || k.Phase != ledger.PhaseFinal {
		t.Fatalf("%d jurors, finding %v, phase %v", len(k.Second.Jurors), k.Second.Finding, k.Phase)
	}
	for _, j := range k.Second.Jurors {
		for _, f := range k.First.Jurors {
			if j.Peer == f.Peer {
				t.Error("a juror sits twice")
			}
		}
	}
	if c.provider(c.accused).Bond != bond || c.balance(c.accused) != purse {
		t.Error("the acquitted lost something")
	}
	if got := full - c.provider(bribed).Bond; got != full/100 {
		t.Errorf("a bribed juror lost %v", got)
	}
}

func TestJurorsCannotCopyOrChange(t *testing.T) {
	c := newCourt(t)
	c.ticks(2)
	k := c.now()
	a, b := c.who(k.First.Jurors[0].Peer), c.who(k.First.Jurors[1].Peer)
	ruling, salt := ledger.Ruling{Error: 7}, ledger.Hash{1}
	commit := &ledger.CommitVerdict{Case: c.id, Commit: ruling.Commitment(c.id, false, a.key, salt)}
	c.do(a, commit)
	c.do(b, commit) // a copy, which b cannot reveal
	c.refuse(c.accused, commit, ledger.ErrUnauthorized)
	c.refuse(a, &ledger.RevealVerdict{Case: c.id, Ruling: ruling, Salt: salt}, ledger.ErrTooEarly)
	c.ticks(4)
	c.refuse(b, &ledger.RevealVerdict{Case: c.id, Ruling: ruling, Salt: salt}, ledger.ErrMalformed)
	c.refuse(a, &ledger.RevealVerdict{Case: c.id, Ruling: ledger.Ruling{Error: 8}, Salt: salt}, ledger.ErrMalformed)
	c.refuse(a, commit, ledger.ErrTooLate)
	c.do(a, &ledger.RevealVerdict{Case: c.id, Ruling: ruling, Salt: salt})
	c.refuse(a, &ledger.RevealVerdict{Case: c.id, Ruling: ruling, Salt: salt}, ledger.ErrDuplicate)
}
