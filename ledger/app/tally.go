package app

import (
	"context"
	"fmt"

	"cosmossdk.io/collections"
	"cosmossdk.io/math"
	sdk "github.com/cosmos/cosmos-sdk/types"
	govkeeper "github.com/cosmos/cosmos-sdk/x/gov/keeper"
	govv1 "github.com/cosmos/cosmos-sdk/x/gov/types/v1"

	"github.com/moeswarm/moeswarm/internal/account"
	"github.com/moeswarm/moeswarm/internal/ledger"
)

// tally counts votes on a proposal: consensus stake as the stock module counts
// it, delegations included, and the bonds of providers, a coin like a coin. What
// is on its way out of a bond has no vote.
func (a *App) tally(ctx context.Context, k govkeeper.Keeper, p govv1.Proposal) (voted math.LegacyDec, all math.Int, results map[govv1.VoteOption]math.LegacyDec, err error) {
	// The stock count takes the votes out of the store, so they are read before.
	votes := map[account.Address]govv1.WeightedVoteOptions{}
	err = k.Votes.Walk(ctx, collections.NewPrefixedPairRange[uint64, sdk.AccAddress](p.Id), func(key collections.Pair[uint64, sdk.AccAddress], v govv1.Vote) (bool, error) {
		if b := key.K2(); len(b) == len(account.Address{}) {
			votes[account.Address(b)] = v.Options
		}
		return false, nil
	})
	if err != nil {
		return math.LegacyZeroDec(), math.ZeroInt(), nil, fmt.Errorf("votes of proposal %d: %w", p.Id, err)
	}
	voted, all, results, err = govkeeper.NewDefaultCalculateVoteResultsAndVotingPower(a.Staking)(ctx, k, p)
	if err != nil {
		return voted, all, results, err
	}
	// In the order of keys, so that all nodes do the same sums.
	a.Neuro.Bonds(sdk.UnwrapSDKContext(ctx), func(key ledger.Key, bond ledger.Amount) {
		power := math.NewIntFromUint64(uint64(bond))
		all = all.Add(power)
		options, ok := votes[account.Of(key)]
		if !ok {
			return
		}
		for _, o := range options {
			weight, err := math.LegacyNewDecFromStr(o.Weight)
			if err != nil {
				continue // the module refused such votes when they came
			}
			results[o.Option] = results[o.Option].Add(weight.MulInt(power))
		}
		voted = voted.Add(math.LegacyNewDecFromInt(power))
	})
	return voted, all, results, nil
}
