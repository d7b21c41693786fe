package swarm

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/gating/prompt"
	"github.com/moeswarm/moeswarm/routing"
)

// Config says what a node is. The zero value of every field is usable.
type Config struct {
	// Key is the node's identity; nil: a new one, which is gone when it stops.
	Key ed25519.PrivateKey

	// Listen holds multiaddrs to listen on, such as /ip4/0.0.0.0/tcp/4160 or
	// /ip4/0.0.0.0/udp/4160/quic-v1. Empty: TCP and QUIC on all interfaces,
	// on ports the system picks.
	Listen []string
	// Announce holds multiaddrs that others are told instead of those of
	// Listen: where a forwarded port or a relay passes connections on. Empty:
	// those of Listen, and what others see.
	Announce []string
	// Join holds complete multiaddrs, /p2p/ID at their end, of nodes to join.
	// One is enough. Empty: this node is the first, or is found by mDNS.
	Join []string
	// MDNS makes the node look for others on the local network, and makes
	// others find it.
	MDNS bool
	// Reach is how this node and its peers come to each other through routers.
	Reach Reach
	// Rendezvous lets nodes find each other that know nobody.
	Rendezvous Rendezvous

	// Serve answers expert calls; nil: the node holds no experts.
	Serve expert.Applier
	// Debts is the account of what peers owe for calls; nil: nothing.
	Debts Debts
	// Signer signs answers to calls, for askers that want that, behind them; nil: none
	// are signed.
	Signer Signer
	// Listener asks a holder to sign its answers on a stream and hears what it signs;
	// nil: nobody is asked to.
	Listener func(from routing.Peer) Ear
	// Evidence is what peers may fetch to judge by; nil: nothing.
	Evidence Evidence
	// Threads is how many frames of calls are worked on at once; 0: one for
	// each processor.
	Threads int
	// Coder makes rows small that are sent to peers; nil: they travel as floats.
	Coder RowCoder
	// HalfAnswers lets peers answer in half precision: half the bytes, but
	// results are rounded, so that tokens may differ from a single machine's.
	HalfAnswers bool
	// Completer answers prompts; nil: the node does not gate.
	Completer prompt.Completer
	// Toll decides which peers' prompts Completer answers, and what for; nil:
	// everybody's, for nothing.
	Toll Toll
	// Pay gives the payer of an answer that a peer is asked for; nil, or a nil
	// Payer: nothing is paid.
	Pay func(to routing.Peer, r prompt.Request, request []byte) (Payer, error)
	// Transcripts replies to peers that ask about answers; nil: nobody does.
	Transcripts Transcripts
	// Shelf is what this node sends of models to peers that ask; nil: nothing.
	Shelf Shelf
	// Credit answers peers that ask who did how much; nil: this node does not say.
	Credit Credit
	// MaxUpload bounds what goes out from the Shelf, in bytes a second; 0: no
	// bound.
	MaxUpload int64
	// Linger is closed when nothing else in this process needs the network:
	// when its own users' answers have ended, say. Run waits for it between
	// goodbye and the end, as long as it waits for peers' answers at the most.
	// nil: nothing does.
	Linger <-chan struct{}
	// Offers says what Serve and Completer serve, one entry a model. It may
	// change while the node runs; see [Node.SetOffer].
	Offers []Offer

	Log *slog.Logger // nil: discards
}

// Offer is what this node serves of one model.
type Offer struct {
	Model expert.ModelID
	Name  string // for people: one line, at most 128 bytes
	// Layers gives the shape of the whole model: how many experts each layer
	// has, counted over all layers; 0 for a dense layer.
	Layers []int
	Held   []expert.ID // experts that Config.Serve applies
	Gates  bool        // Config.Completer completes prompts for this model
	// MayGate: the node gates if the swarm has too few that do; Config.Completer
	// is there for that time. WillGate: it is about to, and fetches the trunk.
	// Peers believe it for as long as an announcement lasts.
	MayGate, WillGate bool
	// CIDs gives experts' content ids in binary form, for the hash table. An
	// expert without one is found by its name (see the package doc); all nodes
	// that serve a model must agree on which it is.
	CIDs map[expert.ID][]byte

	// Memory is what the node gives to experts that it chooses itself, in
	// bytes; 0: it does not choose. Peers reckon with it.
	Memory int64
	// Price of a token in nneuro that this node takes for gating; 0: none.
	Price uint64
	// Wanted names experts that are about to change hands: one not held is
	// being fetched, one that is held should be taken over by others. Peers
	// believe it for as long as an announcement lasts.
	Wanted []expert.ID
	// Demand is how often each expert is asked for, as this node measured it,
	// the average of a layer being 1; nil where it has not. It must be safe for
	// concurrent use.
	Demand func() map[expert.ID]float64
	// Prompts is how many prompts wait at this node now, if it gates; nil: none.
	// It must be safe for concurrent use.
	Prompts func() int

	ended bool // it served something once, and does no more
}

// settings is a Config after validate: parsed, with defaults filled in.
type settings struct {
	key      ed25519.PrivateKey
	listenAt []multiaddr.Multiaddr
	// announceAt replaces what the host would say of itself; nil: it says it.
	announceAt  []multiaddr.Multiaddr
	joinAt      []peer.AddrInfo
	mdns        bool
	reach       Reach
	meetName    string
	meetVia     []peer.AddrInfo
	serve       expert.Applier
	threads     int
	linger      <-chan struct{}
	coder       RowCoder
	half        bool
	completer   prompt.Completer
	toll        Toll
	debts       Debts
	pay         func(to routing.Peer, r prompt.Request, request []byte) (Payer, error)
	shelf       Shelf
	signer      Signer
	listener    func(from routing.Peer) Ear
	evidence    Evidence
	credit      Credit
	transcripts Transcripts
	maxUpload   int64
	offers      *offered
	log         *slog.Logger
}

// validate checks c and fills in defaults. It leaves c alone.
func (c Config) validate() (settings, error) {
	s := settings{mdns: c.MDNS, reach: c.Reach, serve: c.Serve, threads: c.Threads, coder: c.Coder, half: c.HalfAnswers,
		completer: c.Completer, toll: c.Toll, debts: c.Debts, pay: c.Pay, shelf: c.Shelf, signer: c.Signer, listener: c.Listener, evidence: c.Evidence, credit: c.Credit, transcripts: c.Transcripts, maxUpload: max(0, c.MaxUpload), linger: c.Linger, log: c.Log}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if c.Threads < 0 {
		return settings{}, fmt.Errorf("%d threads; want a positive number, or 0 for one for each processor", c.Threads)
	}
	var err error
	if s.key, err = c.identity(); err != nil {
		return settings{}, err
	}
	if err = c.Reach.validate(); err != nil {
		return settings{}, err
	}
	if s.meetVia, err = c.Rendezvous.parse(); err != nil {
		return settings{}, err
	}
	s.meetName = c.Rendezvous.Name
	if s.listenAt, err = parseListen(c.Listen); err != nil {
		return settings{}, err
	}
	if s.listenAt = c.Reach.speaks(s.listenAt); len(s.listenAt) == 0 {
		return settings{}, errors.New("a private swarm speaks TCP; give an address such as /ip4/0.0.0.0/tcp/4160")
	}
	if !outside(s.listenAt) {
		// On loopback there is no router to get through.
		s.reach.Traverse, s.reach.Relay = false, false
	}
	if len(c.Announce) > 0 {
		if s.announceAt, err = parseListen(c.Announce); err != nil {
			return settings{}, fmt.Errorf("address to announce: %w", err)
		}
	}
	if s.joinAt, err = parseJoin(c.Join); err != nil {
		return settings{}, err
	}
	if len(c.Offers) > maxPeerModels {
		return settings{}, fmt.Errorf("%d models offered; a node may serve %d", len(c.Offers), maxPeerModels)
	}
	var offers []Offer
	seen := make(map[expert.ModelID]bool)
	for i, o := range c.Offers {
		if seen[o.Model] {
			return settings{}, fmt.Errorf("model %s is offered twice; put it into one offer", o.Model.Short())
		}
		seen[o.Model] = true
		if err := c.checkOffer(o); err != nil {
			return settings{}, fmt.Errorf("offer %d (model %s): %w", i, o.Model.Short(), err)
		}
		offers = append(offers, o)
	}
	if _, err := offerKeys(offers); err != nil {
		return settings{}, err
	}
	s.offers = newOffered(offers)
	return s, nil
}

func (c Config) identity() (ed25519.PrivateKey, error) {
	if c.Key != nil {
		if len(c.Key) != ed25519.PrivateKeySize {
			return nil, fmt.Errorf("key of %d bytes; an ed25519 private key has %d", len(c.Key), ed25519.PrivateKeySize)
		}
		return c.Key, nil
	}
	_, key, err := ed25519.GenerateKey(nil)
	return key, err
}

func (c Config) checkOffer(o Offer) error {
	if err := checkName(o.Name); err != nil {
		return err
	}
	if (o.Gates || o.MayGate || o.WillGate) && c.Completer == nil {
		return errors.New("it gates or may gate, but there is no Completer")
	}
	if len(o.Held) > 0 && c.Serve == nil {
		return errors.New("it holds experts, but there is nothing to serve them (Serve)")
	}
	if err := checkShape(o.Layers); err != nil {
		return err
	}
	if o.Memory < 0 {
		return fmt.Errorf("%d bytes for experts", o.Memory)
	}
	for _, id := range slices.Concat(o.Held, o.Wanted) {
		if id.Model != o.Model || int(id.Layer) >= len(o.Layers) || int(id.Index) >= o.Layers[id.Layer] {
			return fmt.Errorf("%v is not an expert of this model", id)
		}
	}
	return nil
}

// checkName refuses names that would break a line of text somewhere.
func checkName(name string) error {
	if len(name) > maxName || !utf8.ValidString(name) {
		return fmt.Errorf("name %.80q: want valid UTF-8 of at most %d bytes", name, maxName)
	}
	if strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return fmt.Errorf("name %.80q has unprintable characters", name)
	}
	return nil
}

// parseListen reads the addresses to listen on. QUIC and TCP are spoken.
func parseListen(text []string) ([]multiaddr.Multiaddr, error) {
	if len(text) == 0 {
		text = []string{"/ip4/0.0.0.0/tcp/0", "/ip4/0.0.0.0/udp/0/quic-v1"}
	}
	var out []multiaddr.Multiaddr
	for _, t := range text {
		a, err := multiaddr.NewMultiaddr(t)
		if err != nil {
			return nil, fmt.Errorf("listen address %q: %w (an example: /ip4/0.0.0.0/tcp/4160)", t, err)
		}
		if !spoken(a) {
			return nil, fmt.Errorf("listen address %q: want /ip4|ip6/ADDRESS/tcp/PORT or /ip4|ip6/ADDRESS/udp/PORT/quic-v1", t)
		}
		out = append(out, a)
	}
	return out, nil
}

// parseJoin reads the nodes to join, all addresses of a node together.
func parseJoin(text []string) ([]peer.AddrInfo, error) {
	var addrs []multiaddr.Multiaddr
	for _, t := range text {
		a, err := multiaddr.NewMultiaddr(t)
		if err != nil {
			return nil, fmt.Errorf("address to join %q: %w (an example: /ip4/192.0.2.7/tcp/4160/p2p/12D3KooW…)", t, err)
		}
		if info, err := peer.AddrInfoFromP2pAddr(a); err != nil || len(info.Addrs) == 0 {
			return nil, fmt.Errorf("address to join %q: it must end in /p2p/ID, as the other node prints it", t)
		}
		addrs = append(addrs, a)
	}
	return peer.AddrInfosFromP2pAddrs(addrs...)
}
