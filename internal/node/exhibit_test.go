package node

import (
	"bytes"
	"errors"
	"testing"

	"github.com/moeswarm/moeswarm/internal/ledger"
	"github.com/moeswarm/moeswarm/internal/ledger/court"
)

func FuzzExhibit(f *testing.F) {
	f.Add(exhibit{fails, ledger.Chunk{Index: 3}}.encode())
	f.Add(exhibit{notShown, ledger.Chunk{}}.encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		x, err := parseExhibit(b)
		if err != nil {
			if !errors.Is(err, court.ErrUnproven) {
				t.Fatal(err)
			}
			return
		}
		if !bytes.Equal(x.encode(), b) {
			t.Fatal("not the same again")
		}
	})
}
