package chaintest

import (
	"context"
	"testing"
	"time"

	"github.com/moeswarm/moeswarm/internal/account"
	"github.com/moeswarm/moeswarm/internal/ledger"
	"github.com/moeswarm/moeswarm/internal/ledger/light"
	"github.com/moeswarm/moeswarm/ledger/devnet"
)

// Those who have stake change a parameter and pay out of the treasury.
func TestGovernance(t *testing.T) {
	n := New(t, devnet.Config{Accounts: 1, Voting: 6 * time.Second})
	ctx, cancel := context.WithTimeout(context.Background(), 2*Patience)
	defer cancel()
	proposer := n.Client(0)
	a := ledger.KeyOf(n.Accounts[0].Key)
	if _, err := proposer.Execute(ctx, light.Donate(account.Of(a), 50*ledger.Neuro)); err != nil {
		t.Fatal(err)
	}
	change, err := light.ByGovernance(&ledger.UpdateParams{Changes: []ledger.Change{{Name: "voucher_tokens", Value: 64}}})
	if err != nil {
		t.Fatal(err)
	}
	grantee := account.Of(ledger.KeyOf(newKey(t)))
	if _, err := proposer.Propose(ctx, "longer windows", "and a grant", 10*ledger.Neuro, change, light.Grant(grantee, 40*ledger.Neuro)); err != nil {
		t.Fatal(err)
	}
	var open []light.Proposal
	n.Eventually(func() bool {
		open, err = proposer.Proposals(ctx)
		return err == nil && len(open) == 1
	})
	p := open[0]
	if msg, ok := light.Governed(p.Messages[0]); !ok || p.Title != "longer windows" || p.Status != "voting" || msg.Kind() != ledger.KindUpdateParams {
		t.Fatalf("proposal %+v", p)
	}
	for i := range 3 {
		if _, err := n.ClientOf(n.Homes[i].Key).Vote(ctx, p.ID, light.VoteYes); err != nil {
			t.Fatal(err)
		}
	}
	n.Eventually(func() bool {
		p, err = proposer.Proposal(ctx, p.ID)
		return err == nil && p.Status != "voting"
	})
	if p.Status != "passed" || p.Tally[0] == 0 {
		t.Fatalf("proposal %+v", p)
	}
	if params, err := proposer.Params(ctx); err != nil || params.VoucherTokens != 64 {
		t.Fatalf("%d tokens to a voucher, %v", params.VoucherTokens, err)
	}
	if have, err := proposer.BalanceOf(ctx, grantee); err != nil || have != 40*ledger.Neuro {
		t.Fatalf("the grant is %v, %v", have, err)
	}
	n.Agree()
}
