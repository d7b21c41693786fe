package node

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/internal/account"
	"github.com/moeswarm/moeswarm/internal/ledger"
	"github.com/moeswarm/moeswarm/swarm"
)

// run follows the ledger until ctx ends: a heartbeat in each epoch, settlement
// of epochs that are over, disputes about those that gating nodes settled.
func (e *economy) run(ctx context.Context) error {
	events, err := e.cfg.Ledger.Events(ctx)
	if err != nil {
		e.node.cfg.Log.Warn("the ledger does not tell what happens; it is looked at from time to time", "err", err)
	}
	var told uint64 // the newest epoch that an event named
	soon := 0       // looks for it so far
	for {
		e.turn(ctx)
		wait := lookEvery
		if soon++; told > e.standing.epoch.Load() && soon < maxSoon {
			// What is proved is a block behind what is told.
			wait = lookSoon
		}
		if epoch := e.wait(ctx, events, wait); epoch > told {
			told, soon = epoch, 0
		}
		if ctx.Err() != nil {
			return nil
		}
	}
}

// wait lets a time pass, or until the ledger tells of a new epoch, which it
// returns, or of something that concerns this node.
func (e *economy) wait(ctx context.Context, events <-chan ledger.Event, most time.Duration) (epoch uint64) {
	over := time.NewTimer(most)
	defer over.Stop()
	for {
		select {
		case <-ctx.Done():
			return 0
		case <-over.C:
			return 0
		case ev, ok := <-events:
			switch {
			case !ok:
				events = nil // the rest of the time passes
			case ev.Kind == ledger.EventEpoch:
				return ev.Epoch
			case ev.Peer == e.self:
				return 0
			}
		}
	}
}

// turn looks at the ledger and does what is due in a new epoch. What fails is
// tried again at the next look.
func (e *economy) turn(ctx context.Context) {
	_, err := e.standing.look(ctx)
	if err == nil {
		err = e.watch(ctx)
	}
	if err == nil {
		err = e.outputs.turn(e.standing.epoch.Load())
	}
	if err == nil {
		err = e.duties(ctx)
	}
	if err != nil && ctx.Err() == nil {
		e.complain(err)
		return
	}
	e.complain(nil)
}

// watch reads the committees of the models that this node knows, so that they are
// at hand when a prompt comes.
func (e *economy) watch(ctx context.Context) error {
	for _, m := range e.node.net.Models() {
		if _, _, err := e.standing.seats(ctx, e.standing.epoch.Load(), ledger.Hash(m.Model)); err != nil {
			return fmt.Errorf("the committee of model %s: %w", m.Name, err)
		}
	}
	return nil
}

const (
	// lookSoon is the pause between looks for an epoch that was told of, and
	// maxSoon how many there are: some blocks.
	lookSoon = 250 * time.Millisecond
	maxSoon  = 40
)

// complain tells people once of a trouble with the ledger.
func (e *economy) complain(err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	e.mu.Lock()
	told := e.trouble == text
	e.trouble = text
	e.mu.Unlock()
	if !told && err != nil {
		e.node.cfg.Say("ledger: %v", err)
	}
}

// duties does what this node owes the ledger in the present epoch, once.
func (e *economy) duties(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, dutyTime)
	defer cancel()
	epoch := e.standing.epoch.Load()
	own, err := e.cfg.Ledger.Provider(ctx, e.self)
	if err != nil && !errors.Is(err, ledger.ErrUnknown) {
		return err
	}
	unknown := err != nil
	balance, err := e.cfg.Ledger.Balance(ctx, e.self)
	if err != nil {
		return err
	}
	e.mu.Lock()
	e.own, e.balance = own, balance
	settled := e.settled
	e.mu.Unlock()
	roles, gated := e.roles()
	if roles == 0 {
		return nil
	}
	nets := netsOf(e.node.Addrs())
	if unknown || own.Roles&roles != roles || !subset(gated, own.Gated) || !subset(nets, own.Nets) && e.netsIn < epoch {
		e.netsIn = epoch
		msg := &ledger.RegisterProvider{Roles: own.Roles | roles, Class: own.Class, Name: own.Name, Team: own.Team, VRF: own.VRF, Gated: gated, Nets: nets}
		if e.cfg.Name != "" {
			msg.Name = e.cfg.Name
		}
		if e.cfg.Team != "" {
			msg.Team = e.cfg.Team
		}
		if _, err := e.cfg.Ledger.Submit(ctx, msg); err != nil {
			return fmt.Errorf("registering as a provider: %w", err)
		}
	}
	tests, tariffs := e.selfTests(ctx, epoch, own, gated), e.tariffs(gated)
	if len(tests) > 0 || own.Beat != (ledger.Beat{Any: true, Epoch: epoch}) || !slices.Equal(tariffs, own.Tariffs) {
		if _, err := e.cfg.Ledger.Submit(ctx, &ledger.Heartbeat{Epoch: epoch, Tests: tests, Tariffs: tariffs}); err != nil && !errors.Is(err, ledger.ErrTooLate) {
			return fmt.Errorf("heartbeat: %w", err)
		}
	}
	if epoch <= settled {
		return nil
	}
	if err := e.settle(ctx, epoch); err != nil {
		return err
	}
	if err := e.commitTallies(ctx, epoch); err != nil {
		return err
	}
	e.mu.Lock()
	e.settled = epoch
	e.mu.Unlock()
	return nil
}

// dutyTime bounds what is done in one look: some blocks.
const dutyTime = 2 * time.Minute

// graceEpochs is for how many epochs an answer that began in one may go on, so
// that vouchers of it still come: settlement waits for them.
const graceEpochs = 1

// settle brings to the ledger what is final now: vouchers of the epoch before
// the last, and receipts of it. A receipt that comes before its gating node
// settles waits there.
func (e *economy) settle(ctx context.Context, epoch uint64) error {
	if epoch <= graceEpochs {
		return nil
	}
	over := epoch - graceEpochs - 1
	e.credits.Flush()
	if err := e.till.Settle(ctx, over); err != nil {
		return fmt.Errorf("settling epoch %d: %w", over, err)
	}
	if err := e.dispute(ctx); err != nil {
		return err
	}
	return nil
}

// dispute shows the ledger receipts that their gating nodes left out.
func (e *economy) dispute(ctx context.Context) error {
	var epochs []uint64
	for _, r := range e.stub.Receipts() { // in the order of epochs
		if r.Epoch < e.standing.epoch.Load() && (len(epochs) == 0 || epochs[len(epochs)-1] != r.Epoch) {
			epochs = append(epochs, r.Epoch)
		}
	}
	var errs []error
	for _, epoch := range epochs {
		errs = append(errs, e.stub.Dispute(ctx, epoch))
	}
	return errors.Join(errs...)
}

// roles is what this node does for others, and which models it gates.
func (e *economy) roles() (roles ledger.Role, gated []ledger.Hash) {
	for _, m := range e.node.cfg.Models {
		if m.mayGate() {
			roles |= ledger.RoleGate
			gated = append(gated, ledger.Hash(m.Model.ID()))
		}
		if len(m.Hold) > 0 || m.Auto || !m.Model.Whole() {
			roles |= ledger.RoleHolder
		}
	}
	return roles, gated
}

// tariffs are what this node takes for a token of the models that it gates.
func (e *economy) tariffs(gated []ledger.Hash) (all []ledger.Tariff) {
	for _, id := range gated {
		if p := e.cfg.price(expert.ModelID(id)); p > 0 {
			all = append(all, ledger.Tariff{Model: id, Price: p})
		}
	}
	return all
}

// netsOf are the public networks that a node's addresses lie in.
func netsOf(addrs []string) (nets []ledger.Net) {
	for _, a := range addrs {
		part := strings.Split(a, "/") // "", "ip4", the address, …
		if len(part) < 3 || part[1] != "ip4" && part[1] != "ip6" {
			continue
		}
		ip, err := netip.ParseAddr(part[2])
		if err != nil {
			continue
		}
		if n, ok := ledger.NetOf(ip); ok && !slices.Contains(nets, n) && len(nets) < ledger.MaxNets {
			nets = append(nets, n)
		}
	}
	return nets
}

func subset[T comparable](a, b []T) bool {
	return !slices.ContainsFunc(a, func(h T) bool { return !slices.Contains(b, h) })
}

// EconomyView is this node's part in the economy.
type EconomyView struct {
	Chain   string `json:"chain"`
	Account string `json:"account"`
	Key     string `json:"public_key"`
	Epoch   uint64 `json:"epoch"`
	// Balance, Bond and what follows are in nneuro, 10^-9 NEURO.
	Balance  ledger.Amount `json:"balance_nneuro"`
	Bond     ledger.Amount `json:"bond_nneuro"`
	Price    ledger.Amount `json:"price_nneuro"` // of a token gated here
	Promised ledger.Amount `json:"promised_nneuro"`
	Earned   ledger.Amount `json:"vouchers_nneuro"`    // taken for gating since the node began
	Income   ledger.Amount `json:"earned_ever_nneuro"` // as the ledger has it
	Bought   uint64        `json:"tokens_bought"`      // prompt and answer, of other gating nodes
	Sold     uint64        `json:"tokens_gated_for_others"`
	Seats    []SeatView    `json:"seats"`
	Audits   OutputsView   `json:"audits_of_answers"`
	Trouble  string        `json:"trouble,omitempty"`
}

// SeatView is one model's committee.
type SeatView struct {
	Model string   `json:"model"`
	Size  int      `json:"committee"`
	Ours  bool     `json:"seat_here"`
	Until uint64   `json:"until_epoch,omitempty"`
	Gates []string `json:"gates_for_this_node"`
}

func (e *economy) view() *EconomyView {
	if e == nil {
		return nil
	}
	epoch := e.standing.epoch.Load()
	v := &EconomyView{Chain: e.cfg.Chain, Account: account.Of(e.self).String(), Key: e.self.String(), Epoch: epoch, Price: e.cfg.Price, Seats: []SeatView{}}
	v.Promised, v.Bought = e.payer.Spent()
	v.Earned, v.Sold = e.gate.Earned()
	v.Audits = e.outputs.view()
	e.mu.Lock()
	v.Balance, v.Bond, v.Income, v.Trouble = e.balance, e.own.Bond, e.own.Earned, e.trouble
	e.mu.Unlock()
	for _, m := range e.node.net.Models() {
		seats, seed, ok := e.standing.known(epoch, ledger.Hash(m.Model))
		if !ok {
			continue
		}
		s := SeatView{Model: m.Name, Size: len(seats), Gates: []string{}}
		if seat, ours := e.standing.seat(e.self, m.Model); ours {
			s.Ours, s.Until = true, seat.Until
		}
		for _, k := range ledger.Assigned(seed, e.self, seats) {
			if p, err := swarm.PeerOf(k); err == nil {
				s.Gates = append(s.Gates, string(p))
			}
		}
		v.Seats = append(v.Seats, s)
	}
	return v
}
