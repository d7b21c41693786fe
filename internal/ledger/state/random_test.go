package state_test

import (
	"math/rand/v2"
	"testing"

	"github.com/moeswarm/moeswarm/internal/ledger"
	"github.com/moeswarm/moeswarm/internal/ledger/state"
)

// chaos sends random messages, sensible and not, to two ledgers.
type chaos struct {
	*world
	twin     *world
	rng      *rand.Rand
	vouchers []ledger.Voucher
	receipts []ledger.Receipt
	claims   []*ledger.Claim
	cases    []ledger.Hash
	rulings  map[ledger.Key]ledger.Ruling
	sent     map[ledger.Kind]int // messages that were accepted
}

func pick[T any](c *chaos, all []T) T { return all[c.rng.IntN(len(all))] }

func (c *chaos) amount() ledger.Amount {
	return ledger.Amount(c.rng.Uint64() >> (20 + c.rng.IntN(40)))
}

func (c *chaos) provider() someone {
	if c.rng.IntN(2) == 0 {
		return pick(c, c.gates)
	}
	return pick(c, c.holders)
}

func (c *chaos) anybody() someone {
	if c.rng.IntN(3) == 0 {
		return pick(c, c.clients)
	}
	return c.provider()
}

// again are the messages of which the second may change nothing, at once.
func again(m ledger.Msg) bool {
	switch m.Kind() {
	case ledger.KindSend, ledger.KindBond, ledger.KindUnbond, ledger.KindDeposit:
		return false // the host refuses the same transaction
	}
	return true
}

// send delivers to both, and checks that they agree, that the books are right,
// that what failed left nothing, and that a replay adds nothing.
func (c *chaos) send(p someone, m ledger.Msg) {
	c.t.Helper()
	before := c.l.Hash()
	_, err := c.l.Deliver(p.key, m)
	_, err2 := c.twin.l.Deliver(p.key, m)
	if (err == nil) != (err2 == nil) {
		c.t.Fatalf("%T: %v here, %v there", m, err, err2)
	}
	after := c.l.Hash()
	if err != nil {
		if after != before {
			c.t.Fatalf("%T failed (%v) and left something", m, err)
		}
		return
	}
	c.sent[m.Kind()]++
	c.audit()
	if again(m) {
		c.l.Deliver(p.key, m)
		if c.l.Hash() != after {
			c.t.Fatalf("%T has an effect again", m)
		}
	}
}

// step sends one random message.
func (c *chaos) step() {
	now := c.l.Clock().Epoch
	past := now - min(now, uint64(c.rng.IntN(4)))
	switch c.rng.IntN(18) {
	case 0:
		c.send(pick(c, c.clients), &ledger.Deposit{Model: c.model, Amount: c.amount()})
	case 1:
		c.send(pick(c, c.clients), &ledger.RequestWithdraw{Model: c.model, Amount: c.amount()})
	case 2:
		c.send(c.provider(), &ledger.Bond{Amount: c.amount()})
	case 3:
		c.send(c.provider(), &ledger.Unbond{Amount: c.amount()})
	case 4:
		c.send(c.anybody(), &ledger.Send{To: c.anybody().key, Amount: c.amount()})
	case 5:
		c.send(c.anybody(), &ledger.RegisterProvider{Roles: ledger.Role(c.rng.IntN(4)), Class: ledger.Class(c.rng.IntN(3)), Team: pick(c, []string{"", "a", "b"}), Gated: []ledger.Hash{c.model}})
	case 6, 7, 8:
		client := pick(c, c.clients)
		gate := pick(c, c.gates)
		if own := c.assigned(client); len(own) > 0 && c.rng.IntN(4) > 0 {
			gate = pick(c, own)
		}
		v := c.voucher(client, gate, now, byte(c.rng.IntN(3)), c.amount())
		if c.rng.IntN(2) == 0 { // for fewer tokens than it buys, so that units are more than paid for
			v.Tokens >>= c.rng.IntN(32)
			v = v.Sign(chain, client.private)
		}
		c.vouchers = append(c.vouchers, v)
	case 9, 10, 11:
		c.settleSome(past)
	case 12:
		gate, holder := pick(c, c.gates), pick(c, c.holders)
		r := ledger.Receipt{Gate: gate.key, Holder: holder.key, Model: c.model, Epoch: past, Units: c.rng.Uint64N(500) << (40 * c.rng.IntN(2))}
		c.receipts = append(c.receipts, r.Sign(chain, gate.private))
		c.send(holder, &ledger.DisputeReceipt{Receipt: pick(c, c.receipts)})
	case 13:
		if len(c.claims) > 0 {
			c.send(c.anybody(), pick(c, c.claims))
		}
	case 14:
		c.accuse(past)
	case 15:
		rows := []ledger.TallyRow{{Peer: pick(c, c.holders).key, Score: uint16(c.rng.IntN(10_001)), Audited: c.rng.Uint64() >> c.rng.IntN(60)}}
		for _, g := range c.gates {
			c.send(g, ledger.TallyPages(c.model, past, rows)[0])
		}
	case 16:
		c.silence()
	case 17:
		spec := pick(c, ledger.ParamSpecs()[13:])
		m := &ledger.UpdateParams{Changes: []ledger.Change{{Name: spec.Name, Value: spec.Least + c.rng.Uint64N(spec.Init+2)}}}
		if e1, e2 := c.l.Govern(m), c.twin.l.Govern(m); (e1 == nil) != (e2 == nil) {
			c.t.Fatal(e1, e2)
		}
	}
}

// silence has a client bring its voucher of a gate that does not, and a holder a
// receipt of the same, which may be for anything.
func (c *chaos) silence() {
	if len(c.vouchers) == 0 {
		return
	}
	v := pick(c, c.vouchers[max(0, len(c.vouchers)-8):])
	m := &ledger.SettleEpoch{Gate: v.Gate, Model: v.Model, Epoch: v.Epoch, Tickets: []ledger.Ticket{ledger.TicketOf(v)}}
	c.send(pick(c, c.clients), m)
	for _, g := range c.gates {
		if g.key == v.Gate {
			h := pick(c, c.holders)
			r := ledger.Receipt{Gate: g.key, Holder: h.key, Model: v.Model, Epoch: v.Epoch, Units: c.rng.Uint64() >> c.rng.IntN(64)}
			c.send(h, &ledger.DisputeReceipt{Receipt: r.Sign(chain, g.private)})
		}
	}
}

// settleSome brings some vouchers of a gate's epoch, and sometimes closes it.
func (c *chaos) settleSome(epoch uint64) {
	gate := pick(c, c.gates)
	m := c.settlement(gate, epoch)
	for _, v := range c.vouchers {
		if v.Gate == gate.key && v.Epoch == epoch && c.rng.IntN(3) > 0 {
			m.Tickets = append(m.Tickets, ledger.TicketOf(v))
		}
	}
	if c.rng.IntN(3) == 0 {
		m.Close = true
		var leaves []ledger.Leaf
		for _, h := range c.holders {
			leaves = append(leaves, ledger.Leaf{Holder: h.key, Units: c.rng.Uint64N(300), Passed: 1})
		}
		root, proofs, err := ledger.Tree(leaves)
		if err != nil {
			c.t.Fatal(err)
		}
		m.Root = root
		if c.rng.IntN(2) == 0 {
			m.Leaves = leaves
		}
		for i := range proofs {
			c.claims = append(c.claims, &ledger.Claim{Gate: gate.key, Model: c.model, Epoch: epoch, Leaf: leaves[i], Proof: proofs[i]})
		}
	}
	c.send(gate, m)
}

// accuse proves a double result, or opens a case.
func (c *chaos) accuse(epoch uint64) {
	h, by := c.provider(), c.anybody()
	r := ledger.Result{Holder: h.key, Model: c.model, Epoch: epoch, Seq: uint64(c.rng.IntN(50)), Output: ledger.Hash{byte(c.rng.IntN(9))}}
	a := r.Sign(chain, h.private)
	if c.rng.IntN(3) == 0 {
		r.Output[1] = 1
		c.send(by, &ledger.Equivocation{Results: []ledger.Result{a, r.Sign(chain, h.private)}})
		return
	}
	c.send(by, &ledger.OpenCase{Results: []ledger.Result{a}})
	call := r.Call()
	c.cases = append(c.cases, state.CaseID(ledger.Sum([]byte("deed"), call[:]), c.l.Clock().Height))
}

// court has jurors commit, reveal and stay away, and losers appeal.
func (c *chaos) court() {
	for _, id := range c.cases {
		k, err := c.see().Case(c.t.Context(), id)
		if err != nil || k.Phase == ledger.PhaseFinal {
			continue
		}
		if k.Phase == ledger.PhaseAppeal && c.rng.IntN(3) == 0 {
			for _, p := range append(append([]someone(nil), c.gates...), c.holders...) {
				if p.key == k.Accused || p.key == k.Challenger {
					c.send(p, &ledger.AppealCase{Case: id})
				}
			}
		}
		for _, j := range k.Panel().Jurors {
			if c.rng.IntN(8) == 0 {
				continue
			}
			r := ledger.Ruling{Error: uint32(id[0]) * 1000}
			if c.rng.IntN(10) == 0 {
				r.Error = 7
			}
			for _, p := range append(append([]someone(nil), c.gates...), c.holders...) {
				switch {
				case p.key != j.Peer:
				case k.Phase == ledger.PhaseCommit:
					c.rulings[p.key] = r
					c.send(p, &ledger.CommitVerdict{Case: id, Commit: r.Commitment(id, k.Appealed, p.key, ledger.Hash{1})})
				case k.Phase == ledger.PhaseReveal:
					c.send(p, &ledger.RevealVerdict{Case: id, Ruling: c.rulings[p.key], Salt: ledger.Hash{1}})
				}
			}
		}
	}
}

// TestAnythingGoes: whatever people send, in any order, money is conserved to
// the unit in every pot, failures leave nothing, replays add nothing, and two
// machines agree on every bit after every block.
func TestAnythingGoes(t *testing.T) {
	accepted := map[ledger.Kind]int{}
	for seed := range uint64(3) {
		t.Log("seed", seed)
		s := shape{clients: 3, gates: 5, holders: 9, bond: 2000 * ledger.Neuro}
		c := &chaos{world: newWorld(t, s), twin: newWorld(t, s), rng: rand.New(rand.NewPCG(seed, 5)), rulings: map[ledger.Key]ledger.Ruling{}, sent: accepted}
		bound := ledger.Model{Active: true, Name: "demo", UnitsPerRow: seed, Floor: 1} // at first none
		if e1, e2 := c.l.Govern(&ledger.SetModel{ID: c.model, Model: bound}), c.twin.l.Govern(&ledger.SetModel{ID: c.model, Model: bound}); e1 != nil || e2 != nil {
			t.Fatal(e1, e2)
		}
		minted, _ := c.l.Supply()
		for range 120 {
			for range c.rng.IntN(6) {
				c.step()
			}
			c.court()
			for _, p := range append(append([]someone(nil), c.gates...), c.holders...) {
				if c.rng.IntN(4) > 0 {
					c.send(p, &ledger.Heartbeat{Epoch: c.l.Clock().Epoch, Tariffs: []ledger.Tariff{{Model: c.model, Price: ledger.Amount(c.rng.Uint64N(1 << c.rng.IntN(40)))}}})
				}
			}
			if e1, e2 := c.l.Tick(), c.twin.l.Tick(); e1 != nil || e2 != nil {
				t.Fatal(e1, e2)
			}
			c.audit()
			if c.l.Hash() != c.twin.l.Hash() {
				t.Fatalf("the machines differ after block %d", c.l.Clock().Height)
			}
		}
		if supply, _ := c.l.Supply(); supply > ledger.MaxSupply || supply == minted {
			t.Errorf("supply %v after %v", supply, minted)
		}
	}
	for k := ledger.KindSend; k < ledger.KindUpdateParams; k++ {
		if accepted[k] == 0 {
			t.Errorf("no message of kind %d was accepted", k)
		}
	}
	t.Log("accepted by kind:", accepted)
}

// BenchmarkSettle brings 1000 vouchers of as many clients through the state.
func BenchmarkSettle(b *testing.B) {
	const n = 1000
	w := newWorld(b, shape{clients: n, gates: 1, bond: 1_000_000 * ledger.Neuro})
	g := w.gates[0]
	for _, c := range w.clients {
		if _, err := w.l.Deliver(c.key, &ledger.Deposit{Model: w.model, Amount: 100 * ledger.Neuro}); err != nil {
			b.Fatal(err)
		}
	}
	w.epoch()
	round := func(cum ledger.Amount) *ledger.SettleEpoch {
		m := w.settlement(g, 1)
		for _, c := range w.clients {
			m.Tickets = append(m.Tickets, ledger.TicketOf(w.voucher(c, g, 1, 0, cum)))
		}
		return m
	}
	rounds := make([]*ledger.SettleEpoch, 64)
	for i := range rounds {
		rounds[i] = round(ledger.Amount(1000 * (i + 1)))
	}
	w.epoch()
	bytes, err := ledger.EncodeMsg(rounds[0])
	if err != nil {
		b.Fatal(err)
	}
	done := 0
	for b.Loop() {
		if done == len(rounds) {
			b.Fatal("more rounds than were made; use -benchtime 20x")
		}
		if _, err := w.l.Deliver(g.key, rounds[done]); err != nil {
			b.Fatal(err)
		}
		done++
	}
	b.ReportMetric(float64(n*done)/b.Elapsed().Seconds(), "vouchers/s")
	b.ReportMetric(float64(len(bytes))/n, "bytes/voucher")
}
