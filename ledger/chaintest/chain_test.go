package chaintest

import (
	"testing"
	"time"

	"github.com/moeswarm/moeswarm/ledger/devnet"
)

// Four validators agree on every state; one may stop, not two; who comes back
// catches up.
func TestValidatorsStopAndComeBack(t *testing.T) {
	n := New(t, devnet.Config{})
	n.WaitHeight(0, 14) // past an epoch
	for i := range n.Nodes {
		n.WaitHeight(i, 10)
	}
	n.Agree()

	n.Stop(3)
	n.WaitHeight(0, n.Nodes[0].Height()+3)
	n.Stop(2)
	n.Halted(0, time.Second) // what was on its way may still finish
	if !n.Halted(0, 3*time.Second) {
		t.Fatal("half of the validators made a block")
	}
	n.Start(2)
	n.WaitHeight(0, n.Nodes[0].Height()+3)
	n.Start(3)
	n.WaitHeight(3, n.Nodes[0].Height())
	n.Agree()
}
