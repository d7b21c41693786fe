package app

import (
	"bytes"
	"crypto/ed25519"
	"testing"
	"time"

	abci "github.com/cometbft/cometbft/abci/types"
	cmted25519 "github.com/cometbft/cometbft/crypto/ed25519"
	cmttypes "github.com/cometbft/cometbft/types"

	"github.com/moeswarm/moeswarm/internal/ledger"
	"github.com/moeswarm/moeswarm/internal/ledger/state"
)

// one is a chain of one validator, without the engine.
type one struct {
	*App
	t        *testing.T
	proposer []byte
	height   int64
}

func newOne(t *testing.T, registered bool) *one {
	t.Helper()
	key := func(seed byte) ed25519.PrivateKey {
		return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize))
	}
	public := func(k ed25519.PrivateKey) ed25519.PublicKey { return k.Public().(ed25519.PublicKey) }
	operator, consensus, vrf := key(1), key(2), key(3)
	v := Validator{Name: "one", Operator: public(operator), Consensus: public(consensus), Stake: 1000 * NEURO}
	if registered {
		v.VRF = public(vrf)
	}
	a, err := New(Config{ChainID: "one", VRF: vrf})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close() })
	doc, err := a.Doc(Genesis{
		ChainID: "one", Time: time.Unix(1, 0).UTC(), Accounts: []Funded{{Key: public(operator), Amount: NEURO}},
		Validators: []Validator{v}, Economy: state.Genesis{Params: ledger.DefaultParams()},
	})
	if err != nil {
		t.Fatal(err)
	}
	params := doc.ConsensusParams.ToProto()
	if _, err := a.InitChain(&abci.RequestInitChain{
		ChainId: doc.ChainID, Time: doc.GenesisTime, ConsensusParams: &params, InitialHeight: 1, AppStateBytes: doc.AppState,
		Validators: []abci.ValidatorUpdate{cmttypes.TM2PB.NewValidatorUpdate(cmted25519.PubKey(v.Consensus), 1000*NEURO/1_000_000)},
	}); err != nil {
		t.Fatal(err)
	}
	return &one{App: a, t: t, proposer: cmted25519.PubKey(v.Consensus).Address(), height: 1}
}

func (o *one) propose(txs ...[]byte) [][]byte {
	o.t.Helper()
	res, err := o.PrepareProposal(&abci.RequestPrepareProposal{
		Txs: txs, MaxTxBytes: 1000, Height: o.height, Time: time.Unix(o.height+1, 0), ProposerAddress: o.proposer,
	})
	if err != nil {
		o.t.Fatal(err)
	}
	return res.Txs
}

func (o *one) accepts(txs [][]byte) bool {
	o.t.Helper()
	res, err := o.ProcessProposal(&abci.RequestProcessProposal{Txs: txs, Height: o.height, Time: time.Unix(o.height+1, 0), ProposerAddress: o.proposer})
	if err != nil {
		o.t.Fatal(err)
	}
	return res.Status == abci.ResponseProcessProposal_ACCEPT
}

func (o *one) commit(txs [][]byte) error {
	_, err := o.FinalizeBlock(&abci.RequestFinalizeBlock{Txs: txs, Height: o.height, Time: time.Unix(o.height+1, 0), ProposerAddress: o.proposer})
	if err != nil {
		return err
	}
	o.height++
	_, err = o.Commit()
	return err
}

func (o *one) rnd() ledger.Hash {
	o.t.Helper()
	ctx, err := o.CreateQueryContext(0, false)
	if err != nil {
		o.t.Fatal(err)
	}
	return o.Neuro.Machine(ctx).Clock().Rnd
}

// A block without its proposer's proof is no block, and the proof is of this
// height and seed.
func TestBlocksBeginWithBeacon(t *testing.T) {
	o := newOne(t, true)
	var before []byte
	for range 3 {
		txs := o.propose([]byte("one"), bytes.Repeat([]byte{7}, 990)) // the second is one too many
		if len(txs) != 2 || string(txs[1]) != "one" || bytes.Equal(txs[0], before) {
			t.Fatalf("the proposal is %d transactions", len(txs))
		}
		forged := bytes.Clone(txs[0])
		forged[len(forged)-1] ^= 1
		for name, bad := range map[string][][]byte{
			"empty": nil, "no beacon": txs[1:], "not first": {txs[1], txs[0]}, "forged": {forged}, "no proof": {txs[0][:16]}, "of before": {before},
		} {
			if o.accepts(bad) {
				t.Errorf("a block was accepted: %s", name)
			}
		}
		if !o.accepts(txs) {
			t.Fatal("the proposal was refused")
		}
		rnd := ledger.Hash{}
		if o.height > 1 {
			rnd = o.rnd()
		}
		if err := o.commit(txs); err != nil {
			t.Fatal(err)
		}
		if o.rnd() == rnd {
			t.Error("the beacon did not move")
		}
		before = txs[0]
	}
	if err := o.commit([][]byte{before}); err == nil {
		t.Error("a block with the beacon of another was final")
	}
}

// A validator whose operator registered no key proposes without a proof, and
// cannot smuggle one in.
func TestProposerWithoutKey(t *testing.T) {
	o := newOne(t, false)
	txs := o.propose()
	if !o.accepts(txs) {
		t.Fatal("the proposal was refused")
	}
	if o.accepts([][]byte{append(txs[0], make([]byte, 80)...)}) {
		t.Error("a proof by nobody was accepted")
	}
	if err := o.commit(txs); err != nil {
		t.Fatal(err)
	}
}
