package state

import (
	"fmt"

	"github.com/moeswarm/moeswarm/internal/ledger"
)

// escrow is a client's for a model as it stands now.
func (m *Machine) escrow(client ledger.Key, model ledger.Hash) ledger.Escrow {
	e := ledger.Escrow{Epoch: m.clock.Epoch}
	m.get(ledger.KeyEscrow(client, model), &e)
	return e.At(m.clock.Epoch)
}

func (m *Machine) putEscrow(client ledger.Key, model ledger.Hash, e ledger.Escrow) {
	m.set(ledger.KeyEscrow(client, model), &e)
}

func (m *Machine) deposit(signer ledger.Key, v *ledger.Deposit) error {
	var model ledger.Model
	switch {
	case v.Amount == 0:
		return fmt.Errorf("%w: an amount of nothing", ledger.ErrMalformed)
	case !m.get(ledger.KeyModel(v.Model), &model) || !model.Active:
		return fmt.Errorf("%w: model %v is not admitted", ledger.ErrUnknown, v.Model)
	}
	if err := m.move(account(signer), pot(PotEscrow), v.Amount); err != nil {
		return err
	}
	e := m.escrow(signer, v.Model)
	e.Balance += v.Amount
	m.putEscrow(signer, v.Model, e)
	return nil
}

func (m *Machine) requestWithdraw(signer ledger.Key, v *ledger.RequestWithdraw) error {
	e := m.escrow(signer, v.Model)
	if v.Amount > e.Balance {
		return fmt.Errorf("%w: to withdraw %v of %v", ledger.ErrFunds, v.Amount, e.Balance)
	}
	e.Withdraw, e.Release = v.Amount, m.clock.Epoch+m.params.WithdrawEpochs
	if v.Amount > 0 {
		m.set(ledger.KeyWithdrawal(e.Release, signer, v.Model), &ledger.Count{})
	}
	m.putEscrow(signer, v.Model, e)
	return nil
}

// releaseEscrows pays out what was asked for early enough, as far as gates left
// it there. The clock is at the epoch already.
func (m *Machine) releaseEscrows() error {
	for _, key := range m.keys(ledger.PrefixEpoch("wd", m.clock.Epoch)) {
		m.kv.Delete(key)
		client, model := ledger.Key(key[len(key)-64:len(key)-32]), ledger.Hash(key[len(key)-32:])
		e := m.escrow(client, model)
		if e.Release != m.clock.Epoch {
			continue // asked anew since
		}
		out := min(e.Withdraw, e.Balance-e.Reserved())
		if err := m.move(pot(PotEscrow), account(client), out); err != nil {
			return err
		}
		e.Balance -= out
		e.Withdraw, e.Release = 0, 0
		m.putEscrow(client, model, e)
	}
	return nil
}
