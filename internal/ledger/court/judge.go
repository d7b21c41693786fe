package court

import (
	"context"
	"errors"
	"fmt"

	"github.com/moeswarm/moeswarm/internal/ledger"
	"github.com/moeswarm/moeswarm/internal/ledger/jury"
)

// Judge rules on one kind of case. An error that wraps ErrUnproven acquits; any
// other means that it cannot tell yet.
type Judge interface {
	Judge(ctx context.Context, c ledger.Case, input, output []byte) (ledger.Ruling, error)
}

// Unproven is the ruling of who was shown no evidence: an acquittal.
func Unproven() ledger.Ruling { return ledger.Ruling{Output: ledger.Sum([]byte("no evidence"))} }

// Weights opens the network of one expert of a model.
type Weights func(ctx context.Context, model ledger.Hash, layer, expert uint16) (jury.Network, error)

// Results judges holders' results by the reference kernel. It implements
// [Judge]; the exhibit is both input and output.
type Results struct {
	Chain   string
	Weights Weights
}

// Judge implements [Judge].
func (r Results) Judge(ctx context.Context, c ledger.Case, input, _ []byte) (ledger.Ruling, error) {
	e, err := ParseExhibit(input)
	if err == nil {
		err = e.Check(r.Chain, c)
	}
	if err != nil {
		return ledger.Ruling{}, err
	}
	return r.Rule(ctx, e)
}

// Rule judges an exhibit that was checked.
func (r Results) Rule(ctx context.Context, e Exhibit) (ledger.Ruling, error) {
	n, err := r.Weights(ctx, e.Header.Model, e.Header.Layer, e.Expert)
	if err != nil {
		return ledger.Ruling{}, fmt.Errorf("weights of layer %d, expert %d: %w", e.Header.Layer, e.Expert, err)
	}
	ruling, err := jury.Judge(ctx, n, e.Inputs(), e.Outputs())
	if errors.Is(err, jury.ErrBadCase) { // of another width than the expert
		return ruling, fmt.Errorf("%w: %w", ErrUnproven, err)
	}
	return ruling, err
}
