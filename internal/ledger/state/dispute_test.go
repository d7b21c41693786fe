package state_test

import (
	"slices"
	"testing"

	"github.com/moeswarm/moeswarm/internal/ledger"
	"github.com/moeswarm/moeswarm/internal/ledger/state"
)

// served is a world after epoch 1, in which the client owes its one gate 100
// NEURO and a holder did work for it.
func served(t *testing.T) (w *world, v ledger.Voucher) {
	w = newWorld(t, shape{clients: 1, gates: 1, holders: 3, bond: 10_000 * ledger.Neuro, change: func(p *ledger.Params) { p.EmissionStart = 0 }})
	w.do(w.clients[0], &ledger.Deposit{Model: w.model, Amount: 400 * ledger.Neuro})
	w.epoch()
	v = w.voucher(w.clients[0], w.gates[0], 1, 0, 100*ledger.Neuro)
	w.epoch()
	return w, v
}

func (w *world) receipt(holder someone, units uint64) *ledger.DisputeReceipt {
	g := w.gates[0]
	r := ledger.Receipt{Gate: g.key, Holder: holder.key, Model: w.model, Epoch: 1, Units: units}
	return &ledger.DisputeReceipt{Receipt: r.Sign(chain, g.private)}
}

// TestUnderreporting: a gate that settles less than its receipt pays the
// difference at the pool's rate and a tenth of its bond, once.
func TestUnderreporting(t *testing.T) {
	w, v := served(t)
	g, h := w.gates[0], w.holders[0]
	w.do(g, w.closing(g, 1, []ledger.Leaf{{Holder: h.key, Units: 60}, {Holder: w.holders[1].key, Units: 40}}, v))
	pool := ledger.SplitGross(100*ledger.Neuro, w.params).Pool
	before, bond := w.balance(h), w.provider(g).Bond
	w.refuse(h, w.receipt(h, 60), ledger.ErrDuplicate)
	w.do(h, w.receipt(h, 90))
	owed := ledger.Share(pool, 30, 100)
	penalty := ledger.Bps(bond-owed, w.params.UnderreportBps)
	if got := w.balance(h) - before; got != owed {
		t.Errorf("the holder has %v more, want %v", got, owed)
	}
	if got := bond - w.provider(g).Bond; got != owed+penalty {
		t.Errorf("the gate lost %v, want %v", got, owed+penalty)
	}
	w.refuse(h, w.receipt(h, 90), ledger.ErrDuplicate)
	bond = w.provider(g).Bond
	w.do(w.holders[2], w.receipt(w.holders[2], 10)) // has no leaf at all
	if got, want := bond-w.provider(g).Bond, ledger.Share(pool, 10, 100); got != want {
		t.Errorf("the second receipt cost %v, want %v", got, want)
	}
	forged := w.receipt(h, 1000)
	forged.Receipt.Units++
	w.refuse(h, forged, ledger.ErrSignature)
}

// TestGateAnswersWithTheLeaf: a receipt shown against a root waits; a gate that
// has the leaf loses nothing, one that has not is judged in time.
func TestGateAnswersWithTheLeaf(t *testing.T) {
	w, v := served(t)
	g, h, other := w.gates[0], w.holders[0], w.holders[1]
	leaves := []ledger.Leaf{{Holder: h.key, Units: 60}, {Holder: w.holders[2].key, Units: 40}}
	root, proofs, err := ledger.Tree(leaves)
	if err != nil {
		t.Fatal(err)
	}
	m := w.settlement(g, 1, v)
	m.Close, m.Root = true, root
	w.do(g, m)
	bond := w.provider(g).Bond
	w.do(h, w.receipt(h, 60))
	w.do(other, w.receipt(other, 5))
	w.ticks(2)
	w.do(g, &ledger.Claim{Gate: g.key, Model: w.model, Epoch: 1, Leaf: leaves[0], Proof: proofs[0]})
	if w.provider(g).Bond != bond {
		t.Error("a gate that answered lost bond")
	}
	w.ticks(3)
	pool := ledger.SplitGross(100*ledger.Neuro, w.params).Pool
	owed := ledger.Share(pool, 5, 100)
	if got, want := bond-w.provider(g).Bond, owed+ledger.Bps(bond-owed, w.params.UnderreportBps); got != want {
		t.Errorf("the gate lost %v, want %v", got, want)
	}
}

// TestSilentGate: the receipts share what others settled for it, and nobody is
// punished for being gone.
func TestSilentGate(t *testing.T) {
	w, v := served(t)
	g := w.gates[0]
	w.do(w.holders[0], w.settlement(g, 1, v))
	w.do(w.holders[0], w.receipt(w.holders[0], 50))
	w.do(w.holders[0], w.receipt(w.holders[0], 75))
	w.refuse(w.holders[0], w.receipt(w.holders[0], 50), ledger.ErrDuplicate)
	w.do(w.holders[1], w.receipt(w.holders[1], 25))
	w.epoch()
	w.epoch()
	s := ledger.SplitGross(100*ledger.Neuro, w.params)
	for i, want := range []ledger.Amount{ledger.Share(s.Pool, 75, 100), ledger.Share(s.Pool, 25, 100)} {
		if got := w.provider(w.holders[i]).Earned; got != want {
			t.Errorf("holder %d earned %v, want %v", i, got, want)
		}
	}
	if p := w.provider(g); p.Bond != 10_000*ledger.Neuro || p.Earned != s.Gate {
		t.Errorf("the gate has a bond of %v and earned %v", p.Bond, p.Earned)
	}
}

func TestEquivocation(t *testing.T) {
	w, _ := served(t)
	h, finder := w.holders[0], w.gates[0]
	a := ledger.Result{Holder: h.key, Gate: finder.key, Model: w.model, Epoch: 1, Seq: 4, Input: ledger.Hash{1}, Output: ledger.Hash{2}}
	b := a
	b.Output[3] = 9
	two := func(x, y ledger.Result, sign someone) *ledger.Equivocation {
		return &ledger.Equivocation{Results: []ledger.Result{x.Sign(chain, sign.private), y.Sign(chain, sign.private)}}
	}
	w.refuse(finder, two(a, a, h), ledger.ErrMalformed)
	w.refuse(finder, two(a, b, finder), ledger.ErrSignature)
	bond, purse := w.provider(h).Bond, w.balance(finder)
	supply, _ := w.l.Supply()
	treasury := w.l.Money(state.Account{Pot: state.PotTreasury})
	w.do(finder, two(a, b, h))
	lost := bond - w.provider(h).Bond
	after, _ := w.l.Supply()
	if lost != bond/10 || supply-after != lost/2 || w.balance(finder) != purse || w.l.Money(state.Account{Pot: state.PotTreasury})-treasury != lost/10 {
		t.Errorf("lost %v, burned %v, found %v at once", lost, supply-after, w.balance(finder)-purse)
	}
	w.refuse(finder, two(b, a, h), ledger.ErrDuplicate)
	old := a
	old.Epoch = 99
	older := b
	older.Epoch = 99
	w.refuse(finder, two(old, older, h), ledger.ErrTooEarly)

	// Signed among others, each is as good.
	one := ledger.Bundle{Holder: h.key, Gate: finder.key, Said: make([]ledger.Said, 7)}
	one.Said[2] = ledger.Said{Model: w.model, Epoch: 1, Seq: 77, Output: ledger.Hash{4}}
	another := one
	another.Said = append(slices.Clone(one.Said), ledger.Said{})
	another.Said[2].Output[0]++
	one.Sign(chain, h.private)
	another.Sign(chain, h.private)
	x, y := one.Result(2), another.Result(2)
	z := y
	z.Place++
	w.refuse(finder, &ledger.Equivocation{Results: []ledger.Result{x, z}}, ledger.ErrSignature)
	bond = w.provider(h).Bond
	w.do(finder, &ledger.Equivocation{Results: []ledger.Result{x, y}})
	if w.provider(h).Bond != bond-bond/10 {
		t.Error("a holder that contradicts itself in two bundles lost nothing")
	}

	g := w.gates[0]
	c := ledger.Chunk{Gate: g.key, Client: w.clients[0].key, Model: w.model, Epoch: 1, Index: 3, Tokens: ledger.Hash{1}}
	d := c
	d.Tokens[0] = 2
	bond = w.provider(g).Bond
	w.do(w.clients[0], &ledger.Equivocation{Chunks: []ledger.Chunk{c.Sign(chain, g.private), d.Sign(chain, g.private)}})
	if w.provider(g).Bond != bond-bond/10 {
		t.Error("a gate with two chunks at one place lost nothing")
	}
}

// TestUnbondingIsSlashed: leaving does not save a bond.
func TestUnbondingIsSlashed(t *testing.T) {
	w, _ := served(t)
	h := w.holders[0]
	bond := w.provider(h).Bond
	w.do(h, &ledger.Unbond{Amount: bond})
	a := ledger.Result{Holder: h.key, Epoch: 1, Output: ledger.Hash{2}}
	b := ledger.Result{Holder: h.key, Epoch: 1, Output: ledger.Hash{3}}
	w.do(w.gates[0], &ledger.Equivocation{Results: []ledger.Result{a.Sign(chain, h.private), b.Sign(chain, h.private)}})
	before := w.balance(h)
	for range int(w.params.UnbondEpochs) {
		w.epoch()
	}
	if got := w.balance(h) - before; got != bond-bond/10 {
		t.Errorf("%v came out of a bond of %v", got, bond)
	}
}
