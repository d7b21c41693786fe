package ledger

import (
	"context"
	"fmt"
)

// View reads a ledger by one Get per answer; it makes a Reader of a Getter.
type View struct{ Getter }

// read decodes the value of a key. ok is false when there is none.
func (v View) read(ctx context.Context, key []byte, r Record) (ok bool, err error) {
	b, err := v.Get(ctx, key)
	if err != nil || b == nil {
		return false, err
	}
	return true, Decode(b, r)
}

func (v View) must(ctx context.Context, what string, key []byte, r Record) error {
	ok, err := v.read(ctx, key, r)
	if err == nil && !ok {
		err = fmt.Errorf("%w: %s", ErrUnknown, what)
	}
	return err
}

// Clock is where the ledger stands.
func (v View) Clock(ctx context.Context) (k Clock, err error) {
	return k, v.must(ctx, "the clock", KeyClock(), &k)
}

// Seed is the seed of an epoch: one of the last, the current one or, in the
// last third of it, the next.
func (v View) Seed(ctx context.Context, epoch uint64) (Hash, error) {
	var w Word
	err := v.must(ctx, fmt.Sprintf("the seed of epoch %d", epoch), KeySeed(epoch), &w)
	return w.Hash, err
}

// Committee is a model's gating committee in an epoch; nobody may sit in it.
func (v View) Committee(ctx context.Context, epoch uint64, model Hash) ([]Seat, error) {
	var s Committee
	_, err := v.read(ctx, KeyGating(epoch, model), &s)
	return s, err
}

// Provider is what is known of a provider.
func (v View) Provider(ctx context.Context, k Key) (p Provider, err error) {
	return p, v.must(ctx, fmt.Sprintf("provider %v", k), KeyProvider(k), &p)
}

// Escrow is a client's for a model, as it stands in the current epoch; a client
// without one has an empty one.
func (v View) Escrow(ctx context.Context, client Key, model Hash) (Escrow, error) {
	k, err := v.Clock(ctx)
	if err != nil {
		return Escrow{}, err
	}
	var e Escrow
	ok, err := v.read(ctx, KeyEscrow(client, model), &e)
	if err != nil || !ok {
		return Escrow{Epoch: k.Epoch}, err
	}
	return e.At(k.Epoch), nil
}

// Params are the parameters in force.
func (v View) Params(ctx context.Context) (p Params, err error) {
	return p, v.must(ctx, "parameters", KeyParams(), &p)
}

// Model is a model that was admitted.
func (v View) Model(ctx context.Context, id Hash) (m Model, err error) {
	return m, v.must(ctx, fmt.Sprintf("model %v", id), KeyModel(id), &m)
}

// Case is a case.
func (v View) Case(ctx context.Context, id Hash) (k Case, err error) {
	return k, v.must(ctx, fmt.Sprintf("case %v", id), KeyCase(id), &k)
}

// Duties are the open cases that concern somebody.
func (v View) Duties(ctx context.Context, k Key) ([]Hash, error) {
	var d Duties
	_, err := v.read(ctx, KeyDuties(k), &d)
	return d.Cases, err
}

// Work is what a gate settled for an epoch and model; a gate that settled
// nothing has an empty one.
func (v View) Work(ctx context.Context, epoch uint64, model Hash, gate Key) (w Work, err error) {
	_, err = v.read(ctx, KeyWork(epoch, model, gate), &w)
	return w, err
}

// Claimed is what a holder had of a gate's settlement.
func (v View) Claimed(ctx context.Context, epoch uint64, model Hash, gate, holder Key) (l Claimed, ok bool, err error) {
	ok, err = v.read(ctx, KeyClaim(epoch, model, gate, holder), &l)
	return l, ok, err
}
