package state

import (
	"fmt"
	"slices"

	"github.com/moeswarm/moeswarm/internal/ledger"
)

// maxModels bounds the models that were ever admitted: every epoch elects for
// each.
const maxModels = 256

// Govern applies a message that governance decided; the host has checked that.
func (m *Machine) Govern(msg ledger.Msg) ([]ledger.Event, error) {
	m.events = nil
	var err error
	switch v := msg.(type) {
	case *ledger.UpdateParams:
		err = m.updateParams(v)
	case *ledger.SetModel:
		err = m.setModel(v)
	default:
		err = fmt.Errorf("%w: %T is no matter of governance", ledger.ErrMalformed, msg)
	}
	if err != nil {
		return nil, err
	}
	m.event(ledger.Event{Kind: ledger.EventParams})
	return m.events, nil
}

func (m *Machine) updateParams(v *ledger.UpdateParams) error {
	p := m.params
	for _, c := range v.Changes {
		if err := p.Set(c.Name, c.Value); err != nil {
			return err
		}
	}
	if err := p.Check(); err != nil {
		return err
	}
	m.params = p
	m.set(ledger.KeyParams(), &p)
	return nil
}

func (m *Machine) setModel(v *ledger.SetModel) error {
	model := v.Model
	model.AdmittedFrom = m.clock.Epoch
	var before ledger.Model
	if m.get(ledger.KeyModel(v.ID), &before) {
		model.AdmittedFrom = before.AdmittedFrom
	} else if len(m.keys(ledger.Prefix("model"))) >= maxModels {
		return fmt.Errorf("%w: %d models", ledger.ErrCap, maxModels)
	}
	// Gates have a whole epoch to hear of another self-test.
	model.TestedFrom = before.TestedFrom
	if !slices.Equal(model.SelfTest, before.SelfTest) {
		model.TestedFrom = m.clock.Epoch + 2
	}
	m.set(ledger.KeyModel(v.ID), &model)
	return nil
}
