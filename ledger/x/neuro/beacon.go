package neuro

import (
	"bytes"
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"fmt"

	sdked25519 "github.com/cosmos/cosmos-sdk/crypto/keys/ed25519"
	sdk "github.com/cosmos/cosmos-sdk/types"
	voi "github.com/oasisprotocol/curve25519-voi/primitives/ed25519"
	"github.com/oasisprotocol/curve25519-voi/primitives/ed25519/extra/ecvrf"

	"github.com/moeswarm/moeswarm/internal/ledger"
)

// The first transaction of every block is the proposer's part in the beacon:
// beaconMagic and the proof of its VRF over chain, seed and height. A proposer
// whose operator has registered no key puts the magic alone; it adds nothing.
// No transaction of the SDK begins like that: 0x00 is no protobuf field.
var beaconMagic = []byte("\x00neuro-beacon/1\x00")

// ProofSize is the size of a proof, BeaconSize bounds the first transaction.
const (
	ProofSize  = ecvrf.ProofSize
	BeaconSize = 16 + ProofSize
)

// ErrBeacon: a block's first transaction is not what its proposer owes.
var ErrBeacon = errors.New("the block has no valid beacon")

// alpha is what the proposer of the next block proves its VRF over. The seed
// was not known when its key was registered.
func (k *Keeper) alpha(ctx sdk.Context, height int64) ([]byte, error) {
	clock := k.Machine(ctx).Clock()
	var seed ledger.Word
	value := k.records(ctx).Get(ledger.KeySeed(clock.Epoch))
	if err := ledger.Decode(value, &seed); err != nil {
		return nil, fmt.Errorf("the seed of epoch %d: %w", clock.Epoch, err)
	}
	a := append([]byte("neuro-vrf/"), ctx.ChainID()...)
	a = append(append(a, 0), seed.Hash[:]...)
	return binary.BigEndian.AppendUint64(a, uint64(height)), nil
}

// Beacon is the first transaction of a block at a height, by the key of the
// node's own VRF.
func (k *Keeper) Beacon(ctx sdk.Context, height int64, proposer []byte, vrf ed25519.PrivateKey) ([]byte, error) {
	tx := bytes.Clone(beaconMagic)
	if _, ok := k.vrfKey(ctx, proposer); !ok {
		return tx, nil
	}
	if len(vrf) != ed25519.PrivateKeySize {
		return nil, errors.New("this node has no VRF key, but its operator registered one")
	}
	alpha, err := k.alpha(ctx, height)
	if err != nil {
		return nil, err
	}
	return append(tx, ecvrf.Prove(voi.PrivateKey(vrf), alpha)...), nil
}

// CheckBeacon verifies the first transaction of a block and returns the output
// of the proposer's VRF, nil if it has no key. The error wraps [ErrBeacon].
func (k *Keeper) CheckBeacon(ctx sdk.Context, height int64, proposer []byte, txs [][]byte) ([]byte, error) {
	if len(txs) == 0 || len(txs[0]) > BeaconSize {
		return nil, fmt.Errorf("%w: its first transaction is none", ErrBeacon)
	}
	proof, ok := bytes.CutPrefix(txs[0], beaconMagic)
	if !ok {
		return nil, fmt.Errorf("%w: its first transaction is another", ErrBeacon)
	}
	key, registered := k.vrfKey(ctx, proposer)
	if !registered {
		if len(proof) > 0 {
			return nil, fmt.Errorf("%w: a proof by a proposer without key", ErrBeacon)
		}
		return nil, nil
	}
	alpha, err := k.alpha(ctx, height)
	if err != nil {
		return nil, err
	}
	valid, output := ecvrf.Verify(voi.PublicKey(key[:]), proof, alpha)
	if !valid {
		return nil, fmt.Errorf("%w: the proof does not verify", ErrBeacon)
	}
	return output, nil
}

// vrfKey is the VRF key in force of the validator that proposes, which its
// operator registered as a provider.
func (k *Keeper) vrfKey(ctx sdk.Context, proposer []byte) (ledger.Key, bool) {
	v, err := k.Staking.GetValidatorByConsAddr(ctx, proposer)
	if err != nil {
		return ledger.Key{}, false
	}
	operator, err := sdk.ValAddressFromBech32(v.GetOperator())
	if err != nil {
		return ledger.Key{}, false
	}
	account := k.Accounts.GetAccount(ctx, sdk.AccAddress(operator))
	if account == nil {
		return ledger.Key{}, false
	}
	key, ok := account.GetPubKey().(*sdked25519.PubKey)
	if !ok || len(key.Key) != ed25519.PublicKeySize {
		return ledger.Key{}, false
	}
	var p ledger.Provider
	value := k.records(ctx).Get(ledger.KeyProvider(ledger.Key(key.Key)))
	if value == nil || ledger.Decode(value, &p) != nil {
		return ledger.Key{}, false
	}
	clock := k.Machine(ctx).Clock()
	return p.VRF, p.VRF != ledger.Key{} && p.VRFSince <= clock.Epoch
}
