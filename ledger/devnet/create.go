// Package devnet makes and runs a ledger on one machine, for development: some
// validators as real processes, and accounts with money.
package devnet

import (
	"cmp"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/moeswarm/moeswarm/internal/keyfile"
	"github.com/moeswarm/moeswarm/internal/ledger"
	"github.com/moeswarm/moeswarm/internal/ledger/state"
	"github.com/moeswarm/moeswarm/ledger/app"
	"github.com/moeswarm/moeswarm/ledger/home"
)

// Limits of a ledger on one machine.
const (
	MaxValidators = 21
	MaxAccounts   = 1000
)

// Config of a development ledger.
type Config struct {
	Dir        string // where it is kept
	Validators int
	Accounts   int
	Transport  string // home.TCP or home.LP2P
	BlockTime  time.Duration
	Voting     time.Duration
	Keep       uint64 // past states kept, and blocks as home.Settings says; 0: all
	Snapshots  uint64 // blocks from one snapshot to the next; 0: none
	GasPrice   uint64 // nneuro for 1000 units of gas
	// Host is the address of this machine at which light clients are served:
	// others' reach it if it is not of loopback. Empty: 127.0.0.1.
	Host string
	// Params of the economy, models that may be gated from the start, and
	// providers with the bonds they have then.
	Params    ledger.Params
	Models    map[ledger.Hash]ledger.Model
	Providers map[ledger.Key]ledger.Provider
}

// What everybody begins with.
const (
	Stake = 1_000_000 * app.NEURO // of a validator
	Funds = 100_000 * app.NEURO   // of an account
)

func (c Config) validate() error {
	switch {
	case c.Dir == "":
		return errors.New("devnet: needs a folder")
	case c.Validators < 1 || c.Validators > MaxValidators:
		return fmt.Errorf("%d validators; want 1 to %d", c.Validators, MaxValidators)
	case c.Accounts < 0 || c.Accounts > MaxAccounts:
		return fmt.Errorf("%d accounts; want at most %d", c.Accounts, MaxAccounts)
	case c.Host != "" && (net.ParseIP(c.Host) == nil || net.ParseIP(c.Host).IsUnspecified()):
		return fmt.Errorf("%q is no IP address that others can name; want one such as 192.168.1.7", c.Host)
	case c.BlockTime < 0 || c.Voting < 0:
		return errors.New("a time is negative")
	}
	return nil
}

// Ledger is a development ledger on disk.
type Ledger struct {
	Homes    []*home.Home
	Accounts []Account
}

// Account is one with money. Its folder serves as --data of a node.
type Account struct {
	Dir string
	Key ed25519.PrivateKey
}

// Create makes the ledger's keys, settings and genesis, or opens those that
// are in c.Dir already.
func Create(c Config) (*Ledger, error) {
	if err := c.validate(); err != nil {
		return nil, err
	}
	l := &Ledger{}
	for i := range c.Accounts {
		a := Account{Dir: filepath.Join(c.Dir, "accounts", fmt.Sprint(i))}
		var err error
		if a.Key, err = keyfile.Load(filepath.Join(a.Dir, "key"), nil); err != nil {
			return nil, err
		}
		l.Accounts = append(l.Accounts, a)
	}
	if _, err := os.Stat(l.dir(c, 0)); err == nil {
		return l, l.open(c)
	}
	return l, l.create(c)
}

func (l *Ledger) dir(c Config, i int) string {
	return filepath.Join(c.Dir, fmt.Sprintf("validator%d", i))
}

func (l *Ledger) open(c Config) error {
	for i := range c.Validators {
		h, err := home.Open(l.dir(c, i))
		if err != nil {
			return err
		}
		l.Homes = append(l.Homes, h)
	}
	return nil
}

func (l *Ledger) create(c Config) error {
	ports, err := FreePorts(2 * c.Validators)
	if err != nil {
		return err
	}
	var peers []home.Peer
	for i := range c.Validators {
		h, err := home.Create(l.dir(c, i), home.Settings{
			Name: fmt.Sprintf("validator%d", i), Transport: c.Transport, BlockTime: home.Duration(c.BlockTime), Keep: c.Keep, Snapshots: c.Snapshots, GasPrice: c.GasPrice,
			Listen: Loopback(ports[2*i]),
			Light:  []string{c.light(ports[2*i+1])},
		})
		if err != nil {
			return err
		}
		l.Homes = append(l.Homes, h)
		peers = append(peers, home.Peer{Key: h.Key.Public().(ed25519.PublicKey), Host: h.Settings.Listen})
	}
	genesis, err := l.genesis(c)
	if err != nil {
		return err
	}
	state, err := app.Scratch()
	if err != nil {
		return err
	}
	doc, err := state.Doc(genesis)
	if err = errors.Join(err, state.Close()); err != nil {
		return err
	}
	for i, h := range l.Homes {
		h.Settings.Peers = append(append([]home.Peer{}, peers[:i]...), peers[i+1:]...)
		if err := errors.Join(h.SaveSettings(), h.SaveGenesis(doc)); err != nil {
			return err
		}
	}
	return nil
}

// genesis gives every account and operator money and every validator stake.
func (l *Ledger) genesis(c Config) (app.Genesis, error) {
	name := make([]byte, 4)
	if _, err := rand.Read(name); err != nil {
		return app.Genesis{}, err
	}
	g := app.Genesis{ChainID: "devnet-" + hex.EncodeToString(name), Time: time.Now().UTC().Add(-time.Second), Voting: c.Voting, BlockTime: c.BlockTime,
		Economy: state.Genesis{Params: c.Params, Models: c.Models, Providers: c.Providers}}
	for _, h := range l.Homes {
		operator := h.Key.Public().(ed25519.PublicKey)
		vrf, err := h.VRF()
		if err != nil {
			return g, err
		}
		g.Accounts = append(g.Accounts, app.Funded{Key: operator, Amount: Funds})
		g.Validators = append(g.Validators, app.Validator{
			Name: h.Settings.Name, Operator: operator, Consensus: h.Signer().Key.PubKey.Bytes(),
			VRF: vrf.Public().(ed25519.PublicKey), Stake: Stake,
		})
	}
	for _, a := range l.Accounts {
		g.Accounts = append(g.Accounts, app.Funded{Key: a.Key.Public().(ed25519.PublicKey), Amount: Funds})
	}
	return g, nil
}

// FreePorts finds ports of loopback that nobody listens on now, neither with
// TCP nor with UDP.
func FreePorts(n int) (ports []int, err error) {
	for len(ports) < n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close() // until all are found, so that none is found twice
		port := l.Addr().(*net.TCPAddr).Port
		u, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port})
		if err != nil {
			continue
		}
		u.Close()
		ports = append(ports, port)
	}
	return ports, nil
}

// Address is the account's, as text.
func (a Account) Address() string { return app.Address(a.Key.Public().(ed25519.PublicKey)).String() }

// light is the multiaddr at which light clients are served.
func (c Config) light(port int) string {
	host := cmp.Or(c.Host, "127.0.0.1")
	if strings.Contains(host, ":") {
		return fmt.Sprintf("/ip6/%s/tcp/%d", host, port)
	}
	return fmt.Sprintf("/ip4/%s/tcp/%d", host, port)
}

// Loopback is a port of this machine as host:port.
func Loopback(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }
