// Package fullnode runs one full node of the chain: CometBFT and the
// application in one process.
package fullnode

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"cosmossdk.io/log/v2"
	dbm "github.com/cometbft/cometbft-db"
	cfg "github.com/cometbft/cometbft/config"
	cmted25519 "github.com/cometbft/cometbft/crypto/ed25519"
	cmtlog "github.com/cometbft/cometbft/libs/log"
	"github.com/cometbft/cometbft/node"
	"github.com/cometbft/cometbft/p2p"
	"github.com/cometbft/cometbft/proxy"
	"github.com/cometbft/cometbft/rpc/client/local"
	cmttypes "github.com/cometbft/cometbft/types"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/moeswarm/moeswarm/internal/ledger/light"
	"github.com/moeswarm/moeswarm/ledger/app"
	"github.com/moeswarm/moeswarm/ledger/home"
	"github.com/moeswarm/moeswarm/ledger/lightserve"
)

// Config of a [Node].
type Config struct {
	Home *home.Home
	// Log gets what goes wrong, a line each. nil: dropped.
	Log io.Writer
}

// Node is one full node.
type Node struct {
	home  *home.Home
	log   cmtlog.Logger
	app   *app.App
	comet *node.Node
	dbs   []dbm.DB // that comet opened
	// dialer is for what a snapshot is verified by; nil: the node begins from none.
	dialer *lightserve.Dialer

	// Since it runs:
	client *local.Local
	light  []string // where light clients are served
}

// New opens the node's state. It starts nothing.
func New(c Config) (*Node, error) {
	if c.Home == nil || c.Home.Genesis == nil {
		return nil, errors.New("fullnode: needs a home with a genesis")
	}
	n := &Node{home: c.Home, log: cmtlog.NewNopLogger()}
	if c.Log != nil {
		n.log = cmtlog.NewFilter(cmtlog.NewTMLogger(cmtlog.NewSyncWriter(c.Log)), cmtlog.AllowError())
	}
	vrf, err := c.Home.VRF()
	if err != nil {
		return nil, err
	}
	n.app, err = app.New(app.Config{
		Dir: c.Home.Data(), ChainID: c.Home.Genesis.ChainID, GasPrice: c.Home.Settings.GasPrice,
		Keep: c.Home.Settings.Keep, Snapshots: c.Home.Settings.Snapshots, VRF: vrf, Log: log.NewNopLogger(),
	})
	if err != nil {
		return nil, err
	}
	config, err := cometConfig(c.Home)
	var options []node.Option
	if err == nil && c.Home.Settings.From != "" && n.app.LastBlockHeight() == 0 {
		options, err = n.fromSnapshot(config)
	}
	if err == nil {
		n.comet, err = node.NewNode(config, c.Home.Signer(), nodeKey(c.Home.Key), proxy.NewLocalClientCreator(n.app.ABCI()),
			func() (*cmttypes.GenesisDoc, error) { return c.Home.Genesis, nil },
			n.openDB, node.DefaultMetricsProvider(config.Instrumentation), n.log, options...)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("putting the node together: %w", err), n.close())
	}
	return n, nil
}

// Run runs the node until ctx ends or the node fails. ready is called once it
// takes part and serves light clients.
func (n *Node) Run(ctx context.Context, ready func()) (err error) {
	defer func() { err = errors.Join(err, n.close()) }()
	if err := n.comet.Start(); err != nil {
		return fmt.Errorf("starting the node: %w", err)
	}
	defer func() {
		err = errors.Join(err, n.comet.Stop())
		n.comet.Wait()
	}()
	n.client = local.New(n.comet)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c := chain{Node: n, news: newNews()}
	followed := make(chan error, 1)
	go func() { followed <- c.news.follow(ctx, n.comet.EventBus()) }()
	if addrs := n.home.Settings.Light; len(addrs) > 0 {
		s, err := lightserve.Listen(n.home.Key, addrs, c)
		if err != nil {
			return err
		}
		defer s.Close()
		n.light = s.Addrs()
	}
	ready()
	select {
	case <-ctx.Done():
		return nil
	case err := <-followed:
		return err
	case <-n.comet.Quit():
		return errors.New("the node stopped by itself; its log says why")
	}
}

// openDB opens a database for the engine, which does not close all of them.
func (n *Node) openDB(c *cfg.DBContext) (dbm.DB, error) {
	db, err := cfg.DefaultDBProvider(c)
	if err != nil {
		return nil, err
	}
	n.dbs = append(n.dbs, &database{DB: db})
	return n.dbs[len(n.dbs)-1], nil
}

// fromSnapshot has the node begin from a snapshot of another.
func (n *Node) fromSnapshot(config *cfg.Config) ([]node.Option, error) {
	t, err := light.ParseTicket(n.home.Settings.From)
	if err != nil {
		return nil, err
	}
	if n.dialer, err = lightserve.NewDialer(); err != nil {
		return nil, err
	}
	client, err := light.New(light.Config{Ticket: t, Open: n.dialer})
	if err != nil {
		return nil, err
	}
	config.StateSync.Enable, config.StateSync.DiscoveryTime = true, 5*time.Second
	return []node.Option{node.StateProvider(beginning{client, n.home.Genesis})}, nil
}

func (n *Node) close() error {
	errs := []error{n.app.Close()}
	if n.dialer != nil {
		errs = append(errs, n.dialer.Close())
	}
	for _, db := range n.dbs {
		errs = append(errs, db.Close())
	}
	return errors.Join(errs...)
}

// App is the node's state machine.
func (n *Node) App() *app.App { return n.app }

// Client asks the running node.
func (n *Node) Client() *local.Local { return n.client }

// Height is the last block that the node has.
func (n *Node) Height() int64 { return n.comet.BlockStore().Height() }

// Comet is the consensus engine.
func (n *Node) Comet() *node.Node { return n.comet }

// nodeKey is the key of the node as CometBFT takes it.
func nodeKey(key ed25519.PrivateKey) *p2p.NodeKey {
	return &p2p.NodeKey{PrivKey: cmted25519.PrivKey(key)}
}

// cometConfig is the engine's configuration. Everything that it would serve
// over HTTP stays off: clients come over libp2p.
func cometConfig(h *home.Home) (*cfg.Config, error) {
	c := cfg.DefaultConfig()
	c.SetRoot(h.Dir)
	c.Moniker = h.Settings.Name
	c.DBBackend = "goleveldb"
	c.RPC.ListenAddress, c.RPC.GRPCListenAddress = "", ""
	c.TxIndex.Indexer = "null"
	c.Storage.DiscardABCIResponses = true
	c.Consensus.TimeoutCommit = time.Duration(h.Settings.BlockTime)
	c.Mempool.MaxTxBytes = MaxTx
	c.P2P.ListenAddress = "tcp://" + h.Settings.Listen
	c.P2P.AddrBook = "data/addresses.json"
	c.P2P.AddrBookStrict = false // nodes of one machine or home are welcome
	c.P2P.AllowDuplicateIP = true
	// The engine offers to let a node that lags behind sync blocks while it
	// votes; a validator that does risks to sign twice.
	c.BlockSync.AdaptiveSync = false
	if h.Settings.Transport == home.LP2P {
		return c, libp2pPeers(c, h.Settings.Peers)
	}
	var peers []string
	for _, p := range h.Settings.Peers {
		peers = append(peers, fmt.Sprintf("%s@%s", p2p.PubKeyToID(cmted25519.PubKey(p.Key)), p.Host))
	}
	c.P2P.PersistentPeers = strings.Join(peers, ",")
	return c, nil
}

// libp2pPeers configures the engine's own libp2p host, which knows no peers
// but those it is told and those that dial it.
func libp2pPeers(c *cfg.Config, peers []home.Peer) error {
	c.P2P.LibP2PConfig.Enabled = true
	for _, p := range peers {
		key, err := crypto.UnmarshalEd25519PublicKey(p.Key)
		if err != nil {
			return err
		}
		id, err := peer.IDFromPublicKey(key)
		if err != nil {
			return err
		}
		c.P2P.LibP2PConfig.BootstrapPeers = append(c.P2P.LibP2PConfig.BootstrapPeers,
			cfg.LibP2PBootstrapPeer{Host: p.Host, ID: id.String(), Persistent: true})
	}
	return nil
}

// MaxTx bounds a transaction in bytes: a settlement of 1000 vouchers and more.
const MaxTx = 256 << 10

// Ticket waits for the first block and names it as the one to trust, with the
// addresses at which this node serves light clients.
func (n *Node) Ticket(ctx context.Context) (light.Ticket, error) {
	blocks, err := n.comet.EventBus().Subscribe(ctx, "ticket", cmttypes.EventQueryNewBlock, 16)
	if err != nil {
		return light.Ticket{}, err
	}
	defer n.comet.EventBus().UnsubscribeAll(context.Background(), "ticket")
	for n.Height() < 1 {
		select {
		case <-ctx.Done():
			return light.Ticket{}, ctx.Err()
		case <-n.comet.Quit():
			return light.Ticket{}, errors.New("the node stopped")
		case <-blocks.Out():
		}
	}
	height := n.Height()
	meta := n.comet.BlockStore().LoadBlockMeta(height)
	if meta == nil {
		return light.Ticket{}, fmt.Errorf("block %d is not kept", height)
	}
	return light.Ticket{
		Chain: n.home.Genesis.ChainID, Height: uint64(height), Hash: [32]byte(meta.BlockID.Hash), Addrs: n.light,
	}, nil
}
