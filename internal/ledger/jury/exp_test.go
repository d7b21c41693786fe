package jury

import (
	"math"
	"math/big"
	"math/rand/v2"
	"testing"
)

// bigExp is e to the x in 200 bits: (e^(x/2^20))^(2^20), the inner one by its
// series.
func bigExp(x float64) *big.Float {
	const bits, halvings = 200, 20
	r := new(big.Float).SetPrec(bits).SetFloat64(x)
	r.SetMantExp(r, -halvings)
	sum := new(big.Float).SetPrec(bits).SetInt64(1)
	term := new(big.Float).SetPrec(bits).SetInt64(1)
	for n := int64(1); n < 30; n++ {
		term.Mul(term, r)
		term.Quo(term, new(big.Float).SetInt64(n))
		sum.Add(sum, term)
	}
	for range halvings {
		sum.Mul(sum, sum)
	}
	return sum
}

// ulps is how many units in the last place of want got is off.
func ulps(got float64, want *big.Float) float64 {
	w, _ := want.Float64()
	unit := math.Nextafter(math.Abs(w), math.Inf(1)) - math.Abs(w)
	d := new(big.Float).SetPrec(200).SetFloat64(got)
	off, _ := d.Sub(d, want).Float64()
	return math.Abs(off) / unit
}

func TestExpIsWithinTwoUnits(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	worst := 0.0
	for range 3000 {
		x := (r.Float64() - 0.5) * 40
		if r.IntN(4) == 0 {
			x = (r.Float64() - 0.5) * 1400
		}
		off := ulps(exp(x), bigExp(x))
		worst = max(worst, off)
		if off > 2 {
			t.Fatalf("exp(%v) = %v is %.2f units off", x, exp(x), off)
		}
		if rel := math.Abs(exp(x)/math.Exp(x) - 1); rel > 1e-15 {
			t.Fatalf("exp(%v) = %v, math.Exp says %v", x, exp(x), math.Exp(x))
		}
	}
	t.Logf("worst of 3000: %.2f units", worst)
}

func TestExpAtItsEnds(t *testing.T) {
	for _, c := range []struct{ x, want float64 }{
		{0, 1}, {math.Inf(1), math.Inf(1)}, {math.Inf(-1), 0}, {710, math.Inf(1)}, {-746, 0}, {math.Copysign(0, -1), 1},
	} {
		if got := exp(c.x); got != c.want {
			t.Errorf("exp(%v) = %v, want %v", c.x, got, c.want)
		}
	}
	if !math.IsNaN(exp(math.NaN())) {
		t.Error("exp of no number is a number")
	}
	for x := -745.1; x < -700; x += 0.7 { // results without full precision
		if got, want := exp(x), math.Exp(x); math.Abs(got-want) > 2*5e-324+want*1e-15 {
			t.Errorf("exp(%v) = %g, want %g", x, got, want)
		}
	}
}
