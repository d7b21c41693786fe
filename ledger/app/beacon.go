package app

import (
	abci "github.com/cometbft/cometbft/abci/types"
	cmttypes "github.com/cometbft/cometbft/types"
	sdk "github.com/cosmos/cosmos-sdk/types"
)

// setBeacon makes the first transaction of every block the proposer's part in
// the beacon: the proposer puts it there, the others vote for no block without,
// and when the block is final its output goes into the state.
func (a *App) setBeacon() {
	a.SetPrepareProposal(a.prepare)
	a.SetProcessProposal(a.process)
	a.SetPreBlocker(a.preBlock)
}

// prepare makes a proposal of the transactions that CometBFT offers, as many as
// fit.
func (a *App) prepare(ctx sdk.Context, req *abci.RequestPrepareProposal) (*abci.ResponsePrepareProposal, error) {
	beacon, err := a.Neuro.Beacon(ctx, req.Height, req.ProposerAddress, a.vrf)
	if err != nil {
		return nil, err
	}
	txs := [][]byte{beacon}
	size := cmttypes.ComputeProtoSizeForTxs([]cmttypes.Tx{beacon})
	for _, tx := range req.Txs {
		if size += cmttypes.ComputeProtoSizeForTxs([]cmttypes.Tx{tx}); size > req.MaxTxBytes {
			break
		}
		txs = append(txs, tx)
	}
	return &abci.ResponsePrepareProposal{Txs: txs}, nil
}

// process says whether to vote for a proposal.
func (a *App) process(ctx sdk.Context, req *abci.RequestProcessProposal) (*abci.ResponseProcessProposal, error) {
	status := abci.ResponseProcessProposal_ACCEPT
	if _, err := a.Neuro.CheckBeacon(ctx, req.Height, req.ProposerAddress, req.Txs); err != nil {
		status = abci.ResponseProcessProposal_REJECT
	}
	return &abci.ResponseProcessProposal{Status: status}, nil
}

// preBlock takes the beacon of a final block into the state, before anything
// else happens in it. The transaction that carried it fails when its turn comes,
// as anything does that is no transaction of the SDK.
func (a *App) preBlock(ctx sdk.Context, req *abci.RequestFinalizeBlock) (*sdk.ResponsePreBlock, error) {
	res, err := a.ModuleManager.PreBlock(ctx)
	if err != nil {
		return nil, err
	}
	output, err := a.Neuro.CheckBeacon(ctx, req.Height, req.ProposerAddress, req.Txs)
	if err != nil {
		return nil, err
	}
	return res, a.Neuro.BeginBlock(ctx, output)
}
