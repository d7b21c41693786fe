// Package join makes the folder of a node that joins a running ledger, and makes
// a validator of it.
package join

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"net"
	"strings"

	sdkmath "cosmossdk.io/math"
	cmtjson "github.com/cometbft/cometbft/libs/json"
	cmttypes "github.com/cometbft/cometbft/types"
	codectypes "github.com/cosmos/cosmos-sdk/codec/types"
	sdked25519 "github.com/cosmos/cosmos-sdk/crypto/keys/ed25519"
	sdk "github.com/cosmos/cosmos-sdk/types"
	stakingtypes "github.com/cosmos/cosmos-sdk/x/staking/types"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/moeswarm/moeswarm/internal/ledger"
	"github.com/moeswarm/moeswarm/internal/ledger/light"
	"github.com/moeswarm/moeswarm/ledger/app"
	"github.com/moeswarm/moeswarm/ledger/home"
)

// Init makes the folder of a node of the ledger of a ticket. It asks the nodes
// in the ticket for the genesis and for where they meet. The genesis is not
// proved here: a node with a wrong one computes another state than the
// validators signed, and stops at the first block. fromSnapshot has the node begin from
// a snapshot that one of the others made, instead of replaying all blocks.
func Init(ctx context.Context, dir string, s home.Settings, t light.Ticket, open light.Opener, fromSnapshot bool) (*home.Home, error) {
	var genesis *cmttypes.GenesisDoc
	var failed error
	for _, addr := range t.Addrs {
		p, info, err := meet(ctx, open, addr)
		if err == nil && info.Chain != t.Chain {
			err = fmt.Errorf("%s is a node of ledger %s, the ticket of %s", addr, info.Chain, t.Chain)
		}
		if err == nil && genesis == nil {
			genesis, err = genesisOf(ctx, open, addr, t.Chain)
		}
		if err != nil {
			failed = err
			continue
		}
		transport, host, _ := strings.Cut(info.Consensus, ":")
		if s.Transport == "" {
			s.Transport = transport
		}
		if transport == s.Transport {
			p.Host = reachable(host, addr)
			s.Peers = append(s.Peers, p)
		}
	}
	if genesis == nil || len(s.Peers) == 0 {
		return nil, errors.Join(errors.New("no node in the ticket helped to join"), failed)
	}
	if fromSnapshot {
		s.From = t.String()
	}
	h, err := home.Create(dir, s)
	if err != nil {
		return nil, err
	}
	return h, h.SaveGenesis(genesis)
}

// meet asks a node what it is.
func meet(ctx context.Context, open light.Opener, addr string) (p home.Peer, i light.Info, err error) {
	at, err := peer.AddrInfoFromString(addr)
	if err != nil {
		return p, i, err
	}
	key, err := at.ID.ExtractPublicKey()
	if err != nil {
		return p, i, err
	}
	if p.Key, err = key.Raw(); err != nil || len(p.Key) != ed25519.PublicKeySize {
		return p, i, fmt.Errorf("%s has no ed25519 key: %w", addr, err)
	}
	answer, err := light.Ask(ctx, open, addr, light.AskInfo, nil)
	if err != nil {
		return p, i, err
	}
	i, err = light.DecodeInfo(answer)
	return p, i, err
}

func genesisOf(ctx context.Context, open light.Opener, addr, chain string) (*cmttypes.GenesisDoc, error) {
	answer, err := light.Ask(ctx, open, addr, light.AskGenesis, nil)
	if err != nil {
		return nil, err
	}
	doc := &cmttypes.GenesisDoc{}
	if err := cmtjson.Unmarshal(answer, doc); err != nil {
		return nil, fmt.Errorf("%s sent no genesis: %w", addr, err)
	}
	if doc.ChainID != chain {
		return nil, fmt.Errorf("%s sent the genesis of ledger %.60q", addr, doc.ChainID)
	}
	return doc, doc.ValidateAndComplete()
}

// reachable is where a node's consensus can be reached that says it listens at
// host: a node that listens everywhere is where it was asked.
func reachable(host, addr string) string {
	ip, port, err := net.SplitHostPort(host)
	if err != nil {
		return host
	}
	if parsed := net.ParseIP(ip); ip != "" && (parsed == nil || !parsed.IsUnspecified()) {
		return host
	}
	if parts := strings.Split(addr, "/"); len(parts) > 2 {
		return net.JoinHostPort(parts[2], port)
	}
	return host
}

// Validate makes a validator of a node: it stakes its account's money and
// registers the key of its part in the beacon, which counts two epochs later.
func Validate(ctx context.Context, h *home.Home, c *light.Client, stake ledger.Amount) error {
	app.SetPrefix()
	operator := h.Key.Public().(ed25519.PublicKey)
	vrf, err := h.VRF()
	if err != nil {
		return err
	}
	key, err := codectypes.NewAnyWithValue(&sdked25519.PubKey{Key: h.Signer().Key.PubKey.Bytes()})
	if err != nil {
		return err
	}
	m := &stakingtypes.MsgCreateValidator{
		Description: stakingtypes.Description{Moniker: h.Settings.Name}, Commission: app.Commission(),
		MinSelfDelegation: sdkmath.OneInt(), ValidatorAddress: sdk.ValAddress(app.Address(operator)).String(),
		Pubkey: key, Value: sdk.NewCoin(app.Denom, sdkmath.NewIntFromUint64(uint64(stake))),
	}
	value, err := m.Marshal()
	if err != nil {
		return err
	}
	if _, err := c.Submit(ctx, &ledger.RegisterProvider{
		Roles: ledger.RoleValidator, Name: h.Settings.Name, VRF: ledger.KeyOf(vrf),
	}); err != nil {
		return err
	}
	_, err = c.Execute(ctx, light.Message{Type: "/cosmos.staking.v1beta1.MsgCreateValidator", Value: value})
	return err
}
