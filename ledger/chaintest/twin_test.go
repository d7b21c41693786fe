package chaintest

import (
	"crypto/ed25519"
	"os"
	"path/filepath"
	"testing"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/moeswarm/moeswarm/ledger/devnet"
	"github.com/moeswarm/moeswarm/ledger/home"
)

// A validator that runs twice signs two votes for one height. The chain takes
// the proof, a twentieth of the stake, and the seat.
func TestDoubleSignerIsSlashed(t *testing.T) {
	n := New(t, devnet.Config{})
	n.WaitHeight(0, 3)
	twin := n.twinOf(3)
	defer func() {
		if err := twin.Stop(); err != nil {
			t.Error(err)
		}
	}()
	address := sdk.ConsAddress(n.Homes[3].Signer().Key.Address)
	n.Eventually(func() bool {
		ctx, err := n.Nodes[0].App().CreateQueryContext(0, false)
		if err != nil {
			return false
		}
		v, err := n.Nodes[0].App().Staking.GetValidatorByConsAddr(ctx, address)
		if err != nil || !v.IsJailed() {
			return false
		}
		if have, want := v.GetTokens().Uint64(), uint64(devnet.Stake/20*19); have != want {
			t.Errorf("the stake is %d after the slash; want %d", have, want)
		}
		return true
	})
	n.Agree()
}

// twinOf starts a further node that signs blocks with the key of node i.
func (n *Network) twinOf(i int) *Node {
	n.T.Helper()
	original := n.Homes[i]
	settings := original.Settings
	ports, err := devnet.FreePorts(1)
	if err != nil {
		n.T.Fatal(err)
	}
	settings.Listen, settings.Light = devnet.Loopback(ports[0]), nil
	settings.Peers = append(settings.Peers, home.Peer{Key: original.Key.Public().(ed25519.PublicKey), Host: original.Settings.Listen})
	dir := n.T.TempDir()
	key, err := os.ReadFile(filepath.Join(original.Dir, "consensus.key.json"))
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "consensus.key.json"), key, 0o600)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "consensus.state.json"), []byte(`{"height":"0","round":0,"step":0}`), 0o600)
	}
	if err != nil {
		n.T.Fatal(err)
	}
	h, err := home.Create(dir, settings)
	if err == nil {
		err = h.SaveGenesis(original.Genesis)
	}
	if err != nil {
		n.T.Fatal(err)
	}
	one, err := Run(h, nil)
	if err != nil {
		n.T.Fatal(err)
	}
	return one
}
