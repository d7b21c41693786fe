package routing

import (
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"math"
	"time"

	"github.com/moeswarm/moeswarm/expert"
)

// Opening is what a peer shows, when challenged, of its work on some calls.
type Opening struct {
	Inner             []expert.Inner // one per call, in the order asked
	Receipt           Receipt
	BytesOut, BytesIn int // size of the two frames
}

// Receipt is a peer's signed word on what it computes for some calls. Whoever
// has the peer's name, the calls and the weights can judge it.
type Receipt struct {
	Peer   Peer
	Call   expert.Digest // of the calls and their rows, see [HashCalls]
	Result expert.Digest // of what it answers to them, see [HashResults]
	Inner  expert.Digest // of what it showed, see [HashInner]
	At     time.Time     // by the peer's clock, in whole milliseconds
	Sig    []byte        // ed25519 over Signed, by the key that Peer names
}

// receiptPrefix keeps the signature from meaning anything else.
const receiptPrefix = "moeswarm receipt 1\n"

// Signed is the message that a receipt's signature is over.
func (r Receipt) Signed() []byte {
	b := append([]byte(receiptPrefix), r.Call[:]...)
	b = append(append(b, r.Result[:]...), r.Inner[:]...)
	return binary.LittleEndian.AppendUint64(b, uint64(r.At.UnixMilli()))
}

// HashCalls names calls by content: the expert and the rows of each, in order.
// How the rows lie in the batch plays no part.
func HashCalls(in expert.Batch, calls []expert.Call) expert.Digest {
	h := sha256.New()
	for _, c := range calls {
		h.Write(c.Expert.Model[:])
		hashNumbers(h, uint32(c.Expert.Layer), uint32(c.Expert.Index), uint32(len(c.Rows)), uint32(in.Dim))
		for _, r := range c.Rows {
			hashFloats(h, in.Row(int(r)))
		}
	}
	return expert.Digest(h.Sum(nil))
}

// HashResults names results by content.
func HashResults(results []expert.Result) expert.Digest {
	h := sha256.New()
	for _, r := range results {
		hashBatch(h, r.Out)
	}
	return expert.Digest(h.Sum(nil))
}

// HashInner names inner layers by content.
func HashInner(inner []expert.Inner) expert.Digest {
	h := sha256.New()
	for _, i := range inner {
		hashBatch(h, i.Gate)
		hashBatch(h, i.Up)
	}
	return expert.Digest(h.Sum(nil))
}

func hashBatch(h hash.Hash, b expert.Batch) {
	hashNumbers(h, uint32(b.Rows), uint32(b.Dim))
	hashFloats(h, b.Data)
}

func hashNumbers(h hash.Hash, n ...uint32) {
	for _, x := range n {
		h.Write(binary.LittleEndian.AppendUint32(nil, x))
	}
}

func hashFloats(h hash.Hash, v []float32) {
	var buf [4096]byte
	for len(v) > 0 {
		b := buf[:0]
		n := min(len(v), len(buf)/4)
		for _, x := range v[:n] {
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(x))
		}
		h.Write(b)
		v = v[n:]
	}
}
