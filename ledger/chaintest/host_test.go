package chaintest

import (
	"context"
	"strings"
	"testing"

	"github.com/moeswarm/moeswarm/ledger/devnet"
)

// TestLedgerForFriends: one process keeps a ledger, and serves it where it was
// told to.
func TestLedgerForFriends(t *testing.T) {
	const host = "127.0.0.2"
	n := New(t, devnet.Config{Validators: 1, Accounts: 1, Host: host})
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	ticket := n.Ticket()
	if len(ticket.Addrs) != 1 || !strings.HasPrefix(ticket.Addrs[0], "/ip4/"+host+"/tcp/") {
		t.Errorf("a ticket with %q", ticket.Addrs)
	}
	if _, err := n.Client(0).Params(ctx); err != nil {
		t.Error(err)
	}
	for _, host := range []string{"home", "0.0.0.0", "192.168.1"} {
		if _, err := devnet.Create(devnet.Config{Dir: t.TempDir(), Validators: 1, Host: host}); err == nil {
			t.Errorf("a ledger at %q", host)
		}
	}
}
