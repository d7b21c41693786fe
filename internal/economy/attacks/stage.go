package attacks

import (
	"context"
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/moeswarm/moeswarm/internal/ledger"
	"github.com/moeswarm/moeswarm/internal/ledger/mem"
	"github.com/moeswarm/moeswarm/internal/ledger/state"
)

const chain = "attacks"

var errNotGuilty = errors.New("a jury did not find a liar guilty")

// stageError ends a play whose stage broke; Run returns it.
type stageError struct{ error }

func check(err error) {
	if err != nil {
		panic(stageError{err})
	}
}

// person has a key.
type person struct {
	private ed25519.PrivateKey
	key     ledger.Key
}

func newPerson(name string, i int) person {
	seed := ledger.Sum([]byte(name), binary.BigEndian.AppendUint64(nil, uint64(i)))
	p := ed25519.NewKeyFromSeed(seed[:])
	return person{p, ledger.KeyOf(p)}
}

// stage is a ledger with people on it. All are present in every epoch.
type stage struct {
	ledger  *mem.Ledger
	p       ledger.Params
	model   ledger.Hash
	clients []person
	gates   []person
	holders []person
	tariffs []ledger.Tariff // that all say
}

// cast is who is on a stage.
type cast struct {
	clients, gates, holders int
	bond                    ledger.Amount // of each gate and holder; 0: 10,000 NEURO
	emission                bool
	unitsPerRow             uint64
	change                  func(*ledger.Params)
}

// purse is what everybody has beside bonds.
const purse = 1000 * ledger.Neuro

func newStage(c cast) *stage {
	s := &stage{model: ledger.Hash{7}, p: ledger.DefaultParams()}
	s.p.EpochBlocks = 12
	s.p.CommitBlocks, s.p.RevealBlocks, s.p.AppealBlocks, s.p.DisputeBlocks = 4, 4, 4, 4
	if !c.emission {
		s.p.EmissionStart = 0
	}
	if c.change != nil {
		c.change(&s.p)
	}
	if c.bond == 0 {
		c.bond = 10_000 * ledger.Neuro
	}
	g := state.Genesis{
		Params:    s.p,
		Models:    map[ledger.Hash]ledger.Model{s.model: {Active: true, Name: "demo", Floor: 1000, UnitsPerRow: c.unitsPerRow}},
		Providers: map[ledger.Key]ledger.Provider{},
	}
	accounts := map[ledger.Key]ledger.Amount{}
	hire := func(name string, n int, roles ledger.Role) (all []person) {
		for i := range n {
			p := newPerson(name, i)
			accounts[p.key] = purse
			all = append(all, p)
			if roles == 0 {
				continue
			}
			v := ledger.Provider{Roles: roles, Class: ledger.ClassB, Bond: c.bond}
			if roles&ledger.RoleGate != 0 {
				v.Gated = []ledger.Hash{s.model}
			}
			g.Providers[p.key] = v
		}
		return all
	}
	s.clients = hire("client", c.clients, 0)
	s.gates = hire("gate", c.gates, ledger.RoleGate|ledger.RoleHolder)
	s.holders = hire("holder", c.holders, ledger.RoleHolder)
	var err error
	s.ledger, err = mem.New(mem.Config{Chain: chain, Genesis: g, Accounts: accounts})
	check(err)
	return s
}

// do has a message succeed; try says whether it did.
func (s *stage) do(p person, m ledger.Msg) {
	if _, err := s.ledger.Deliver(p.key, m); err != nil {
		check(fmt.Errorf("%T: %w", m, err))
	}
}

func (s *stage) try(p person, m ledger.Msg) bool {
	_, err := s.ledger.Deliver(p.key, m)
	return err == nil
}

func (s *stage) beat() {
	for _, p := range append(append([]person(nil), s.gates...), s.holders...) {
		s.do(p, &ledger.Heartbeat{Epoch: s.ledger.Clock().Epoch, Tariffs: s.tariffs})
	}
}

func (s *stage) blocks(n int) {
	for range n {
		s.beat()
		check(s.ledger.Tick())
	}
}

func (s *stage) epochs(n int) {
	for range n {
		s.beat()
		check(s.ledger.NextEpoch())
		check(s.ledger.Audit())
	}
}

func (s *stage) epoch() uint64 { return s.ledger.Clock().Epoch }

func (s *stage) ctx() context.Context { return context.Background() }

func (s *stage) view() ledger.View { return ledger.View{Getter: s.ledger.As(ledger.Key{})} }

// worth is all that people have on the ledger, escrows of clients included.
func (s *stage) worth(all ...person) float64 {
	var sum ledger.Amount
	for _, p := range all {
		sum += s.ledger.Money(state.Account{Key: p.key})
		v, err := s.view().Provider(context.Background(), p.key)
		if err == nil {
			sum += v.Stake()
		} else if !errors.Is(err, ledger.ErrUnknown) {
			check(err)
		}
		e, err := s.view().Escrow(context.Background(), p.key, s.model)
		if err != nil && !errors.Is(err, ledger.ErrUnknown) {
			check(err)
		}
		sum += e.Balance
	}
	return neuro(sum)
}

func neuro(n ledger.Amount) float64 { return float64(n) / float64(ledger.Neuro) }

// assigned are the gates of a client in this epoch, best first, and its budget.
func (s *stage) assigned(c person) (gates []person, budget ledger.Amount) {
	ctx := context.Background()
	seats, err := s.view().Committee(ctx, s.epoch(), s.model)
	check(err)
	seed, err := s.view().Seed(ctx, s.epoch())
	check(err)
	for _, k := range ledger.Assigned(seed, c.key, seats) {
		for _, g := range s.gates {
			if g.key == k {
				gates = append(gates, g)
			}
		}
	}
	e, err := s.view().Escrow(ctx, c.key, s.model)
	check(err)
	return gates, e.At(s.epoch()).Budget[0]
}

// voucher is a client's promise of this epoch; tokens cost 1000 nneuro.
func (s *stage) voucher(c, gate person, epoch uint64, session byte, cum ledger.Amount) ledger.Voucher {
	return ledger.Voucher{Client: c.key, Gate: gate.key, Model: s.model, Epoch: epoch, Session: ledger.Session{session},
		Tokens: uint64(cum) / 1000, Cum: cum}.Sign(chain, c.private)
}

func (s *stage) settlement(gate person, epoch uint64, vouchers ...ledger.Voucher) *ledger.SettleEpoch {
	m := &ledger.SettleEpoch{Gate: gate.key, Model: s.model, Epoch: epoch}
	for _, v := range vouchers {
		m.Tickets = append(m.Tickets, ledger.TicketOf(v))
	}
	return m
}

func (s *stage) closing(gate person, epoch uint64, leaves []ledger.Leaf, vouchers ...ledger.Voucher) *ledger.SettleEpoch {
	m := s.settlement(gate, epoch, vouchers...)
	m.Close = true
	if len(leaves) > 0 {
		root, _, err := ledger.Tree(leaves)
		check(err)
		m.Root, m.Leaves = root, leaves
	}
	return m
}

// paid is a stage on which a client deposited, an epoch began, and its first
// gate has a voucher for so much of it, which is over.
func (s *stage) paid(c person, deposit, cum ledger.Amount) (gate person, epoch uint64, v ledger.Voucher) {
	s.do(c, &ledger.Deposit{Model: s.model, Amount: deposit})
	s.epochs(1)
	gates, _ := s.assigned(c)
	epoch = s.epoch()
	v = s.voucher(c, gates[0], epoch, 1, cum)
	s.epochs(1)
	return gates[0], epoch, v
}

// receipt shows what a gate signed for a holder.
func (s *stage) receipt(gate, holder person, epoch, units uint64) *ledger.DisputeReceipt {
	r := ledger.Receipt{Gate: gate.key, Holder: holder.key, Model: s.model, Epoch: epoch, Units: units}
	return &ledger.DisputeReceipt{Receipt: r.Sign(chain, gate.private)}
}

// trial has a jury rule on a deed; nobody appeals.
func (s *stage) trial(challenger person, open *ledger.OpenCase, deed ledger.Hash, ruling ledger.Ruling) ledger.Case {
	s.do(challenger, open)
	id := state.CaseID(ledger.Sum([]byte("deed"), deed[:]), s.ledger.Clock().Height)
	s.blocks(2)
	jurors, salt := s.caseOf(id).First.Jurors, ledger.Hash{9}
	for _, j := range jurors {
		s.do(s.find(j.Peer), &ledger.CommitVerdict{Case: id, Commit: ruling.Commitment(id, false, j.Peer, salt)})
	}
	s.blocks(int(s.p.CommitBlocks))
	for _, j := range jurors {
		s.do(s.find(j.Peer), &ledger.RevealVerdict{Case: id, Ruling: ruling, Salt: salt})
	}
	s.blocks(int(s.p.RevealBlocks + s.p.AppealBlocks))
	return s.caseOf(id)
}

func (s *stage) caseOf(id ledger.Hash) ledger.Case {
	k, err := s.view().Case(context.Background(), id)
	check(err)
	return k
}

func (s *stage) find(k ledger.Key) person {
	for _, p := range append(append([]person(nil), s.gates...), s.holders...) {
		if p.key == k {
			return p
		}
	}
	check(fmt.Errorf("nobody has key %v", k))
	return person{}
}

// result is a holder's signed answer of an epoch.
func (s *stage) result(holder, gate person, seq uint64, output byte) ledger.Result {
	return ledger.Result{Holder: holder.key, Gate: gate.key, Model: s.model, Epoch: s.epoch(), Seq: seq, Output: ledger.Hash{output}}.Sign(chain, holder.private)
}
