package fullnode

import (
	"context"
	"fmt"
	"sync"

	abci "github.com/cometbft/cometbft/abci/types"
	cmttypes "github.com/cometbft/cometbft/types"

	"github.com/moeswarm/moeswarm/internal/ledger/light"
	"github.com/moeswarm/moeswarm/ledger/x/neuro"
)

const (
	// newsBuffer is how many transactions and blocks may wait to be told of.
	newsBuffer = 8192
	// keptOutcomes is how many transactions a node remembers, for those who ask
	// again.
	keptOutcomes = 4096
	// eventBuffer is how many events wait for a light client.
	eventBuffer = 1024
)

// news tells who waits what the blocks bring.
type news struct {
	mu       sync.Mutex
	next     chan struct{} // closed when a block comes
	outcomes map[cmttypes.TxKey]light.Outcome
	order    []cmttypes.TxKey // of outcomes, the oldest first
	waiters  map[cmttypes.TxKey][]chan light.Outcome
	watchers map[chan string]bool
}

func newNews() *news {
	return &news{next: make(chan struct{}), outcomes: map[cmttypes.TxKey]light.Outcome{},
		waiters: map[cmttypes.TxKey][]chan light.Outcome{}, watchers: map[chan string]bool{}}
}

// follow tells of blocks and transactions until ctx ends.
func (n *news) follow(ctx context.Context, bus *cmttypes.EventBus) error {
	const who = "news"
	blocks, err := bus.Subscribe(ctx, who, cmttypes.EventQueryNewBlock, newsBuffer)
	if err != nil {
		return err
	}
	defer bus.UnsubscribeAll(context.Background(), who)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-blocks.Canceled():
			return gone(ctx, blocks.Err())
		case m := <-blocks.Out():
			if err := n.newBlock(m.Data().(cmttypes.EventDataNewBlock)); err != nil {
				return err
			}
		}
	}
}

func gone(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return fmt.Errorf("following the chain: %w", err)
}

// block is closed when the next block comes.
func (n *news) block() <-chan struct{} {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.next
}

func (n *news) newBlock(b cmttypes.EventDataNewBlock) error {
	results := b.ResultFinalizeBlock.TxResults
	outcomes, err := light.ProveOutcomes(b.Block.Txs, results)
	if err != nil {
		return fmt.Errorf("the results of block %d: %w", b.Block.Height, err)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	close(n.next)
	n.next = make(chan struct{})
	n.tell(b.ResultFinalizeBlock.Events)
	for i, o := range outcomes {
		o.Height = uint64(b.Block.Height)
		n.tx(b.Block.Txs[i].Key(), o)
		n.tell(results[i].Events)
	}
	return nil
}

// tx tells who waits for a transaction. The caller holds the lock.
func (n *news) tx(key cmttypes.TxKey, o light.Outcome) {
	if _, known := n.outcomes[key]; !known {
		n.order = append(n.order, key)
		if len(n.order) > keptOutcomes {
			delete(n.outcomes, n.order[0])
			n.order = n.order[1:]
		}
	}
	n.outcomes[key] = o
	for _, w := range n.waiters[key] {
		w <- o // has room for the one
	}
	delete(n.waiters, key)
}

// tell sends the events of x/neuro to who watches. The caller holds the lock.
func (n *news) tell(events []abci.Event) {
	for _, e := range events {
		if e.Type != neuro.EventType {
			continue
		}
		for _, a := range e.Attributes {
			if a.Key != "event" {
				continue
			}
			for w := range n.watchers {
				select {
				case w <- a.Value:
				default: // who does not read loses events
				}
			}
		}
	}
}

// await returns a channel for what becomes of a transaction, or what became of
// it.
func (n *news) await(tx cmttypes.Tx) (chan light.Outcome, *light.Outcome) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if o, known := n.outcomes[tx.Key()]; known {
		return nil, &o
	}
	w := make(chan light.Outcome, 1)
	n.waiters[tx.Key()] = append(n.waiters[tx.Key()], w)
	return w, nil
}

// forget ends an await.
func (n *news) forget(tx cmttypes.Tx, w chan light.Outcome) {
	n.mu.Lock()
	defer n.mu.Unlock()
	all := n.waiters[tx.Key()]
	for i := range all {
		if all[i] == w {
			all = append(all[:i:i], all[i+1:]...)
			break
		}
	}
	if n.waiters[tx.Key()] = all; len(all) == 0 {
		delete(n.waiters, tx.Key())
	}
}

// watch sends events until ctx ends.
func (n *news) watch(ctx context.Context) <-chan string {
	w := make(chan string, eventBuffer)
	n.mu.Lock()
	n.watchers[w] = true
	n.mu.Unlock()
	context.AfterFunc(ctx, func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		delete(n.watchers, w)
		close(w)
	})
	return w
}
