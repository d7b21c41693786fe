package routing

import (
	"fmt"

	"github.com/moeswarm/moeswarm/expert"
)

// checkAnswer finds what no honest peer sends. Package swarm checks frames
// too, but a router's promises must not rest on another package's care. The
// error wraps [expert.ErrBadResult].
func checkAnswer(a *Ask, got *Answer) error {
	if a.Sum {
		return checkBatch(got.Sum, a.In.Rows, a.In.Dim)
	}
	if len(got.Results) != len(a.Calls) {
		return fmt.Errorf("%w: %d results for %d calls", expert.ErrBadResult, len(got.Results), len(a.Calls))
	}
	for i := range got.Results {
		if got.Results[i].Err != nil {
			continue
		}
		if err := checkBatch(got.Results[i].Out, len(a.Calls[i].Rows), a.In.Dim); err != nil {
			return fmt.Errorf("%v: %w", a.Calls[i].Expert, err)
		}
	}
	return nil
}

func checkBatch(b expert.Batch, rows, dim int) error {
	if b.Rows != rows || b.Dim != dim || len(b.Data) != rows*dim {
		return fmt.Errorf("%w: (%d, %d) with %d values instead of (%d, %d)",
			expert.ErrBadResult, b.Rows, b.Dim, len(b.Data), rows, dim)
	}
	if !expert.Finite(b.Data) {
		return fmt.Errorf("%w: NaN or infinity", expert.ErrBadResult)
	}
	return nil
}
