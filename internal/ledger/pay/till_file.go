package pay

import (
	"encoding/binary"
	"errors"

	"github.com/moeswarm/moeswarm/internal/ledger"
)

// Keys of a till's file: epoch, model, then client and session, or holder.

func periodKey(p period) []byte {
	return append(binary.BigEndian.AppendUint64(nil, p.epoch), p.model[:]...)
}

func voucherKey(s slip) []byte {
	return append(append(periodKey(s.period), s.client[:]...), s.session[:]...)
}

func creditKey(c credit) []byte { return append(periodKey(c.period), c.holder[:]...) }

const (
	periodLen = 8 + 32
	creditLen = periodLen + 32
)

var errDamaged = errors.New("the file is damaged")

func parsePeriod(b []byte) period {
	return period{binary.BigEndian.Uint64(b), ledger.Hash(b[8:periodLen])}
}

// load reads the file. Holders are credited with what was promised to the disk,
// which is no less than they have receipts for.
func (t *Till) load() error {
	err := t.book.each(endedTable, func(k, _ []byte) error {
		if len(k) != periodLen {
			return errDamaged
		}
		t.ended[parsePeriod(k)] = true
		return nil
	})
	if err != nil {
		return err
	}
	err = t.book.each(voucherTable, func(_, b []byte) error {
		var v ledger.Voucher
		if err := ledger.Decode(b, &v); err != nil {
			return err
		}
		at := slipOf(v)
		t.vouchers[at] = v
		t.totals[at.account] += v.Cum
		t.sessions[at.account]++
		return nil
	})
	if err != nil {
		return err
	}
	return t.book.each(creditTable, func(k, b []byte) error {
		if len(k) != creditLen || len(b) != 16 {
			return errDamaged
		}
		units := binary.BigEndian.Uint64(b)
		at := credit{parsePeriod(k), ledger.Key(k[periodLen:])}
		t.credits[at] = &work{units: units, ceiling: units, passed: binary.BigEndian.Uint64(b[8:])}
		return nil
	})
}

func (t *Till) creditEntry(at credit, units, passed uint64) entry {
	b := binary.BigEndian.AppendUint64(nil, units)
	return entry{creditTable, creditKey(at), binary.BigEndian.AppendUint64(b, passed)}
}
