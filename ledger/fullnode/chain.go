package fullnode

import (
	"context"
	"errors"
	"fmt"
	"time"

	abci "github.com/cometbft/cometbft/abci/types"
	cmtjson "github.com/cometbft/cometbft/libs/json"
	"github.com/cometbft/cometbft/mempool"
	cmtcrypto "github.com/cometbft/cometbft/proto/tendermint/crypto"
	cmtproto "github.com/cometbft/cometbft/proto/tendermint/types"
	cmttypes "github.com/cometbft/cometbft/types"

	"github.com/moeswarm/moeswarm/internal/ledger/light"
)

const (
	// waitBlock is how long a question about the next blocks waits for them.
	waitBlock = 15 * time.Second
	// ahead is how far in front of the newest block such a question may be.
	ahead = 4
	// firstProved is the first state that the SDK proves.
	firstProved = 2
)

// chain is the node as light clients see it.
type chain struct {
	*Node
	news *news
}

// Info is what the node says of itself.
func (c chain) Info() light.Info {
	return light.Info{Chain: c.home.Genesis.ChainID, Height: uint64(c.Height()), GasPrice: c.home.Settings.GasPrice,
		Consensus: c.home.Settings.Transport + ":" + c.home.Settings.Listen}
}

// Genesis is the genesis document, in JSON.
func (c chain) Genesis() ([]byte, error) { return cmtjson.Marshal(c.home.Genesis) }

// reach waits for a height that is about to come.
func (c chain) reach(ctx context.Context, height int64) error {
	if height > c.Height()+ahead {
		return light.ErrNone
	}
	ctx, cancel := context.WithTimeout(ctx, waitBlock)
	defer cancel()
	for c.Height() < height {
		select {
		case <-ctx.Done():
			return light.ErrNone
		case <-c.news.block():
		}
	}
	return nil
}

// Block is a LightBlock in protobuf.
func (c chain) Block(ctx context.Context, height uint64) ([]byte, error) {
	h := int64(min(height, 1<<62))
	if h == 0 {
		h = max(c.Height(), 1)
	}
	if err := c.reach(ctx, h); err != nil {
		return nil, err
	}
	store := c.comet.BlockStore()
	meta, commit := store.LoadBlockMeta(h), store.LoadBlockCommit(h)
	if commit == nil {
		commit = store.LoadSeenCommit(h) // of the newest block
	}
	if meta == nil || commit == nil {
		return nil, light.ErrNone
	}
	page, perPage := 1, 100
	v, err := c.client.Validators(ctx, &h, &page, &perPage)
	if err != nil {
		return nil, light.ErrNone
	}
	set, err := cmttypes.ValidatorSetFromExistingValidators(v.Validators)
	if err != nil {
		return nil, err
	}
	block := cmttypes.LightBlock{SignedHeader: &cmttypes.SignedHeader{Header: &meta.Header, Commit: commit}, ValidatorSet: set}
	p, err := block.ToProto()
	if err != nil {
		return nil, err
	}
	return p.Marshal()
}

// Record is a record of a state, with its proofs.
func (c chain) Record(ctx context.Context, q light.Question) (light.Record, error) {
	height := int64(min(q.Height, 1<<62))
	if height == 0 {
		height = max(c.Height()-1, firstProved)
	}
	// The header of the next block names this state.
	if err := c.reach(ctx, height+1); err != nil {
		return light.Record{}, err
	}
	res, err := c.app.Query(ctx, &abci.RequestQuery{Path: "/store/" + q.Store + "/key", Data: q.Key, Height: height, Prove: true})
	if err != nil {
		return light.Record{}, err
	}
	if res.Code != 0 {
		return light.Record{}, fmt.Errorf("%w: %s", light.ErrNone, res.Log)
	}
	ops, err := proofs(res.ProofOps)
	if err != nil {
		return light.Record{}, err
	}
	return light.Record{Height: uint64(height), Value: res.Value, InStore: ops[0].Data, InState: ops[1].Data}, nil
}

// proofs are the proof of a record in its store and that of the store.
func proofs(p *cmtcrypto.ProofOps) ([]cmtcrypto.ProofOp, error) {
	if p == nil || len(p.Ops) != 2 || p.Ops[0].Type != "ics23:iavl" || p.Ops[1].Type != "ics23:simple" {
		return nil, errors.New("the state gave no proof that is known")
	}
	return p.Ops, nil
}

// Submit passes a transaction on and waits for it to be in a block.
func (c chain) Submit(ctx context.Context, tx []byte) (light.Outcome, error) {
	waiter, known := c.news.await(cmttypes.Tx(tx))
	if known != nil {
		return *known, nil
	}
	defer c.news.forget(cmttypes.Tx(tx), waiter)
	res, err := c.client.BroadcastTxSync(ctx, tx)
	if err != nil && !errors.Is(err, mempool.ErrTxInCache) {
		return light.Outcome{}, err
	}
	if err == nil && res.Code != 0 {
		return light.Outcome{Code: res.Code, Codespace: res.Codespace, Text: res.Log}, nil
	}
	select {
	case <-ctx.Done():
		return light.Outcome{}, ctx.Err()
	case o := <-waiter:
		return o, nil
	}
}

// Report takes evidence that validators signed two chains, verifies it and has it
// put in a block.
func (c chain) Report(ctx context.Context, evidence []byte) error {
	e, err := evidenceOf(evidence)
	if err != nil {
		return err
	}
	if attack, ok := e.(*cmttypes.LightClientAttackEvidence); ok {
		// The block after has the signatures of the true one.
		if err := c.reach(ctx, attack.ConflictingBlock.Height+1); err != nil {
			return err
		}
	}
	_, err = c.client.BroadcastEvidence(ctx, e)
	return err
}

// evidenceOf reads evidence in protobuf, which is whole, but not verified.
func evidenceOf(b []byte) (cmttypes.Evidence, error) {
	var p cmtproto.Evidence
	if err := p.Unmarshal(b); err != nil {
		return nil, light.ErrWire
	}
	e, err := cmttypes.EvidenceFromProto(&p)
	if err == nil {
		err = e.ValidateBasic()
	}
	if err != nil {
		return nil, fmt.Errorf("no evidence: %w", err)
	}
	return e, nil
}

// Events sends events until ctx ends.
func (c chain) Events(ctx context.Context) <-chan string { return c.news.watch(ctx) }
