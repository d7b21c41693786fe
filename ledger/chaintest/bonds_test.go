package chaintest

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/moeswarm/moeswarm/internal/keyfile"
	"github.com/moeswarm/moeswarm/internal/ledger"
	"github.com/moeswarm/moeswarm/internal/ledger/light"
	"github.com/moeswarm/moeswarm/ledger/devnet"
)

// TestBondsVote: a proposal that a validator is against, and none is for, passes
// by the bonds of providers; one by bonds that are less than a third of all does
// not.
func TestBondsVote(t *testing.T) {
	dir := t.TempDir()
	providers := map[ledger.Key]ledger.Provider{}
	for i, bond := range []ledger.Amount{3_000_000, 2_000_000, 100_000} {
		key, err := keyfile.Load(filepath.Join(dir, "accounts", fmt.Sprint(i), "key"), nil)
		if err != nil {
			t.Fatal(err)
		}
		providers[ledger.KeyOf(key)] = ledger.Provider{Roles: ledger.RoleHolder, Bond: bond * ledger.Neuro}
	}
	n := New(t, devnet.Config{Dir: dir, Accounts: 3, Voting: 6 * time.Second, Providers: providers}) // and four validators of a million
	ctx, cancel := context.WithTimeout(context.Background(), 3*Patience)
	defer cancel()
	vote := func(value uint64, by ...int) light.Proposal {
		t.Helper()
		change, err := light.ByGovernance(&ledger.UpdateParams{Changes: []ledger.Change{{Name: "voucher_tokens", Value: value}}})
		if err != nil {
			t.Fatal(err)
		}
		c := n.Client(0)
		title := fmt.Sprintf("windows of %d", value)
		if _, err := c.Propose(ctx, title, "by bonds", 10*ledger.Neuro, change); err != nil {
			t.Fatal(err)
		}
		var p light.Proposal
		n.Eventually(func() bool {
			all, err := c.Proposals(ctx)
			for _, q := range all {
				if q.Title == title {
					p = q
				}
			}
			return err == nil && p.Title == title
		})
		for _, i := range by {
			if _, err := n.Client(i).Vote(ctx, p.ID, light.VoteYes); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := n.ClientOf(n.Homes[0].Key).Vote(ctx, p.ID, light.VoteNo); err != nil {
			t.Fatal(err)
		}
		n.Eventually(func() bool {
			p, err = c.Proposal(ctx, p.ID)
			return err == nil && p.Status != "voting"
		})
		return p
	}
	if p := vote(64, 0, 1); p.Status != "passed" || p.Tally[0] != 5_000_000*uint64(ledger.Neuro) {
		t.Errorf("by 5 of 9.1 million: %+v", p)
	}
	if p := vote(128, 2); p.Status != "rejected" {
		t.Errorf("by 0.1 of 9.1 million: %+v", p)
	}
	if params, err := n.Client(0).Params(ctx); err != nil || params.VoucherTokens != 64 {
		t.Errorf("%d tokens to a voucher, %v", params.VoucherTokens, err)
	}
	n.Agree()
}
