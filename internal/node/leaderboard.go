package node

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/internal/ledger"
	"github.com/moeswarm/moeswarm/internal/ledger/credit"
	"github.com/moeswarm/moeswarm/internal/toll"
	"github.com/moeswarm/moeswarm/routing"
	"github.com/moeswarm/moeswarm/swarm"
)

const (
	// boardMost is how many nodes and teams a leaderboard lists.
	boardMost = 100
	// boardEvery is how long a board made from the ledger is good for: each line
	// of it is a proof that somebody sends.
	boardEvery = time.Minute
	// friendsChain is what receipts are signed for where there is no ledger.
	friendsChain = "without a ledger"
	// friendsEvery is the pause between two receipts to one holder then: nothing
	// hangs on them but a place on a list.
	friendsEvery = 5 * time.Second
)

// leaderboard says who did how much: by the ledger's proved records of the nodes
// that this one knows, or, without a ledger, by the receipts that it signed and
// was given.
func (n *Node) leaderboard(most int) any {
	if n.economy == nil {
		n.friends.book.Turn(hours(time.Now()))
		return n.friends.book.Board(min(most, boardMost))
	}
	return n.economy.leaderboard(min(most, boardMost))
}

// board is the last one that was made of the ledger.
type board struct {
	sync.Mutex
	made  time.Time
	lines []credit.Line
}

// leaderboard ranks the providers that this node knows. While the ledger cannot
// be read it is the one before.
func (e *economy) leaderboard(most int) credit.Board {
	e.board.Lock()
	defer e.board.Unlock()
	if e.board.lines == nil || time.Since(e.board.made) > boardEvery {
		ctx, cancel := context.WithTimeout(context.Background(), readTime)
		defer cancel()
		if lines, err := e.lines(ctx); err == nil {
			e.board.made, e.board.lines = time.Now(), lines
		} else {
			e.complain(err)
		}
	}
	b := credit.Rank(e.board.lines, most)
	b.Source, b.Last = "ledger", e.standing.epoch.Load()
	return b
}

// lines reads what the ledger has of the nodes that this one knows.
func (e *economy) lines(ctx context.Context) ([]credit.Line, error) {
	keys := []ledger.Key{e.self}
	for _, p := range e.node.net.Peers() {
		if k, err := swarm.KeyOf(p.Peer); err == nil && len(keys) < 2*boardMost {
			keys = append(keys, k)
		}
	}
	providers := map[ledger.Key]ledger.Provider{}
	for _, k := range keys {
		p, err := e.cfg.Ledger.Provider(ctx, k)
		if errors.Is(err, ledger.ErrUnknown) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("the ledger cannot be read: %w", err)
		}
		providers[k] = p
	}
	return credit.FromProviders(providers), nil
}

// friends counts who did how much in a swarm without a ledger: gating nodes sign
// receipts all the same, and nobody is paid.
type friends struct {
	node    *Node
	key     ed25519.PrivateKey
	self    ledger.Key
	book    *credit.Book
	credits *toll.Credits

	mu    sync.Mutex
	units map[friendsKey]uint64 // that this node signed for
}

type friendsKey struct {
	epoch  uint64
	holder ledger.Key
	model  ledger.Hash
}

// hours counts epochs where there is no ledger: hours of Unix time.
func hours(t time.Time) uint64 { return uint64(max(0, t.Unix()/3600)) }

func newFriends(n *Node, key ed25519.PrivateKey) *friends {
	f := &friends{node: n, key: key, self: ledger.KeyOf(key), book: credit.New(credit.Config{Chain: friendsChain}),
		units: map[friendsKey]uint64{}}
	f.credits = toll.NewCredits(toll.CreditsConfig{
		Till: f, Log: n.cfg.Log, Every: friendsEvery,
		Period: func(ledger.Hash) uint64 { return hours(time.Now()) },
		Send: func(holder ledger.Key, receipt []byte) bool {
			p, err := swarm.PeerOf(holder)
			return err == nil && n.net.Acknowledge(p, receipt)
		}})
	return f
}

// Credit signs what a holder did in an hour; it is a toll.Crediter.
func (f *friends) Credit(epoch uint64, holder ledger.Key, model ledger.Hash, units, passed uint64) (*ledger.Receipt, error) {
	k := friendsKey{epoch, holder, model}
	f.mu.Lock()
	for old := range f.units {
		if old.epoch+1 < epoch {
			delete(f.units, old)
		}
	}
	f.units[k] += units
	total := f.units[k]
	f.mu.Unlock()
	r := ledger.Receipt{Gate: f.self, Holder: holder, Model: model, Epoch: epoch, Units: total, Passed: passed}.Sign(friendsChain, f.key)
	f.book.Turn(hours(time.Now()))
	_, err := f.book.Add(r)
	return &r, err
}

// Admit, Served and Receipt implement swarm.Debts: nobody owes anything.
func (f *friends) Admit(routing.Peer) error                 { return nil }
func (f *friends) Served(routing.Peer, expert.ModelID, int) {}
func (f *friends) Receipt(from routing.Peer, b []byte) error {
	k, err := swarm.KeyOf(from)
	if err != nil {
		return err
	}
	var r ledger.Receipt
	if err := ledger.Decode(b, &r); err != nil {
		return err
	}
	if r.Gate != k || r.Holder != f.self {
		return fmt.Errorf("%w: a receipt of or for somebody else", ledger.ErrMalformed)
	}
	f.book.Turn(hours(time.Now()))
	_, err = f.book.Add(r)
	return err
}
