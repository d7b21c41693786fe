package neuro

import (
	"context"
	"crypto/sha256"
	"fmt"

	sdkmath "cosmossdk.io/math"
	sdk "github.com/cosmos/cosmos-sdk/types"
	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"
	distrtypes "github.com/cosmos/cosmos-sdk/x/distribution/types"

	"github.com/moeswarm/moeswarm/internal/ledger"
	"github.com/moeswarm/moeswarm/internal/ledger/state"
)

// Accounts of the pots. The treasury is the community pool of x/distribution,
// what goes to validators waits where fees wait, and both are paid out by that
// module.
const (
	BondAccount   = Name + "/bond" // of providers
	escrowAccount = Name + "/escrow"
	workAccount   = Name + "/work"
	caseAccount   = Name + "/case"
)

// Accounts are the module accounts that x/neuro needs besides the stock ones.
func Accounts() []string { return []string{escrowAccount, BondAccount, workAccount, caseAccount} }

// Address of the account of a key, as of any Ed25519 key on a Cosmos chain.
func Address(k ledger.Key) sdk.AccAddress {
	sum := sha256.Sum256(k[:])
	return sum[:20]
}

// coins is the money of x/bank as the state machine takes it, during one
// message or block.
type coins struct {
	ctx   context.Context
	bank  BankKeeper
	pool  PoolKeeper
	denom string
}

// holder is the module account of a pot; empty for an account of a key.
func holder(p state.Pot) string {
	switch p {
	case state.PotEscrow:
		return escrowAccount
	case state.PotBond:
		return BondAccount
	case state.PotWork:
		return workAccount
	case state.PotCase:
		return caseAccount
	case state.PotTreasury:
		return distrtypes.ModuleName
	case state.PotValidators:
		return authtypes.FeeCollectorName
	}
	return ""
}

func address(a state.Account) sdk.AccAddress {
	if m := holder(a.Pot); m != "" {
		return authtypes.NewModuleAddress(m)
	}
	return Address(a.Key)
}

func (c coins) of(n ledger.Amount) sdk.Coins {
	return sdk.NewCoins(sdk.NewCoin(c.denom, sdkmath.NewIntFromUint64(uint64(n))))
}

// Move moves n from one account or pot to another.
func (c coins) Move(from, to state.Account, n ledger.Amount) error {
	if have := c.Balance(from); have < n {
		return fmt.Errorf("%w: %v of %v", ledger.ErrFunds, n, have)
	}
	if err := c.bank.SendCoins(c.ctx, address(from), address(to), c.of(n)); err != nil {
		return err
	}
	if from.Pot == state.PotTreasury {
		if err := c.book(n, true); err != nil {
			return err
		}
	}
	if to.Pot == state.PotTreasury {
		return c.book(n, false)
	}
	return nil
}

// book writes into the books of x/distribution what came into the community
// pool or left it: the coins lie among those of delegators.
func (c coins) book(n ledger.Amount, out bool) error {
	pool, err := c.pool.Get(c.ctx)
	if err != nil {
		return err
	}
	change := sdk.NewDecCoinsFromCoins(c.of(n)...)
	if out {
		pool.CommunityPool = pool.CommunityPool.Sub(change)
	} else {
		pool.CommunityPool = pool.CommunityPool.Add(change...)
	}
	return c.pool.Set(c.ctx, pool)
}

// Mint makes n new coins.
func (c coins) Mint(to state.Account, n ledger.Amount) error {
	if err := c.bank.MintCoins(c.ctx, Name, c.of(n)); err != nil {
		return err
	}
	if err := c.bank.SendCoins(c.ctx, authtypes.NewModuleAddress(Name), address(to), c.of(n)); err != nil {
		return err
	}
	if to.Pot == state.PotTreasury {
		return c.book(n, false)
	}
	return nil
}

// Burn ends n coins.
func (c coins) Burn(from state.Account, n ledger.Amount) error {
	if have := c.Balance(from); have < n {
		return fmt.Errorf("%w: %v of %v", ledger.ErrFunds, n, have)
	}
	if err := c.bank.SendCoins(c.ctx, address(from), authtypes.NewModuleAddress(Name), c.of(n)); err != nil {
		return err
	}
	if from.Pot == state.PotTreasury {
		if err := c.book(n, true); err != nil {
			return err
		}
	}
	return c.bank.BurnCoins(c.ctx, Name, c.of(n))
}

// Balance is what an account or pot has. Of the treasury it is whole coins.
func (c coins) Balance(a state.Account) ledger.Amount {
	if a.Pot != state.PotTreasury {
		return amount(c.bank.GetBalance(c.ctx, address(a), c.denom).Amount)
	}
	pool, err := c.pool.Get(c.ctx)
	if err != nil {
		return 0
	}
	return amount(pool.CommunityPool.AmountOf(c.denom).TruncateInt())
}

// Supply is the sum of all accounts.
func (c coins) Supply() ledger.Amount { return amount(c.bank.GetSupply(c.ctx, c.denom).Amount) }

func amount(n sdkmath.Int) ledger.Amount { return ledger.Amount(n.Uint64()) }
