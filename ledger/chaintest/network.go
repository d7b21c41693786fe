// Package chaintest runs the nodes of a ledger inside a test: real nodes that
// talk over loopback, without waiting between blocks.
package chaintest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"testing"
	"time"

	cmttypes "github.com/cometbft/cometbft/types"

	"github.com/moeswarm/moeswarm/internal/ledger"
	"github.com/moeswarm/moeswarm/ledger/devnet"
	"github.com/moeswarm/moeswarm/ledger/fullnode"
	"github.com/moeswarm/moeswarm/ledger/home"
)

// Patience is how long something may take that should happen at once: the
// machine may be busy.
const Patience = time.Minute

// Network is the nodes of a ledger.
type Network struct {
	*devnet.Ledger
	T     testing.TB
	Nodes []*Node // nil: not running
}

// Node is a running node.
type Node struct {
	*fullnode.Node
	stop context.CancelFunc
	done chan error
}

// New creates a ledger in a folder of the test and starts all its validators.
// What c leaves out gets values for tests.
func New(t testing.TB, c devnet.Config) *Network {
	t.Helper()
	if c.Dir == "" {
		c.Dir = t.TempDir()
	}
	if c.Validators == 0 {
		c.Validators = 4
	}
	if c.Transport == "" {
		c.Transport = home.TCP
	}
	if c.Params == (ledger.Params{}) {
		c.Params = ledger.DefaultParams()
		c.Params.EpochBlocks = 12
	}
	c.GasPrice = 1
	l, err := devnet.Create(c)
	if err != nil {
		t.Fatal(err)
	}
	n := &Network{Ledger: l, T: t, Nodes: make([]*Node, len(l.Homes))}
	t.Cleanup(func() {
		for i := range n.Nodes {
			n.Stop(i)
		}
	})
	for i := range l.Homes {
		n.Start(i)
	}
	return n
}

// Start starts a node, which returns when it listens.
func (n *Network) Start(i int) {
	n.T.Helper()
	h, err := home.Open(n.Homes[i].Dir)
	if err != nil {
		n.T.Fatal(err)
	}
	one, err := Run(h, nil)
	if err != nil {
		n.T.Fatal(err)
	}
	n.Nodes[i] = one
}

// Run runs a node that is not of a network.
func Run(h *home.Home, log io.Writer) (*Node, error) {
	full, err := fullnode.New(fullnode.Config{Home: h, Log: log})
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	one := &Node{Node: full, stop: stop, done: make(chan error, 1)}
	ready := make(chan struct{})
	go func() { one.done <- full.Run(ctx, func() { close(ready) }) }()
	select {
	case <-ready:
		return one, nil
	case err := <-one.done:
		stop()
		return nil, err
	}
}

// Stop stops a node in good order.
func (n *Network) Stop(i int) {
	if one := n.Nodes[i]; one != nil {
		n.Nodes[i] = nil
		if err := one.Stop(); err != nil {
			n.T.Errorf("stopping node %d: %v", i, err)
		}
	}
}

// Stop stops the node in good order.
func (n *Node) Stop() error {
	n.stop()
	return <-n.done
}

// WaitHeight waits until node i has a block of a height.
func (n *Network) WaitHeight(i int, height int64) {
	n.T.Helper()
	one := n.Nodes[i]
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	if !one.waitHeight(ctx, height) {
		n.T.Fatalf("node %d is at block %d after %v; want %d", i, one.Height(), Patience, height)
	}
}

// Halted reports whether node i makes no block for a time.
func (n *Network) Halted(i int, d time.Duration) bool {
	one := n.Nodes[i]
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	return !one.waitHeight(ctx, one.Height()+1)
}

func (n *Node) waitHeight(ctx context.Context, height int64) bool {
	who := fmt.Sprintf("chaintest-%p", &ctx)
	bus := n.Comet().EventBus()
	blocks, err := bus.Subscribe(ctx, who, cmttypes.EventQueryNewBlock, 1024)
	if err != nil {
		return false
	}
	defer bus.UnsubscribeAll(context.Background(), who)
	for n.Height() < height {
		select {
		case <-ctx.Done():
			return false
		case <-blocks.Canceled():
			return false
		case <-blocks.Out():
		}
	}
	return true
}

// Agree fails the test unless all running nodes have the same block and state
// at a height that all have passed, and every pot holds what the records say.
func (n *Network) Agree() {
	n.T.Helper()
	height := int64(0)
	for _, one := range n.Nodes {
		if one != nil && (height == 0 || one.Height() < height) {
			height = one.Height()
		}
	}
	var hash, state []byte
	for i, one := range n.Nodes {
		if one == nil {
			continue
		}
		meta := one.Comet().BlockStore().LoadBlockMeta(height)
		if meta == nil {
			n.T.Fatalf("node %d has no block %d", i, height)
		}
		if hash == nil {
			hash, state = meta.BlockID.Hash, meta.Header.AppHash
		}
		if !bytes.Equal(hash, meta.BlockID.Hash) || !bytes.Equal(state, meta.Header.AppHash) {
			n.T.Fatalf("at block %d node %d has block %X and state %X; another %X and %X",
				height, i, meta.BlockID.Hash, meta.Header.AppHash, hash, state)
		}
	}
	a := n.running().App()
	ctx, err := a.CreateQueryContext(0, false)
	if err != nil {
		n.T.Fatal(err)
	}
	if err := a.Neuro.Machine(ctx).Audit(); err != nil {
		n.T.Fatalf("the books: %v", err)
	}
}
