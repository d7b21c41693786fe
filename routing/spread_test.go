package routing

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// Against sorting the last samples: quantiles are off by a bucket at most.
func TestSpreadQuantiles(t *testing.T) {
	for seed := range uint64(20) {
		source := rand.New(rand.NewPCG(seed, 8))
		s := newSpread()
		var seen []float64
		for range 2000 {
			ratio := math.Exp(source.NormFloat64() * 0.3)
			seen = append(seen, ratio)
			s.observe(ratio, 10*time.Millisecond)
		}
		slices.Sort(seen)
		for _, c := range []struct{ got, want, within float64 }{
			{s.p50, seen[len(seen)/2], 1.15}, {s.p95, seen[len(seen)*95/100], 1.35},
		} {
			if r := c.got / c.want; r > c.within || r < 1/c.within {
				t.Errorf("seed %d: quantile %.3f, of all samples %.3f", seed, c.got, c.want)
			}
		}
	}
}

func TestSpreadOfSteadyPeer(t *testing.T) {
	s := newSpread()
	if s.known() || s.p95 < 1.9 || s.p95 > 2.1 {
		t.Errorf("prior p95 %.2f, want 2", s.p95)
	}
	for range spreadKnown {
		s.observe(1, 0)
	}
	if !s.known() || s.p95 > 1.05 || s.p50 < 0.95 {
		t.Errorf("p50 %.3f and p95 %.3f of a steady peer", s.p50, s.p95)
	}
	for range spreadKnown {
		s.observe(1, 0)
	}
	s.observe(40, 0)
	if s.p95 > 1.1 {
		t.Errorf("one slow answer moves p95 to %.2f", s.p95)
	}
	for range 5 {
		s.observe(40, 0)
	}
	if s.p95 < 30 {
		t.Errorf("p95 %.2f although a tenth of the answers took 40 times as long", s.p95)
	}
	for range 3 * spreadMemory {
		s.observe(1, 0)
	}
	if s.p95 > 1.1 {
		t.Errorf("p95 %.2f long after", s.p95)
	}
}

// After a silence the new counts more, but a single sample is never all.
func TestSpreadAges(t *testing.T) {
	young, old := newSpread(), newSpread()
	for range 200 {
		young.observe(1, 0)
		old.observe(1, 0)
	}
	for i := range 4 {
		idle := time.Duration(0)
		if i == 0 {
			idle = 24 * time.Hour
		}
		young.observe(8, 0)
		old.observe(8, idle)
	}
	if old.p95 <= young.p95 && young.p95 < 7 {
		t.Errorf("p95 %.2f after a day's silence, %.2f without", old.p95, young.p95)
	}
	if old.p50 > 1.1 {
		t.Errorf("p50 %.2f: four samples outweigh all before", old.p50)
	}
}

// Whatever comes, quantiles stay finite and in order.
func TestSpreadOfNonsense(t *testing.T) {
	s := newSpread()
	for i := range 100_000 {
		s.observe([]float64{0, -1, math.NaN(), math.Inf(1), 1e300, 1e-300, 1}[i%7], time.Duration(i%5)*time.Hour)
		if !(s.p50 > 0 && s.p50 <= s.p95 && s.p95 < 100) {
			t.Fatalf("sample %d: p50 %v, p95 %v", i, s.p50, s.p95)
		}
	}
}
