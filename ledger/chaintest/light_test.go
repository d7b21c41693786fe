package chaintest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/moeswarm/moeswarm/internal/ledger"
	"github.com/moeswarm/moeswarm/internal/ledger/light"
	"github.com/moeswarm/moeswarm/ledger/devnet"
)

// A light client reads what is proved, and what it sends takes effect once.
func TestLightClient(t *testing.T) {
	n := New(t, devnet.Config{Accounts: 2})
	ctx, cancel := context.WithTimeout(context.Background(), 2*Patience)
	defer cancel()
	alice, bob := n.Client(0), n.Client(1)
	a, b := ledger.KeyOf(n.Accounts[0].Key), ledger.KeyOf(n.Accounts[1].Key)

	clock, err := alice.Clock(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if p, err := alice.Params(ctx); err != nil || p.EpochBlocks != clock.Blocks {
		t.Fatalf("parameters %+v, %v; the clock has %d blocks", p, err, clock.Blocks)
	}
	if _, err := alice.Provider(ctx, a); !errors.Is(err, ledger.ErrUnknown) {
		t.Fatalf("a provider that is none: %v", err)
	}
	if have, err := alice.Balance(ctx, a); err != nil || have != devnet.Funds {
		t.Fatalf("balance %v, %v", have, err)
	}
	events, err := bob.Events(ctx)
	if err != nil {
		t.Fatal(err)
	}
	id, err := alice.Submit(ctx, &ledger.Send{To: b, Amount: 5 * ledger.Neuro})
	if err != nil || id == (ledger.TxID{}) {
		t.Fatalf("send: %v", err)
	}
	n.Eventually(func() bool {
		have, err := bob.Balance(ctx, b)
		return err == nil && have == devnet.Funds+5*ledger.Neuro
	})
	if _, err := bob.Submit(ctx, &ledger.Bond{Amount: 1}); !errors.Is(err, ledger.ErrUnknown) {
		t.Fatalf("a bond of nobody: %v", err)
	}
	if _, err := bob.Submit(ctx, &ledger.RegisterProvider{Roles: ledger.RoleHolder, Name: "bob"}); err != nil {
		t.Fatal(err)
	}
	if _, err := bob.Submit(ctx, &ledger.Bond{Amount: 100 * ledger.Neuro}); err != nil {
		t.Fatal(err)
	}
	n.Eventually(func() bool {
		p, err := alice.Provider(ctx, b)
		return err == nil && p.Name == "bob" && p.Bond == 100*ledger.Neuro
	})
	if _, err := bob.Submit(ctx, &ledger.Send{To: a, Amount: ledger.MaxSupply}); !errors.Is(err, ledger.ErrFunds) {
		t.Fatalf("more than there is: %v", err)
	}
	for e := range events {
		if e.Kind == ledger.EventEpoch {
			break
		}
	}
	n.Agree()
}

// Whoever is not on the ledger is told what to do.
func TestLightClientWithoutAccount(t *testing.T) {
	n := New(t, devnet.Config{Validators: 1})
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	_, err := n.ClientOf(newKey(t)).Submit(ctx, &ledger.Heartbeat{})
	if !errors.Is(err, ledger.ErrFunds) {
		t.Fatalf("error %v", err)
	}
	c, err := light.New(light.Config{Ticket: n.Ticket(), Open: n.Dialer()})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Submit(ctx, &ledger.Heartbeat{}); !errors.Is(err, light.ErrReadOnly) {
		t.Fatalf("error %v", err)
	}
}

// TestExpiredTrust: a client that comes back after 5 days believes no validators
// of that time, whose stake may have left, and says what to do; after 4 days it
// goes on. So who sells old keys sells nothing.
func TestExpiredTrust(t *testing.T) {
	n := New(t, devnet.Config{Validators: 1})
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	for days, want := range map[int]error{4: nil, 5: light.ErrExpired} {
		late := func() time.Time { return time.Now().Add(time.Duration(days) * 24 * time.Hour) }
		c, err := light.New(light.Config{Ticket: n.Ticket(), Open: n.Dialer(), Now: late})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Params(ctx); !errors.Is(err, want) {
			t.Errorf("after %d days: %v, want %v", days, err, want)
		}
	}
}
