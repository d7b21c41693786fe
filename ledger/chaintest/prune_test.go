package chaintest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/moeswarm/moeswarm/internal/ledger"
	"github.com/moeswarm/moeswarm/internal/ledger/light"
	"github.com/moeswarm/moeswarm/ledger/devnet"
	"github.com/moeswarm/moeswarm/ledger/home"
)

// newForgetful starts a network of one validator on which evidence counts for so
// many blocks, and blocks are kept no longer.
func newForgetful(t *testing.T, c devnet.Config, evidence int64) *Network {
	t.Helper()
	l, err := devnet.Create(c)
	if err != nil {
		t.Fatal(err)
	}
	h := l.Homes[0]
	h.Genesis.ConsensusParams.Evidence.MaxAgeNumBlocks = evidence
	h.Genesis.ConsensusParams.Evidence.MaxAgeDuration = time.Second
	if err := h.SaveGenesis(h.Genesis); err != nil {
		t.Fatal(err)
	}
	return New(t, c)
}

// A node that keeps little forgets blocks that are too old to be evidence, and
// states; a client with a ticket from within that time gets to the newest.
func TestNodesForget(t *testing.T) {
	const evidence = 40 // blocks
	c := devnet.Config{Dir: t.TempDir(), Validators: 1, Transport: home.TCP, Keep: home.MinKeep, Params: ledger.DefaultParams()}
	n := newForgetful(t, c, evidence)
	first := n.Ticket()
	n.WaitHeight(0, 2*evidence)
	store := n.Nodes[0].Comet().BlockStore()
	n.Eventually(func() bool { return store.Base() >= evidence/2 })
	if kept := store.Height() - store.Base(); kept < evidence-1 {
		t.Errorf("blocks %d to %d are kept; evidence counts for %d", store.Base(), store.Height(), evidence)
	}
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	open := n.Dialer()
	asked := light.Question{Height: 5, Store: light.Codespace, Key: ledger.KeyClock()}.Encode()
	if _, err := light.Ask(ctx, open, first.Addrs[0], light.AskRecord, asked); !errors.Is(err, light.ErrNone) {
		t.Errorf("the state of block 5: %v", err)
	}
	// Trust begins within what evidence counts for.
	recent := n.Ticket()
	n.WaitHeight(0, n.Nodes[0].Height()+evidence/2)
	client, err := light.New(light.Config{Ticket: recent, Open: open})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Clock(ctx); err != nil {
		t.Error(err)
	}
	n.Agree()
}
