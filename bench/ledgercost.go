package bench

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/internal/client"
	"github.com/moeswarm/moeswarm/internal/ledger"
	"github.com/moeswarm/moeswarm/internal/ledger/mem"
	"github.com/moeswarm/moeswarm/internal/ledger/state"
	"github.com/moeswarm/moeswarm/internal/node"
	"github.com/moeswarm/moeswarm/internal/simswarm"
)

// ledgerRTTs are the ways between the nodes of ledgerCost; 0 is loopback as it is.
// Each of the two swarms gives so many answers over one of them: enough for some
// hundred rounds to holders, or for the noise of a machine where rounds are short.
var ledgerRTTs = []time.Duration{0, time.Millisecond, 10 * time.Millisecond}

func ledgerRounds(rtt time.Duration, quick bool) int {
	switch {
	case quick:
		return 2
	case rtt < 5*time.Millisecond:
		return 24
	}
	return 6
}

// ledgerCost times answers of two swarms in this process that differ in nothing
// but a ledger in memory: membership, vouchers, signed parts, what holders sign, and
// receipts. A gating node that holds nothing, a holder and an entry each, over libp2p
// on loopback, or through relays that delay what passes; the two answer in turns, so
// that what else the machine does meets both.
func ledgerCost(ctx context.Context, o Options) (_ Metrics, err error) {
	rtts := ledgerRTTs
	if o.RTT != "" {
		rtt, err := time.ParseDuration(o.RTT)
		if err != nil || rtt < 0 || rtt > time.Second {
			return nil, fmt.Errorf("--rtt %.40q: want 0ms to 1s", o.RTT)
		}
		rtts = []time.Duration{rtt}
	} else if o.Quick {
		rtts = rtts[:2]
	}
	m, err := o.open(ctx)
	if err != nil {
		return nil, err
	}
	defer m.Close()
	dir, err := os.MkdirTemp("", "moeswarm-bench-ledger-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	metrics := Metrics{
		"voucher_bytes": ledger.VoucherSize,
		"receipt_bytes": ledger.ReceiptSize,
		"chunk_bytes":   float64(len(ledger.Encode(&ledger.Chunk{}))),
	}
	for i, rtt := range rtts {
		if err := ledgerOver(ctx, m, o, rtt, filepath.Join(dir, fmt.Sprint(i)), metrics); err != nil {
			return nil, fmt.Errorf("RTT %v: %w", rtt, err)
		}
	}
	timeSignatures(metrics)
	return metrics, timeTranscripts(ctx, m, o, dir, metrics)
}

// ledgerOver compares the two swarms over one way.
func ledgerOver(ctx context.Context, m *expert.Model, o Options, rtt time.Duration, dir string, metrics Metrics) (err error) {
	var swarms [2]*paidSwarm // without, with
	for i := range swarms {
		s, err := newPaidSwarm(ctx, m, o, rtt, i == 1, filepath.Join(dir, fmt.Sprint(i)))
		if err != nil {
			return err
		}
		swarms[i] = s
		defer func() { err = errors.Join(err, s.stop()) }()
	}
	var perToken [2][]time.Duration
	tokens := 0
	rounds := ledgerRounds(rtt, o.Quick)
	for r := range rounds {
		for turn := range swarms {
			which := (r + turn) % 2
			prompt, _, err := promptFor(m, o.Prompt, o.Seed+uint64(r))
			if err != nil {
				return err
			}
			a, err := askFor(ctx, swarms[which].entry, prompt, o.NewTokens, o.Seed, nil)
			if err != nil {
				return err
			}
			if r > 0 { // the first warms up
				perToken[which] = append(perToken[which], time.Duration(float64(time.Second)/a.DecodeRate()))
			}
			if which == 1 {
				tokens += len(a.Tokens) + a.PromptTokens
			}
		}
		o.Progress("RTT %v: round %d of %d", rtt, r+1, rounds)
	}
	var ratios []float64
	for i := range perToken[0] {
		ratios = append(ratios, float64(perToken[1][i])/float64(perToken[0][i]))
	}
	promised, err := swarms[1].promised(ctx)
	if err != nil {
		return err
	}
	off, on := quantile(perToken[0], 0.5), quantile(perToken[1], 0.5)
	name := fmt.Sprintf("rtt_%v_", rtt)
	if rtt == 0 {
		name = "rtt_0ms_"
	}
	metrics[name+"off_us_per_token"], metrics[name+"on_us_per_token"] = off*1000, on*1000
	metrics[name+"added_percent_of_medians"] = 100 * (on/off - 1)
	metrics[name+"added_percent_median_of_pairs"] = 100 * (middle(ratios) - 1)
	metrics[name+"tokens_paid"], metrics[name+"tokens_promised"] = float64(tokens), float64(promised/benchPrice)
	o.Progress("RTT %v: a token takes %.0f µs without a ledger, %.0f with: %+.1f %%, median of pairs %+.1f %%", rtt,
		off*1000, on*1000, 100*(on/off-1), 100*(middle(ratios)-1))
	return nil
}

// benchPrice is the price of a token, in nneuro.
const benchPrice = 1000

// timeSignatures adds what signing and checking a voucher takes, alone and in
// batches as settlement does.
func timeSignatures(metrics Metrics) {
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	const n = 1000
	all := make([]ledger.Voucher, n)
	start := time.Now()
	for i := range all {
		all[i] = ledger.Voucher{Client: ledger.KeyOf(key), Cum: ledger.Amount(i)}.Sign("bench", key)
	}
	metrics["voucher_sign_us"] = float64(time.Since(start).Microseconds()) / n
	start = time.Now()
	for _, v := range all {
		_ = ledger.Verify("bench", v)
	}
	metrics["voucher_verify_us"] = float64(time.Since(start).Microseconds()) / n
	start = time.Now()
	ledger.VerifyAll("bench", all)
	metrics["voucher_verify_batch_us"] = float64(time.Since(start).Microseconds()) / n
}

// paidSwarm is a gating node, a holder and an entry in this process.
type paidSwarm struct {
	entry *client.Client
	stop  func() error
}

func newPaidSwarm(ctx context.Context, m *expert.Model, o Options, rtt time.Duration, pays bool, dir string) (_ *paidSwarm, err error) {
	keys := make([]ed25519.PrivateKey, 3) // holder, gating node, entry
	for i := range keys {
		if _, keys[i], err = ed25519.GenerateKey(nil); err != nil {
			return nil, err
		}
	}
	var l *mem.Ledger
	if pays {
		if l, err = benchLedger(m, keys); err != nil {
			return nil, err
		}
	}
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	errs := make([]error, len(keys))
	ways := newFronts(func(int) simswarm.Link { return simswarm.Link{RTT: rtt} }, o.Seed)
	s := &paidSwarm{stop: func() error {
		cancel()
		running.Wait()
		return errors.Join(append(errs, ways.close())...)
	}}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.stop())
		}
	}()
	var join []string
	for i, key := range keys {
		cfg := node.Config{Version: "bench", Key: key, Join: join, Threads: o.Threads, Drafts: -1}
		if cfg.Listen, cfg.Announce, err = ways.place(i, rtt > 0); err != nil {
			return nil, err
		}
		switch i {
		case 0:
			cfg.Models = []node.Model{{Name: "bench", Model: m, Hold: expert.SlotsOf(m.Manifest().IDs())}}
		case 1:
			cfg.Models = []node.Model{{Name: "bench", Model: m, Gate: true}}
		default:
			cfg.HTTP = "127.0.0.1:0"
		}
		if pays {
			cfg.Economy = &node.Economy{Ledger: l.As(ledger.KeyOf(key)), Chain: l.Chain(), Dir: filepath.Join(dir, fmt.Sprint(i)), Price: benchPrice}
			if i == 2 {
				cfg.Economy.MaxSpend = 1000 * ledger.Neuro
			}
		}
		n, err := node.New(cfg)
		if err != nil {
			return nil, fmt.Errorf("node %d: %w", i, err)
		}
		running.Go(func() { errs[i] = n.Run(ctx) })
		select {
		case <-n.Ready():
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		if i == 0 {
			join = n.Addrs()[:1]
		}
		if i == 2 {
			if s.entry, err = client.New(n.URL()); err != nil {
				return nil, err
			}
		}
	}
	// The price comes with the gating node's announcement; an answer before would
	// be on the free quota.
	for pays {
		var v node.View
		if err := s.entry.Get(ctx, "/v1/swarm", &v); err != nil {
			return nil, err
		}
		if slices.ContainsFunc(v.Peers, func(p node.PeerView) bool {
			return slices.ContainsFunc(p.Models, func(m node.PeerModelView) bool { return m.Price == benchPrice })
		}) {
			break
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
	return s, nil
}

// benchLedger is a ledger on which the entry has a budget and the gating node
// the only seat.
func benchLedger(m *expert.Model, keys []ed25519.PrivateKey) (*mem.Ledger, error) {
	id := ledger.Hash(m.ID())
	holder, gate, entry := ledger.KeyOf(keys[0]), ledger.KeyOf(keys[1]), ledger.KeyOf(keys[2])
	params := ledger.DefaultParams()
	params.EpochBlocks = 6
	l, err := mem.New(mem.Config{
		Chain: "bench",
		Genesis: state.Genesis{Params: params,
			Models: map[ledger.Hash]ledger.Model{id: {Active: true, Name: "bench"}},
			Providers: map[ledger.Key]ledger.Provider{
				holder: {Roles: ledger.RoleHolder, Bond: 1000 * ledger.Neuro},
				gate:   {Roles: ledger.RoleGate, Gated: []ledger.Hash{id}, Bond: 1000 * ledger.Neuro, Tariffs: []ledger.Tariff{{Model: id, Price: benchPrice}}},
			}},
		Accounts: map[ledger.Key]ledger.Amount{entry: 1000 * ledger.Neuro},
	})
	if err != nil {
		return nil, err
	}
	if _, err := l.Deliver(entry, &ledger.Deposit{Model: id, Amount: 1000 * ledger.Neuro}); err != nil {
		return nil, err
	}
	if _, err := l.Deliver(gate, &ledger.Heartbeat{Tariffs: []ledger.Tariff{{Model: id, Price: benchPrice}}}); err != nil {
		return nil, err
	}
	return l, l.NextEpoch()
}

// promised is what the entry promised so far.
func (s *paidSwarm) promised(ctx context.Context) (ledger.Amount, error) {
	var v node.View
	if err := s.entry.Get(ctx, "/v1/swarm", &v); err != nil {
		return 0, err
	}
	return v.Ledger.Promised, nil
}
