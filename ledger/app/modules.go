package app

import (
	runtimev1alpha1 "cosmossdk.io/api/cosmos/app/runtime/v1alpha1"
	appv1alpha1 "cosmossdk.io/api/cosmos/app/v1alpha1"
	authmodulev1 "cosmossdk.io/api/cosmos/auth/module/v1"
	bankmodulev1 "cosmossdk.io/api/cosmos/bank/module/v1"
	consensusmodulev1 "cosmossdk.io/api/cosmos/consensus/module/v1"
	distrmodulev1 "cosmossdk.io/api/cosmos/distribution/module/v1"
	evidencemodulev1 "cosmossdk.io/api/cosmos/evidence/module/v1"
	feegrantmodulev1 "cosmossdk.io/api/cosmos/feegrant/module/v1"
	genutilmodulev1 "cosmossdk.io/api/cosmos/genutil/module/v1"
	govmodulev1 "cosmossdk.io/api/cosmos/gov/module/v1"
	mintmodulev1 "cosmossdk.io/api/cosmos/mint/module/v1"
	slashingmodulev1 "cosmossdk.io/api/cosmos/slashing/module/v1"
	stakingmodulev1 "cosmossdk.io/api/cosmos/staking/module/v1"
	txconfigv1 "cosmossdk.io/api/cosmos/tx/config/v1"
	upgrademodulev1 "cosmossdk.io/api/cosmos/upgrade/module/v1"
	"cosmossdk.io/core/appconfig"
	"cosmossdk.io/depinject"
	"github.com/cosmos/gogoproto/proto"

	// A module is found by the registration in its package.
	_ "github.com/cosmos/cosmos-sdk/x/auth"
	_ "github.com/cosmos/cosmos-sdk/x/auth/tx/config"
	_ "github.com/cosmos/cosmos-sdk/x/bank"
	_ "github.com/cosmos/cosmos-sdk/x/consensus"
	_ "github.com/cosmos/cosmos-sdk/x/distribution"
	_ "github.com/cosmos/cosmos-sdk/x/evidence"
	_ "github.com/cosmos/cosmos-sdk/x/feegrant/module"
	_ "github.com/cosmos/cosmos-sdk/x/genutil"
	_ "github.com/cosmos/cosmos-sdk/x/gov"
	_ "github.com/cosmos/cosmos-sdk/x/mint"
	_ "github.com/cosmos/cosmos-sdk/x/slashing"
	_ "github.com/cosmos/cosmos-sdk/x/staking"
	_ "github.com/cosmos/cosmos-sdk/x/upgrade"

	"github.com/moeswarm/moeswarm/ledger/x/neuro"
)

// modules says which modules the chain has and in which order they act.
// x/neuro is added in [New], after the stock ones it uses.
func modules() depinject.Config {
	module := func(name string, config proto.Message) *appv1alpha1.ModuleConfig {
		return &appv1alpha1.ModuleConfig{Name: name, Config: appconfig.WrapAny(config)}
	}
	return appconfig.Compose(&appv1alpha1.Config{Modules: []*appv1alpha1.ModuleConfig{
		module("runtime", &runtimev1alpha1.Module{
			AppName:       Name,
			PreBlockers:   []string{"upgrade", "auth"},
			BeginBlockers: []string{"mint", "distribution", "slashing", "evidence", "staking"},
			EndBlockers:   []string{"gov", "staking", "bank", "feegrant"},
			InitGenesis: []string{"auth", "bank", "distribution", "staking", "slashing", "gov", "mint", "genutil", "evidence",
				"feegrant", "consensus", "upgrade", neuro.Name},
			OverrideStoreKeys: []*runtimev1alpha1.StoreKeyConfig{{ModuleName: "auth", KvStoreKey: "acc"}},
		}),
		module("auth", &authmodulev1.Module{
			Bech32Prefix:                Prefix,
			EnableUnorderedTransactions: true,
			ModuleAccountPermissions: append(pots(), []*authmodulev1.ModuleAccountPermission{
				{Account: "fee_collector"},
				{Account: "distribution"},
				{Account: "mint", Permissions: []string{"minter"}},
				{Account: "bonded_tokens_pool", Permissions: []string{"burner", "staking"}},
				{Account: "not_bonded_tokens_pool", Permissions: []string{"burner", "staking"}},
				{Account: "key_rotation_fee_pool", Permissions: []string{"burner"}},
				{Account: "gov", Permissions: []string{"burner"}},
				{Account: neuro.Name, Permissions: []string{"minter", "burner"}},
			}...),
		}),
		module("tx", &txconfigv1.Config{SkipAnteHandler: true}),
		module("bank", &bankmodulev1.Module{}),
		module("staking", &stakingmodulev1.Module{}),
		module("slashing", &slashingmodulev1.Module{}),
		module("evidence", &evidencemodulev1.Module{}),
		module("gov", &govmodulev1.Module{}),
		module("distribution", &distrmodulev1.Module{}),
		module("mint", &mintmodulev1.Module{}),
		module("upgrade", &upgrademodulev1.Module{}),
		module("feegrant", &feegrantmodulev1.Module{}),
		module("consensus", &consensusmodulev1.Module{}),
		module("genutil", &genutilmodulev1.Module{}),
	}})
}

// pots are the accounts of x/neuro that hold money for a rule.
func pots() (all []*authmodulev1.ModuleAccountPermission) {
	for _, name := range neuro.Accounts() {
		all = append(all, &authmodulev1.ModuleAccountPermission{Account: name})
	}
	return all
}
