package chaintest

import (
	"context"
	"crypto/ed25519"
	"encoding/binary"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/moeswarm/moeswarm/internal/keyfile"
	"github.com/moeswarm/moeswarm/internal/ledger"
	"github.com/moeswarm/moeswarm/internal/ledger/light"
	"github.com/moeswarm/moeswarm/ledger/devnet"
)

// market is a ledger with one gate, which sits from the start, and a client
// with escrow for it.
type market struct {
	*Network
	model        ledger.Hash
	gate, client ed25519.PrivateKey
	at           *light.Client // of the gate
}

// epoch is the first for which the market's client has a budget.
const epoch = 1

func newMarket(t testing.TB, ctx context.Context, blocks uint64) *market {
	m := &market{model: ledger.Sum([]byte("a model"))}
	params := ledger.DefaultParams()
	params.EpochBlocks, params.EmissionStart = blocks, 0
	// The gate is the first account with money, known before the ledger begins.
	dir := t.TempDir()
	gate, err := keyfile.Load(filepath.Join(dir, "accounts", "0", "key"), nil)
	if err != nil {
		t.Fatal(err)
	}
	m.Network = New(t, devnet.Config{Dir: dir, Accounts: 2, Params: params,
		Models: map[ledger.Hash]ledger.Model{m.model: {Active: true, Name: "a model", Floor: 1}},
		Providers: map[ledger.Key]ledger.Provider{ledger.KeyOf(gate): {
			Roles: ledger.RoleGate, Name: "gate", Gated: []ledger.Hash{m.model}, Bond: 1000 * ledger.Neuro,
		}}})
	m.gate, m.client = m.Accounts[0].Key, m.Accounts[1].Key
	m.at = m.Client(0)
	own := m.Client(1)
	if _, err := own.Submit(ctx, &ledger.Deposit{Model: m.model, Amount: 4000 * ledger.Neuro}); err != nil {
		t.Fatal(err)
	}
	if k, err := own.Clock(ctx); err != nil || k.Epoch >= epoch {
		t.Fatalf("the deposit came in epoch %d, %v: too late to count in epoch %d", k.Epoch, err, epoch)
	}
	for {
		k, err := m.at.Clock(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if k.Epoch > epoch {
			return m
		}
		m.WaitHeight(0, int64(k.End())+1)
	}
}

// settlement is one of n vouchers of as many sessions, 1000 nneuro each.
func (m *market) settlement(first, n int) *ledger.SettleEpoch {
	s := &ledger.SettleEpoch{Gate: ledger.KeyOf(m.gate), Model: m.model, Epoch: epoch}
	for i := range n {
		v := ledger.Voucher{Client: ledger.KeyOf(m.client), Gate: s.Gate, Model: m.model, Epoch: epoch, Tokens: 1000, Cum: 1000}
		binary.BigEndian.PutUint64(v.Session[:], uint64(first+i))
		s.Tickets = append(s.Tickets, ledger.TicketOf(v.Sign(m.at.Chain(), m.client)))
	}
	return s
}

// Vouchers are settled on the chain, once however often they come, and the gate
// is paid what the rule says.
func TestSettlementOnTheChain(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*Patience)
	defer cancel()
	m := newMarket(t, ctx, 16)
	gate := ledger.KeyOf(m.gate)
	before, err := m.at.Balance(ctx, gate)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := m.at.Submit(ctx, m.settlement(0, 300)); err != nil {
			t.Fatal(err)
		}
	}
	w, err := m.at.Work(ctx, epoch, m.model, gate)
	if err != nil || w.Gross != 300*1000 {
		t.Fatalf("settled %d, %v; want 300000", w.Gross, err)
	}
	if _, err := m.at.Submit(ctx, &ledger.SettleEpoch{Gate: gate, Model: m.model, Epoch: epoch, Close: true}); err != nil {
		t.Fatal(err)
	}
	after, err := m.at.Balance(ctx, gate)
	if err != nil {
		t.Fatal(err)
	}
	// 7 % of 300000 are the fee; of the rest a quarter is the gate's, less the
	// fees of three transactions.
	want := ledger.Amount(300_000-21_000) / 4
	if fees := before + want - after; after > before+want || fees > 100_000 {
		t.Errorf("the gate had %d, has %d; want %d more, less fees", before, after, want)
	}
	m.Agree()
}

// BenchmarkSettle settles transactions of 1000 vouchers each as fast as four
// validators in one process take them.
func BenchmarkSettle(b *testing.B) {
	const inAll, each, at = 40, 1000, 8
	ctx, cancel := context.WithTimeout(context.Background(), 5*Patience)
	defer cancel()
	m := newMarket(b, ctx, 60)
	all := make(chan *ledger.SettleEpoch, inAll)
	for i := range inAll {
		all <- m.settlement(i*each, each)
	}
	close(all)
	for b.Loop() {
		data := m.Homes[0].Data()
		begin, before := time.Now(), size(b, data)
		var wg sync.WaitGroup
		for range at {
			wg.Go(func() {
				for s := range all {
					if _, err := m.at.Submit(ctx, s); err != nil {
						b.Error(err)
					}
				}
			})
		}
		wg.Wait()
		b.ReportMetric(inAll*each/time.Since(begin).Seconds(), "vouchers/s")
		b.ReportMetric((size(b, data)-before)/(inAll*each), "disk-B/voucher")
	}
	w, err := m.at.Work(ctx, epoch, m.model, ledger.KeyOf(m.gate))
	if err != nil || w.Gross != inAll*each*1000 {
		b.Fatalf("settled %d, %v", w.Gross, err)
	}
}
