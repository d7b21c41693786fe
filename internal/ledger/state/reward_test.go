package state_test

import (
	"testing"

	"github.com/moeswarm/moeswarm/internal/ledger"
	"github.com/moeswarm/moeswarm/internal/ledger/state"
)

// twice is a holder's two results of one call.
func (w *world) twice(h someone, seq uint64) *ledger.Equivocation {
	a := ledger.Result{Holder: h.key, Model: w.model, Epoch: 1, Seq: seq, Output: ledger.Hash{1}}
	b := a
	b.Output[0] = 2
	return &ledger.Equivocation{Results: []ledger.Result{a.Sign(chain, h.private), b.Sign(chain, h.private)}}
}

// TestFinderWaits: a finder has his part when the rest of the bond could have
// left, not before, and while the culprit is on trial not even then.
func TestFinderWaits(t *testing.T) {
	for _, trial := range []bool{false, true} {
		w, _ := served(t)
		h, finder := w.holders[0], w.gates[0]
		bond, purse := w.provider(h).Bond, w.balance(finder)
		w.do(finder, w.twice(h, 1))
		w.do(finder, w.twice(h, 2))
		// The second is a tenth of what is left, and takes a tenth of what waits.
		first, second := bond/10*4/10, bond*9/10/10*4/10
		due := first*9/10 + second
		for range w.params.UnbondEpochs - 1 {
			w.epoch()
		}
		if got := w.balance(finder) - purse; got != 0 {
			t.Errorf("%v an epoch too early", got)
		}
		if trial {
			r := ledger.Result{Holder: h.key, Model: w.model, Epoch: 3, Output: ledger.Hash{1}}
			w.do(w.holders[1], &ledger.OpenCase{Results: []ledger.Result{r.Sign(chain, h.private)}})
			w.epoch()
			if got := w.balance(finder) - purse; got != 0 {
				t.Errorf("%v during a trial", got)
			}
			for w.provider(h).OpenCases > 0 {
				w.epoch()
			}
		}
		w.epoch()
		if got := w.balance(finder) - purse; got != due {
			t.Errorf("the finder has %v, want %v (trial: %t)", got, due, trial)
		}
	}
}

// TestFriendKeepsNothing: what a friend found burns with the rest of the bond.
func TestFriendKeepsNothing(t *testing.T) {
	c := newCourt(t)
	friend := c.clients[0] // no juror
	purse := c.balance(friend)
	for seq := range uint64(20) {
		c.do(friend, c.twice(c.accused, 100+seq))
	}
	held := c.l.Money(state.Account{Pot: state.PotBond})
	for i := range uint64(3) { // to the third strike
		if i > 0 {
			c.accuse(i + 1)
		}
		c.judge(all(200_000))
		c.ticks(4)
	}
	if p := c.provider(c.accused); p.Strikes != 3 || p.Stake() != 0 {
		t.Fatalf("%d strikes, %v left", p.Strikes, p.Stake())
	}
	if after := c.l.Money(state.Account{Pot: state.PotBond}); after >= held {
		t.Errorf("the pot of bonds held %v and holds %v", held, after)
	}
	for range c.params.UnbondEpochs + 1 {
		c.epoch()
	}
	if got := c.balance(friend); got > purse {
		t.Errorf("the friend kept %v", got-purse)
	}
}
