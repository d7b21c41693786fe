package state_test

import (
	"slices"
	"testing"

	"github.com/moeswarm/moeswarm/internal/ledger"
	"github.com/moeswarm/moeswarm/internal/ledger/state"
)

// TestSeedComesAfterTheCount: bonds of an epoch's draw are those at the start
// of the epoch before; the seed is known at two thirds of that, not earlier.
func TestSeedComesAfterTheCount(t *testing.T) {
	w := newWorld(t, shape{clients: 1, gates: 4})
	w.epoch()
	ctx := t.Context()
	k := w.l.Clock()
	late := w.clients[0]
	w.do(late, &ledger.RegisterProvider{Roles: ledger.RoleGate, Gated: []ledger.Hash{w.model}})
	w.do(late, &ledger.Bond{Amount: 900 * ledger.Neuro})
	for w.l.Clock().Height+1 < k.SeedHeight() {
		w.ticks(1)
		if _, err := w.see().Seed(ctx, 2); err == nil {
			t.Fatalf("the seed is known in block %d, due in %d", w.l.Clock().Height, k.SeedHeight())
		}
	}
	w.ticks(1)
	seed, err := w.see().Seed(ctx, 2)
	if err != nil || seed != w.l.Clock().Rnd {
		t.Fatalf("seed %v, %v", seed, err)
	}
	sits := func(epoch uint64) bool {
		seats, err := w.see().Committee(ctx, epoch, w.model)
		if err != nil {
			t.Fatal(err)
		}
		return slices.ContainsFunc(seats, func(s ledger.Seat) bool { return s.Peer == late.key })
	}
	beat := func() {
		w.do(late, &ledger.Heartbeat{Epoch: w.l.Clock().Epoch})
	}
	beat()
	w.epoch() // 2
	beat()
	if sits(2) {
		t.Error("a bond counts that came after the count")
	}
	w.epoch() // 3
	if !sits(3) {
		t.Error("a bond that was there when the epoch began, with heartbeats, has no seat")
	}
	w.epoch() // 4, without late's heartbeat in 3
	if sits(4) {
		t.Error("somebody without a heartbeat has a seat")
	}
}

// TestCommitteeIsWhatAnybodyComputes from providers and seed.
func TestCommitteeIsWhatAnybodyComputes(t *testing.T) {
	w := newWorld(t, shape{gates: 40})
	ctx := t.Context()
	for i, g := range w.gates[1:] { // unequal bonds, one of them enormous
		w.do(g, &ledger.Unbond{Amount: ledger.Amount(i%7+1) * 100 * ledger.Neuro})
	}
	w.do(w.gates[3], &ledger.Bond{Amount: 90 * ledger.Neuro})
	var before []ledger.Seat
	for epoch := uint64(1); epoch < 12; epoch++ {
		away := w.gates[epoch%uint64(len(w.gates))]
		for _, g := range w.gates {
			if g.key != away.key {
				w.do(g, &ledger.Heartbeat{Epoch: w.l.Clock().Epoch})
			}
		}
		var able []ledger.Candidate
		var bonds []ledger.Amount
		for _, g := range w.gates {
			p := w.provider(g)
			last := epoch < 2 || p.BeatIn(epoch-2)
			if bond := p.BondAt(epoch - 1); bond >= ledger.Amount(w.params.MinGateBond) && p.BeatIn(epoch-1) && last {
				able = append(able, ledger.Candidate{Peer: g.key, Weight: uint64(bond)})
				bonds = append(bonds, bond)
			}
		}
		slices.Sort(bonds)
		limit := 4 * uint64(bonds[(len(bonds)-1)/2])
		for i := range able {
			able[i].Weight = min(able[i].Weight, limit) / 2 // reputation 5000
		}
		if epoch == 1 {
			var err error
			if before, err = w.see().Committee(ctx, 0, w.model); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.l.NextEpoch(); err != nil {
			t.Fatal(err)
		}
		seed, err := w.see().Seed(ctx, epoch)
		if err != nil {
			t.Fatal(err)
		}
		got, err := w.see().Committee(ctx, epoch, w.model)
		if err != nil {
			t.Fatal(err)
		}
		if want := ledger.Elect(seed, epoch, w.model, before, able, w.params); !slices.Equal(got, want) {
			t.Fatalf("epoch %d: %v, want %v", epoch, got, want)
		}
		before = got
	}
}

// TestTalliesMoveReputations: the bond-weighted median of three gates counts,
// one liar does not move it, and audited work is paid by emission.
func TestTalliesMoveReputations(t *testing.T) {
	w := newWorld(t, shape{clients: 1, gates: 3, holders: 2, bond: 1_000_000 * ledger.Neuro})
	w.epoch()
	w.epoch()
	a, b := w.holders[0], w.holders[1]
	tally := func(scoreA, scoreB uint16, audited uint64) *ledger.CommitTally {
		return ledger.TallyPages(w.model, w.l.Clock().Epoch-1, []ledger.TallyRow{
			{Peer: a.key, Score: scoreA, Audited: audited}, {Peer: b.key, Score: scoreB, Audited: audited},
		})[0]
	}
	w.refuse(a, tally(1, 1, 1), ledger.ErrUnauthorized)
	w.do(w.gates[0], tally(9000, 4000, 1000))
	w.do(w.gates[1], tally(9200, 4200, 1000))
	w.do(w.gates[2], tally(0, 10_000, 1<<60))
	w.refuse(w.gates[2], tally(1, 1, 1), ledger.ErrDuplicate) // its first word stands
	supply, _ := w.l.Supply()
	before := w.balance(a)
	w.epoch()
	if pa, pb := w.provider(a), w.provider(b); pa.Rep != 9000 || pb.Rep != 4200 {
		t.Errorf("reputations %d and %d", pa.Rep, pb.Rep)
	}
	after, _ := w.l.Supply()
	minted := ledger.Emission(2, 0, supply, w.params)
	if got := after - supply; got > minted || got+2 < minted {
		t.Errorf("minted %v, scheduled %v", got, minted)
	}
	validators := ledger.Bps(minted, w.params.ValidatorBps)
	if got, want := w.balance(a)-before, ledger.Share(minted-validators, 900, 900+420); got != want {
		t.Errorf("the holder has %v, want %v", got, want)
	}
	w.epoch()
	if pa, pb := w.provider(a), w.provider(b); pa.Rep != 9000-90 || pb.Rep != 4200 {
		t.Errorf("without reports %d and %d", pa.Rep, pb.Rep)
	}
}

// TestWashingLoses: a client that pays its own gate and holder everything ends
// with less than it began, emission included.
func TestWashingLoses(t *testing.T) {
	w := newWorld(t, shape{clients: 1, gates: 1, holders: 1, bond: 100_000 * ledger.Neuro})
	c, g, h := w.clients[0], w.gates[0], w.holders[0]
	ours := func() ledger.Amount { return w.balance(c) + w.balance(g) + w.balance(h) }
	start := ours()
	w.do(c, &ledger.Deposit{Model: w.model, Amount: 800 * ledger.Neuro})
	var paid ledger.Amount
	for range 12 {
		w.epoch()
		now := w.l.Clock().Epoch
		if now > 1 {
			v := w.voucher(c, g, now-1, 0, 1<<50)
			w.do(g, w.closing(g, now-1, []ledger.Leaf{{Holder: h.key, Units: 1}}, v))
			work, err := w.see().Work(t.Context(), now-1, w.model, g.key)
			if err != nil {
				t.Fatal(err)
			}
			paid += work.Gross
		}
	}
	w.do(c, &ledger.RequestWithdraw{Model: w.model, Amount: w.escrow(c).Balance})
	for range 4 {
		w.epoch()
	}
	lost := start - ours()
	if fee := ledger.Bps(paid, w.params.FeeBps); lost < fee*8/10 || ours() > start {
		t.Errorf("washing %v cost %v, the fee is %v", paid, lost, fee)
	}
}

func (w *world) escrow(c someone) ledger.Escrow {
	w.t.Helper()
	e, err := w.see().Escrow(w.t.Context(), c.key, w.model)
	if err != nil {
		w.t.Fatal(err)
	}
	return e
}

func TestGovernance(t *testing.T) {
	w := newWorld(t, shape{clients: 1})
	up := func(name string, v uint64) *ledger.UpdateParams {
		return &ledger.UpdateParams{Changes: []ledger.Change{{Name: name, Value: v}}}
	}
	w.refuse(w.clients[0], up("fee_bps", 600), ledger.ErrUnauthorized)
	for _, bad := range []*ledger.UpdateParams{up("fee_bps", 499), up("fee_bps", 1001), up("no_such", 1), up("jury_quorum", 3), up("withdraw_epochs", 2)} {
		if err := w.l.Govern(bad); !isAny(err, ledger.ErrMalformed) || err == nil {
			t.Errorf("%v: %v", bad.Changes, err)
		}
	}
	if err := w.l.Govern(up("fee_bps", 1000)); err != nil {
		t.Fatal(err)
	}
	if p, err := w.see().Params(t.Context()); err != nil || p.FeeBps != 1000 {
		t.Errorf("the fee is %d (%v)", p.FeeBps, err)
	}
	other := ledger.Hash{9}
	w.refuse(w.clients[0], &ledger.Deposit{Model: other, Amount: 1}, ledger.ErrUnknown)
	if err := w.l.Govern(&ledger.SetModel{ID: other, Model: ledger.Model{Active: true, Name: "other"}}); err != nil {
		t.Fatal(err)
	}
	w.do(w.clients[0], &ledger.Deposit{Model: other, Amount: 1})
	if err := w.l.Govern(&ledger.Send{}); err == nil {
		t.Error("governance sends")
	}
	if got := w.l.Money(state.Account{Pot: state.PotEscrow}); got != 1 {
		t.Errorf("escrow %d", got)
	}
}
