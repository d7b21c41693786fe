// Package app puts the chain of the ledger together: the stock modules of the
// Cosmos SDK for accounts, money, consensus stake, slashing, evidence,
// proposals, treasury and upgrades, and x/neuro for what no stock module has.
//
// An account is an Ed25519 key, the same that a node uses in the swarm.
// Transactions may be unordered: they carry a time until which they are valid
// instead of a sequence number, so that losing or reordering them is harmless.
package app

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"sync"

	"cosmossdk.io/depinject"
	"cosmossdk.io/log/v2"
	abci "github.com/cometbft/cometbft/abci/types"
	dbm "github.com/cosmos/cosmos-db"
	"github.com/cosmos/cosmos-sdk/baseapp"
	"github.com/cosmos/cosmos-sdk/client"
	"github.com/cosmos/cosmos-sdk/codec"
	sdkruntime "github.com/cosmos/cosmos-sdk/runtime"
	"github.com/cosmos/cosmos-sdk/server"
	pruning "github.com/cosmos/cosmos-sdk/store/v2/pruning/types"
	storetypes "github.com/cosmos/cosmos-sdk/store/v2/types"
	sdk "github.com/cosmos/cosmos-sdk/types"
	authkeeper "github.com/cosmos/cosmos-sdk/x/auth/keeper"
	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"
	bankkeeper "github.com/cosmos/cosmos-sdk/x/bank/keeper"
	distrkeeper "github.com/cosmos/cosmos-sdk/x/distribution/keeper"
	feegrantkeeper "github.com/cosmos/cosmos-sdk/x/feegrant/keeper"
	govkeeper "github.com/cosmos/cosmos-sdk/x/gov/keeper"
	govtypes "github.com/cosmos/cosmos-sdk/x/gov/types"
	mintkeeper "github.com/cosmos/cosmos-sdk/x/mint/keeper"
	stakingkeeper "github.com/cosmos/cosmos-sdk/x/staking/keeper"

	"github.com/moeswarm/moeswarm/ledger/x/neuro"
)

const (
	// Name of the application, as CometBFT is told.
	Name = "moeswarm-ledger"
	// Prefix of addresses: neuro1… for accounts.
	Prefix = "neuro"
	// Denom is the one coin, 10^-9 NEURO.
	Denom = "nneuro"
	// NEURO in units of Denom.
	NEURO = 1_000_000_000
)

// Config of an [App].
type Config struct {
	Dir     string // where the state is kept; empty: in memory
	ChainID string
	// GasPrice is the least fee of a transaction that this node passes on, in
	// nneuro for 1000 units of gas.
	GasPrice uint64
	// Keep is how many past states stay readable and provable, and blocks, but
	// those stay at least as long as evidence counts; 0: all.
	Keep uint64
	// Snapshots is after how many blocks the state is written down for nodes that
	// join, the last two times; 0: never, but what others wrote down can be read.
	Snapshots uint64
	// VRF is the key of this node's part in the beacon; nil: it proposes
	// without, which only works for a validator that registered none.
	VRF ed25519.PrivateKey
	Log log.Logger // nil: nothing is logged
}

// App is the state machine of the chain. It implements the application
// interface of CometBFT by [App.ABCI].
type App struct {
	*sdkruntime.App
	Codec   codec.Codec
	Tx      client.TxConfig
	Account authkeeper.AccountKeeper
	Bank    bankkeeper.BaseKeeper
	Staking *stakingkeeper.Keeper
	Distr   distrkeeper.Keeper
	Gov     *govkeeper.Keeper
	Neuro   *neuro.Keeper

	db, written dbm.DB // the state, and what is known of snapshots; nil: none are kept
	vrf         ed25519.PrivateKey
	log         log.Logger

	snapshots uint64 // as in Config
	writing   sync.WaitGroup
}

// New opens the state in c.Dir, or an empty one.
func New(c Config) (*App, error) {
	SetPrefix()
	if c.Log == nil {
		c.Log = log.NewNopLogger()
	}
	a := &App{vrf: c.VRF, log: c.Log, snapshots: c.Snapshots}
	var builder *sdkruntime.AppBuilder
	var grants feegrantkeeper.Keeper
	err := depinject.Inject(depinject.Configs(modules(), depinject.Supply(c.Log, mintkeeper.MintFn(noInflation), govkeeper.CalculateVoteResultsAndVotingPowerFn(a.tally)), depinject.Provide(neuro.ActSigner)),
		&builder, &a.Codec, &a.Tx, &a.Account, &a.Bank, &a.Staking, &a.Distr, &a.Gov, &grants)
	if err != nil {
		return nil, fmt.Errorf("putting the modules together: %w", err)
	}
	if a.db = dbm.DB(dbm.NewMemDB()); c.Dir != "" {
		if a.db, err = dbm.NewGoLevelDB("application", c.Dir, nil); err != nil {
			return nil, fmt.Errorf("opening the state in %s: %w", c.Dir, err)
		}
	}
	options := []func(*baseapp.BaseApp){baseapp.SetChainID(c.ChainID), baseapp.SetMinGasPrices(fmt.Sprintf("%d.%03d%s", c.GasPrice/1000, c.GasPrice%1000, Denom))}
	if c.Keep > 0 {
		options = append(options, baseapp.SetPruning(pruning.NewCustomPruningOptions(c.Keep, 10)), baseapp.SetMinRetainBlocks(max(c.Keep, snapshotsKept*c.Snapshots)))
	}
	if c.Dir != "" {
		snapshot, err := a.openSnapshots(c.Dir)
		if err != nil {
			return nil, errors.Join(err, a.Close())
		}
		options = append(options, snapshot)
	}
	a.App = builder.Build(a.db, options...)
	if err := errors.Join(a.setAnte(grants), a.addNeuro()); err != nil {
		return nil, err
	}
	a.setBeacon()
	if err := a.Load(true); err != nil {
		return nil, fmt.Errorf("loading the state in %s: %w", c.Dir, err)
	}
	return a, nil
}

// addNeuro adds the module of our own.
func (a *App) addNeuro() error {
	key := storetypes.NewKVStoreKey(neuro.Name)
	a.Neuro = &neuro.Keeper{
		Key: key, Bank: a.Bank, Pool: a.Distr.FeePool, Accounts: a.Account, Staking: a.Staking, Denom: Denom,
		Authority: authtypes.NewModuleAddress(govtypes.ModuleName).String(),
	}
	return errors.Join(a.RegisterStores(key), a.RegisterModules(neuro.AppModule{Keeper: a.Neuro}))
}

// Scratch is an application in memory, for writing a genesis.
func Scratch() (*App, error) { return New(Config{}) }

// ABCI is the application as CometBFT calls it.
func (a *App) ABCI() abci.Application { return noticing{server.NewCometABCIWrapper(a.App), a} }

// Close closes the state, when it is written down where that was begun. The node that
// calls the application must have stopped before.
func (a *App) Close() error {
	a.writing.Wait()
	err := a.db.Close()
	if a.written != nil {
		err = errors.Join(err, a.written.Close())
	}
	return err
}

// noInflation replaces the inflation of the stock module: new coins come from
// x/neuro alone, at the end of an epoch.
func noInflation(sdk.Context, *mintkeeper.Keeper) error { return nil }

// SetPrefix tells the SDK, which keeps this for the whole process, how
// addresses begin and what the coin is called. New does it too;
// repeating it changes nothing.
func SetPrefix() {
	c := sdk.GetConfig()
	c.SetBech32PrefixForAccount(Prefix, Prefix+"pub")
	c.SetBech32PrefixForValidator(Prefix+"valoper", Prefix+"valoperpub")
	c.SetBech32PrefixForConsensusNode(Prefix+"valcons", Prefix+"valconspub")
	sdk.DefaultBondDenom = Denom
}

// maxSupply bounds the sum of all coins so that the sum of two amounts fits 64
// bits with a sign.
const maxSupply = 1_000_000_000 * NEURO
