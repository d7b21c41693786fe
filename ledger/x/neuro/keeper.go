// Package neuro is the chain's module for the economy of the swarm. It has no
// rules of its own: it gives package internal/ledger/state a store, the money
// of x/bank, and messages whose signatures were verified.
package neuro

import (
	"context"
	"fmt"

	storetypes "github.com/cosmos/cosmos-sdk/store/v2/types"
	sdk "github.com/cosmos/cosmos-sdk/types"
	sdkerrors "github.com/cosmos/cosmos-sdk/types/errors"
	distrtypes "github.com/cosmos/cosmos-sdk/x/distribution/types"
	stakingtypes "github.com/cosmos/cosmos-sdk/x/staking/types"

	"github.com/moeswarm/moeswarm/internal/ledger"
	"github.com/moeswarm/moeswarm/internal/ledger/state"
	"github.com/moeswarm/moeswarm/ledger/x/neuro/types"
)

// Name of the module and of its store.
const Name = "neuro"

// BankKeeper is what the module needs of x/bank.
type BankKeeper interface {
	SendCoins(ctx context.Context, from, to sdk.AccAddress, amount sdk.Coins) error
	MintCoins(ctx context.Context, module string, amount sdk.Coins) error
	BurnCoins(ctx context.Context, module string, amount sdk.Coins) error
	GetBalance(ctx context.Context, address sdk.AccAddress, denom string) sdk.Coin
	GetSupply(ctx context.Context, denom string) sdk.Coin
}

// PoolKeeper is the books of the community pool of x/distribution.
type PoolKeeper interface {
	Get(ctx context.Context) (distrtypes.FeePool, error)
	Set(ctx context.Context, pool distrtypes.FeePool) error
}

// AccountKeeper finds the key behind an address, and makes module accounts.
type AccountKeeper interface {
	GetAccount(ctx context.Context, address sdk.AccAddress) sdk.AccountI
	GetModuleAccount(ctx context.Context, module string) sdk.ModuleAccountI
}

// StakingKeeper finds the validator that proposes a block.
type StakingKeeper interface {
	GetValidatorByConsAddr(ctx context.Context, address sdk.ConsAddress) (stakingtypes.Validator, error)
}

// Keeper is the module's access to the chain.
type Keeper struct {
	Key       *storetypes.KVStoreKey
	Bank      BankKeeper
	Pool      PoolKeeper
	Accounts  AccountKeeper
	Staking   StakingKeeper
	Denom     string
	Authority string // address of governance
}

// Machine is the state machine over the state that ctx sees.
func (k *Keeper) Machine(ctx sdk.Context) *state.Machine {
	return state.New(ctx.ChainID(), k.records(ctx), k.money(ctx))
}

func (k *Keeper) records(ctx sdk.Context) records { return records{ctx.KVStore(k.Key)} }

func (k *Keeper) money(ctx context.Context) coins {
	return coins{ctx: ctx, bank: k.Bank, pool: k.Pool, denom: k.Denom}
}

// Act applies a message of an account. The chain has verified that the signer
// signed it.
func (k *Keeper) Act(c context.Context, m *types.MsgAct) (*types.MsgActResponse, error) {
	if len(m.Signer) != len(ledger.Key{}) {
		return nil, sdkerrors.ErrInvalidPubKey.Wrapf("a key of %d bytes", len(m.Signer))
	}
	msg, err := ledger.DecodeMsg(m.Body)
	if err != nil {
		return nil, sdkerrors.ErrInvalidRequest.Wrap(err.Error())
	}
	ctx := sdk.UnwrapSDKContext(c)
	events, err := k.Machine(ctx).Deliver(ledger.Key(m.Signer), msg)
	if err != nil {
		return nil, refused(err)
	}
	emit(ctx, events)
	return &types.MsgActResponse{}, nil
}

// Govern applies a message of governance.
func (k *Keeper) Govern(c context.Context, m *types.MsgGovern) (*types.MsgGovernResponse, error) {
	if m.Authority != k.Authority {
		return nil, sdkerrors.ErrUnauthorized.Wrapf("%s is not governance, which is %s", m.Authority, k.Authority)
	}
	msg, err := ledger.DecodeMsg(m.Body)
	if err != nil {
		return nil, sdkerrors.ErrInvalidRequest.Wrap(err.Error())
	}
	ctx := sdk.UnwrapSDKContext(c)
	events, err := k.Machine(ctx).Govern(msg)
	if err != nil {
		return nil, refused(err)
	}
	emit(ctx, events)
	return &types.MsgGovernResponse{}, nil
}

// Bonds visits the providers that have a bond, in the order of their keys.
func (k *Keeper) Bonds(ctx sdk.Context, f func(ledger.Key, ledger.Amount)) {
	k.Machine(ctx).Bonds(f)
}

// BeginBlock does what a block does before its messages. beacon is the output
// of the proposer's VRF, empty if it has no key.
func (k *Keeper) BeginBlock(ctx sdk.Context, beacon []byte) error {
	events, err := k.Machine(ctx).BeginBlock(uint64(ctx.BlockHeight()), beacon)
	if err != nil {
		return fmt.Errorf("x/neuro at block %d: %w", ctx.BlockHeight(), err)
	}
	emit(ctx, events)
	return nil
}
