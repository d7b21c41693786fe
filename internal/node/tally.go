package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/moeswarm/moeswarm/internal/ledger"
	"github.com/moeswarm/moeswarm/routing"
	"github.com/moeswarm/moeswarm/routing/audit"
	"github.com/moeswarm/moeswarm/swarm"
)

// tallies is what this node saw of holders, by epoch and model. A crash loses
// those of an epoch: nobody's reputation hangs on one gating node's.
type tallies struct {
	mu   sync.Mutex
	rows map[tallyKey]*ledger.TallyRow
	late map[routing.Peer]int // stragglers of a peer that were told of
	done map[ledger.Hash]uint64
	// pages are what is left to tell of a model, until all of it is told: what is
	// said stands, so another try says the same.
	pages map[ledger.Hash][]*ledger.CommitTally
}

type tallyKey struct {
	epoch uint64
	model ledger.Hash
	peer  ledger.Key
}

// maxTallies bounds the rows that are kept: two epochs of full tallies of many
// models.
const maxTallies = 4 * ledger.MaxTally

func newTallies() *tallies {
	return &tallies{rows: map[tallyKey]*ledger.TallyRow{}, late: map[routing.Peer]int{}, done: map[ledger.Hash]uint64{}, pages: map[ledger.Hash][]*ledger.CommitTally{}}
}

// row finds or makes a row; nil when there are too many.
func (t *tallies) rowLocked(k tallyKey) *ledger.TallyRow {
	r := t.rows[k]
	if r == nil && len(t.rows) < maxTallies {
		r = &ledger.TallyRow{Peer: k.peer}
		t.rows[k] = r
	}
	return r
}

// saw counts an audit.
func (t *tallies) saw(epoch uint64, model ledger.Hash, peer ledger.Key, o audit.Outcome) {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := t.rowLocked(tallyKey{epoch, model, peer})
	switch {
	case r == nil:
	case o == audit.Cleared:
		r.Pass++
	case o == audit.Guilty || o == audit.Unproven:
		r.Fail++
	}
}

// audited adds units of audits that the ledger's seed drew.
func (t *tallies) audited(epoch uint64, model ledger.Hash, peer ledger.Key, units uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if r := t.rowLocked(tallyKey{epoch, model, peer}); r != nil {
		r.Audited += units
	}
}

// audits is what audited added up.
func (t *tallies) audits(epoch uint64, model ledger.Hash, peer ledger.Key) uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	if r := t.rows[tallyKey{epoch, model, peer}]; r != nil {
		return r.Audited
	}
	return 0
}

// enoughChecks is from how many on a gating node has an opinion of its own.
const enoughChecks = 10

// score is what is said of a peer: correctness, punctuality and speed, as routing
// has them. Uptime is the ledger's to see, by heartbeats, and a young gating node
// has not seen any. Of who was hardly checked, and was right, it is a newcomer's.
func score(s routing.PeerStats, newcomer uint16) uint16 {
	r := s.Reputation
	switch {
	case s.Excluded != "":
		return 0
	case r.Bad == 0 && r.Good < enoughChecks:
		return newcomer
	}
	r.Uptime = 1
	return uint16(min(ledger.BpsOne, max(0, r.Score()*ledger.BpsOne)))
}

// take gives the rows of an epoch and model, by peer, with what routing thinks of
// each, and how many of its answers came too late since the last time. Rows of
// epochs before are dropped.
func (t *tallies) take(epoch uint64, model ledger.Hash, stats map[ledger.Key]routing.PeerStats, newcomer uint16) (rows []ledger.TallyRow) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for k, r := range t.rows {
		if k.epoch < epoch {
			delete(t.rows, k)
		}
		if k.epoch != epoch || k.model != model {
			continue
		}
		row := *r
		if row.Fail == 0 {
			row.Score = newcomer
		}
		if s, ok := stats[k.peer]; ok {
			row.Score = score(s, newcomer)
			late := s.Failures[routing.Straggled]
			row.Late = uint32(max(0, late-t.late[s.Peer]))
			t.late[s.Peer] = late
		}
		rows = append(rows, row)
	}
	slices.SortFunc(rows, func(a, b ledger.TallyRow) int { return bytes.Compare(a.Peer[:], b.Peer[:]) })
	return rows[:min(len(rows), ledger.MaxTally)]
}

// commitTallies tells the ledger what this node saw in the epoch before, for the
// models on whose committee it sat.
func (e *economy) commitTallies(ctx context.Context, epoch uint64) error {
	if epoch == 0 || e.node.router == nil {
		return nil
	}
	stats := map[ledger.Key]routing.PeerStats{}
	for _, p := range e.node.router.Peers() {
		if k, err := swarm.KeyOf(p.Peer); err == nil {
			stats[k] = p
		}
	}
	newcomer := uint16(e.standing.param(func(p *ledger.Params) uint64 { return p.StartRep }, 0))
	var errs []error
	for _, m := range e.node.cfg.Models {
		id := ledger.Hash(m.Model.ID())
		seats, _, known := e.standing.known(epoch-1, id)
		if !m.mayGate() || !known || e.tallies.done[id] >= epoch || !slices.ContainsFunc(seats, func(s ledger.Seat) bool { return s.Peer == e.self }) {
			continue
		}
		if left := e.tallies.pages[id]; len(left) == 0 || left[0].Epoch != epoch-1 {
			e.tallies.pages[id] = ledger.TallyPages(id, epoch-1, e.tallies.take(epoch-1, id, stats, newcomer))
		}
		if err := e.commitPages(ctx, id); err != nil {
			errs = append(errs, fmt.Errorf("what was seen of holders of %s in epoch %d: %w", m.Name, epoch-1, err))
			continue
		}
		delete(e.tallies.pages, id)
		e.tallies.done[id] = epoch
	}
	return errors.Join(errs...)
}

// commitPages brings what is left of a tally, page by page. What the ledger has
// already, from before this node began anew, or takes no more, is told.
func (e *economy) commitPages(ctx context.Context, model ledger.Hash) error {
	for len(e.tallies.pages[model]) > 0 {
		_, err := e.cfg.Ledger.Submit(ctx, e.tallies.pages[model][0])
		if err != nil && !errors.Is(err, ledger.ErrTooLate) && !errors.Is(err, ledger.ErrDuplicate) {
			return err
		}
		e.tallies.pages[model] = e.tallies.pages[model][1:]
	}
	return nil
}
