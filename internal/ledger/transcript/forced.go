package transcript

import (
	"context"
	"slices"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/gating"
)

// forced is a mixer that takes the experts of a transcript instead of its own,
// and marks those that it would not nearly have chosen.
type forced struct {
	cfg    Config
	rule   gating.Rule
	layers []int

	at     int      // the position of the step's first row
	routes []uint16 // (rows, layers, k)
	far    []bool   // the same
}

// perRow is how many experts a row has in all layers.
func (f *forced) perRow() int { return len(f.layers) * min(f.rule.TopK, f.cfg.Model.Experts()) }

func (f *forced) begin(t *Transcript, rows int) {
	f.routes = make([]uint16, 0, rows*f.perRow())
	for i := range t.Parts {
		f.routes = append(f.routes, t.Parts[i].Routes...)
	}
	f.far = make([]bool, len(f.routes))
}

// Mix implements trunk's Mixer.
func (f *forced) Mix(ctx context.Context, layer int, h, scores, out expert.Batch) error {
	k := min(f.rule.TopK, scores.Dim)
	at := slices.Index(f.layers, layer)
	chosen := make([]uint16, 0, scores.Rows*k)
	ranked, own := make([]float32, scores.Dim), make([]float32, scores.Dim)
	for row := range scores.Rows {
		from := ((f.at+row)*len(f.layers) + at) * k
		mine := f.routes[from : from+k]
		chosen = append(chosen, mine...)
		f.rule.Ranked(layer, scores.Row(row), ranked)
		copy(own, ranked)
		slices.Sort(own)
		least := float64(own[len(own)-k]) - f.cfg.Limits.Margin*deviation(ranked)
		for i, e := range mine {
			f.far[from+i] = !(float64(ranked[e]) >= least)
		}
	}
	picks, err := f.rule.Force(scores, chosen)
	if err != nil {
		return err
	}
	calls := gating.Calls(f.cfg.Model.ID(), layer, picks)
	return gating.Combine(out, calls, f.cfg.Applier.Apply(ctx, h, calls))
}
