package state

import (
	"fmt"
	"slices"

	"github.com/moeswarm/moeswarm/internal/ledger"
)

func (m *Machine) register(signer ledger.Key, v *ledger.RegisterProvider) error {
	if v.Roles == 0 {
		return fmt.Errorf("%w: a provider without a role", ledger.ErrMalformed)
	}
	for i, id := range v.Gated {
		if !m.get(ledger.KeyModel(id), new(ledger.Model)) {
			return fmt.Errorf("%w: model %v is not admitted", ledger.ErrUnknown, id)
		}
		if slices.Contains(v.Gated[:i], id) {
			return fmt.Errorf("%w: model %v twice", ledger.ErrMalformed, id)
		}
	}
	for i, n := range v.Nets {
		if !n.Valid() || slices.Contains(v.Nets[:i], n) {
			return fmt.Errorf("%w: %v twice, or none", ledger.ErrMalformed, n)
		}
	}
	p, err := m.provider(signer)
	if err != nil {
		p = ledger.Provider{Rep: uint16(m.params.StartRep), Counted: 0, CountedAt: m.clock.Epoch}
	}
	if p.OpenCases > 0 && p.Class != v.Class {
		return fmt.Errorf("%w: the numeric class stays while a case is open", ledger.ErrUnauthorized)
	}
	if p.VRF != v.VRF {
		// A new key is in force after a full epoch, so that nobody chooses one
		// by what it would give.
		p.VRF, p.VRFSince = v.VRF, m.clock.Epoch+2
	}
	p.Roles, p.Class, p.Name, p.Team, p.Gated, p.Nets = v.Roles, v.Class, v.Name, v.Team, v.Gated, v.Nets
	m.putProvider(signer, p)
	return nil
}

func (m *Machine) heartbeat(signer ledger.Key, v *ledger.Heartbeat) error {
	if v.Epoch != m.clock.Epoch {
		return fmt.Errorf("%w: a heartbeat for epoch %d in epoch %d", ledger.ErrTooLate, v.Epoch, m.clock.Epoch)
	}
	p, err := m.provider(signer)
	if err != nil {
		return err
	}
	if beat := (ledger.Beat{Any: true, Epoch: v.Epoch}); p.Beat != beat {
		p.Beat, p.BeatBefore, p.Tested = beat, p.Beat, nil
	}
	for _, t := range v.Tests {
		var model ledger.Model
		if m.get(ledger.KeyModel(t.Model), &model) && ledger.SameMarks(model.SelfTest, t.Marks) &&
			!slices.Contains(p.Tested, t.Model) && len(p.Tested) < ledger.MaxGated {
			p.Tested = append(p.Tested, t.Model)
		}
	}
	for i, t := range v.Tariffs {
		if slices.ContainsFunc(v.Tariffs[:i], func(o ledger.Tariff) bool { return o.Model == t.Model }) {
			return fmt.Errorf("%w: two tariffs of model %v", ledger.ErrMalformed, t.Model)
		}
	}
	p.Tariffs = v.Tariffs
	m.putProvider(signer, p)
	return nil
}

func (m *Machine) bond(signer ledger.Key, v *ledger.Bond) error {
	if v.Amount == 0 {
		return fmt.Errorf("%w: an amount of nothing", ledger.ErrMalformed)
	}
	p, err := m.provider(signer)
	if err != nil {
		return err
	}
	if err := m.move(account(signer), pot(PotBond), v.Amount); err != nil {
		return err
	}
	m.count(&p)
	p.Bond += v.Amount
	m.putProvider(signer, p)
	return nil
}

func (m *Machine) unbond(signer ledger.Key, v *ledger.Unbond) error {
	p, err := m.provider(signer)
	if err != nil {
		return err
	}
	if v.Amount == 0 || v.Amount > p.Bond {
		return fmt.Errorf("%w: to unbond %v of %v", ledger.ErrFunds, v.Amount, p.Bond)
	}
	until := m.clock.Epoch + m.params.UnbondEpochs
	m.count(&p)
	p.Bond -= v.Amount
	if n := len(p.Unbonding); n > 0 && p.Unbonding[n-1].Epoch == until {
		p.Unbonding[n-1].Amount += v.Amount
	} else if n >= ledger.MaxUnbonding {
		return fmt.Errorf("%w: %d parts of the bond are unbonding already", ledger.ErrCap, n)
	} else {
		p.Unbonding = append(p.Unbonding, ledger.Unbonding{Amount: v.Amount, Epoch: until})
	}
	m.set(ledger.KeyUnbonding(until, signer), &ledger.Count{})
	m.putProvider(signer, p)
	return nil
}

// Bonds visits the providers that have a bond, in the order of their keys.
func (m *Machine) Bonds(f func(ledger.Key, ledger.Amount)) {
	for _, key := range m.keys(ledger.Prefix("prov")) {
		var p ledger.Provider
		if m.get(key, &p); p.Bond > 0 {
			f(ledger.Key(key[len(key)-32:]), p.Bond)
		}
	}
}

// releaseBonds pays out what has unbonded by the start of an epoch. While a case
// is open the rest stays, and is looked at again an epoch later.
func (m *Machine) releaseBonds(epoch uint64) error {
	for _, key := range m.keys(ledger.PrefixEpoch("unb", epoch)) {
		m.kv.Delete(key)
		k := ledger.Key(key[len(key)-32:])
		p, err := m.provider(k)
		if err != nil {
			return err
		}
		if p.OpenCases > 0 {
			m.set(ledger.KeyUnbonding(epoch+1, k), &ledger.Count{})
			continue
		}
		var out ledger.Amount
		p.Unbonding = slices.DeleteFunc(p.Unbonding, func(u ledger.Unbonding) bool {
			if u.Epoch > epoch {
				return false
			}
			out += u.Amount
			return true
		})
		if err := m.move(pot(PotBond), account(k), out); err != nil {
			return err
		}
		m.putProvider(k, p)
	}
	return nil
}
