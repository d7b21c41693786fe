package chaintest

import (
	"context"
	"testing"
	"time"

	"github.com/moeswarm/moeswarm/internal/ledger"
	"github.com/moeswarm/moeswarm/ledger/devnet"
	"github.com/moeswarm/moeswarm/ledger/home"
	"github.com/moeswarm/moeswarm/ledger/join"
)

// Where all nodes have forgotten their first blocks, a node joins from a snapshot of
// another: it has the others' state and books without those blocks, goes on with
// them, and does so again when it is started again.
func TestJoinFromSnapshot(t *testing.T) {
	const (
		evidence  = 300 // blocks: while a snapshot is looked for, some five seconds, 50 are made
		snapshots = 100 // blocks, of which two are kept while one is fetched
	)
	c := devnet.Config{Dir: t.TempDir(), Validators: 1, Accounts: 1, Transport: home.TCP, Keep: home.MinKeep, Snapshots: snapshots,
		BlockTime: 100 * time.Millisecond, Params: ledger.DefaultParams()}
	n := newForgetful(t, c, evidence)
	ctx, cancel := context.WithTimeout(context.Background(), 2*Patience)
	defer cancel()
	if _, err := n.Client(0).Submit(ctx, &ledger.RegisterProvider{Roles: ledger.RoleHolder, Name: "early"}); err != nil {
		t.Fatal(err)
	}
	store := n.Nodes[0].Comet().BlockStore()
	n.Eventually(func() bool { return store.Base() > 10 })
	ports, err := devnet.FreePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	settings := home.Settings{Name: "joiner", Listen: devnet.Loopback(ports[0]), Keep: home.MinKeep}
	own, err := join.Init(ctx, t.TempDir(), settings, n.Ticket(), n.Dialer(), true)
	if err != nil {
		t.Fatal(err)
	}
	joiner, err := Run(own, nil)
	if err != nil {
		t.Fatal(err)
	}
	n.Nodes = append(n.Nodes, joiner) // which stops it, too
	if !joiner.waitHeight(ctx, n.Nodes[0].Height()+5) {
		t.Fatal("the joiner does not go on from a snapshot")
	}
	if base := joiner.Comet().BlockStore().Base(); base <= 10 {
		t.Errorf("it has block %d", base)
	}
	n.Agree()
	n.Homes = append(n.Homes, own)
	n.Stop(1)
	n.Start(1)
	if !n.Nodes[1].waitHeight(ctx, n.Nodes[0].Height()+2) {
		t.Fatal("the joiner does not go on after a restart")
	}
	n.Agree()
}
