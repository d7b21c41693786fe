package state_test

import (
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/moeswarm/moeswarm/internal/ledger"
	"github.com/moeswarm/moeswarm/internal/ledger/state"
)

func isAny(err, reason error) bool { return reason == nil || errors.Is(err, reason) }

// TestCapsHoldInAnyOrder: a client promises every assigned gate all it has, in
// every epoch and several sessions; the gates settle in random order, early,
// late and twice. Nobody gets more than its share, every share that was
// promised is paid in full, and the escrow never runs dry.
func TestCapsHoldInAnyOrder(t *testing.T) {
	for seed := range uint64(12) {
		rng := rand.New(rand.NewPCG(seed, 1))
		w := newWorld(t, shape{clients: 1, gates: 5, bond: 1_000_000 * ledger.Neuro})
		c := w.clients[0]
		w.do(c, &ledger.Deposit{Model: w.model, Amount: 400 * ledger.Neuro})
		type claim struct {
			gate  someone
			epoch uint64
			share ledger.Amount
			open  []*ledger.SettleEpoch
		}
		var claims []*claim
		for range 14 {
			w.epoch()
			now := w.l.Clock().Epoch
			e, err := w.see().Escrow(t.Context(), c.key, w.model)
			if err != nil {
				t.Fatal(err)
			}
			if rng.IntN(4) == 0 {
				w.do(c, &ledger.Deposit{Model: w.model, Amount: 10 * ledger.Neuro})
			}
			gates := w.assigned(c)
			for i, g := range gates {
				cl := &claim{gate: g, epoch: now, share: ledger.GateShare(e.Budget[0], i, len(gates))}
				for s := range byte(3) {
					cl.open = append(cl.open, w.settlement(g, now, w.voucher(c, g, now, s, cl.share/2+ledger.Amount(rng.IntN(1000)))))
				}
				cl.open = append(cl.open, w.settlement(g, now, w.voucher(c, g, now, 0, 500*ledger.Neuro)))
				claims = append(claims, cl)
			}
			rng.Shuffle(len(claims), func(i, j int) { claims[i], claims[j] = claims[j], claims[i] })
			var rest []*claim
			for _, cl := range claims {
				last := now == cl.epoch+state.SettleEpochs
				if now == cl.epoch || !last && rng.IntN(2) == 0 {
					rest = append(rest, cl)
					continue
				}
				for _, i := range rng.Perm(len(cl.open)) {
					w.do(cl.gate, cl.open[i])
				}
				for _, m := range cl.open {
					w.do(cl.gate, m) // again: adds nothing
				}
				work, err := w.see().Work(t.Context(), cl.epoch, w.model, cl.gate.key)
				if err != nil || work.Gross != cl.share {
					t.Fatalf("seed %d: gate has %d of a share of %d (%v)", seed, work.Gross, cl.share, err)
				}
			}
			claims = rest
		}
	}
}

func TestSettlementHasItsTime(t *testing.T) {
	w := newWorld(t, shape{clients: 1, gates: 1, holders: 1})
	c, g := w.clients[0], w.gates[0]
	w.do(c, &ledger.Deposit{Model: w.model, Amount: 40 * ledger.Neuro})
	w.epoch()
	v := w.voucher(c, g, 1, 0, 1000)
	w.refuse(g, w.settlement(g, 1, v), ledger.ErrTooEarly)
	w.epoch()
	w.do(g, w.settlement(g, 1, v))
	w.refuse(c, w.closing(g, 1, nil), ledger.ErrUnauthorized)
	w.epoch()
	w.do(g, w.settlement(g, 1, v))
	w.epoch()
	w.refuse(g, w.settlement(g, 1, v), ledger.ErrTooLate)
	work, err := w.see().Work(t.Context(), 1, w.model, g.key)
	if err != nil || !work.Closed || work.Gross != 1000 {
		t.Errorf("a silent gate's work is %+v, %v", work, err)
	}
}

// TestVouchersThatDoNotCount: forged ones, of other chains, for other gates.
func TestVouchersThatDoNotCount(t *testing.T) {
	w := newWorld(t, shape{clients: 2, gates: 6})
	c, d := w.clients[0], w.clients[1]
	w.do(c, &ledger.Deposit{Model: w.model, Amount: 40 * ledger.Neuro})
	w.epoch()
	gates := w.assigned(c)
	var stranger someone
	for _, g := range w.gates {
		if g.key != gates[0].key && g.key != gates[1].key && g.key != gates[2].key {
			stranger = g
		}
	}
	good := w.voucher(c, gates[0], 1, 0, 1000)
	forged := good
	forged.Session[0], forged.Cum = 1, 2000
	other := ledger.Voucher{Client: c.key, Gate: gates[0].key, Model: w.model, Epoch: 1, Session: ledger.Session{2}, Cum: 500}.Sign("test-2", c.private)
	poor := w.voucher(d, gates[0], 1, 3, 1000)
	w.epoch()
	w.do(gates[0], w.settlement(gates[0], 1, forged, good, other, poor))
	w.do(stranger, w.settlement(stranger, 1, w.voucher(c, stranger, 1, 0, 1000)))
	for g, want := range map[ledger.Key]ledger.Amount{gates[0].key: 1000, stranger.key: 0} {
		if work, err := w.see().Work(t.Context(), 1, w.model, g); err != nil || work.Gross != want {
			t.Errorf("collected %d, want %d (%v)", work.Gross, want, err)
		}
	}
}

// TestIncomeIsBoundByBond: what a bond may not earn in an epoch goes to the
// treasury.
func TestIncomeIsBoundByBond(t *testing.T) {
	w := newWorld(t, shape{clients: 1, gates: 1, holders: 1, bond: 100 * ledger.Neuro})
	c, g, h := w.clients[0], w.gates[0], w.holders[0]
	w.do(c, &ledger.Deposit{Model: w.model, Amount: 800 * ledger.Neuro})
	w.epoch()
	v := w.voucher(c, g, 1, 0, 200*ledger.Neuro)
	w.epoch()
	w.do(g, w.closing(g, 1, []ledger.Leaf{{Holder: h.key, Units: 9}}, v))
	s := ledger.SplitGross(200*ledger.Neuro, w.params)
	for _, p := range []someone{g, h} {
		if got := w.provider(p).Earned; got != 5*ledger.Neuro {
			t.Errorf("earned %v with a bond of 100 NEURO", got)
		}
	}
	want := s.Treasury + s.Gate + s.Pool - 10*ledger.Neuro
	if got := w.l.Money(state.Account{Pot: state.PotTreasury}); got != want {
		t.Errorf("treasury %v, want %v", got, want)
	}
}

// TestClaims: with a root alone, holders claim with proofs, once; what nobody
// claims goes to the treasury in the end.
func TestClaims(t *testing.T) {
	w := newWorld(t, shape{clients: 1, gates: 1, holders: 5, bond: 100_000 * ledger.Neuro})
	c, g := w.clients[0], w.gates[0]
	w.do(c, &ledger.Deposit{Model: w.model, Amount: 400 * ledger.Neuro})
	w.epoch()
	v := w.voucher(c, g, 1, 0, 100*ledger.Neuro)
	w.epoch()
	var leaves []ledger.Leaf
	for i, h := range w.holders {
		leaves = append(leaves, ledger.Leaf{Holder: h.key, Units: uint64(10 * (i + 1)), Passed: 1})
	}
	root, proofs, err := ledger.Tree(leaves)
	if err != nil {
		t.Fatal(err)
	}
	m := w.settlement(g, 1, v)
	m.Close, m.Root = true, root
	w.do(g, m)
	claim := func(i int) *ledger.Claim {
		return &ledger.Claim{Gate: g.key, Model: w.model, Epoch: 1, Leaf: leaves[i], Proof: proofs[i]}
	}
	pool := ledger.SplitGross(100*ledger.Neuro, w.params).Pool
	for i := range 4 {
		before := w.balance(w.holders[i])
		w.do(w.clients[0], claim(i))
		if got, want := w.balance(w.holders[i])-before, ledger.Share(pool, leaves[i].Units, root.Units); got != want {
			t.Errorf("holder %d has %d, want %d", i, got, want)
		}
		w.refuse(w.holders[i], claim(i), ledger.ErrDuplicate)
	}
	more := claim(4)
	more.Leaf.Units++
	w.refuse(w.holders[4], more, ledger.ErrMalformed)
	treasury := w.l.Money(state.Account{Pot: state.PotTreasury})
	for range 6 {
		w.epoch()
	}
	w.refuse(w.holders[4], claim(4), ledger.ErrUnknown)
	if got, want := w.l.Money(state.Account{Pot: state.PotTreasury})-treasury, ledger.Share(pool, 50, 150); got < want || got > want+5 {
		t.Errorf("the treasury has %d more, want %d", got, want)
	}
}

func TestWithdrawal(t *testing.T) {
	w := newWorld(t, shape{clients: 1, gates: 1})
	c, g := w.clients[0], w.gates[0]
	w.do(c, &ledger.Deposit{Model: w.model, Amount: 400 * ledger.Neuro})
	w.epoch()
	v := w.voucher(c, g, 1, 0, 100*ledger.Neuro) // all of its budget
	w.refuse(c, &ledger.RequestWithdraw{Model: w.model, Amount: 401 * ledger.Neuro}, ledger.ErrFunds)
	w.do(c, &ledger.RequestWithdraw{Model: w.model, Amount: 400 * ledger.Neuro})
	w.epoch()
	e, err := w.see().Escrow(t.Context(), c.key, w.model)
	if err != nil || e.Budget[0] != 0 {
		t.Errorf("a budget of %v while all is on its way out (%v)", e.Budget[0], err)
	}
	w.epoch()
	w.do(g, w.settlement(g, 1, v))
	w.epoch()
	if got := w.balance(c); got != 900*ledger.Neuro {
		t.Errorf("the client has %v, want 900: the voucher was covered", got)
	}
}
