package credit

import (
	"testing"

	"github.com/moeswarm/moeswarm/internal/ledger"
)

// seen is what a node believes of holders, by their numbers. The node is number
// 1; it did for gates what served says.
func seen(t *testing.T, served map[byte]uint64, receipts ...ledger.Receipt) func(holder byte) uint64 {
	t.Helper()
	b := book(t, Config{}, 9)
	for _, r := range receipts {
		mustTake(t, b, r)
	}
	_, self := key(1)
	eyes := Eyes{Self: self, Served: map[ledger.Key]uint64{}}
	for n, units := range served {
		_, k := key(n)
		eyes.Served[k] = units
	}
	all := map[ledger.Key]uint64{}
	for _, l := range b.Lines(eyes) {
		all[l.Node] = l.Confirmed
		if l.Confirmed > l.Units {
			t.Errorf("%d confirmed of %d", l.Confirmed, l.Units)
		}
	}
	return func(holder byte) uint64 {
		_, k := key(holder)
		return all[k]
	}
}

const million = 1_000_000

// TestWhatANodeKnows: what it signed itself, and what it did itself.
func TestWhatANodeKnows(t *testing.T) {
	got := seen(t, map[byte]uint64{2: 70}, signed(1, 20, 9, 500, 0), signed(2, 1, 9, 90, 0), signed(3, 1, 9, 90, 0))
	if got(20) != 500 {
		t.Errorf("%d of the 500 that it signed itself", got(20))
	}
	if got(1) != 70 {
		t.Errorf("it confirmed %d of its own work, and did 70", got(1))
	}
}

// TestStrangersGatesCountNothing: as many gates as one likes confirm nothing.
func TestStrangersGatesCountNothing(t *testing.T) {
	var all []ledger.Receipt
	for gate := byte(50); gate < 80; gate++ {
		all = append(all, signed(gate, 20, 9, million, 0), signed(gate, 21, 9, million, 0))
	}
	all = append(all, signed(1, 22, 9, 10, 0))
	got := seen(t, nil, all...)
	if got(20) != 0 || got(21) != 0 || got(22) != 10 {
		t.Errorf("confirmed %d, %d and %d", got(20), got(21), got(22))
	}
}

// TestHonestGatesAreBelieved: in a swarm in which gates share holders, their
// receipts are confirmed whole.
func TestHonestGatesAreBelieved(t *testing.T) {
	var all []ledger.Receipt
	for gate := byte(1); gate <= 3; gate++ {
		for holder := byte(20); holder < 26; holder++ {
			all = append(all, signed(gate, holder, 9, 1000, 0))
		}
	}
	all = append(all, signed(2, 30, 9, 1000, 0)) // works for others alone
	got := seen(t, nil, all...)
	for holder := byte(20); holder < 26; holder++ {
		if got(holder) != 3000 {
			t.Errorf("holder %d: %d of 3000", holder, got(holder))
		}
	}
	if got(30) != 1000 {
		t.Errorf("a holder that this node does not use: %d of 1000", got(30))
	}
	// By what it did for a gate it believes it about seven more.
	all = nil
	for holder := byte(20); holder < 27; holder++ {
		all = append(all, signed(2, holder, 9, 100, 0))
	}
	got = seen(t, map[byte]uint64{2: 100}, append(all, signed(2, 1, 9, 100, 0))...)
	if got(20) != 100 || got(1) != 100 {
		t.Errorf("%d and %d of 100", got(20), got(1))
	}
}

// TestNoWitnessForHimself: who did real work for this node, and has gates of his
// own, is not believed about himself; two are believed about each other for
// Trust times what they did here, all gates together.
func TestNoWitnessForHimself(t *testing.T) {
	const did = 100
	got := seen(t, nil, signed(1, 20, 9, did, 0), signed(50, 20, 9, million, 0))
	if got(20) != did {
		t.Errorf("alone: %d, and %d were done", got(20), did)
	}
	all := []ledger.Receipt{signed(1, 20, 9, did, 0), signed(1, 21, 9, did, 0)}
	for gate := byte(50); gate < 60; gate++ {
		for _, holder := range []byte{20, 21, 40} {
			all = append(all, signed(gate, holder, 9, million, 0))
		}
	}
	got = seen(t, nil, all...)
	for _, holder := range []byte{20, 21} {
		if most := uint64(did + Trust*did); got(holder) > most || got(holder) <= did {
			t.Errorf("holder %d: %d, at most %d", holder, got(holder), most)
		}
	}
	if most := uint64(Trust * 2 * did); got(40) > most {
		t.Errorf("a friend that did nothing: %d, at most %d", got(40), most)
	}
}
