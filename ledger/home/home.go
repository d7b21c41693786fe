// Package home is the folder of one ledger node: its keys, the genesis of its
// chain, and its settings.
//
//	node.key                Ed25519, PKCS #8 in PEM: identity in the swarm and account
//	consensus.key.json      the key that signs blocks, if the node validates
//	consensus.state.json    what it signed last, so that it never signs twice
//	vrf.key                 Ed25519 too: the key of its part in the beacon
//	genesis.json            what the chain began with
//	settings.json           [Settings]
//	data/                   blocks and state
//
// Keys are readable by their owner alone.
package home

import (
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/cometbft/cometbft/privval"
	cmttypes "github.com/cometbft/cometbft/types"

	"github.com/moeswarm/moeswarm/internal/keyfile"
)

// maxFile bounds what is read of a settings or genesis file.
const maxFile = 64 << 20

// MinKeep is how many past states a node keeps at least: light clients ask for
// records of some blocks ago.
const MinKeep = 16

// Transports between the ledger's nodes.
const (
	TCP  = "tcp"
	LP2P = "lp2p"
)

// Settings are what the owner of a node chooses.
type Settings struct {
	Name      string   `json:"name"`
	Transport string   `json:"transport"` // TCP or LP2P
	Listen    string   `json:"listen"`    // host:port of consensus
	Light     []string `json:"light"`     // multiaddrs where light clients are served
	Peers     []Peer   `json:"peers"`
	// BlockTime is how long a block waits for more votes, thus about the time
	// between two blocks.
	BlockTime Duration `json:"block_time"`
	// GasPrice is the least fee of a transaction that the node passes on, in
	// nneuro for 1000 units of gas.
	GasPrice uint64 `json:"gas_price"`
	// Keep is how many past states stay, and how many blocks, but those stay as
	// long as evidence counts in any case; 0: all. At least MinKeep.
	Keep uint64 `json:"keep"`
	// Snapshots is after how many blocks the node writes its state down for nodes
	// that join; 0: never.
	Snapshots uint64 `json:"snapshots"`
	// From is the ticket with which the node begins from a snapshot of the others,
	// not from the genesis; empty: it replays all blocks.
	From string `json:"from,omitempty"`
}

// Peer is another node of the chain.
type Peer struct {
	Key  ed25519.PublicKey `json:"key"`  // its node key
	Host string            `json:"host"` // host:port of consensus
}

// Duration is a time.Duration written as "1.5s".
type Duration time.Duration

// MarshalText writes the duration.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText reads a duration.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	*d = Duration(v)
	return err
}

// Home is an opened folder.
type Home struct {
	Dir      string
	Key      ed25519.PrivateKey
	Settings Settings
	Genesis  *cmttypes.GenesisDoc
}

// Data is where blocks and state are.
func (h *Home) Data() string { return filepath.Join(h.Dir, "data") }

// Signer reads the key that signs blocks and what it signed last.
func (h *Home) Signer() *privval.FilePV {
	return privval.LoadOrGenFilePV(filepath.Join(h.Dir, "consensus.key.json"), filepath.Join(h.Dir, "consensus.state.json"))
}

// VRF reads the key of the node's part in the beacon.
func (h *Home) VRF() (ed25519.PrivateKey, error) {
	return keyfile.Read(filepath.Join(h.Dir, "vrf.key"), nil)
}

// Create makes the keys of a new node in dir and writes its settings. Keys
// that are there stay.
func Create(dir string, s Settings) (*Home, error) {
	if err := s.validate(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Join(dir, "data"), 0o700); err != nil {
		return nil, err
	}
	key, err := keyfile.Load(filepath.Join(dir, "node.key"), nil)
	if err != nil {
		return nil, err
	}
	if _, err := keyfile.Load(filepath.Join(dir, "vrf.key"), nil); err != nil {
		return nil, err
	}
	h := &Home{Dir: dir, Key: key, Settings: s}
	h.Signer()
	return h, h.SaveSettings()
}

// Open reads the folder of a node that was created before.
func Open(dir string) (*Home, error) {
	h := &Home{Dir: dir}
	if err := readJSON(filepath.Join(dir, "settings.json"), &h.Settings); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s is not the folder of a ledger node; make one with: moeswarm-ledger init --home %s", dir, dir)
	} else if err != nil {
		return nil, err
	}
	if err := h.Settings.validate(); err != nil {
		return nil, err
	}
	var err error
	if h.Key, err = keyfile.Read(filepath.Join(dir, "node.key"), nil); err != nil {
		return nil, err
	}
	if h.Genesis, err = cmttypes.GenesisDocFromFile(filepath.Join(dir, "genesis.json")); err != nil {
		return nil, fmt.Errorf("the genesis of the chain: %w", err)
	}
	return h, nil
}

// SaveSettings writes the settings.
func (h *Home) SaveSettings() error {
	text, err := json.MarshalIndent(h.Settings, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(h.Dir, "settings.json"), append(text, '\n'), 0o600)
}

// SaveGenesis writes the genesis of the chain that the node is part of.
func (h *Home) SaveGenesis(doc *cmttypes.GenesisDoc) error {
	h.Genesis = doc
	return doc.SaveAs(filepath.Join(h.Dir, "genesis.json"))
}

func (s Settings) validate() error {
	if s.Transport != TCP && s.Transport != LP2P {
		return fmt.Errorf("transport %q; want %s or %s", s.Transport, TCP, LP2P)
	}
	if s.BlockTime < 0 {
		return fmt.Errorf("block time %v is negative", time.Duration(s.BlockTime))
	}
	if s.Keep > 0 && s.Keep < MinKeep {
		return fmt.Errorf("%d past states to keep; want 0, for all, or %d and more", s.Keep, MinKeep)
	}
	if s.Snapshots%10 != 0 {
		return fmt.Errorf("a snapshot every %d blocks; want 0, for none, or a multiple of 10", s.Snapshots)
	}
	for _, p := range s.Peers {
		if len(p.Key) != ed25519.PublicKeySize {
			return fmt.Errorf("peer %s: a key of %d bytes", p.Host, len(p.Key))
		}
	}
	return nil
}

func readJSON(path string, v any) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if info.Size() > maxFile {
		return fmt.Errorf("%s has %d bytes, more than %d", path, info.Size(), maxFile)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, v); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}
