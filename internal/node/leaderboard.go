package node

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/moeswarm/moeswarm/internal/ledger"
	"github.com/moeswarm/moeswarm/internal/ledger/credit"
	"github.com/moeswarm/moeswarm/swarm"
)

const (
	// boardMost is how many nodes and teams a leaderboard lists.
	boardMost = 100
	// boardEvery is how long a board made from the ledger is good for: each line
	// of it is a proof that somebody sends.
	boardEvery = time.Minute
)

// leaderboard says who did how much: by the ledger's proved records of the nodes
// that this one knows, or, without a ledger, by the receipts of the swarm.
func (n *Node) leaderboard(most int) any {
	if n.economy == nil {
		return n.friends.board(min(most, boardMost))
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
