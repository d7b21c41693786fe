package gating

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/moeswarm/moeswarm/expert"
)

// BestEffort lets single rows of a step do without experts that are late: it
// goes with the step's context through the trunk to each [Layer.Mix], and
// comes back with what was left out. One step uses it at a time.
type BestEffort struct {
	// Share gives, by row, the share of its gate mass that a row may lose in
	// each layer. 0, or no entry, is none: the row stays exact.
	Share []float32
	// Dropped gives, by row, what was left out, summed over the layers. Mix
	// fills it in.
	Dropped []Dropped
}

// Dropped is what a row did without.
type Dropped struct {
	Calls int
	Mass  float64 // of the gate weights, as a share: each layer has 1 in all
}

// WithBestEffort gives the context of a step its best effort. A step whose
// rows are all exact needs none.
func WithBestEffort(ctx context.Context, b *BestEffort) context.Context {
	n := notesOf(ctx)
	n.effort = b
	return n.with(ctx)
}

// lenient says whether any row may do without something.
func (b *BestEffort) lenient() bool {
	return b != nil && slices.ContainsFunc(b.Share, func(s float32) bool { return s > 0 })
}

func (b *BestEffort) share(row int) float32 {
	if row < len(b.Share) {
		return b.Share[row]
	}
	return 0
}

// mark makes those calls optional that every row naming them can do without:
// a row's lightest experts, as long as their weights together stay below its
// share. The shares of a batch of so many rows apply.
func (b *BestEffort) mark(rows int, calls []expert.Call) {
	type pick struct {
		call   int
		weight float32
	}
	byRow := make([][]pick, rows)
	for c := range calls {
		for i, r := range calls[c].Rows {
			byRow[r] = append(byRow[r], pick{c, calls[c].Weights[i]})
		}
	}
	allow := make([]int, len(calls))
	for r, picks := range byRow {
		// By weight, then by expert, so that the choice is the same everywhere.
		slices.SortStableFunc(picks, func(x, y pick) int { return cmp.Compare(x.weight, y.weight) })
		var mass, whole float32
		for _, p := range picks {
			whole += p.weight
		}
		for i, p := range picks {
			// One expert is always left, whatever the share.
			if mass += p.weight; !(mass < b.share(r)*whole) || i == len(picks)-1 {
				break
			}
			allow[p.call]++
		}
	}
	for c := range calls {
		calls[c].Optional = allow[c] == len(calls[c].Rows)
	}
}

// CombineLeaving is [Combine] where optional calls may have failed: they are
// left out, and the weights of the rows they would have had part in are
// scaled to add up to what they did. It returns what each row did without;
// nil if nothing was left out, and then the sum is Combine's to the last bit.
// So is any row that lost nothing.
func CombineLeaving(out expert.Batch, calls []expert.Call, results []expert.Result) ([]Dropped, error) {
	if len(results) != len(calls) || !slices.ContainsFunc(results, func(r expert.Result) bool { return r.Err != nil }) {
		return nil, Combine(out, calls, results)
	}
	var (
		dropped    = make([]Dropped, out.Rows)
		whole      = make([]float64, out.Rows) // gate mass of each row
		kept       = make([]expert.Call, 0, len(calls))
		keptResult = make([]expert.Result, 0, len(calls))
	)
	for c, r := range results {
		left := r.Err != nil && calls[c].Optional && (errors.Is(r.Err, expert.ErrStraggler) || errors.Is(r.Err, expert.ErrNoHolder))
		for i, row := range calls[c].Rows {
			whole[row] += float64(calls[c].Weights[i])
			if left {
				dropped[row].Calls++
				dropped[row].Mass += float64(calls[c].Weights[i])
			}
		}
		if !left {
			kept, keptResult = append(kept, calls[c]), append(keptResult, r)
		}
	}
	for c := range kept {
		weights := slices.Clone(kept[c].Weights)
		for i, row := range kept[c].Rows {
			if d := dropped[row]; d.Calls > 0 {
				weights[i] = float32(float64(weights[i]) * whole[row] / (whole[row] - d.Mass))
			}
		}
		kept[c].Weights = weights
	}
	for r := range dropped {
		if dropped[r].Calls > 0 {
			dropped[r].Mass /= whole[r]
		}
	}
	return dropped, Combine(out, kept, keptResult)
}

// add sums up what a layer left out.
func (b *BestEffort) add(dropped []Dropped) {
	for len(b.Dropped) < len(dropped) {
		b.Dropped = append(b.Dropped, Dropped{})
	}
	for r, d := range dropped {
		b.Dropped[r].Calls += d.Calls
		b.Dropped[r].Mass += d.Mass
	}
}
