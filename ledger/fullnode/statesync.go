package fullnode

import (
	"bytes"
	"context"
	"fmt"

	cmtstate "github.com/cometbft/cometbft/proto/tendermint/state"
	sm "github.com/cometbft/cometbft/state"
	"github.com/cometbft/cometbft/statesync"
	cmttypes "github.com/cometbft/cometbft/types"
	"github.com/cometbft/cometbft/version"

	"github.com/moeswarm/moeswarm/internal/ledger/light"
)

// beginning says, of a snapshot that another node made, what state it has to give
// and who may make the blocks after it. All of it is from blocks that a light client
// verified, so that a snapshot needs no trust beyond that in the ticket.
type beginning struct {
	client  *light.Client
	genesis *cmttypes.GenesisDoc
}

var _ statesync.StateProvider = beginning{}

// AppHash implements [statesync.StateProvider]: a block's header has the state
// before it.
func (b beginning) AppHash(ctx context.Context, height uint64) ([]byte, error) {
	next, err := b.client.Block(ctx, height+1)
	if err != nil {
		return nil, err
	}
	return next.AppHash, nil
}

// Commit implements [statesync.StateProvider].
func (b beginning) Commit(ctx context.Context, height uint64) (*cmttypes.Commit, error) {
	block, err := b.client.Block(ctx, height)
	if err != nil {
		return nil, err
	}
	return block.Commit, nil
}

// State implements [statesync.StateProvider]. Validators change two blocks after
// the one that says so, so three blocks have all sets. The engine's own parameters
// are those of the genesis; where governance changed them the header's hash tells,
// and only replaying all blocks helps.
func (b beginning) State(ctx context.Context, height uint64) (sm.State, error) {
	var at [3]*cmttypes.LightBlock
	for i := range at {
		var err error
		if at[i], err = b.client.Block(ctx, height+uint64(i)); err != nil {
			return sm.State{}, err
		}
	}
	params := *b.genesis.ConsensusParams
	if !bytes.Equal(params.Hash(), at[1].ConsensusHash) {
		return sm.State{}, fmt.Errorf("the parameters of blocks have changed since the genesis: join without --from-snapshot")
	}
	return sm.State{
		ChainID: b.genesis.ChainID, InitialHeight: max(b.genesis.InitialHeight, 1),
		Version:         cmtstate.Version{Consensus: at[1].Version, Software: version.TMCoreSemVer},
		LastBlockHeight: at[0].Height, LastBlockTime: at[0].Time, LastBlockID: at[0].Commit.BlockID,
		LastValidators: at[0].ValidatorSet, Validators: at[1].ValidatorSet, NextValidators: at[2].ValidatorSet,
		LastHeightValidatorsChanged: at[2].Height,
		ConsensusParams:             params, LastHeightConsensusParamsChanged: at[1].Height,
		AppHash: at[1].AppHash, LastResultsHash: at[1].LastResultsHash,
	}, nil
}
