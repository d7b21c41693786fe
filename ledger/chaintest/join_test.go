package chaintest

import (
	"bytes"
	"context"
	"testing"
	"time"

	"github.com/moeswarm/moeswarm/internal/ledger"
	"github.com/moeswarm/moeswarm/ledger/devnet"
	"github.com/moeswarm/moeswarm/ledger/home"
	"github.com/moeswarm/moeswarm/ledger/join"
	"github.com/moeswarm/moeswarm/ledger/x/neuro"
)

// A node joins by a ticket alone, catches up, stakes, and makes blocks.
func TestJoinerBecomesValidator(t *testing.T) {
	n := New(t, devnet.Config{Validators: 1, Accounts: 1, BlockTime: 100 * time.Millisecond})
	ctx, cancel := context.WithTimeout(context.Background(), 2*Patience)
	defer cancel()
	open := n.Dialer()
	ports, err := devnet.FreePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	h, err := join.Init(ctx, t.TempDir(), home.Settings{Name: "joiner", Listen: devnet.Loopback(ports[0])}, n.Ticket(), open, false)
	if err != nil {
		t.Fatal(err)
	}
	joiner, err := Run(h, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer joiner.Stop()
	if !joiner.waitHeight(ctx, n.Nodes[0].Height()) {
		t.Fatal("the joiner does not catch up")
	}
	if _, err := n.Client(0).Submit(ctx, &ledger.Send{To: ledger.KeyOf(h.Key), Amount: 95_000 * ledger.Neuro}); err != nil {
		t.Fatal(err)
	}
	own := n.ClientOf(h.Key)
	n.Eventually(func() bool {
		have, err := own.Balance(ctx, ledger.KeyOf(h.Key))
		return err == nil && have > 0
	})
	// Not more than a third: the test would stop with the joiner else.
	if err := join.Validate(ctx, h, own, 90_000*ledger.Neuro); err != nil {
		t.Fatal(err)
	}
	// It proposes blocks, with a proof once its beacon key counts.
	signer, seen := h.Signer().Key.Address, n.Nodes[0].Height()
	n.Eventually(func() bool {
		store := n.Nodes[0].Comet().BlockStore()
		for ; seen <= store.Height(); seen++ {
			b := store.LoadBlock(seen)
			if bytes.Equal(b.ProposerAddress, signer) && len(b.Txs[0]) > neuro.BeaconSize-neuro.ProofSize {
				return true
			}
		}
		return false
	})
}
