package court

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/moeswarm/moeswarm/internal/ledger"
)

// Ledger is what a clerk needs of one.
type Ledger interface {
	ledger.Reader
	ledger.Watcher
	ledger.Submitter
}

// Config of a [Clerk].
type Config struct {
	Dir    string // of its files
	Self   ledger.Key
	Ledger Ledger
	// Fetch asks somebody for a piece of evidence.
	Fetch func(ctx context.Context, from ledger.Key, hash ledger.Hash) ([]byte, error)
	// Judges rule, by the kind of case. Without one this node stays away, and
	// pays for that.
	Judges map[ledger.CaseKind]Judge
	Log    *slog.Logger // nil: none
}

const (
	// idleEvery is how often duties are looked for besides what the ledger tells;
	// busyEvery while there are some.
	idleEvery = 30 * time.Second
	busyEvery = 2 * time.Second
	// soonEvery is the pause between looks after the ledger told of a case, and
	// maxSoon how many there are: what is proved is a block behind what is told.
	soonEvery = 300 * time.Millisecond
	maxSoon   = 20
	// turnTime bounds one look at all duties: some blocks.
	turnTime = 2 * time.Minute
	// fetchTime bounds the wait for a piece of evidence from one peer.
	fetchTime = 20 * time.Second
	// maxWaiting bounds the accusations that wait to be brought to the ledger.
	maxWaiting = 64
)

// Clerk does what cases ask of a node. New starts nothing.
type Clerk struct {
	cfg   Config
	shelf *Shelf
	wake  chan struct{} // room for one

	mu    sync.Mutex
	stats Stats
}

// Stats is what a clerk has done since it began.
type Stats struct {
	Opened   int    `json:"cases_opened"`
	Rulings  int    `json:"rulings"`
	Appeals  int    `json:"appeals"`
	Waiting  int    `json:"accusations_waiting"`
	Duties   int    `json:"open_cases"`
	Judgment string `json:"last_ruling,omitempty"`
}

// New opens the folders of a clerk.
func New(cfg Config) (*Clerk, error) {
	if cfg.Dir == "" || cfg.Ledger == nil || cfg.Fetch == nil {
		return nil, errors.New("court: a clerk needs a folder, a ledger and a way to fetch evidence")
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	shelf, err := OpenShelf(filepath.Join(cfg.Dir, "evidence"))
	if err != nil {
		return nil, err
	}
	for _, d := range []string{votesDir, accusationsDir} {
		if err := os.MkdirAll(filepath.Join(cfg.Dir, d), 0o700); err != nil {
			return nil, err
		}
	}
	return &Clerk{cfg: cfg, shelf: shelf, wake: make(chan struct{}, 1)}, nil
}

// Get gives evidence to peers; nil: it is not here.
func (c *Clerk) Get(hash [32]byte) []byte { return c.shelf.Get(hash) }

// Stats is what was done so far.
func (c *Clerk) Stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stats
}

func (c *Clerk) count(f func(*Stats)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f(&c.stats)
}

// Run follows the ledger until ctx ends. What fails is tried again.
func (c *Clerk) Run(ctx context.Context) error {
	events, err := c.cfg.Ledger.Events(ctx)
	if err != nil {
		c.cfg.Log.Warn("the ledger does not tell of cases; it is looked at from time to time", "err", err)
	}
	soon := maxSoon
	for ctx.Err() == nil {
		turn, cancel := context.WithTimeout(ctx, turnTime)
		busy, err := c.Turn(turn)
		cancel()
		if err != nil && ctx.Err() == nil {
			c.cfg.Log.Warn("cases wait", "err", err)
		}
		wait := idleEvery
		if soon++; soon < maxSoon {
			wait = soonEvery
		} else if busy {
			wait = busyEvery
		}
		if c.wait(ctx, events, wait) {
			soon = 0
		}
	}
	return nil
}

// wait lets a time pass, or until something may have become due, which the
// ledger tells or this node.
func (c *Clerk) wait(ctx context.Context, events <-chan ledger.Event, most time.Duration) (told bool) {
	over := time.NewTimer(most)
	defer over.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-over.C:
			return false
		case <-c.wake:
			return true
		case ev, ok := <-events:
			if !ok {
				events = nil // the rest of the time passes
			} else if ev.Kind == ledger.EventJuror && ev.Peer == c.cfg.Self || ev.Kind == ledger.EventCase {
				return true
			}
		}
	}
}

// Turn brings accusations to the ledger and looks at all open cases of this
// node. It reports whether there are any.
func (c *Clerk) Turn(ctx context.Context) (busy bool, err error) {
	waiting, err := c.accuseAll(ctx)
	ids, readErr := (ledger.View{Getter: c.cfg.Ledger}).Duties(ctx, c.cfg.Self)
	errs := []error{err, readErr}
	for _, id := range ids {
		if err := c.attend(ctx, id); err != nil {
			errs = append(errs, fmt.Errorf("case %.8v: %w", id, err))
		}
	}
	if readErr == nil {
		errs = append(errs, c.forgetVotes(ids))
	}
	c.count(func(s *Stats) { s.Waiting, s.Duties = waiting, len(ids) })
	return waiting+len(ids) > 0, errors.Join(errs...)
}

// attend does what one case asks for now.
func (c *Clerk) attend(ctx context.Context, id ledger.Hash) error {
	k, err := (ledger.View{Getter: c.cfg.Ledger}).Case(ctx, id)
	if err != nil {
		return err
	}
	switch k.Phase {
	case ledger.PhaseCommit:
		if j := c.seat(&k); j != nil && j.State == ledger.JurorDrawn {
			return c.commit(ctx, id, &k)
		}
	case ledger.PhaseReveal:
		if j := c.seat(&k); j != nil && j.State == ledger.JurorCommitted {
			return c.reveal(ctx, id, &k)
		}
	case ledger.PhaseAppeal:
		return c.appeal(ctx, id, &k)
	}
	return nil
}

// seat is this node's in the panel that sits; nil: it has none.
func (c *Clerk) seat(k *ledger.Case) *ledger.Juror {
	panel := k.Panel()
	for i := range panel.Jurors {
		if panel.Jurors[i].Peer == c.cfg.Self {
			return &panel.Jurors[i]
		}
	}
	return nil
}

// commit judges, keeps the ruling, and commits to it.
func (c *Clerk) commit(ctx context.Context, id ledger.Hash, k *ledger.Case) error {
	v, err := c.readVote(id, k.Appealed)
	if err != nil {
		ruling, err := c.judge(ctx, k)
		switch {
		case errors.Is(err, ErrUnproven):
			c.cfg.Log.Info("the evidence of a case proves nothing", "case", id, "err", err)
			ruling = Unproven()
		case err != nil && !c.late(ctx, k):
			return err
		case errors.Is(err, errMissing):
			ruling = Unproven()
		case err != nil:
			return err // no weights, no judge: what it cannot know it does not say
		}
		if v, err = c.newVote(id, k.Appealed, ruling); err != nil {
			return err
		}
	}
	_, err = c.cfg.Ledger.Submit(ctx, &ledger.CommitVerdict{Case: id, Commit: v.ruling.Commitment(id, k.Appealed, c.cfg.Self, v.salt)})
	if err == nil {
		c.cfg.Log.Info("a juror's ruling is committed", "case", id, "error_ppm", v.ruling.Error)
	}
	return err
}

// late says whether the time for a commitment runs out: three quarters are over.
func (c *Clerk) late(ctx context.Context, k *ledger.Case) bool {
	now, err := c.cfg.Ledger.Clock(ctx)
	if err != nil {
		return false
	}
	p, err := c.cfg.Ledger.Params(ctx)
	return err == nil && now.Height+p.CommitBlocks/4+1 >= k.Deadline
}

func (c *Clerk) reveal(ctx context.Context, id ledger.Hash, k *ledger.Case) error {
	v, err := c.readVote(id, k.Appealed)
	if err != nil {
		return fmt.Errorf("the ruling that was committed to is lost: %w", err)
	}
	if _, err := c.cfg.Ledger.Submit(ctx, &ledger.RevealVerdict{Case: id, Ruling: v.ruling, Salt: v.salt}); err != nil {
		return err
	}
	c.count(func(s *Stats) { s.Rulings++; s.Judgment = fmt.Sprintf("case %.8v: error %d ppm", id, v.ruling.Error) })
	return nil
}

// appeal asks for the larger jury when this node lost and finds otherwise.
func (c *Clerk) appeal(ctx context.Context, id ledger.Hash, k *ledger.Case) error {
	accused, accuser := k.Accused == c.cfg.Self, k.Challenger == c.cfg.Self
	guilty := k.First.Finding == ledger.Guilty
	if k.Appealed || !(accused && guilty || accuser && k.First.Finding == ledger.Innocent) {
		return nil
	}
	ruling, err := c.judge(ctx, k)
	if errors.Is(err, ErrUnproven) {
		ruling, err = Unproven(), nil
	}
	if err != nil {
		return err
	}
	m, err := c.cfg.Ledger.Model(ctx, k.Model)
	if err != nil {
		return err
	}
	if own := ledger.Find(ruling, m.Tolerance(k.Kind, k.Class)); (own == ledger.Guilty) == guilty {
		return nil // it is as found
	}
	if _, err := c.cfg.Ledger.Submit(ctx, &ledger.AppealCase{Case: id}); err != nil {
		return fmt.Errorf("appealing: %w", err)
	}
	c.count(func(s *Stats) { s.Appeals++ })
	c.cfg.Log.Info("a finding is appealed", "case", id, "finding", k.First.Finding)
	return nil
}

// errMissing: nobody gave the evidence.
var errMissing = errors.New("nobody has the evidence")

// judge fetches what a case is about and rules on it.
func (c *Clerk) judge(ctx context.Context, k *ledger.Case) (ledger.Ruling, error) {
	j := c.cfg.Judges[k.Kind]
	if j == nil {
		return ledger.Ruling{}, fmt.Errorf("this node does not judge cases of kind %d", k.Kind)
	}
	input, err := c.find(ctx, k, k.Input)
	if err != nil {
		return ledger.Ruling{}, err
	}
	output := input
	if k.Output != k.Input {
		if output, err = c.find(ctx, k, k.Output); err != nil {
			return ledger.Ruling{}, err
		}
	}
	return j.Judge(ctx, *k, input, output)
}

// find looks for a piece of evidence here, at the accuser, and at everybody else
// who should have it by now.
func (c *Clerk) find(ctx context.Context, k *ledger.Case, hash ledger.Hash) ([]byte, error) {
	if b := c.shelf.Get(hash); b != nil {
		return b, nil
	}
	from := []ledger.Key{k.Challenger, k.Accused}
	for _, p := range []ledger.Panel{k.First, k.Second} {
		for _, j := range p.Jurors {
			from = append(from, j.Peer)
		}
	}
	for _, peer := range from {
		if peer == c.cfg.Self {
			continue
		}
		ask, cancel := context.WithTimeout(ctx, fetchTime)
		b, err := c.cfg.Fetch(ask, peer, hash)
		cancel()
		if err != nil {
			c.cfg.Log.Debug("no evidence", "from", peer, "err", err)
		} else if ledger.Sum(b) == hash {
			_, err = c.shelf.Put(b)
			return b, err
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
	return nil, errMissing
}
