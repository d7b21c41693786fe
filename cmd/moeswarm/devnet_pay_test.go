package main

import (
	"context"
	be "encoding/binary"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/moeswarm/moeswarm/internal/ledger"
)

// stage is a swarm on a development ledger: two holders, one as slow as weights
// on a disk, of half the experts each, four gating nodes for three seats, and
// two clients with money.
type stage struct {
	*devnet
	holders, gates, clients []*devNode
	deposits                []ledger.Amount // of the clients
	purses                  []ledger.Amount // what they have signed for so far
	before                  ledger.Amount   // settled so far
	poor                    *devNode        // a client whose money is for some hundred tokens an epoch
}

// price of a token at the gating nodes, in nneuro.
const price = 1000

// newStage admits the model by vote, has everybody bond and deposit, and waits
// for the first committee.
func newStage(t *testing.T) *stage {
	s := &stage{devnet: startDevnet(t, "--voting-period", "3s", "--param", "seats=3", "--param", "audit_bps=0")}
	s.do("gov", "propose", "--data", s.account(0), "--title", "Admit the demo model", "model", s.model, "demo")
	votes := []func(){
		func() { s.do("wallet", "bond", "--data", s.account(0), "--role", "holder", "500") },
		func() { s.do("wallet", "bond", "--data", s.account(1), "--role", "holder", "400") },
	}
	for i := range 3 {
		key, empty := filepath.Join(s.home, s.validators[i].name, "node.key"), t.TempDir()
		votes = append(votes, func() { s.do("gov", "vote", "--key", key, "--data", empty, "1", "yes") })
	}
	for i, bond := range []string{"1000", "1500", "2000", "9000"} {
		votes = append(votes, func() { s.do("wallet", "bond", "--data", s.account(2+i), bond) })
	}
	s.all(votes...)
	s.holders = append(s.holders, s.node(0, "work=20ms", "--model", "demo", "--experts", "*:0-7"), s.node(1, "", "--model", "demo", "--experts", "*:8-15"))
	for i := range 4 {
		s.gates = append(s.gates, s.node(2+i, "", "--model", "demo", "--experts", "none", "--gate", "--drafts", "off", "--price", "1000nneuro"))
	}
	awaitLong(t, "the vote", func() bool {
		var m ledger.Model
		return s.past(s.clock().Height, ledger.KeyModel(s.modelHash()), &m) && m.Active
	})
	s.purses = make([]ledger.Amount, 2)
	s.deposits = []ledger.Amount{40 * ledger.Neuro, 30 * ledger.Neuro}
	s.all(
		func() { s.do("wallet", "deposit", "--data", s.account(6), s.model, "40") },
		func() { s.do("wallet", "deposit", "--data", s.account(7), s.model, "30") },
		func() { s.do("wallet", "deposit", "--data", s.account(8), s.model, "0.003") },
	)
	deposited := s.clock().Epoch
	for i := 6; i <= 7; i++ {
		s.clients = append(s.clients, s.node(i, "", "--max-spend", "5", "--verbose"))
	}
	s.poor = s.node(8, "", "--max-spend", "5")
	for _, c := range s.clients {
		c.seats(3)
	}
	s.await("an epoch that the deposits count in", func() bool {
		return s.clients[0].view().Ledger.Epoch > deposited && s.clients[1].view().Ledger.Epoch > deposited
	})
	return s
}

// await waits for what takes some epochs.
func (d *devnet) await(what string, good func() bool) {
	d.t.Helper()
	awaitLong(d.t, what, good)
}

// TestDevnet: what a swarm with a ledger does, scene by scene, all in real
// processes.
func TestDevnet(t *testing.T) {
	s := newStage(t)
	s.scene("paid", s.paid)
	s.scene("committees", s.committees)
	s.scene("gate killed", s.gateKilled)
	s.scene("validators killed", s.validatorsKilled)
	s.scene("double signer", s.doubleSigner)
}

// paid: answers of 256 tokens to both clients at once go on over two changes of
// the committee, token for token, and what the clients signed is what the
// gating nodes settled and what left the escrows.
func (s *stage) paid() {
	crossed := false
	for tries := 0; !crossed && tries < 3; tries++ { // a slow ledger may take one more
		var begun, ended [2]uint64
		s.all(func() { begun[0], ended[0] = s.answer(0) }, func() { begun[1], ended[1] = s.answer(1) })
		crossed = ended[0] >= begun[0]+2 && ended[1] >= begun[1]+2
		s.t.Logf("epochs %v to %v", begun, ended)
	}
	if !crossed {
		s.t.Error("no answer crossed two changes of the committee")
	}
	// One who has no money is answered too.
	newcomer := s.node(9, "")
	newcomer.seats(3)
	newcomer.ask(prompts[2], 16, nil)
	if v := newcomer.view().Ledger; v.Promised != 0 || v.Bought == 0 {
		s.t.Errorf("a newcomer promised %v for %d tokens", v.Promised, v.Bought)
	}
	newcomer.stop()
	for tries := 1; !s.exact(); tries++ {
		if tries == 3 {
			s.t.Fatal("what was signed was not what was settled, three times")
		}
		s.all(func() { s.answer(0) }, func() { s.answer(1) })
	}
}

// answer asks a client for 256 tokens and gives the epochs it began and ended
// in.
func (s *stage) answer(client int) (begun, ended uint64) {
	c := s.clients[client]
	begun = c.view().Ledger.Epoch
	c.ask(prompts[client], 256, nil)
	v := c.view().Ledger
	if v.Promised == 0 || v.Promised%price != 0 || v.Promised < ledger.Amount(v.Bought)*price {
		s.t.Errorf("%s promised %v for %d tokens", c.name, v.Promised, v.Bought)
	}
	return begun, v.Epoch
}

// exact stops the clients and compares sums, each from a book of its own: what the
// clients' purses say they signed since the last time, what the gating nodes took
// and what the ledger says they settled, and what is gone from the escrows. It
// reports false where a voucher was signed that no gating node took: at the end of
// an epoch one of them may know of it before the other. Then the split of all is
// computed again.
func (s *stage) exact() bool {
	var signed ledger.Amount
	for i, c := range s.clients {
		v := c.view()
		c.stop()
		purse := purseOf(s.t, filepath.Join(s.account(c.account), "ledger", v.Ledger.Chain, "purse.db"))
		if purse-s.purses[i] != v.Ledger.Promised {
			s.t.Errorf("%s says it promised %v, its purse %v after %v", c.name, v.Ledger.Promised, purse, s.purses[i])
		}
		s.purses[i] = purse
		signed += v.Ledger.Promised
	}
	var took, settled ledger.Amount
	for _, g := range s.gates {
		took += g.view().Ledger.Earned
	}
	var works []ledger.Work
	s.await("settlement", func() bool {
		works, settled = s.settled(), 0
		closed := true
		for _, w := range works {
			settled += w.Gross
			closed = closed && w.Closed
		}
		if settled > took {
			s.t.Fatalf("gating nodes settled %v of the %v that they took", settled, took)
		}
		return settled == took && closed
	})
	var left, put ledger.Amount
	for i, c := range s.clients {
		left += s.balance(c.account).Escrows[s.model].Balance
		put += s.deposits[i]
	}
	if put-left != settled {
		s.t.Errorf("%v are gone from the escrows, and gating nodes settled %v", put-left, settled)
	}
	for _, w := range works {
		fee := w.Gross * 700 / 10_000
		burned := fee * 2_000 / 10_000
		gate := (w.Gross - fee) * 2_500 / 10_000
		// What nobody paid for, as the newcomer's, is of the gating node's bond.
		if w.Burned != burned || w.Pool < w.Gross-fee-gate {
			s.t.Errorf("%+v; want %v burned and at least %v for the holders", w, burned, w.Gross-fee-gate)
		}
	}
	for _, h := range s.holders {
		s.await("pay for "+h.name, func() bool { return s.balance(h.account).Earned > 0 })
	}
	fresh := settled - s.before
	s.before = settled
	s.t.Logf("%v signed, %v settled, %v gone from the escrows in all, by %d settlements", signed, fresh, put-left, len(works))
	for _, c := range s.clients {
		c.again()
		c.seats(3)
	}
	if fresh > signed || fresh+4*16*price < signed {
		s.t.Errorf("%v signed and %v settled", signed, fresh)
	}
	return fresh == signed
}

// settled is all that gating nodes brought to the ledger so far.
func (s *stage) settled() (works []ledger.Work) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for epoch := range s.clock().Epoch + 1 {
		for _, g := range s.gates {
			w, err := s.reader.Work(ctx, epoch, s.modelHash(), g.key)
			if err != nil {
				s.t.Fatal(err)
			}
			if w.Gross > 0 {
				works = append(works, w)
			}
		}
	}
	return works
}

// purseOf reads what the purse in a file has signed for.
func purseOf(t *testing.T, path string) (n ledger.Amount) {
	t.Helper()
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{ReadOnly: true, Timeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	_ = db.View(func(tx *bbolt.Tx) error {
		n = ledger.Amount(be.BigEndian.Uint64(tx.Bucket([]byte("purse")).Get([]byte("spent"))))
		return nil
	})
	return n
}

// gateKilled: the gating node that works on an answer is killed in the middle of
// it. The next of those that the ledger gives the client goes on.
func (s *stage) gateKilled() {
	c := s.clients[0]
	failovers := c.view().Answers.Failovers
	var killed *devNode
	// An answer may begin in one epoch and be in the next when its gate is killed.
	before := c.view().Ledger.Seats[0].Gates
	var now []string
	c.ask(prompts[1], 128, func(i int) {
		if i != 40 {
			return
		}
		now = c.view().Ledger.Seats[0].Gates
		for _, g := range s.gates {
			if g.view().Gating.Running > 0 {
				killed = g
			}
		}
		if killed != nil {
			killed.kill()
		}
	})
	if ours := slices.Concat(before, now); killed == nil || !slices.Contains(ours, killed.peer) || len(before) != 3 || len(now) != 3 {
		s.t.Fatalf("the gating node is not one of %v", ours)
	}
	if v := c.view(); v.Answers.Failovers <= failovers {
		s.t.Errorf("%d failovers after %d", v.Answers.Failovers, failovers)
	}
	killed.again()
	// It is a member again once it was seen in two epochs, and settles what it
	// had on disk.
	epoch := s.clock().Epoch
	s.await("the killed gating node's heartbeat", func() bool {
		var p ledger.Provider
		return s.past(s.clock().Height, ledger.KeyProvider(killed.key), &p) && p.Beat.Epoch > epoch
	})
}
