package light

import (
	"encoding/binary"
	"fmt"

	abci "github.com/cometbft/cometbft/abci/types"
	"github.com/cometbft/cometbft/crypto/merkle"
	cmtcrypto "github.com/cometbft/cometbft/proto/tendermint/crypto"
	"github.com/cometbft/cometbft/types"
)

// Outcome says what became of a transaction. If a block has it, three parts
// prove the code: that the transaction is of the block, and that a result is of
// the block's results, which the header of the block after names. Codespace and
// Text are not proved.
type Outcome struct {
	Height    uint64 // of its block; 0: no block has it
	Code      uint32 // 0: it took effect
	Codespace string
	Text      string
	// InBlock and InResults are Merkle proofs, and Result a result, of CometBFT
	// in protobuf.
	InBlock, Result, InResults []byte
}

const (
	// maxText bounds the text of an outcome.
	maxText = 1 << 10
	// maxPart bounds each part of an outcome's proof. A result has what a
	// message returns, and a proof a hash for each doubling of the transactions
	// of a block.
	maxPart = 64 << 10
)

// Encode writes an Outcome.
func (o Outcome) Encode() []byte {
	b := binary.BigEndian.AppendUint64(nil, o.Height)
	b = binary.BigEndian.AppendUint32(b, o.Code)
	space := o.Codespace[:min(len(o.Codespace), 255)]
	text := o.Text[:min(len(o.Text), maxText)]
	b = append(append(b, byte(len(space))), space...)
	b = append(binary.BigEndian.AppendUint16(b, uint16(len(text))), text...)
	for _, part := range [][]byte{o.InBlock, o.Result, o.InResults} {
		b = append(binary.BigEndian.AppendUint32(b, uint32(len(part))), part...)
	}
	return b
}

// DecodeOutcome reads an Outcome.
func DecodeOutcome(b []byte) (o Outcome, err error) {
	take := func(n uint64) (head []byte) {
		if err != nil || n > uint64(len(b)) {
			err = ErrWire
			return make([]byte, 8) // long enough for every number
		}
		head, b = b[:n:n], b[n:]
		return head
	}
	o.Height = binary.BigEndian.Uint64(take(8))
	o.Code = binary.BigEndian.Uint32(take(4))
	o.Codespace = string(take(uint64(take(1)[0])))
	text := uint64(binary.BigEndian.Uint16(take(2)))
	if text > maxText {
		return Outcome{}, ErrWire
	}
	o.Text = string(take(text))
	for _, part := range []*[]byte{&o.InBlock, &o.Result, &o.InResults} {
		n := uint64(binary.BigEndian.Uint32(take(4)))
		if n > maxPart {
			return Outcome{}, ErrWire
		}
		*part = take(n)
	}
	if err != nil || len(b) > 0 {
		return Outcome{}, ErrWire
	}
	return o, nil
}

// ProveOutcomes proves what became of each transaction of a block: outcomes
// without height, in the order of the block.
func ProveOutcomes(txs types.Txs, results []*abci.ExecTxResult) ([]Outcome, error) {
	if len(txs) != len(results) {
		return nil, fmt.Errorf("%d results of %d transactions", len(results), len(txs))
	}
	hashes, encoded := make([][]byte, len(txs)), make([][]byte, len(txs))
	for i, r := range types.NewResults(results) {
		var err error
		if encoded[i], err = r.Marshal(); err != nil {
			return nil, err
		}
		hashes[i] = txs[i].Hash()
	}
	_, inBlock := merkle.ProofsFromByteSlices(hashes)
	_, inResults := merkle.ProofsFromByteSlices(encoded)
	all := make([]Outcome, len(txs))
	for i, r := range results {
		all[i] = Outcome{Code: r.Code, Codespace: r.Codespace, Text: r.Log, Result: encoded[i]}
		var err error
		if all[i].InBlock, err = inBlock[i].ToProto().Marshal(); err != nil {
			return nil, err
		}
		if all[i].InResults, err = inResults[i].ToProto().Marshal(); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// verify checks that a transaction is of the block with the hash data, and that
// its result, of the same place in the order, is of those with the hash results,
// and has the outcome's code. The error wraps ErrProof.
func (o Outcome) verify(tx, data, results []byte) error {
	inBlock, err := merkleProof(o.InBlock)
	if err != nil {
		return err
	}
	inResults, err := merkleProof(o.InResults)
	if err != nil {
		return err
	}
	var result abci.ExecTxResult
	switch {
	case inBlock.Verify(data, types.Tx(tx).Hash()) != nil:
		return fmt.Errorf("%w: that a transaction is in block %d", ErrProof, o.Height)
	case inBlock.Index != inResults.Index || inBlock.Total != inResults.Total:
		return fmt.Errorf("%w: the result of another transaction", ErrProof)
	case inResults.Verify(results, o.Result) != nil || result.Unmarshal(o.Result) != nil || result.Code != o.Code:
		return fmt.Errorf("%w: of what became of a transaction", ErrProof)
	}
	return nil
}

// merkleProof reads a proof.
func merkleProof(b []byte) (*merkle.Proof, error) {
	var p cmtcrypto.Proof
	if err := p.Unmarshal(b); err != nil {
		return nil, fmt.Errorf("%w: %v", ErrProof, err)
	}
	proof, err := merkle.ProofFromProto(&p)
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrProof, err)
	}
	return proof, nil
}
