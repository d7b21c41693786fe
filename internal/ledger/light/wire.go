package light

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Protocol is the name under which nodes of the chain serve light clients.
const Protocol = "/neuro/ledger/light/1"

// A stream carries one request and its answer, both a kind, a u32 length
// (big-endian) and as many bytes:
//
//	AskInfo      nothing                        -> Info
//	AskBlock     u64 height; 0: the newest      -> a LightBlock of CometBFT, in protobuf
//	AskRecord    u64 height, u8 length, store, key -> Record
//	AskSubmit    a signed transaction           -> Outcome, once it is in a block
//	AskGenesis   nothing                        -> the genesis document, in JSON
//	AskEvents    nothing                        -> events without end, each an answer of its own
//	AskReport    Evidence of CometBFT, in protobuf -> nothing, once the node has verified it
//
// Heights of records are of states: the header of the block after names it.
const (
	AskInfo = iota + 1
	AskBlock
	AskRecord
	AskSubmit
	AskGenesis
	AskEvents
	AskReport
)

// Kinds of answers.
const (
	AnswerOK      = iota
	AnswerRefused // with a text
	AnswerNone    // the node does not have it: pruned, or not yet
)

// Limits of frames.
const (
	// MaxRequest bounds a request: a transaction.
	MaxRequest = 256 << 10
	// MaxAnswer bounds an answer: a genesis document.
	MaxAnswer = 16 << 20
	// MaxKey bounds a record's key.
	MaxKey = 512
	frame  = 5
)

// ErrWire: a peer does not speak the protocol.
var ErrWire = errors.New("not an answer of a ledger node")

// WriteFrame writes a request or an answer.
func WriteFrame(w io.Writer, kind byte, body []byte) error {
	b := make([]byte, frame, frame+len(body))
	b[0] = kind
	binary.BigEndian.PutUint32(b[1:], uint32(len(body)))
	_, err := w.Write(append(b, body...))
	return err
}

// ReadFrame reads a request or an answer of at most limit bytes. The error
// wraps ErrWire if it is longer.
func ReadFrame(r io.Reader, limit int) (kind byte, body []byte, err error) {
	var head [frame]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, err
	}
	size := binary.BigEndian.Uint32(head[1:])
	if uint64(size) > uint64(limit) {
		return 0, nil, fmt.Errorf("%w: %d bytes, at most %d allowed", ErrWire, size, limit)
	}
	// Memory grows with what arrives, not with what was announced.
	body, err = io.ReadAll(io.LimitReader(r, int64(size)))
	if err == nil && len(body) < int(size) {
		err = io.ErrUnexpectedEOF
	}
	return head[0], body, err
}

// Info is what a node says of itself.
type Info struct {
	Chain  string
	Height uint64
	// GasPrice is the least fee, in nneuro for 1000 units of gas.
	GasPrice uint64
	// Consensus is where other full nodes find it, as "tcp:HOST:PORT" or
	// "lp2p:HOST:PORT".
	Consensus string
}

// Encode writes an Info.
func (i Info) Encode() []byte {
	b := binary.BigEndian.AppendUint64(nil, i.Height)
	b = binary.BigEndian.AppendUint64(b, i.GasPrice)
	b = append(append(b, byte(len(i.Chain))), i.Chain...)
	return append(b, i.Consensus...)
}

// DecodeInfo reads an Info.
func DecodeInfo(b []byte) (i Info, err error) {
	if len(b) < 17 || len(b) < 17+int(b[16]) {
		return i, ErrWire
	}
	chain := string(b[17 : 17+int(b[16])])
	consensus := string(b[17+len(chain):])
	if !word(chain, maxChain) || !word(consensus, maxAddr) {
		return i, ErrWire
	}
	return Info{chain, binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:]), consensus}, nil
}

// Question asks for a record of a state. Height 0 is the newest that the node
// can prove.
type Question struct {
	Height uint64
	Store  string
	Key    []byte
}

// Encode writes a Question.
func (q Question) Encode() []byte {
	b := binary.BigEndian.AppendUint64(nil, q.Height)
	b = append(append(b, byte(len(q.Store))), q.Store...)
	return append(b, q.Key...)
}

// DecodeQuestion reads a Question.
func DecodeQuestion(b []byte) (q Question, err error) {
	if len(b) < 9 || len(b) < 9+int(b[8]) {
		return q, ErrWire
	}
	store := string(b[9 : 9+int(b[8])])
	key := b[9+len(store):]
	if !word(store, 32) || len(key) == 0 || len(key) > MaxKey {
		return q, ErrWire
	}
	return Question{binary.BigEndian.Uint64(b), store, key}, nil
}

// Record is the answer to a Question. Without the proofs it says nothing.
type Record struct {
	Height uint64 // of the state; the header of the next block names it
	Value  []byte // nil: there is none
	// InStore proves the value in its store, InState the store in the state.
	// Both are ICS-23 commitment proofs in protobuf.
	InStore, InState []byte
}

// Encode writes a Record.
func (r Record) Encode() []byte {
	b := binary.BigEndian.AppendUint64(nil, r.Height)
	has := byte(1)
	if r.Value == nil {
		has = 0
	}
	b = append(b, has)
	for _, part := range [][]byte{r.Value, r.InStore, r.InState} {
		b = append(binary.BigEndian.AppendUint32(b, uint32(len(part))), part...)
	}
	return b
}

// DecodeRecord reads a Record.
func DecodeRecord(b []byte) (r Record, err error) {
	if len(b) < 9 || b[8] > 1 {
		return r, ErrWire
	}
	r.Height = binary.BigEndian.Uint64(b)
	has := b[8] == 1
	b = b[9:]
	for _, part := range []*[]byte{&r.Value, &r.InStore, &r.InState} {
		if len(b) < 4 || uint64(len(b)-4) < uint64(binary.BigEndian.Uint32(b)) {
			return r, ErrWire
		}
		n := binary.BigEndian.Uint32(b)
		*part, b = b[4:4+n:4+n], b[4+n:]
	}
	if len(b) > 0 || (!has && len(r.Value) > 0) {
		return r, ErrWire
	}
	if !has {
		r.Value = nil
	}
	return r, nil
}
