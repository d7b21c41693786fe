package chaintest

import (
	"context"
	"crypto/ed25519"
	"testing"

	"github.com/moeswarm/moeswarm/internal/ledger/light"
	"github.com/moeswarm/moeswarm/ledger/lightserve"
)

// Ticket of the network: of its first running node, with the addresses of all.
func (n *Network) Ticket() (t light.Ticket) {
	n.T.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	for _, one := range n.Nodes {
		if one == nil {
			continue
		}
		own, err := one.Ticket(ctx)
		if err != nil {
			n.T.Fatal(err)
		}
		own.Addrs = append(t.Addrs, own.Addrs...)
		t = own
	}
	return t
}

// Dialer opens streams to the nodes until the test ends.
func (n *Network) Dialer() *lightserve.Dialer {
	n.T.Helper()
	d, err := lightserve.NewDialer()
	if err != nil {
		n.T.Fatal(err)
	}
	n.T.Cleanup(func() { d.Close() })
	return d
}

// Client is a light client of an account of the network.
func (n *Network) Client(account int) *light.Client { return n.ClientOf(n.Accounts[account].Key) }

// ClientOf is a light client of an account.
func (n *Network) ClientOf(key ed25519.PrivateKey) *light.Client {
	n.T.Helper()
	c, err := light.New(light.Config{Ticket: n.Ticket(), Open: n.Dialer(), Key: key})
	if err != nil {
		n.T.Fatal(err)
	}
	return c
}

// Eventually waits until a condition holds, which is looked at after each
// block of the first running node.
func (n *Network) Eventually(holds func() bool) {
	n.T.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	for !holds() {
		one := n.running()
		if !one.waitHeight(ctx, one.Height()+1) {
			n.T.Fatalf("it did not come true within %v", Patience)
		}
	}
}

func (n *Network) running() *Node {
	for _, one := range n.Nodes {
		if one != nil {
			return one
		}
	}
	n.T.Fatal("no node runs")
	return nil
}

func newKey(t testing.TB) ed25519.PrivateKey {
	t.Helper()
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	return key
}
