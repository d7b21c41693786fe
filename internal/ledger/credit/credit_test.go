package credit

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"github.com/moeswarm/moeswarm/internal/ledger"
)

const chain = "friends"

func key(n byte) (ed25519.PrivateKey, ledger.Key) {
	private := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{n}, 32))
	return private, ledger.KeyOf(private)
}

// signed is a receipt of gate for holder, both by number.
func signed(gate, holder byte, epoch, units, passed uint64) ledger.Receipt {
	private, g := key(gate)
	_, h := key(holder)
	return ledger.Receipt{Gate: g, Holder: h, Model: ledger.Hash{1}, Epoch: epoch, Units: units, Passed: passed}.Sign(chain, private)
}

func badge(holder byte, name, team string, issued uint64) Badge {
	private, h := key(holder)
	return Badge{Holder: h, Name: name, Team: team, Issued: issued}.Sign(chain, private)
}

func book(t *testing.T, cfg Config, epoch uint64) *Book {
	t.Helper()
	cfg.Chain = chain
	b := New(cfg)
	b.Turn(epoch)
	return b
}

func mustAdd(t *testing.T, b *Book, r ledger.Receipt, want bool) {
	t.Helper()
	if fresh, err := b.Add(r); err != nil || fresh != want {
		t.Fatalf("receipt of %d units: %v, %v", r.Units, fresh, err)
	}
}

func TestReceiptsCountOnce(t *testing.T) {
	b := book(t, Config{}, 10)
	mustAdd(t, b, signed(1, 2, 10, 100, 40), true)
	mustAdd(t, b, signed(1, 2, 10, 100, 40), false) // again
	mustAdd(t, b, signed(1, 2, 10, 90, 40), false)  // late
	mustAdd(t, b, signed(1, 2, 10, 130, 50), true)  // a total, not a sum
	mustAdd(t, b, signed(3, 2, 10, 7, 7), true)
	mustAdd(t, b, signed(1, 2, 9, 5, 0), true)
	lines := b.Lines(Eyes{})
	_, holder := key(2)
	want := []Line{{Node: holder, Units: 142, Passed: 57, Gates: 2, Largest: 135}}
	if !reflect.DeepEqual(lines, want) {
		t.Errorf("%+v, want %+v", lines, want)
	}
}

func TestWhatNeverCounts(t *testing.T) {
	_, trusted := key(1)
	b := book(t, Config{Gates: func(k ledger.Key) bool { return k == trusted }, Window: 5}, 10)
	forged := signed(1, 2, 10, 100, 0)
	forged.Units++
	for _, c := range []struct {
		name string
		r    ledger.Receipt
		want error
	}{
		{"to itself", signed(1, 1, 10, 1, 0), ledger.ErrUnauthorized},
		{"of a stranger", signed(4, 2, 10, 1, 0), ledger.ErrUnauthorized},
		{"of the future", signed(1, 2, 11, 1, 0), ledger.ErrTooEarly},
		{"too old", signed(1, 2, 5, 1, 0), ledger.ErrTooLate},
		{"more passed than done", signed(1, 2, 10, 1, 2), ledger.ErrMalformed},
		{"forged", forged, ledger.ErrSignature},
	} {
		if fresh, err := b.Add(c.r); fresh || !errors.Is(err, c.want) {
			t.Errorf("%s: %v, %v", c.name, fresh, err)
		}
	}
	other := signed(1, 2, 10, 1, 0)
	other.Sig = ledger.Sig{}
	private, _ := key(1)
	if _, err := b.Add(other.Sign("another chain", private)); !errors.Is(err, ledger.ErrSignature) {
		t.Errorf("signed for another chain: %v", err)
	}
	if n := len(b.Lines(Eyes{})); n != 0 {
		t.Errorf("%d lines", n)
	}
}

func TestWindowMoves(t *testing.T) {
	b := book(t, Config{Window: 3}, 10)
	for epoch := uint64(8); epoch <= 10; epoch++ {
		mustAdd(t, b, signed(1, 2, epoch, 1<<epoch, 0), true)
	}
	if err := b.Wear(badge(2, "n", "t", 1)); err != nil {
		t.Fatal(err)
	}
	for epoch, want := range map[uint64]uint64{10: 1<<8 + 1<<9 + 1<<10} {
		if got := b.Lines(Eyes{})[0].Units; got != want {
			t.Errorf("epoch %d: %d, want %d", epoch, got, want)
		}
	}
	b.Turn(11)
	if got := b.Lines(Eyes{})[0].Units; got != 1<<9+1<<10 {
		t.Errorf("epoch 11: %d", got)
	}
	if _, err := b.Add(signed(1, 2, 8, 1<<20, 0)); !errors.Is(err, ledger.ErrTooLate) {
		t.Errorf("a forgotten epoch comes back: %v", err)
	}
	b.Turn(20)
	if len(b.Lines(Eyes{})) != 0 || len(b.badges) != 0 || len(b.perGate) != 0 {
		t.Error("something is left of a window that is over")
	}
}

func TestBadges(t *testing.T) {
	b := book(t, Config{}, 1)
	if err := b.Wear(badge(2, "ada", "red", 5)); !errors.Is(err, ledger.ErrUnknown) {
		t.Errorf("a badge without receipts: %v", err)
	}
	mustAdd(t, b, signed(1, 2, 1, 1, 0), true)
	stolen := badge(3, "ada", "red", 9)
	_, stolen.Holder = key(2)
	if err := b.Wear(stolen); !errors.Is(err, ledger.ErrSignature) {
		t.Errorf("somebody else's badge: %v", err)
	}
	for _, name := range []string{"a\x1b[2J", "a\u202eb", strings.Repeat("x", 65), "\xff"} {
		if err := b.Wear(badge(2, name, "", 9)); !errors.Is(err, ledger.ErrMalformed) {
			t.Errorf("name %q: %v", name, err)
		}
	}
	for i, c := range []struct {
		b    Badge
		want string
	}{{badge(2, "ada", "red", 5), "red"}, {badge(2, "ada", "old", 4), "red"}, {badge(2, "ada", "blue", 6), "blue"}} {
		if err := b.Wear(c.b); err != nil {
			t.Fatal(err)
		}
		if got := b.Lines(Eyes{})[0].Team; got != c.want {
			t.Errorf("badge %d: team %s, want %s", i, got, c.want)
		}
	}
}

// TestOrderDoesNotMatter: any order and repetition of the same receipts and
// badges makes the same board.
func TestOrderDoesNotMatter(t *testing.T) {
	var all []ledger.Receipt
	for gate := byte(1); gate <= 3; gate++ {
		for holder := byte(10); holder < 15; holder++ {
			for n := uint64(1); n <= 3; n++ {
				all = append(all, signed(gate, holder, 7+n%2, n*uint64(holder), n))
			}
		}
	}
	var want Board
	for seed := range uint64(8) {
		r := rand.New(rand.NewPCG(seed, 0))
		b := book(t, Config{}, 8)
		for range 2 {
			r.Shuffle(len(all), func(i, k int) { all[i], all[k] = all[k], all[i] })
			for _, x := range all {
				if _, err := b.Add(x); err != nil {
					t.Fatal(err)
				}
			}
		}
		for holder := byte(10); holder < 15; holder++ {
			if err := b.Wear(badge(holder, "h", string('a'+rune(holder%2)), 1)); err != nil {
				t.Fatal(err)
			}
		}
		got := b.Board(Eyes{}, 100)
		if seed == 0 {
			want = got
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("seed %d: %+v, want %+v", seed, got, want)
		}
	}
	var sum uint64
	for _, n := range want.Nodes {
		sum += n.Units
	}
	if teams := want.Teams[0].Units + want.Teams[1].Units; teams != sum || len(want.Teams) != 2 {
		t.Errorf("teams have %d units, nodes %d", teams, sum)
	}
}

func TestRank(t *testing.T) {
	line := func(n byte, team string, units, passed uint64) Line {
		return Line{Node: ledger.Key{n}, Team: team, Units: units, Passed: passed}
	}
	all := []Line{line(1, "b", 5, 1), line(2, "a", 9, 0), line(3, "b", 5, 1), line(4, "", 5, 2), line(5, "a", 1<<64-1, 0)}
	board := Rank(all, 4)
	var ranks []int
	var order []string
	for _, n := range board.Nodes {
		ranks, order = append(ranks, n.Rank), append(order, n.Node[:2])
	}
	if !reflect.DeepEqual(ranks, []int{1, 2, 3, 4}) || strings.Join(order, " ") != "05 02 04 01" {
		t.Errorf("ranks %v of %v", ranks, order)
	}
	if got := Rank(all, 5).Nodes[4].Rank; got != 4 {
		t.Errorf("an equal node has rank %d", got)
	}
	if len(board.Teams) != 2 || board.Teams[0].Team != "a" || board.Teams[0].Units != 1<<64-1 || board.Teams[1].Nodes != 2 {
		t.Errorf("teams %+v", board.Teams)
	}
	if empty, err := json.Marshal(Rank(nil, 3)); err != nil || !strings.Contains(string(empty), `"nodes":[],"teams":[]`) {
		t.Errorf("%s, %v", empty, err)
	}
	if b := Rank(all, 0); len(b.Nodes)+len(b.Teams) != 0 {
		t.Errorf("a board of no entries: %+v", b)
	}
}

func TestFromProviders(t *testing.T) {
	lines := FromProviders(map[ledger.Key]ledger.Provider{{1}: {Team: "a", Served: 3, Passed: 1}, {2}: {Team: "a"}})
	if len(lines) != 1 || lines[0].Units != 3 || lines[0].Team != "a" {
		t.Errorf("%+v", lines)
	}
}

func TestBundleAndFile(t *testing.T) {
	b := book(t, Config{}, 9)
	for epoch := uint64(1); epoch <= 9; epoch++ {
		mustAdd(t, b, signed(1, 2, epoch, epoch, 0), true)
		mustAdd(t, b, signed(1, 3, epoch, epoch, 0), true)
	}
	for holder := byte(2); holder <= 3; holder++ {
		if err := b.Wear(badge(holder, "n", "t", 1)); err != nil {
			t.Fatal(err)
		}
	}
	_, holder := key(2)
	other := book(t, Config{Window: 4}, 9)
	fresh, err := other.Merge(b.Bundle(holder))
	if err != nil || fresh != 4 { // the older ones do not count there
		t.Fatalf("%d, %v", fresh, err)
	}
	if l := other.Lines(Eyes{}); len(l) != 1 || l[0].Units != 6+7+8+9 || l[0].Team != "t" {
		t.Errorf("%+v", l)
	}
	var saved bytes.Buffer
	if err := b.Save(&saved); err != nil {
		t.Fatal(err)
	}
	data := saved.Bytes()
	again := book(t, Config{}, 9)
	if err := again.Load(bytes.NewReader(data)); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(again.Board(Eyes{}, 10), b.Board(Eyes{}, 10)) {
		t.Errorf("%+v, want %+v", again.Board(Eyes{}, 10), b.Board(Eyes{}, 10))
	}
	if !bytes.Equal(again.Digest(), b.Digest()) {
		t.Error("a book that was saved has another digest")
	}
	data[len(data)-1] ^= 1
	if err := book(t, Config{}, 9).Load(bytes.NewReader(data)); !errors.Is(err, ledger.ErrSignature) {
		t.Errorf("a damaged file: %v", err)
	}
}

func TestOneGateDoesNotFillTheBook(t *testing.T) {
	b := book(t, Config{}, 1)
	_, gate := key(1)
	b.perGate[gate] = MaxPerGate
	if _, err := b.Add(signed(1, 2, 1, 1, 0)); !errors.Is(err, ErrFull) {
		t.Errorf("%v", err)
	}
	mustAdd(t, b, signed(3, 2, 1, 1, 0), true)
}

// FuzzMerge: a stranger's bundle is refused or taken in, and what was taken in
// comes out the same.
func FuzzMerge(f *testing.F) {
	b := New(Config{Chain: chain})
	b.Turn(3)
	for epoch := range uint64(3) {
		if _, err := b.Add(signed(1, 2, epoch, epoch, 0)); err != nil {
			f.Fatal(err)
		}
	}
	if err := b.Wear(badge(2, "name", "team", 1)); err != nil {
		f.Fatal(err)
	}
	_, holder := key(2)
	f.Add(b.Bundle(holder))
	f.Add([]byte(bundleHead + "\x02\x00\x01x"))
	f.Fuzz(func(t *testing.T, data []byte) {
		got := New(Config{Chain: chain})
		got.Turn(3)
		_, _ = got.Merge(data)
		for _, l := range got.Lines(Eyes{}) {
			again := New(Config{Chain: chain})
			again.Turn(3)
			if _, err := again.Merge(got.Bundle(l.Node)); err != nil {
				t.Fatal(err)
			}
		}
	})
}
