package ledger_test

import (
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/moeswarm/moeswarm/internal/ledger"
)

func tallyOf(n int) []ledger.TallyRow {
	rows := make([]ledger.TallyRow, n)
	for i := range rows {
		rows[i] = ledger.TallyRow{Peer: ledger.Key{byte(i), byte(i >> 8)}, Score: uint16(i), Audited: uint64(i)}
	}
	return rows
}

// TestTallyPages: pages of tallies of all lengths are proved by their root, and no
// other row, place, length or proof is.
func TestTallyPages(t *testing.T) {
	const seed = 3
	t.Log("seed", seed)
	rng := rand.New(rand.NewPCG(seed, seed))
	for _, n := range []int{1, 2, 127, 128, 129, 256, 257, 300, 1000, 128*31 + 1, ledger.MaxTally} {
		pages := ledger.TallyPages(ledger.Hash{1}, 7, tallyOf(n))
		rows := 0
		for i, p := range pages {
			rows += len(p.Rows)
			b, err := ledger.EncodeMsg(p)
			if err != nil {
				t.Fatal(err)
			}
			m, err := ledger.DecodeMsg(b)
			if err != nil {
				t.Fatal(err)
			}
			if err := m.(*ledger.CommitTally).Check(); err != nil {
				t.Fatalf("page %d of %d rows: %v", i, n, err)
			}
			for what, spoil := range map[string]func(q *ledger.CommitTally){
				"a row":     func(q *ledger.CommitTally) { q.Rows[rng.IntN(len(q.Rows))].Audited++ },
				"the place": func(q *ledger.CommitTally) { q.Page ^= 1 },
				"the root":  func(q *ledger.CommitTally) { q.Root[3]++ },
				"the path":  func(q *ledger.CommitTally) { q.Path = append(q.Path, ledger.Hash{}) },
				"the total": func(q *ledger.CommitTally) { q.Total += ledger.MaxTallyPage },
				"no rows":   func(q *ledger.CommitTally) { q.Rows = nil },
			} {
				q := *p
				q.Rows, q.Path = append([]ledger.TallyRow(nil), p.Rows...), append([]ledger.Hash(nil), p.Path...)
				spoil(&q)
				if err := q.Check(); !errors.Is(err, ledger.ErrMalformed) {
					t.Errorf("page %d of %d rows, %s changed: %v", i, n, what, err)
				}
			}
		}
		if rows != n {
			t.Errorf("%d rows in pages, want %d", rows, n)
		}
	}
}

func FuzzTallyPage(f *testing.F) {
	for _, n := range []int{1, 129, 300} {
		for _, p := range ledger.TallyPages(ledger.Hash{1}, 7, tallyOf(n)) {
			b, err := ledger.EncodeMsg(p)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(b)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := ledger.DecodeMsg(b)
		if err != nil {
			return
		}
		p, ok := m.(*ledger.CommitTally)
		if !ok || p.Check() != nil {
			return
		}
		if n := int(p.Page)*ledger.MaxTallyPage + len(p.Rows); n > int(p.Total) || p.Total > ledger.MaxTally {
			t.Fatalf("page %d with %d rows of %d holds", p.Page, len(p.Rows), p.Total)
		}
	})
}
