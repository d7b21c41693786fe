package node

import (
	"context"
	"errors"
	"time"

	"github.com/moeswarm/moeswarm/internal/ledger"
	"github.com/moeswarm/moeswarm/internal/ledger/transcript"
)

// selfTestTime bounds the self-test of one model: a short prompt, over the
// network.
const selfTestTime = 30 * time.Second

// selfTests are what goes with a heartbeat, so that this node may have seats: for
// each model that has a self-test, once an epoch. One that cannot be run now is
// tried again at the next look; one that comes out otherwise is not shown, since
// the ledger would not take it.
func (e *economy) selfTests(ctx context.Context, epoch uint64, own ledger.Provider, gated []ledger.Hash) (tests []ledger.SelfTest) {
	for _, id := range gated {
		if e.tested[id] > epoch || own.PassedIn(epoch, id) {
			continue
		}
		model, err := e.cfg.Ledger.Model(ctx, id)
		if err != nil && !errors.Is(err, ledger.ErrUnknown) {
			e.node.cfg.Log.Warn("whether a model has a self-test is not known", "model", id, "err", err)
			continue
		}
		if len(model.SelfTest) == 0 {
			e.tested[id] = epoch + 1
			continue
		}
		marks, err := e.selfTest(ctx, id)
		if err != nil {
			e.node.cfg.Log.Warn("the self-test of a model cannot be run", "model", model.Name, "err", err)
			continue
		}
		e.tested[id] = epoch + 1
		if !ledger.SameMarks(model.SelfTest, marks) {
			e.node.cfg.Say("ledger: the self-test of %s comes out otherwise here than the ledger has it, so this node gets no seat for it: check the file (moeswarm doctor), and the holders of its experts", model.Name)
			continue
		}
		tests = append(tests, ledger.SelfTest{Model: id, Marks: marks})
	}
	return tests
}

func (e *economy) selfTest(ctx context.Context, id ledger.Hash) ([]ledger.Mark, error) {
	m, ok := e.outputs.model(id)
	if !ok {
		return nil, ledger.ErrUnknown
	}
	e.outputs.rerun.Lock()
	defer e.outputs.rerun.Unlock()
	ctx, cancel := context.WithTimeout(ctx, selfTestTime)
	defer cancel()
	n := e.node
	return transcript.SelfTest(ctx, transcript.Config{Model: m.Model, Applier: n.hots[m.Model.ID()].over(n.demand), Pool: n.pool})
}
