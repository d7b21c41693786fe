package court

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/moeswarm/moeswarm/internal/ledger"
	"github.com/moeswarm/moeswarm/internal/ledger/mem"
	"github.com/moeswarm/moeswarm/internal/ledger/state"
)

// verdict is a judge that has made up its mind.
type verdict struct {
	ruling ledger.Ruling
	err    error
}

func (v verdict) Judge(context.Context, ledger.Case, []byte, []byte) (ledger.Ruling, error) {
	return v.ruling, v.err
}

// town is a ledger with clerks: 0 accuses, 1 is accused, the others judge.
type town struct {
	*testing.T
	ledger *mem.Ledger
	clerks []*Clerk
	dirs   []string
	deaf   bool // nobody gives evidence
	lost   map[int]bool
}

const model = 7

func newTown(t *testing.T, n int, judge func(i int) Judge) *town {
	w := &town{T: t, lost: map[int]bool{}}
	p := ledger.DefaultParams()
	p.EpochBlocks, p.CommitBlocks, p.RevealBlocks, p.AppealBlocks = 1000, 8, 4, 4
	g := state.Genesis{Params: p, Models: map[ledger.Hash]ledger.Model{{model}: {Active: true, Name: "m"}}, Providers: map[ledger.Key]ledger.Provider{}}
	accounts := map[ledger.Key]ledger.Amount{}
	for i := range n {
		k := ledger.KeyOf(private(byte(i)))
		g.Providers[k] = ledger.Provider{Roles: ledger.RoleHolder, Bond: 1000 * ledger.Neuro}
		accounts[k] = 100 * ledger.Neuro
	}
	var err error
	if w.ledger, err = mem.New(mem.Config{Chain: chain, Genesis: g, Accounts: accounts}); err != nil {
		t.Fatal(err)
	}
	w.tick(1)
	for i := range n {
		w.dirs = append(w.dirs, t.TempDir())
		w.clerks = append(w.clerks, w.open(i, judge(i)))
		if _, err := w.ledger.Deliver(w.key(i), &ledger.Heartbeat{Epoch: 0}); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

func (w *town) key(i int) ledger.Key { return ledger.KeyOf(private(byte(i))) }

func (w *town) open(i int, j Judge) *Clerk {
	c, err := New(Config{Dir: w.dirs[i], Self: w.key(i), Ledger: w.ledger.As(w.key(i)), Judges: map[ledger.CaseKind]Judge{ledger.CaseResult: j},
		Fetch: func(_ context.Context, from ledger.Key, h ledger.Hash) ([]byte, error) {
			for k, c := range w.clerks {
				if w.key(k) == from && !w.deaf {
					if b := c.Get(h); b != nil {
						return b, nil
					}
				}
			}
			return nil, fmt.Errorf("not there")
		}})
	if err != nil {
		w.Fatal(err)
	}
	return c
}

func (w *town) tick(n int) {
	w.Helper()
	for range n {
		if err := w.ledger.Tick(); err != nil {
			w.Fatal(err)
		}
	}
}

// accuse opens a case by clerk 0.
func (w *town) accuse() {
	w.Helper()
	r := ledger.Result{Holder: w.key(1), Model: ledger.Hash{model}}.Sign(chain, private(1))
	b := []byte("what was said")
	if err := w.clerks[0].Accuse(&ledger.OpenCase{Results: []ledger.Result{r}, Input: ledger.Sum(b), Output: ledger.Sum(b)}, b); err != nil {
		w.Fatal(err)
	}
	w.turn(0)
}

func (w *town) turn(i int) {
	w.Helper()
	if w.lost[i] {
		return
	}
	if _, err := w.clerks[i].Turn(w.Context()); err != nil {
		w.Logf("clerk %d: %v", i, err)
	}
}

// live makes blocks in which all clerks look at their duties, until no case is open.
func (w *town) live(each func(height int)) {
	w.Helper()
	for h := range 60 {
		for i := range w.clerks {
			w.turn(i)
		}
		if each != nil {
			each(h)
		}
		w.tick(1)
		if ids, _ := (ledger.View{Getter: w.ledger.As(w.key(0))}).Duties(w.Context(), w.key(0)); len(ids) == 0 {
			return
		}
	}
	w.Fatal("a case without an end")
}

func (w *town) bond(i int) ledger.Amount {
	w.Helper()
	p, err := w.ledger.As(w.key(i)).Provider(w.Context(), w.key(i))
	if err != nil {
		w.Fatal(err)
	}
	return p.Bond
}

func (w *town) sane() {
	w.Helper()
	if err := w.ledger.Audit(); err != nil {
		w.Error(err)
	}
	for i := range w.clerks {
		w.turn(i)
		if files, _ := os.ReadDir(filepath.Join(w.dirs[i], votesDir)); len(files) > 0 {
			w.Errorf("clerk %d still keeps %d rulings", i, len(files))
		}
	}
}

var (
	lied  = verdict{ruling: ledger.Ruling{Output: ledger.Hash{1}, Error: 500_000}}
	right = verdict{ruling: ledger.Ruling{Output: ledger.Hash{1}, Error: 100}}
)

// TestClerksConvict: a jury of clerks that find a lie takes a tenth of the bond, and
// nobody else's.
func TestClerksConvict(t *testing.T) {
	w := newTown(t, 9, func(int) Judge { return lied })
	w.accuse()
	w.live(nil)
	if b := w.bond(1); b != 900*ledger.Neuro {
		t.Errorf("the liar has %v", b)
	}
	for i := 2; i < 9; i++ {
		if b := w.bond(i); b != 1000*ledger.Neuro {
			t.Errorf("juror %d has %v", i, b)
		}
	}
	w.sane()
}

// TestCrashBetweenCommitAndReveal: clerks that are made anew from their disks
// after each block reveal what they committed to.
func TestCrashBetweenCommitAndReveal(t *testing.T) {
	w := newTown(t, 9, func(int) Judge { return lied })
	w.accuse()
	w.live(func(int) {
		for i := range w.clerks {
			// They have forgotten everything, and would judge otherwise now.
			w.clerks[i] = w.open(i, verdict{err: errors.New("no weights")})
			if h := w.ledger.Clock().Height; h < 6 {
				w.clerks[i] = w.open(i, lied)
			}
		}
	})
	if b := w.bond(1); b != 900*ledger.Neuro {
		t.Errorf("the liar has %v", b)
	}
	for i := 2; i < 9; i++ {
		if b := w.bond(i); b != 1000*ledger.Neuro {
			t.Errorf("juror %d has %v", i, b)
		}
	}
}

// TestNoEvidenceAcquits: an accuser that gives nobody its evidence pays, jurors
// lose nothing.
func TestNoEvidenceAcquits(t *testing.T) {
	w := newTown(t, 9, func(int) Judge { return lied })
	w.accuse()
	w.deaf = true
	w.lost[0] = true // it does not appeal either
	w.live(nil)
	if b := w.bond(1); b != 1000*ledger.Neuro {
		t.Errorf("the accused has %v", b)
	}
	if b := w.bond(0); b != 990*ledger.Neuro {
		t.Errorf("the accuser has %v", b)
	}
	for i := 2; i < 9; i++ {
		if b := w.bond(i); b != 1000*ledger.Neuro {
			t.Errorf("juror %d has %v", i, b)
		}
	}
	w.sane()
}

// TestAppeal: who is convicted by a bought jury of seven appeals by itself, since
// its own judgement is another, and the larger jury is right; the first pays.
func TestAppeal(t *testing.T) {
	const n = 40
	bought := map[ledger.Key]bool{}
	w := newTown(t, n, func(int) Judge { return right })
	w.accuse()
	w.tick(3)
	ids, err := (ledger.View{Getter: w.ledger.As(w.key(0))}).Duties(t.Context(), w.key(0))
	if err != nil || len(ids) != 1 {
		t.Fatal(ids, err)
	}
	k, err := (ledger.View{Getter: w.ledger.As(w.key(0))}).Case(t.Context(), ids[0])
	if err != nil || k.Phase != ledger.PhaseCommit {
		t.Fatalf("%v, %v", k.Phase, err)
	}
	for _, j := range k.First.Jurors {
		bought[j.Peer] = true
	}
	for i := range n {
		if bought[w.key(i)] {
			w.clerks[i] = w.open(i, lied)
		}
	}
	w.live(nil)
	if b := w.bond(1); b != 1000*ledger.Neuro || w.clerks[1].Stats().Appeals != 1 {
		t.Errorf("the accused has %v after %d appeals", b, w.clerks[1].Stats().Appeals)
	}
	for i := 2; i < n; i++ {
		want := 1000 * ledger.Neuro
		if bought[w.key(i)] {
			want = 990 * ledger.Neuro
		}
		if b := w.bond(i); b != want {
			t.Errorf("juror %d (bought: %v) has %v", i, bought[w.key(i)], b)
		}
	}
	w.sane()
}

// TestShelf: content is what it is named by, and the oldest goes.
func TestShelf(t *testing.T) {
	s, err := OpenShelf(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	s.most = 10
	a, err := s.Put([]byte("123456"))
	if err != nil || string(s.Get(a)) != "123456" {
		t.Fatal(err)
	}
	if _, err := s.Put(nil); err == nil {
		t.Error("nothing is kept")
	}
	if err := os.WriteFile(s.path(a), []byte("another"), 0o600); err != nil {
		t.Fatal(err)
	}
	if s.Get(a) != nil {
		t.Error("a file that was changed is believed")
	}
	b, err := s.Put([]byte("7890ab"))
	if err != nil || string(s.Get(b)) != "7890ab" {
		t.Fatal(err)
	}
	if _, err := os.Stat(s.path(a)); !os.IsNotExist(err) {
		t.Error("the oldest stays")
	}
}

// TestAccusationsWait: what the ledger cannot take for want of money waits on the
// disk; what it never takes is dropped.
func TestAccusationsWait(t *testing.T) {
	w := newTown(t, 3, func(int) Judge { return lied })
	if _, err := w.ledger.Deliver(w.key(0), &ledger.Send{To: w.key(2), Amount: 100 * ledger.Neuro}); err != nil {
		t.Fatal(err)
	}
	w.accuse()
	c := w.open(0, lied)
	if busy, err := c.Turn(t.Context()); !busy || !errors.Is(err, ledger.ErrFunds) || c.Stats().Waiting != 1 {
		t.Errorf("%v, %v, %+v", busy, err, c.Stats())
	}
	if _, err := w.ledger.Deliver(w.key(2), &ledger.Send{To: w.key(0), Amount: 50 * ledger.Neuro}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Turn(t.Context()); err != nil || c.Stats().Opened != 1 || c.Stats().Waiting != 0 {
		t.Errorf("%v, %+v", err, c.Stats())
	}
	w.accuse() // the same again
	if _, err := c.Turn(t.Context()); err != nil || c.Stats().Opened != 1 || c.Stats().Waiting != 0 {
		t.Errorf("%v, %+v", err, c.Stats())
	}
}
