package jury

import "math"

// The constants of the range reduction x = k ln 2 + r: ln 2 in two parts, the
// first with so few bits that k times it is exact.
const (
	log2e  = 1.44269504088896338700e+00
	ln2Hi  = 6.93147180369123816490e-01
	ln2Lo  = 1.90821492927058770002e-10
	expMax = 709.782712893383973096  // above: infinity
	expMin = -745.133219101941108420 // below: zero
)

// expTerms are 1/n! for n = 13 down to 0. With |r| at most ln 2 / 2 the first
// term left out is below 2^-57 of the sum.
var expTerms = [...]float64{
	1.0 / 6227020800, 1.0 / 479001600, 1.0 / 39916800, 1.0 / 3628800, 1.0 / 362880,
	1.0 / 40320, 1.0 / 5040, 1.0 / 720, 1.0 / 120, 1.0 / 24, 1.0 / 6, 0.5, 1, 1,
}

// exp is e to the x, within two units in the last place, from additions and
// multiplications that are each rounded on their own.
func exp(x float64) float64 {
	switch {
	case math.IsNaN(x):
		return x
	case x > expMax:
		return math.Inf(1)
	case x < expMin:
		return 0
	}
	k := math.Floor(float64(x*log2e) + 0.5)
	r := float64(x-float64(k*ln2Hi)) - float64(k*ln2Lo)
	sum := expTerms[0]
	for _, c := range expTerms[1:] {
		sum = float64(sum*r) + c
	}
	// Two factors, because 2^k alone may be too small or too large for a float.
	half := math.Floor(k / 2)
	return float64(float64(sum*power(int(half))) * power(int(k-half)))
}

// power is 2 to the k, for |k| of some hundreds.
func power(k int) float64 { return math.Float64frombits(uint64(k+1023) << 52) }
