package credit

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/moeswarm/moeswarm/internal/ledger"
)

// A bundle is this line and then records: a byte of kind, two of length, the
// record.
const (
	bundleHead = "moeswarm credit 1\n"
	kindBadge  = 1
	kindPaper  = 2 // a receipt
	// MaxBundle bounds a bundle that a peer sends: a thousand receipts.
	MaxBundle = 256 << 10
	// maxFile bounds a book on disk.
	maxFile = MaxReceipts * 512
)

func appendRecord(to []byte, kind byte, record []byte) []byte {
	to = binary.BigEndian.AppendUint16(append(to, kind), uint16(len(record)))
	return append(to, record...)
}

func appendPaper(to []byte, r ledger.Receipt) []byte {
	return appendRecord(to, kindPaper, ledger.Encode(&r))
}

func appendBadge(to []byte, b Badge) []byte {
	return appendRecord(to, kindBadge, append(b.appendBody(nil), b.Sig[:]...))
}

// Bundle is what a node sends others so that its work counts there: its
// receipts, the newest first, as many as fit, and its badge.
func (b *Book) Bundle(holder ledger.Key) []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	var mine []ledger.Receipt
	for at, r := range b.receipts {
		if at.holder == holder {
			mine = append(mine, r)
		}
	}
	slices.SortFunc(mine, newest)
	out := []byte(bundleHead)
	const room = 512 // for the badge
	for _, r := range mine {
		if len(out)+ledger.ReceiptSize+3+room > MaxBundle {
			break
		}
		out = appendPaper(out, r)
	}
	if badge, have := b.badges[holder]; have {
		out = appendBadge(out, badge)
	}
	return out
}

func newest(a, b ledger.Receipt) int {
	return cmp.Or(cmp.Compare(b.Epoch, a.Epoch), cmp.Compare(b.Units, a.Units),
		slices.Compare(a.Gate[:], b.Gate[:]), slices.Compare(a.Holder[:], b.Holder[:]), slices.Compare(a.Model[:], b.Model[:]))
}

// records reads a bundle. It stops at the first error.
func records(p []byte, receipt func(ledger.Receipt) error, badge func(Badge) error) error {
	if len(p) < len(bundleHead) || string(p[:len(bundleHead)]) != bundleHead {
		return fmt.Errorf("%w: no bundle of receipts", ledger.ErrMalformed)
	}
	for p = p[len(bundleHead):]; len(p) > 0; {
		if len(p) < 3 || len(p) < 3+int(binary.BigEndian.Uint16(p[1:])) {
			return fmt.Errorf("%w: a bundle that ends early", ledger.ErrMalformed)
		}
		kind, body := p[0], p[3:3+binary.BigEndian.Uint16(p[1:])]
		p = p[3+len(body):]
		switch kind {
		case kindPaper:
			var r ledger.Receipt
			if err := ledger.Decode(body, &r); err != nil {
				return err
			}
			if err := receipt(r); err != nil {
				return err
			}
		case kindBadge:
			b, err := parseBadge(body)
			if err == nil {
				err = badge(b)
			}
			if err != nil {
				return err
			}
		default:
			return fmt.Errorf("%w: a record of kind %d", ledger.ErrMalformed, kind)
		}
	}
	return nil
}

// Merge takes in a peer's bundle and says how many receipts were new. What only
// does not count here, because it is old or of a gate that does not count, is
// passed over; a wrong signature or a wrong form is the error, and what came
// before it is kept.
func (b *Book) Merge(bundle []byte) (fresh int, err error) {
	if len(bundle) > MaxBundle {
		return 0, fmt.Errorf("%w: a bundle of %d bytes, at most %d allowed", ledger.ErrMalformed, len(bundle), MaxBundle)
	}
	return b.merge(bundle)
}

func (b *Book) merge(bundle []byte) (fresh int, err error) {
	harmless := func(err error) error {
		for _, e := range []error{ledger.ErrTooEarly, ledger.ErrTooLate, ledger.ErrUnauthorized, ledger.ErrUnknown, ErrFull} {
			if errors.Is(err, e) {
				return nil
			}
		}
		return err
	}
	err = records(bundle, func(r ledger.Receipt) error {
		new, err := b.Add(r)
		if new {
			fresh++
		}
		return harmless(err)
	}, func(badge Badge) error { return harmless(b.Wear(badge)) })
	return fresh, err
}

// Save writes the book down.
func (b *Book) Save(w io.Writer) error {
	b.mu.Lock()
	out := []byte(bundleHead)
	for _, r := range b.receipts {
		out = appendPaper(out, r)
	}
	for _, badge := range b.badges {
		out = appendBadge(out, badge)
	}
	b.mu.Unlock()
	_, err := w.Write(out)
	return err
}

// Load takes in a saved book; tell the epoch (Turn) before. Signatures are
// verified again; what comes before a fault is kept.
func (b *Book) Load(r io.Reader) error {
	data, err := io.ReadAll(io.LimitReader(r, maxFile+1))
	switch {
	case err != nil:
		return err
	case len(data) > maxFile:
		return fmt.Errorf("%w: more than the %d bytes of a book of receipts", ledger.ErrMalformed, maxFile)
	}
	_, err = b.merge(data)
	return err
}
