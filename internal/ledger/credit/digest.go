package credit

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"

	"github.com/moeswarm/moeswarm/internal/ledger"
)

// A digest says what a book has, so that another can give what it lacks: this
// line, the last epoch, how many there are, and for each, the newest first, eight
// bytes: the sum of the first eight bytes of its receipts' hashes. The last eight
// are those of the badges.
const (
	digestHead = "moeswarm credit digest 1\n"
	// MaxDigest bounds a digest that a peer sends: of 4096 epochs.
	MaxDigest  = len(digestHead) + 8 + 2 + 8*(maxEpochs+1)
	maxEpochs  = 4096
	badgesRoom = MaxBundle / 8 // of a bundle, for badges
)

// mark is what a record adds to its sum.
func mark(record []byte) uint64 {
	h := sha256.Sum256(record)
	return binary.BigEndian.Uint64(h[:])
}

func (b *Book) markReceipt(r ledger.Receipt) uint64 { return mark(ledger.Encode(&r)) }

func (b *Book) markBadge(x Badge) uint64 { return mark(appendBadge(nil, x)) }

// Digest is what a node sends another to be given what it lacks.
func (b *Book) Digest() []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := min(b.cfg.Window, b.now+1, maxEpochs)
	out := binary.BigEndian.AppendUint64([]byte(digestHead), b.now)
	out = binary.BigEndian.AppendUint16(out, uint16(n))
	for i := range n {
		out = binary.BigEndian.AppendUint64(out, b.sums[b.now-i])
	}
	return binary.BigEndian.AppendUint64(out, b.badgeSum)
}

// Lacking is the bundle of what a book with this digest lacks, as far as it goes
// into one: the newest epochs first, and in no order of an epoch, so that who asks
// again gets others.
func (b *Book) Lacking(digest []byte) ([]byte, error) {
	sums, badges, err := parseDigest(digest)
	if err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	lacks := map[uint64][]ledger.Receipt{}
	for at, r := range b.receipts {
		if sum, asked := sums[at.epoch]; asked && sum != b.sums[at.epoch] {
			lacks[at.epoch] = append(lacks[at.epoch], r)
		}
	}
	out := []byte(bundleHead)
	for _, epoch := range slices.Backward(slices.Sorted(maps.Keys(lacks))) {
		for _, r := range lacks[epoch] {
			if len(out)+3+ledger.ReceiptSize > MaxBundle-badgesRoom {
				break
			}
			out = appendPaper(out, r)
		}
	}
	if badges == b.badgeSum {
		return out, nil
	}
	for _, x := range b.badges {
		if next := appendBadge(nil, x); len(out)+len(next) <= MaxBundle {
			out = append(out, next...)
		}
	}
	return out, nil
}

// parseDigest reads a digest: the sum of each epoch that it names, and that of the
// badges.
func parseDigest(p []byte) (sums map[uint64]uint64, badges uint64, err error) {
	bad := fmt.Errorf("%w: a digest of %d bytes", ledger.ErrMalformed, len(p))
	if len(p) < len(digestHead)+8+2 || len(p) > MaxDigest || string(p[:len(digestHead)]) != digestHead {
		return nil, 0, bad
	}
	p = p[len(digestHead):]
	last, n := binary.BigEndian.Uint64(p), uint64(binary.BigEndian.Uint16(p[8:]))
	if p = p[10:]; uint64(len(p)) != 8*(n+1) || n > last+1 {
		return nil, 0, bad
	}
	sums = make(map[uint64]uint64, n)
	for i := range n {
		sums[last-i] = binary.BigEndian.Uint64(p[8*i:])
	}
	return sums, binary.BigEndian.Uint64(p[8*n:]), nil
}
