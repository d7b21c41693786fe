package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/expert/synth"
	"github.com/moeswarm/moeswarm/gating"
	"github.com/moeswarm/moeswarm/gating/trunk"
	"github.com/moeswarm/moeswarm/internal/demo"
	"github.com/moeswarm/moeswarm/internal/ggml"
	"github.com/moeswarm/moeswarm/routing/audit"
)

const (
	// toleranceRows is how many rows a sample has, toleranceSamples how many
	// samples are measured of a model: some hundreds of rows for the
	// percentiles, in some seconds.
	toleranceRows    = 8
	toleranceSamples = 6
	// Outliers: as large language models have them, some channels are many
	// times larger than the others.
	outlierChannels = 6
	outlierFactor   = 30
)

// tolerance measures, for each numeric class, how far honest computers differ
// and how far cheats are off, and derives what auditors tolerate. It fails
// when a class leaves no room between the two.
func tolerance(ctx context.Context, o Options) (Metrics, error) {
	pool := ggml.NewPool(o.Threads)
	metrics := Metrics{}
	var errs []error
	merged := map[expert.Numeric]*audit.Measured{}
	for _, quant := range []string{"demo", "F16", "BF16", "Q8_0", "Q4_0", "Q4_K_M"} {
		o.Progress("measuring %s", quant)
		m, err := toleranceModel(ctx, quant, o.Seed)
		if err != nil {
			return nil, err
		}
		set, err := expert.NewSet(m, m.Manifest().IDs(), pool)
		if err != nil {
			return nil, err
		}
		samples, err := capture(ctx, m, set, pool, o.Seed)
		if err != nil {
			return nil, err
		}
		piece := func(id expert.ID) (expert.Piece, bool) { return m.Manifest().Piece(int(id.Layer), int(id.Index)) }
		for class, part := range byClass(set, samples) {
			got, err := audit.Measure(ctx, set, piece, part, o.Seed)
			if err != nil {
				return nil, err
			}
			merge(merged, class, got)
		}
		if quant == "Q8_0" {
			cost, err := audit.MeasureCost(ctx, set, piece, samples[0])
			if err != nil {
				return nil, err
			}
			us := func(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e3 }
			metrics["cost_recompute_us_per_row"], metrics["cost_reference_us_per_row"] = us(cost.Recompute), us(cost.Reference)
			metrics["cost_projection_us_per_row"], metrics["cost_secret_ms"] = us(cost.Projection), us(cost.Secret)/1e3
			metrics["cost_secret_kb_per_expert"], metrics["cost_wire_kb_per_row"] = float64(cost.SecretBytes)/1e3, float64(cost.WireBytes)/1e3
		}
		if err := m.Close(); err != nil {
			return nil, err
		}
	}
	for class, got := range merged {
		name := []string{"float", "blocks32", "blocks256"}[class]
		tol, err := got.Tolerance()
		if err != nil {
			errs = append(errs, fmt.Errorf("%v: %w", class, err))
		}
		metrics[name+"_tau"], metrics[name+"_honest_p999"], metrics[name+"_cheat_p01"] = tol.Tau, tol.Honest, tol.Cheat
		metrics[name+"_apart"] = tol.Apart
		for _, s := range got.Honest {
			key := name + "_honest_" + word(s.Name)
			metrics[key+"_rows_p999"] = audit.Quantile(s.Rows, 0.999)
			if s.Name == got.Honest[0].Name { // the others were tried with these kernels' inner layers
				metrics[key+"_projected_p999"] = audit.Quantile(s.Projected, 0.999)
			}
		}
		for _, s := range got.Cheats {
			key := name + "_cheat_" + word(s.Name)
			metrics[key+"_rows_p01"] = audit.Quantile(s.Rows, 0.01)
			metrics[key+"_projected_p01"] = audit.Quantile(s.Projected, 0.01)
			metrics[key+"_rows_found_pct"] = above(s.Rows, 2*tol.Tau)
			metrics[key+"_projected_found_pct"] = above(s.Projected, 2*tol.Tau)
		}
	}
	if len(errs) > 0 { // what was measured is of interest all the more
		for _, name := range slices.Sorted(maps.Keys(metrics)) {
			o.Progress("  %-70s %.3g", name, metrics[name])
		}
	}
	return metrics, errors.Join(errs...)
}

// above is the share of sorted values above x, in percent.
func above(sorted []float64, x float64) float64 {
	n := 0
	for _, v := range sorted {
		if v > x {
			n++
		}
	}
	return 100 * float64(n) / float64(max(len(sorted), 1))
}

// word makes a metric's name of a title.
func word(s string) string {
	f := func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z' || r >= '0' && r <= '9':
			return r
		case r >= 'A' && r <= 'Z':
			return r - 'A' + 'a'
		}
		return '_'
	}
	words := strings.FieldsFunc(strings.Map(f, s), func(r rune) bool { return r == '_' })
	return strings.Join(words, "_")
}

// toleranceModel is the demo model, or a layer of random weights of a
// published shape.
func toleranceModel(ctx context.Context, quant string, seed uint64) (*expert.Model, error) {
	if quant == demo.Name {
		return expert.NewModel(demo.Name, demo.GGUF(), expert.Options{})
	}
	c, err := synth.Named("lumabri")
	if err != nil {
		return nil, err
	}
	c.Quant, c.Seed = quant, seed
	c.Shape.Layers, c.Shape.Experts, c.Shape.TopK, c.Shape.Vocab = 1, 4, 2, 512
	var file bytes.Buffer
	if err := synth.Write(ctx, &file, c, nil); err != nil {
		return nil, err
	}
	return expert.NewModel(quant, file.Bytes(), expert.Options{})
}

// captured keeps what a mixer is given.
type captured struct {
	trunk.Mixer
	model   *expert.Model
	samples []audit.Sample
}

func (c *captured) Mix(ctx context.Context, layer int, h, scores, out expert.Batch) error {
	for _, call := range gating.Calls(c.model.ID(), layer, gating.RuleOf(c.model).Pick(layer, scores)) {
		for rows := range slices.Chunk(call.Rows, toleranceRows) {
			if len(rows) < toleranceRows {
				break
			}
			s := audit.Sample{Expert: call.Expert, In: expert.NewBatch(toleranceRows, h.Dim)}
			for k, r := range rows {
				copy(s.In.Row(k), h.Row(int(r)))
			}
			c.samples = append(c.samples, s)
		}
	}
	return c.Mixer.Mix(ctx, layer, h, scores, out)
}

// capture runs random tokens through the model and returns samples of what its
// experts were given; to every fourth of random weights, outliers are added.
func capture(ctx context.Context, m *expert.Model, set *expert.Set, pool *ggml.Pool, seed uint64) ([]audit.Sample, error) {
	layer, err := gating.NewLayer(gating.Config{Model: m.ID(), Rule: gating.RuleOf(m), Applier: set})
	if err != nil {
		return nil, err
	}
	c := &captured{Mixer: layer, model: m}
	tr, err := trunk.New(trunk.Config{Model: m, Mixer: c, Pool: pool})
	if err != nil {
		return nil, err
	}
	if _, err := prefill(ctx, tr, 0, randomIDs(seed, prefillChunk, m.Shape().Vocab)); err != nil {
		return nil, err
	}
	r := rand.New(rand.NewPCG(seed, 3))
	r.Shuffle(len(c.samples), func(i, k int) { c.samples[i], c.samples[k] = c.samples[k], c.samples[i] })
	n := toleranceSamples
	if m.Dim() <= 512 { // small: many more in the same time
		n *= 8
	}
	samples := c.samples[:min(n, len(c.samples))]
	channels := r.Perm(m.Dim())[:outlierChannels]
	for i := 0; i < len(samples) && m.Name() != demo.Name; i += 4 { // a trained model has its own
		for row := range samples[i].In.Rows {
			for _, ch := range channels {
				samples[i].In.Row(row)[ch] *= outlierFactor
			}
		}
	}
	return samples, nil
}

func byClass(set *expert.Set, samples []audit.Sample) map[expert.Numeric][]audit.Sample {
	out := map[expert.Numeric][]audit.Sample{}
	for _, s := range samples {
		class := set.Numeric(s.Expert)
		out[class] = append(out[class], s)
	}
	return out
}

// merge pools what was measured of two models of a class.
func merge(all map[expert.Numeric]*audit.Measured, class expert.Numeric, got audit.Measured) {
	have := all[class]
	if have == nil {
		all[class] = &got
		return
	}
	pool := func(a, b []audit.Spread) {
		for i := range a {
			for _, p := range []struct {
				to   *[]float64
				from []float64
			}{{&a[i].Rows, b[i].Rows}, {&a[i].Projected, b[i].Projected}} {
				*p.to = append(*p.to, p.from...)
				slices.Sort(*p.to)
			}
		}
	}
	have.Apart = append(have.Apart, got.Apart...)
	slices.Sort(have.Apart)
	pool(have.Honest, got.Honest)
	pool(have.Cheats, got.Cheats)
}
