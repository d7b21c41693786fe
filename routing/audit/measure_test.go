package audit

import (
	"testing"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/expert/experttest"
	"github.com/moeswarm/moeswarm/internal/demo/demotest"
	"github.com/moeswarm/moeswarm/internal/ggml"
)

func TestMeasure(t *testing.T) {
	for _, q := range []string{"Q4_K_M", "Q8_0"} {
		m := demotest.Model(t, q)
		set, err := expert.NewSet(m, m.Manifest().IDs(), ggml.NewPool(0))
		if err != nil {
			t.Fatal(err)
		}
		t.Log(m.Shape())
		var samples []Sample
		for k, id := range m.Manifest().IDs()[:16] {
			samples = append(samples, Sample{id, experttest.Batch(uint64(k), 8, m.Dim())})
		}
		got, err := Measure(t.Context(), set, func(id expert.ID) (expert.Piece, bool) { return m.Manifest().Piece(int(id.Layer), int(id.Index)) }, samples, 1)
		if err != nil {
			t.Fatal(err)
		}
		t.Log(got.Class)
		for _, s := range append(got.Honest, got.Cheats...) {
			t.Logf("%-40s rows p01 %.2e p50 %.2e p99.9 %.2e; proj p01 %.2e p50 %.2e p99.9 %.2e", s.Name, Quantile(s.Rows, .01), Quantile(s.Rows, .5), Quantile(s.Rows, .999),
				Quantile(s.Projected, .01), Quantile(s.Projected, .5), Quantile(s.Projected, .999))
		}
		t.Log(got.Tolerance())
	}
}
