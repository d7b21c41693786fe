package node

import (
	"bytes"
	"context"
	"testing"
	"time"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/internal/ledger"
	"github.com/moeswarm/moeswarm/internal/ledger/credit"
)

// waitFor looks again and again, for things that arrive over the network.
func waitFor(t *testing.T, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for over := time.After(20 * time.Second); !holds(); {
		select {
		case <-tick.C:
		case <-over:
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// TestLeaderboardOfFriends: without a ledger every node of a swarm lists who did
// how much, under the names they gave themselves, also one that neither asked
// anybody nor did anything; and a gating node's thanks for more than was done are
// not passed on.
func TestLeaderboardOfFriends(t *testing.T) {
	m := tiny(t)
	ids := m.Manifest().IDs()
	held := ids[:m.Experts()]
	holder := running(t, Config{Name: "ada", Team: "red", Models: []Model{{Name: "tiny", Model: m, Hold: expert.SlotsOf(held)}}})
	gate := running(t, Config{Join: holder.Addrs()})
	entry := running(t, Config{Join: holder.Addrs()})
	gate.net.LookUp(held)
	known(t, gate, held)
	in := expert.NewBatch(3, m.Dim())
	for _, r := range gate.router.Apply(t.Context(), in, []expert.Call{{Expert: held[0], Rows: []int32{0, 1, 2}}, {Expert: held[1], Rows: []int32{1}}}) {
		if r.Err != nil {
			t.Fatal(r.Err)
		}
	}
	const units = 4
	line := func(n *Node) (l credit.NodeCredit) {
		for _, l := range n.friends.board(10).Nodes {
			if l.Node == holder.friends.self.String() {
				return l
			}
		}
		return l
	}
	waitFor(t, "the receipt", func() bool {
		gate.friends.credits.Flush()
		return line(holder).Units > 0
	})
	did := line(holder).Units
	if l := line(holder); l.Units < units || l.Confirmed != l.Units || l.Name != "ada" || l.Team != "red" {
		t.Errorf("the holder says of itself %+v", l)
	}
	// More than it did.
	r := ledger.Receipt{Gate: gate.friends.self, Holder: holder.friends.self, Model: ledger.Hash(m.ID()), Epoch: hours(time.Now()), Units: did + 1_000_000}
	r = r.Sign(friendsChain, gate.friends.key)
	if err := holder.friends.Receipt(gate.net.ID(), ledger.Encode(&r)); err != nil {
		t.Error(err)
	}
	if got := line(holder).Units; got != did {
		t.Errorf("it takes thanks for %d units, and did %d", got, did)
	}
	waitFor(t, "the list at a node that did nothing", func() bool {
		entry.friends.ask(context.Background())
		return line(entry).Name == "ada"
	})
	if l := line(entry); l.Units != did || l.Confirmed != 0 || l.Team != "red" {
		t.Errorf("a stranger to both says %+v", l)
	}
	if l := line(gate); l.Units != did || l.Confirmed != did {
		t.Errorf("who signed it says %+v", l)
	}
	// What was kept is believed again, and no more than that.
	var kept bytes.Buffer
	if err := holder.friends.book.Save(&kept); err != nil {
		t.Fatal(err)
	}
	again := running(t, Config{Key: holder.friends.key})
	if err := again.friends.load(&kept); err != nil {
		t.Fatal(err)
	}
	if l := line(again); l.Units != did || l.Confirmed != did {
		t.Errorf("after a restart %+v", l)
	}
	if err := again.friends.Receipt(gate.net.ID(), ledger.Encode(&r)); err != nil || line(again).Units != did {
		t.Errorf("after a restart it takes thanks for %d units, %v", line(again).Units, err)
	}
}
