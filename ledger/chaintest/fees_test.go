package chaintest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/moeswarm/moeswarm/internal/account"
	"github.com/moeswarm/moeswarm/internal/ledger"
	"github.com/moeswarm/moeswarm/internal/ledger/light"
	"github.com/moeswarm/moeswarm/ledger/devnet"
)

// Addresses without any money have none, whatever lies beside them in the ledger's
// store: before all balances other records, after them records without a value.
func TestBalancesOfNobody(t *testing.T) {
	n := New(t, devnet.Config{Accounts: 1, GasPrice: 1})
	ctx, cancel := context.WithTimeout(context.Background(), 2*Patience)
	defer cancel()
	var first, middle, last account.Address
	middle[0] = 0x80
	for i := range last {
		last[i] = 0xff
	}
	for _, a := range []account.Address{first, middle, last} {
		if have, err := n.Client(0).BalanceOf(ctx, a); err != nil || have != 0 {
			t.Errorf("%x has %v, %v", a, have, err)
		}
	}
}

// A newcomer that nobody sent money acts on the ledger while another pays its
// fees, as far and as long as that was granted; and money goes to an address.
func TestFeesOfANewcomer(t *testing.T) {
	n := New(t, devnet.Config{Accounts: 1, GasPrice: 1})
	ctx, cancel := context.WithTimeout(context.Background(), 2*Patience)
	defer cancel()
	rich, key := n.Client(0), newKey(t)
	from, to := account.Of(ledger.KeyOf(n.Accounts[0].Key)), account.Of(ledger.KeyOf(key))
	newcomer := func(feesFrom *account.Address) *light.Client {
		c, err := light.New(light.Config{Ticket: n.Ticket(), Open: n.Dialer(), Key: key, FeesFrom: feesFrom})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	register := &ledger.RegisterProvider{Roles: ledger.RoleHolder, Name: "newcomer"}
	if _, err := newcomer(nil).Submit(ctx, register); !errors.Is(err, ledger.ErrFunds) {
		t.Fatalf("a stranger to the ledger registered: %v", err)
	}
	if _, err := rich.RevokeFees(ctx, to); !errors.Is(err, ledger.ErrUnknown) {
		t.Errorf("what was not granted was revoked: %v", err)
	}
	if _, have, err := rich.Allowance(ctx, from, to); err != nil || have {
		t.Fatalf("in a store without records: %t, %v", have, err)
	}
	until := time.Now().Add(time.Hour)
	for _, most := range []ledger.Amount{5_000, ledger.Neuro / 2} { // the second in place of the first
		if _, err := rich.GrantFees(ctx, to, light.Allowance{Left: most, Until: until}); err != nil {
			t.Fatal(err)
		}
	}
	a, have, err := rich.Allowance(ctx, from, to)
	if err != nil || !have || a.Left != ledger.Neuro/2 || a.Until.Unix() != until.Unix() {
		t.Fatalf("granted %+v, %t, %v", a, have, err)
	}
	if _, err := newcomer(nil).Submit(ctx, register); err == nil {
		t.Error("a transaction without money and without --fees-from was taken")
	}
	c := newcomer(&from)
	if _, err := c.Submit(ctx, register); err != nil {
		t.Fatal(err)
	}
	if p, err := c.Provider(ctx, ledger.KeyOf(key)); err != nil || p.Name != "newcomer" {
		t.Errorf("registered as %+v, %v", p, err)
	}
	if have, err := c.BalanceOf(ctx, to); err != nil || have != 0 {
		t.Errorf("the newcomer has %v, %v", have, err)
	}
	if b, _, err := c.Allowance(ctx, from, to); err != nil || b.Left >= a.Left || b.Left < a.Left-ledger.Neuro/100 {
		t.Errorf("%v are left of %v, %v", b.Left, a.Left, err)
	}
	if _, err := rich.Execute(ctx, light.Transfer(from, to, 7)); err != nil {
		t.Fatal(err)
	}
	if have, err := rich.BalanceOf(ctx, to); err != nil || have != 7 {
		t.Errorf("%d came to the address, %v", have, err)
	}
	if _, err := rich.RevokeFees(ctx, to); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Submit(ctx, register); err == nil {
		t.Error("fees were paid that are no more granted")
	}
	n.Agree()
}
