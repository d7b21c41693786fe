package node

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
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
	// friendsChain is what receipts are signed for where there is no ledger.
	friendsChain = "without a ledger"
	// friendsEvery is the pause between two receipts to one holder then: nothing
	// hangs on them but a place on a list.
	friendsEvery = 5 * time.Second
	// creditSoon and creditEvery are the pauses before a peer is asked for what
	// this node lacks of the list: at first, and while there is a lot of it, and
	// then. A receipt is known to n nodes after some log n of the latter.
	creditSoon, creditEvery = 2 * time.Second, 15 * time.Second
	// creditALot is how many new receipts of one peer say that there are more.
	creditALot = 256
	// creditWary is for how long a peer is not asked that did not answer, and
	// creditLies one whose answer was wrong.
	creditWary, creditLies = 5 * time.Minute, time.Hour
	// creditSaved is the pause between two copies of the list on disk.
	creditSaved = 5 * time.Minute
	// maxFriends bounds the gating nodes and wary peers that are remembered.
	maxFriends = 4096
)

// friends counts who did how much in a swarm without a ledger: gating nodes sign
// receipts all the same, nobody is paid, and nodes ask each other for receipts.
type friends struct {
	node       *Node
	key        ed25519.PrivateKey
	self       ledger.Key
	name, team string
	book       *credit.Book
	credits    *toll.Credits
	keys       keys

	mu    sync.Mutex
	units map[friendsKey]uint64 // that this node signed for
	// served is what this node did for each gating node, as it counted it, given
	// what they signed of it.
	served, given map[ledger.Key]uint64
	wary          map[routing.Peer]time.Time
	saved         time.Time
}

type friendsKey struct {
	epoch  uint64
	holder ledger.Key
	model  ledger.Hash
}

// hours counts epochs where there is no ledger: hours of Unix time.
func hours(t time.Time) uint64 { return uint64(max(0, t.Unix()/3600)) }

func newFriends(n *Node, cfg Config) *friends {
	f := &friends{
		node: n, key: cfg.Key, self: ledger.KeyOf(cfg.Key), name: cfg.Name, team: cfg.Team,
		book:  credit.New(credit.Config{Chain: friendsChain}),
		units: map[friendsKey]uint64{}, served: map[ledger.Key]uint64{}, given: map[ledger.Key]uint64{}, wary: map[routing.Peer]time.Time{},
	}
	f.book.Turn(hours(time.Now()))
	f.credits = toll.NewCredits(toll.CreditsConfig{
		Till: f, Log: n.cfg.Log, Every: friendsEvery,
		Period: func(ledger.Hash) uint64 { return hours(time.Now()) },
		Send: func(holder ledger.Key, receipt []byte) bool {
			p, err := swarm.PeerOf(holder)
			return err == nil && n.net.Acknowledge(p, receipt)
		}})
	return f
}

// board is the list as this node sees it.
func (f *friends) board(most int) credit.Board {
	f.book.Turn(hours(time.Now()))
	f.wear()
	eyes := credit.Eyes{Self: f.self, Served: map[ledger.Key]uint64{}}
	f.mu.Lock()
	for k, n := range f.served {
		eyes.Served[k] = n
	}
	f.mu.Unlock()
	return f.book.Board(eyes, most)
}

// wear puts this node's name on the list, once it has work there.
func (f *friends) wear() {
	if f.name == "" && f.team == "" {
		return
	}
	badge := credit.Badge{Holder: f.self, Name: f.name, Team: f.team, Issued: uint64(f.node.began.Unix())}
	if err := f.book.Wear(badge.Sign(friendsChain, f.key)); err != nil && !errors.Is(err, ledger.ErrUnknown) {
		f.node.cfg.Log.Warn("this node's name is not listed", "err", err)
	}
}

// Credit signs what a holder did in an hour; it is a toll.Crediter.
func (f *friends) Credit(epoch uint64, holder ledger.Key, model ledger.Hash, units, passed uint64) (*ledger.Receipt, error) {
	f.book.Turn(hours(time.Now()))
	k := friendsKey{epoch, holder, model}
	r := ledger.Receipt{Gate: f.self, Holder: holder, Model: model, Epoch: epoch, Passed: passed}
	f.mu.Lock()
	for old := range f.units {
		if old.epoch+1 < epoch {
			delete(f.units, old)
		}
	}
	if f.units[k] == 0 {
		f.units[k] = f.book.Units(r) // of a run before
	}
	f.units[k] += units
	r.Units = f.units[k]
	f.mu.Unlock()
	r = r.Sign(friendsChain, f.key)
	_, err := f.book.Add(r)
	return &r, err
}

// Admit, Served and Receipt implement swarm.Debts: nobody owes anything.
func (f *friends) Admit(routing.Peer) error { return nil }

// Served counts what this node did, so that nobody can thank it for more.
func (f *friends) Served(from routing.Peer, _ expert.ModelID, rows int) {
	k, err := f.keys.of(from)
	if err != nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, known := f.served[k]; !known && len(f.served) >= maxFriends {
		least := k
		for other, n := range f.served {
			if least == k || n < f.served[least] {
				least = other
			}
		}
		delete(f.served, least)
		delete(f.given, least)
	}
	f.served[k] += uint64(rows)
}

// Receipt takes what a gating node signed. One for more than this node did is
// none: others would believe it.
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
	f.mu.Lock()
	defer f.mu.Unlock()
	had := f.book.Units(r)
	more := r.Units - min(had, r.Units)
	if left := f.served[k] - min(f.served[k], f.given[k]); more > left {
		f.node.cfg.Log.Debug("a receipt for more than was done", "gate", from, "units", r.Units, "known", had, "left", left)
		return nil
	}
	fresh, err := f.book.Add(r)
	if fresh {
		f.given[k] += more
	}
	return err
}

// Lacking implements swarm.Credit.
func (f *friends) Lacking(question []byte) ([]byte, error) {
	f.book.Turn(hours(time.Now()))
	return f.book.Lacking(question)
}

// load reads the list of a run before: what it says of this node's own work was
// found true then.
func (f *friends) load(r io.Reader) error {
	err := f.book.Load(r)
	f.mu.Lock()
	defer f.mu.Unlock()
	for k, n := range f.book.Given(f.self) {
		f.served[k], f.given[k] = n, n
	}
	return err
}

// due says whether the list is to be written down now.
func (f *friends) due() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if time.Since(f.saved) < creditSaved {
		return false
	}
	f.saved = time.Now()
	return true
}

// run asks peers for what this node lacks, until ctx ends.
func (f *friends) run(ctx context.Context) error {
	wait := creditSoon
	for {
		over := time.NewTimer(wait/2 + rand.N(wait))
		select {
		case <-ctx.Done():
			over.Stop()
			return nil
		case <-over.C:
		}
		f.wear()
		wait = creditEvery
		fresh, asked := f.ask(ctx)
		if !asked || fresh >= creditALot {
			wait = creditSoon
		}
	}
}

// ask asks one connected peer, and says how many receipts were new.
func (f *friends) ask(ctx context.Context) (fresh int, asked bool) {
	peers := f.node.net.Peers()
	rand.Shuffle(len(peers), func(i, j int) { peers[i], peers[j] = peers[j], peers[i] })
	for _, p := range peers {
		if !p.Connected || f.avoids(p.Peer) {
			continue
		}
		f.book.Turn(hours(time.Now()))
		long := creditWary
		answer, err := f.node.net.AskCredit(ctx, p.Peer, f.book.Digest())
		if err == nil {
			long = creditLies
			fresh, err = f.book.Merge(answer)
		}
		if err == nil || ctx.Err() != nil {
			return fresh, true
		}
		// Many peers have no list: they have a ledger, or are older.
		f.node.cfg.Log.Debug("a peer gives no credit", "peer", p.Peer, "err", err)
		f.avoid(p.Peer, long)
	}
	return 0, false
}

func (f *friends) avoids(p routing.Peer) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	until, wary := f.wary[p]
	if wary && time.Now().After(until) {
		delete(f.wary, p)
		wary = false
	}
	return wary
}

func (f *friends) avoid(p routing.Peer, long time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.wary) >= maxFriends {
		clear(f.wary)
	}
	f.wary[p] = time.Now().Add(long)
}
