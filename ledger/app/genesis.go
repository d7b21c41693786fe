package app

import (
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"time"

	sdkmath "cosmossdk.io/math"
	cmted25519 "github.com/cometbft/cometbft/crypto/ed25519"
	cmttypes "github.com/cometbft/cometbft/types"
	codectypes "github.com/cosmos/cosmos-sdk/codec/types"
	sdked25519 "github.com/cosmos/cosmos-sdk/crypto/keys/ed25519"
	sdk "github.com/cosmos/cosmos-sdk/types"
	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"
	banktypes "github.com/cosmos/cosmos-sdk/x/bank/types"
	govtypes "github.com/cosmos/cosmos-sdk/x/gov/types"
	govv1 "github.com/cosmos/cosmos-sdk/x/gov/types/v1"
	slashingtypes "github.com/cosmos/cosmos-sdk/x/slashing/types"
	stakingtypes "github.com/cosmos/cosmos-sdk/x/staking/types"

	"github.com/moeswarm/moeswarm/internal/ledger"
	"github.com/moeswarm/moeswarm/internal/ledger/state"
	"github.com/moeswarm/moeswarm/ledger/x/neuro"
)

// Unbonding is how long stake stays slashable after it is withdrawn, and how
// old evidence may be. A light client trusts a header for less (4.5 days).
const Unbonding = 7 * 24 * time.Hour

// maxBlock bounds a block in bytes.
const maxBlock = 2 << 20

// Genesis is what a chain begins with.
type Genesis struct {
	ChainID    string
	Time       time.Time
	Accounts   []Funded
	Validators []Validator
	// Voting is how long a proposal is voted on.
	Voting time.Duration
	// BlockTime is about the time between two blocks; 0: a second.
	BlockTime time.Duration
	// Economy is what x/neuro begins with. Its bonds come on top of Accounts.
	Economy state.Genesis
}

// Funded is an account with money.
type Funded struct {
	Key    ed25519.PublicKey
	Amount uint64 // nneuro
}

// Validator is a member of the first consensus set.
type Validator struct {
	Name      string
	Operator  ed25519.PublicKey // the account that owns the stake
	Consensus ed25519.PublicKey // signs blocks
	VRF       ed25519.PublicKey // of its part in the beacon; nil: it has none
	Stake     uint64            // nneuro, on top of what the operator's account has
}

// Address of the account of a key.
func Address(key ed25519.PublicKey) sdk.AccAddress {
	return sdk.AccAddress((&sdked25519.PubKey{Key: key}).Address())
}

// Doc writes the genesis document that all nodes of the chain must share.
func (a *App) Doc(g Genesis) (*cmttypes.GenesisDoc, error) {
	if len(g.Validators) == 0 {
		return nil, errors.New("a chain needs a validator")
	}
	modules := a.DefaultGenesis()
	put := func(module string, v codecMessage) { modules[module] = a.Codec.MustMarshalJSON(v) }

	var accounts []authtypes.GenesisAccount
	var balances []banktypes.Balance
	supply := sdkmath.ZeroInt()
	for _, f := range g.Accounts {
		address := Address(f.Key)
		accounts = append(accounts, authtypes.NewBaseAccount(address, &sdked25519.PubKey{Key: f.Key}, 0, 0))
		balances = append(balances, banktypes.Balance{Address: address.String(), Coins: coins(f.Amount)})
		supply = supply.Add(sdkmath.NewIntFromUint64(f.Amount))
	}
	staking, slashing, bonded, err := validators(g.Validators)
	if err != nil {
		return nil, err
	}
	pool := authtypes.NewModuleAddress(stakingtypes.BondedPoolName)
	balances = append(balances, banktypes.Balance{Address: pool.String(), Coins: sdk.NewCoins(sdk.NewCoin(Denom, bonded))})
	supply = supply.Add(bonded)
	economy, bonds := g.economy()
	if bonds > 0 {
		pot := authtypes.NewModuleAddress(neuro.BondAccount)
		balances = append(balances, banktypes.Balance{Address: pot.String(), Coins: coins(bonds)})
		supply = supply.Add(sdkmath.NewIntFromUint64(bonds))
	}
	if supply.GT(sdkmath.NewInt(maxSupply)) {
		return nil, fmt.Errorf("%s nneuro in all; at most %d can exist", supply, int64(maxSupply))
	}
	if modules[neuro.Name], err = neuro.GenesisJSON(economy); err != nil {
		return nil, err
	}
	put(authtypes.ModuleName, authtypes.NewGenesisState(authtypes.DefaultParams(), accounts))
	put(banktypes.ModuleName, banktypes.NewGenesisState(banktypes.DefaultParams(), balances, sdk.NewCoins(sdk.NewCoin(Denom, supply)), nil, nil))
	put(stakingtypes.ModuleName, staking)
	put(slashingtypes.ModuleName, slashing)
	put(govtypes.ModuleName, governance(g.Voting))
	text, err := json.Marshal(modules)
	if err != nil {
		return nil, err
	}
	doc := &cmttypes.GenesisDoc{
		ChainID: g.ChainID, GenesisTime: g.Time, InitialHeight: 1, AppState: text,
		ConsensusParams: consensus(g.BlockTime), Validators: powers(g.Validators),
	}
	return doc, doc.ValidateAndComplete()
}

// economy is what x/neuro begins with, the validators' beacon keys with it, and
// the sum of the bonds.
func (g Genesis) economy() (out state.Genesis, bonds uint64) {
	out = g.Economy
	out.Providers = maps.Clone(g.Economy.Providers)
	if out.Providers == nil {
		out.Providers = map[ledger.Key]ledger.Provider{}
	}
	for _, v := range g.Validators {
		if v.VRF == nil {
			continue
		}
		p := out.Providers[ledger.Key(v.Operator)]
		p.Roles |= ledger.RoleValidator
		p.VRF = ledger.Key(v.VRF)
		if p.Name == "" {
			p.Name = v.Name
		}
		out.Providers[ledger.Key(v.Operator)] = p
	}
	for _, p := range out.Providers {
		bonds += uint64(p.Bond)
	}
	return out, bonds
}

// codecMessage is a state that the codec writes as JSON.
type codecMessage interface {
	Reset()
	String() string
	ProtoMessage()
}

func coins(amount uint64) sdk.Coins {
	return sdk.NewCoins(sdk.NewCoin(Denom, sdkmath.NewIntFromUint64(amount)))
}

// validators writes the first consensus set, bonded by their operators. Each
// needs its record of signed blocks from the start: the chain stops without.
func validators(list []Validator) (*stakingtypes.GenesisState, *slashingtypes.GenesisState, sdkmath.Int, error) {
	params := stakingtypes.DefaultParams()
	params.BondDenom, params.UnbondingTime, params.MaxValidators = Denom, Unbonding, 21
	params.KeyRotationFee.Denom = Denom
	slashing := slashingtypes.DefaultGenesisState()
	bonded := sdkmath.ZeroInt()
	var vals []stakingtypes.Validator
	var delegations []stakingtypes.Delegation
	for _, v := range list {
		key, err := codectypes.NewAnyWithValue(&sdked25519.PubKey{Key: v.Consensus})
		if err != nil {
			return nil, nil, bonded, err
		}
		stake := sdkmath.NewIntFromUint64(v.Stake)
		operator, shares := sdk.ValAddress(Address(v.Operator)), sdkmath.LegacyNewDecFromInt(stake)
		vals = append(vals, stakingtypes.Validator{
			OperatorAddress: operator.String(), ConsensusPubkey: key, Status: stakingtypes.Bonded,
			Tokens: stake, DelegatorShares: shares, Description: stakingtypes.Description{Moniker: v.Name},
			UnbondingTime: time.Unix(0, 0).UTC(), MinSelfDelegation: sdkmath.OneInt(),
			Commission: stakingtypes.Commission{CommissionRates: Commission(), UpdateTime: time.Unix(0, 0).UTC()},
		})
		delegations = append(delegations, stakingtypes.NewDelegation(Address(v.Operator).String(), operator.String(), shares))
		bonded = bonded.Add(stake)
		address := sdk.ConsAddress(cmted25519.PubKey(v.Consensus).Address())
		slashing.SigningInfos = append(slashing.SigningInfos, slashingtypes.SigningInfo{
			Address:              address.String(),
			ValidatorSigningInfo: slashingtypes.NewValidatorSigningInfo(address, 0, 0, time.Unix(0, 0).UTC(), false, 0),
		})
	}
	return stakingtypes.NewGenesisState(params, vals, delegations), slashing, bonded, nil
}

// Commission is what a validator keeps of what its delegators earn: 5 %, at most
// 20, in steps of a point a day.
func Commission() stakingtypes.CommissionRates {
	return stakingtypes.NewCommissionRates(sdkmath.LegacyNewDecWithPrec(5, 2), sdkmath.LegacyNewDecWithPrec(2, 1), sdkmath.LegacyNewDecWithPrec(1, 2))
}

// powers are the validators as CometBFT counts them.
func powers(list []Validator) (out []cmttypes.GenesisValidator) {
	for _, v := range list {
		power := sdk.TokensToConsensusPower(sdkmath.NewIntFromUint64(v.Stake), sdk.DefaultPowerReduction)
		out = append(out, cmttypes.GenesisValidator{Name: v.Name, PubKey: cmted25519.PubKey(v.Consensus), Power: power})
	}
	return out
}

// governance sets deposits that keep spam away, and how long is voted.
func governance(voting time.Duration) *govv1.GenesisState {
	g := govv1.DefaultGenesisState()
	if voting > 0 {
		half := voting / 2
		g.Params.VotingPeriod, g.Params.ExpeditedVotingPeriod, g.Params.MaxDepositPeriod = &voting, &half, &voting
	}
	g.Params.MinDeposit, g.Params.ExpeditedMinDeposit = coins(10*NEURO), coins(50*NEURO)
	return g
}

// consensus has evidence count as long as stake stays slashable, by the clock and
// by blocks: nodes keep so many of them, also for light clients, whose trust is
// younger.
func consensus(blockTime time.Duration) *cmttypes.ConsensusParams {
	if blockTime <= 0 {
		blockTime = time.Second
	}
	p := cmttypes.DefaultConsensusParams()
	p.Block.MaxBytes = maxBlock
	p.Evidence.MaxAgeDuration = Unbonding
	p.Evidence.MaxAgeNumBlocks = int64(Unbonding / blockTime)
	p.Validator.PubKeyTypes = []string{cmttypes.ABCIPubKeyTypeEd25519}
	return p
}
