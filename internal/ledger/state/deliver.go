package state

import (
	"fmt"

	"github.com/moeswarm/moeswarm/internal/ledger"
)

// Deliver applies a message of a signer, whose signature the host has verified.
// When it fails the host takes back all writes.
func (m *Machine) Deliver(signer ledger.Key, msg ledger.Msg) ([]ledger.Event, error) {
	m.events = nil
	if err := m.apply(signer, msg); err != nil {
		return nil, err
	}
	return m.events, nil
}

func (m *Machine) apply(signer ledger.Key, msg ledger.Msg) error {
	switch v := msg.(type) {
	case *ledger.Send:
		return m.send(signer, v)
	case *ledger.RegisterProvider:
		return m.register(signer, v)
	case *ledger.Heartbeat:
		return m.heartbeat(signer, v)
	case *ledger.Bond:
		return m.bond(signer, v)
	case *ledger.Unbond:
		return m.unbond(signer, v)
	case *ledger.Deposit:
		return m.deposit(signer, v)
	case *ledger.RequestWithdraw:
		return m.requestWithdraw(signer, v)
	case *ledger.SettleEpoch:
		return m.settle(signer, v)
	case *ledger.Claim:
		return m.claim(v)
	case *ledger.DisputeReceipt:
		return m.dispute(v)
	case *ledger.Equivocation:
		return m.equivocation(signer, v)
	case *ledger.OpenCase:
		return m.openCase(signer, v)
	case *ledger.CommitVerdict:
		return m.commitVerdict(signer, v)
	case *ledger.RevealVerdict:
		return m.revealVerdict(signer, v)
	case *ledger.AppealCase:
		return m.appealCase(signer, v)
	case *ledger.CommitTally:
		return m.commitTally(signer, v)
	case *ledger.UpdateParams, *ledger.SetModel:
		return fmt.Errorf("%w: only governance changes parameters and models", ledger.ErrUnauthorized)
	}
	return fmt.Errorf("%w: message %T", ledger.ErrMalformed, msg)
}

func (m *Machine) send(signer ledger.Key, v *ledger.Send) error {
	if v.Amount == 0 {
		return fmt.Errorf("%w: an amount of nothing", ledger.ErrMalformed)
	}
	return m.move(account(signer), account(v.To), v.Amount)
}
