package credit

import (
	"errors"
	"fmt"
	"sync"

	"github.com/moeswarm/moeswarm/internal/ledger"
)

// Limits of a Book.
const (
	// DefaultWindow is how many epochs count: 30 days of hours.
	DefaultWindow = 720
	// MaxReceipts is how many receipts a book keeps: some tens of megabytes.
	MaxReceipts = 1 << 17
	// MaxPerGate is how many of them one gate may have signed, so that none
	// fills the book alone.
	MaxPerGate = MaxReceipts / 8
)

// ErrFull: the book, or what one gate may have of it, is full.
var ErrFull = errors.New("no room in the book of receipts")

// Config says what a Book counts.
type Config struct {
	Chain string // that statements are signed for; any name where there is none
	// Gates says whose receipts count; nil: everybody's.
	Gates  func(ledger.Key) bool
	Window uint64 // in epochs, with the one that runs; 0: DefaultWindow
}

// place is what only one receipt counts for.
type place struct {
	gate, holder ledger.Key
	model        ledger.Hash
	epoch        uint64
}

// Book keeps receipts and badges.
type Book struct {
	cfg Config

	mu       sync.Mutex
	now      uint64 // the highest epoch it was told of
	receipts map[place]ledger.Receipt
	perGate  map[ledger.Key]int
	badges   map[ledger.Key]Badge
	sums     map[uint64]uint64 // of each epoch's receipts, see Digest
	badgeSum uint64
}

// New makes an empty book.
func New(cfg Config) *Book {
	if cfg.Window == 0 {
		cfg.Window = DefaultWindow
	}
	if cfg.Gates == nil {
		cfg.Gates = func(ledger.Key) bool { return true }
	}
	return &Book{cfg: cfg, receipts: map[place]ledger.Receipt{}, perGate: map[ledger.Key]int{}, badges: map[ledger.Key]Badge{}, sums: map[uint64]uint64{}}
}

// Turn tells which epoch runs. What fell out of the window is forgotten.
func (b *Book) Turn(epoch uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if epoch <= b.now {
		return
	}
	b.now = epoch
	held := map[ledger.Key]bool{}
	for at := range b.receipts {
		if b.open(at.epoch) {
			held[at.holder] = true
			continue
		}
		delete(b.receipts, at)
		if b.perGate[at.gate]--; b.perGate[at.gate] == 0 {
			delete(b.perGate, at.gate)
		}
	}
	for k, badge := range b.badges {
		if !held[k] {
			b.badgeSum -= b.markBadge(badge)
			delete(b.badges, k)
		}
	}
	for e := range b.sums {
		if !b.open(e) {
			delete(b.sums, e)
		}
	}
}

// open says whether an epoch is in the window.
func (b *Book) open(epoch uint64) bool { return epoch <= b.now && b.now-epoch < b.cfg.Window }

// Add keeps a receipt, if it says more than the one of its kind before. The
// error says why it can never count; a receipt that adds nothing is no error.
func (b *Book) Add(r ledger.Receipt) (fresh bool, err error) {
	b.mu.Lock()
	err = b.wanted(r)
	fresh = err == nil && b.more(r)
	b.mu.Unlock()
	if !fresh {
		return false, err
	}
	if err := ledger.Verify(b.cfg.Chain, r); err != nil {
		return false, fmt.Errorf("a receipt: %w", err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.keep(r)
}

// wanted refuses what no signature makes count.
func (b *Book) wanted(r ledger.Receipt) error {
	switch {
	case r.Gate == r.Holder:
		return fmt.Errorf("%w: a receipt that %v gave itself", ledger.ErrUnauthorized, r.Gate)
	case r.Passed > r.Units:
		return fmt.Errorf("%w: %d units passed of %d", ledger.ErrMalformed, r.Passed, r.Units)
	case r.Epoch > b.now:
		return fmt.Errorf("%w: a receipt of epoch %d in epoch %d", ledger.ErrTooEarly, r.Epoch, b.now)
	case !b.open(r.Epoch):
		return fmt.Errorf("%w: a receipt of epoch %d in epoch %d", ledger.ErrTooLate, r.Epoch, b.now)
	case !b.cfg.Gates(r.Gate):
		return fmt.Errorf("%w: receipts of gate %v do not count here", ledger.ErrUnauthorized, r.Gate)
	}
	return nil
}

func placeOf(r ledger.Receipt) place { return place{r.Gate, r.Holder, r.Model, r.Epoch} }

// more says whether a receipt is above the one that is kept.
func (b *Book) more(r ledger.Receipt) bool {
	old, have := b.receipts[placeOf(r)]
	return !have || r.Units > old.Units || r.Units == old.Units && r.Passed > old.Passed
}

func (b *Book) keep(r ledger.Receipt) (bool, error) {
	if !b.open(r.Epoch) || !b.more(r) { // it was another's turn meanwhile
		return false, nil
	}
	at := placeOf(r)
	old, have := b.receipts[at]
	if !have {
		if len(b.receipts) >= MaxReceipts || b.perGate[r.Gate] >= MaxPerGate {
			return false, fmt.Errorf("%w: %d receipts, %d of gate %v", ErrFull, len(b.receipts), b.perGate[r.Gate], r.Gate)
		}
		b.perGate[r.Gate]++
	} else {
		b.sums[r.Epoch] -= b.markReceipt(old)
	}
	b.receipts[at] = r
	b.sums[r.Epoch] += b.markReceipt(r)
	return true, nil
}

// Wear keeps a holder's badge, if it is newer than the one before. Only of
// holders that have receipts here are badges kept.
func (b *Book) Wear(badge Badge) error {
	if err := badge.check(); err != nil {
		return err
	}
	if err := ledger.Verify(b.cfg.Chain, badge); err != nil {
		return fmt.Errorf("a badge: %w", err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	old, have := b.badges[badge.Holder]
	if have && old.Issued >= badge.Issued {
		return nil
	}
	for at := range b.receipts {
		if at.holder == badge.Holder {
			if have {
				b.badgeSum -= b.markBadge(old)
			}
			b.badges[badge.Holder] = badge
			b.badgeSum += b.markBadge(badge)
			return nil
		}
	}
	return fmt.Errorf("%w: no receipts of %v, whose badge it is", ledger.ErrUnknown, badge.Holder)
}

// Units is what the receipt says that stands where r would; 0: none does.
func (b *Book) Units(r ledger.Receipt) uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.receipts[placeOf(r)].Units
}

// Given is how many units each gate signed for a holder, in the whole window.
func (b *Book) Given(holder ledger.Key) map[ledger.Key]uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := map[ledger.Key]uint64{}
	for at, r := range b.receipts {
		if at.holder == holder {
			all[at.gate] = add(all[at.gate], r.Units)
		}
	}
	return all
}

// Lines adds up what the book has, a line for each holder, in no order, as a node
// with these eyes sees it.
func (b *Book) Lines(eyes Eyes) []Line {
	b.mu.Lock()
	lines := map[ledger.Key]*Line{}
	units := map[pair]uint64{}
	for at, r := range b.receipts {
		l := lines[at.holder]
		if l == nil {
			badge := b.badges[at.holder]
			l = &Line{Node: at.holder, Name: badge.Name, Team: badge.Team}
			lines[at.holder] = l
		}
		l.Units = add(l.Units, r.Units)
		l.Passed = add(l.Passed, r.Passed)
		p := pair{at.gate, at.holder}
		units[p] = add(units[p], r.Units)
	}
	b.mu.Unlock()
	known := confirm(eyes, units)
	for p, n := range units {
		l := lines[p.holder]
		l.Gates++
		l.Largest = max(l.Largest, n)
		l.Confirmed = add(l.Confirmed, known.confirmed(p))
	}
	all := make([]Line, 0, len(lines))
	for _, l := range lines {
		all = append(all, *l)
	}
	return all
}

// Window is the first and the last epoch that count.
func (b *Book) Window() (first, last uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.now - min(b.now, b.cfg.Window-1), b.now
}

// add does not overflow: who signs absurd numbers gets the largest.
func add(a, b uint64) uint64 {
	if s := a + b; s >= a {
		return s
	}
	return 1<<64 - 1
}
