package toll

import (
	"crypto/rand"
	"fmt"

	"github.com/moeswarm/moeswarm/gating/prompt"
	"github.com/moeswarm/moeswarm/internal/ledger"
)

// bytesPerToken is how many bytes of text make one token for sure, nearly: what
// a prompt must cost at least is known from its length.
const bytesPerToken = 8

// Load is what an answer is known to cost before it begins, in tokens.
func Load(r prompt.Request) uint64 {
	n := len(r.Text)
	if r.Chat != nil {
		for _, m := range r.Chat.Messages {
			n += len(m.Content)
		}
	}
	return uint64(n/bytesPerToken + len(r.Prefix))
}

// spent is what an answer has cost so far: no less than its load.
func spent(load uint64, r int, promptTokens, tokens int) uint64 {
	return max(load, uint64(max(promptTokens, 0)+r+max(tokens, 0)))
}

func newSession() (id ledger.Session) {
	_, _ = rand.Read(id[:]) // never fails
	return id
}

// firstPayment writes what goes along with a prompt.
func firstPayment(s ledger.Salt, v *ledger.Voucher) []byte {
	b := append([]byte(nil), s[:]...)
	if v != nil {
		b = append(b, ledger.Encode(v)...)
	}
	return b
}

// parseFirst reads it. The voucher is nil where nothing will be paid.
func parseFirst(b []byte) (s ledger.Salt, v *ledger.Voucher, err error) {
	if len(b) != len(s) && len(b) != len(s)+ledger.VoucherSize {
		return s, nil, fmt.Errorf("%w: a first payment of %d bytes", ledger.ErrMalformed, len(b))
	}
	copy(s[:], b)
	if b = b[len(s):]; len(b) == 0 {
		return s, nil, nil
	}
	v = new(ledger.Voucher)
	return s, v, ledger.Decode(b, v)
}
