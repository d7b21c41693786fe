package attacks

import (
	"errors"
	"time"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/gating/prompt"
	"github.com/moeswarm/moeswarm/internal/ledger"
	"github.com/moeswarm/moeswarm/internal/toll"
)

// unpaid: a client pays the first window of an answer, as it must, takes what
// comes until the gate stops, and begins again, at all of its gates, until none
// answers any more. The gates are the node's own, with their tills.
func unpaid() Attack {
	return Attack{"unpaid", "a client stops paying in the middle of an answer, again and again; a gate stops after a window, and after some of them for the epoch", func() Outcome {
		s := newStage(cast{clients: 1, gates: 3, holders: 1})
		c := s.clients[0]
		s.do(c, &ledger.Deposit{Model: s.model, Amount: 400 * ledger.Neuro})
		s.epochs(1)
		window := s.p.VoucherTokens
		gates, _ := s.assigned(c)
		given, paid, answers := uint64(0), uint64(0), 0
		s.withBooks(func(b *books) {
			payer := toll.NewPayer(toll.PayerConfig{
				Chain: chain, Self: c.key, Purse: b.purse(c, 400*ledger.Neuro), Window: func() uint64 { return window }, Epoch: s.epoch,
				Price:  func(ledger.Key, ledger.Hash) ledger.Amount { return tokenPrice },
				Period: func(ledger.Key, ledger.Hash) (uint64, bool) { return s.epoch(), true },
			})
			for _, g := range gates {
				none := func() uint64 { return 0 }
				gate := toll.NewGate(toll.GateConfig{
					Chain: chain, Key: g.private, Till: b.till(g), Window: func() uint64 { return window }, Free: none, FreeAll: none, Epoch: s.epoch,
					Price:  func(ledger.Hash) ledger.Amount { return tokenPrice },
					Member: func(ledger.Key, ledger.Hash) error { return nil },
					Wait:   time.Millisecond,
				})
				for ; answers < 1000; answers++ {
					n, ok := s.takeUnpaid(payer, gate, c, g)
					if given += n; !ok {
						break
					}
				}
				money, _ := gate.Earned()
				paid += uint64(money) / tokenPrice
			}
		})
		lost := float64(given) - float64(paid)
		most := float64(6 * window * uint64(len(gates)))
		return Outcome{Gain: lost * tokenPrice / float64(ledger.Neuro), Bound: most * tokenPrice / float64(ledger.Neuro), Numbers: map[string]float64{
			"tokens_given": float64(given), "tokens_paid": float64(paid), "tokens_unpaid": lost, "tokens_unpaid_a_gate": lost / float64(len(gates)), "answers": float64(answers),
		}}
	}}
}

// takeUnpaid is one answer of which the first window is paid, in a session of
// its own. ok is false when the gate gives none.
func (s *stage) takeUnpaid(payer *toll.Payer, gate *toll.Gate, c, g person) (tokens uint64, ok bool) {
	r := prompt.Request{Model: expert.ModelID(s.model)}
	tab, err := gate.Open(c.key, r, nil)
	if errors.Is(err, prompt.ErrUnpaid) {
		return 0, false
	}
	check(err)
	defer tab.Close()
	bill := payer.Open(g.key, r, nil)
	defer func() {
		bill.Close(0, 0)
		payer.Distrust(g.key, s.model) // the next answer is a new session
	}()
	first, err := bill.First(s.ctx())
	check(err)
	if err := tab.Pay(first); err != nil {
		return 0, false
	}
	if err := tab.Cover(s.ctx(), prompt.Chunk{}); err != nil {
		return 0, false
	}
	for {
		token := prompt.Chunk{HasToken: true, Token: int32(tokens)}
		if err := tab.Cover(s.ctx(), token); err != nil {
			return tokens, true
		}
		tab.Seal(token)
		tokens++
	}
}
