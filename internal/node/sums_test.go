package node

import (
	"strings"
	"testing"

	"github.com/moeswarm/moeswarm/internal/ledger"
)

// TestNoSumsForPay: work that nobody could prove to be wrong is not paid.
func TestNoSumsForPay(t *testing.T) {
	p := newPaid(t, 0, nil)
	key := actor(7)
	_, err := New(Config{Key: key, PartialSums: true, Economy: &Economy{Ledger: p.ledger.As(ledger.KeyOf(key)), Chain: p.ledger.Chain(), Dir: t.TempDir()}})
	if err == nil || !strings.Contains(err.Error(), "partial sums and a ledger exclude each other") {
		t.Errorf("partial sums with a ledger: %v", err)
	}
}
