package state_test

import (
	"testing"

	"github.com/moeswarm/moeswarm/internal/ledger"
)

// FuzzDeliver: no message of a stranger brings the machine down or the books out
// of order.
func FuzzDeliver(f *testing.F) {
	gates := shape{clients: 1, gates: 1, holders: 4, bond: 1000 * ledger.Neuro}
	w := newWorld(f, gates)
	c, g, h := w.clients[0], w.gates[0], w.holders[0]
	v := w.voucher(c, g, 1, 0, 1000)
	r := ledger.Receipt{Gate: g.key, Holder: h.key, Model: w.model, Epoch: 1, Units: 50}.Sign(chain, g.private)
	a := ledger.Result{Holder: h.key, Model: w.model, Epoch: 1, Output: ledger.Hash{1}}.Sign(chain, h.private)
	b := ledger.Result{Holder: h.key, Model: w.model, Epoch: 1, Output: ledger.Hash{2}}.Sign(chain, h.private)
	for _, m := range []ledger.Msg{
		&ledger.Send{To: h.key, Amount: 5},
		&ledger.Deposit{Model: w.model, Amount: 10},
		&ledger.RequestWithdraw{Model: w.model, Amount: 10},
		&ledger.Bond{Amount: 1}, &ledger.Unbond{Amount: 1},
		&ledger.RegisterProvider{Roles: ledger.RoleGate, Gated: []ledger.Hash{w.model}},
		w.settlement(g, 1, v),
		&ledger.SettleEpoch{Gate: g.key, Model: w.model, Epoch: 1, Close: true, Root: ledger.Node{Units: 1 << 63}},
		&ledger.DisputeReceipt{Receipt: r},
		&ledger.Equivocation{Results: []ledger.Result{a, b}},
		&ledger.OpenCase{Results: []ledger.Result{a}},
		ledger.TallyPages(w.model, 1, []ledger.TallyRow{{Peer: h.key, Score: 9}})[0],
	} {
		bytes, err := ledger.EncodeMsg(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(uint8(0), bytes)
		f.Add(uint8(1), bytes)
	}
	f.Fuzz(func(t *testing.T, who uint8, b []byte) {
		m, err := ledger.DecodeMsg(b)
		if err != nil {
			return
		}
		w := newWorld(t, gates)
		w.do(w.clients[0], &ledger.Deposit{Model: w.model, Amount: 400 * ledger.Neuro})
		w.epoch()
		w.epoch()
		people := []someone{w.clients[0], w.gates[0], w.holders[0]}
		w.l.Deliver(people[int(who)%len(people)].key, m)
		w.audit()
		for range 4 {
			w.epoch()
		}
	})
}
