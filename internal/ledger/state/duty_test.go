package state_test

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/moeswarm/moeswarm/internal/ledger"
)

func (c *court) duties(p someone) []ledger.Hash {
	c.t.Helper()
	ids, err := c.see().Duties(c.t.Context(), p.key)
	if err != nil {
		c.t.Fatal(err)
	}
	return ids
}

// TestDuties: a case is listed for its sides from the start, for its jurors from
// the draw, and for nobody when it is over.
func TestDuties(t *testing.T) {
	c := newCourt(t)
	for _, p := range []someone{c.accused, c.challenger} {
		if d := c.duties(p); !slices.Equal(d, []ledger.Hash{c.id}) {
			t.Errorf("a side has duties %v", d)
		}
	}
	c.ticks(2)
	listed := func() (n int) {
		for _, p := range append(slices.Clone(c.holders), c.gates...) {
			n += len(c.duties(p))
		}
		return n
	}
	if n := listed(); n != 2+int(c.params.JurySize) {
		t.Errorf("the case is on %d lists", n)
	}
	for _, j := range c.now().First.Jurors {
		if d := c.duties(c.who(j.Peer)); !slices.Equal(d, []ledger.Hash{c.id}) {
			t.Errorf("a juror has duties %v", d)
		}
	}
	c.ticks(8) // nobody rules
	c.ticks(4)
	if k := c.now(); k.Phase != ledger.PhaseFinal || listed() != 0 {
		t.Errorf("phase %v, %d lists", k.Phase, listed())
	}
}

// TestUnbondingWaitsForTheCase: what unbonds while a case is open stays until the
// case is over, and is slashed with the rest; then it leaves.
func TestUnbondingWaitsForTheCase(t *testing.T) {
	c := newCourt(t)
	bond := c.provider(c.accused).Bond
	c.do(c.accused, &ledger.Unbond{Amount: bond / 2})
	purse := c.balance(c.accused)
	until := c.l.Clock().Epoch + c.params.UnbondEpochs
	// The case is held in its first phases by juries that come to nothing.
	for c.l.Clock().Epoch < until {
		if k := c.now(); k.Phase == ledger.PhaseAppeal && k.Deadline == c.l.Clock().Height+1 {
			c.ticks(1)
			c.do(c.challenger, c.evidence)
			call := c.evidence.Results[0].Call()
			c.id = caseID(call, c.l.Clock().Height)
		}
		c.ticks(1)
	}
	if p := c.provider(c.accused); p.OpenCases == 0 || p.Stake() != bond || c.balance(c.accused) != purse {
		t.Fatalf("in epoch %d with %d open cases a stake of %v is left of %v, and %v was paid out", until, p.OpenCases, p.Stake(), bond, c.balance(c.accused)-purse)
	}
	for c.now().Phase != ledger.PhaseFinal {
		c.ticks(1)
	}
	for range 2 {
		for e := c.l.Clock().Epoch; c.l.Clock().Epoch == e; {
			c.ticks(1)
		}
	}
	if p := c.provider(c.accused); p.Stake() != bond/2 || c.balance(c.accused) != purse+bond/2 {
		t.Errorf("after the case %v are left, %v was paid out", p.Stake(), c.balance(c.accused)-purse)
	}
}

// TestNeighboursDoNotJudge: who says that it is in a network of either side sits
// in no jury of theirs; others do.
func TestNeighboursDoNotJudge(t *testing.T) {
	w := newWorld(t, shape{gates: 2, holders: 12, bond: 10_000 * ledger.Neuro, change: func(p *ledger.Params) { p.UnbondEpochs = 100 }})
	w.epoch()
	c := &court{world: w, accused: w.holders[0], challenger: w.gates[0]}
	net := func(s string) ledger.Net {
		n, ok := ledger.NetOf(netip.MustParseAddr(s))
		if !ok {
			t.Fatal(s)
		}
		return n
	}
	in := func(p someone, nets ...ledger.Net) {
		v := w.provider(p)
		w.do(p, &ledger.RegisterProvider{Roles: v.Roles, Class: v.Class, Gated: v.Gated, Nets: nets})
	}
	in(c.accused, net("192.0.2.1"), net("2001:db8:1::1"))
	in(c.challenger, net("198.51.100.7"))
	near := map[ledger.Key]bool{}
	for i, a := range []string{"192.0.2.200", "198.51.100.1", "2001:db8:1:ffff::2"} {
		in(w.holders[1+i], net(a))
		near[w.holders[1+i].key] = true
	}
	in(w.holders[4], net("192.0.3.1"), net("2001:db8:2::1"))
	w.refuse(w.holders[5], &ledger.RegisterProvider{Roles: ledger.RoleHolder, Class: ledger.ClassB, Nets: []ledger.Net{{5}}}, ledger.ErrMalformed)
	seated := map[ledger.Key]bool{}
	for seq := range uint64(12) {
		c.accuse(seq)
		c.ticks(2)
		for _, j := range c.now().First.Jurors {
			seated[j.Peer] = true
			if near[j.Peer] {
				t.Fatalf("a neighbour of a side judges")
			}
		}
		c.ticks(12)
	}
	if !seated[w.holders[4].key] {
		t.Error("somebody in another network never judges")
	}
}

func TestNetOf(t *testing.T) {
	for s, want := range map[string]string{"192.0.2.1": "192.0.2.0/24", "::ffff:192.0.2.9": "192.0.2.0/24", "2001:db8:1:2::3": "2001:db8:1::/48",
		"127.0.0.1": "", "10.1.2.3": "", "::1": "", "fe80::1": "", "fd00::1": "", "224.0.0.1": ""} {
		n, ok := ledger.NetOf(netip.MustParseAddr(s))
		if ok != (want != "") || ok && (n.String() != want || !n.Valid()) {
			t.Errorf("%s is in %v, %v; want %q", s, n, ok, want)
		}
	}
}
