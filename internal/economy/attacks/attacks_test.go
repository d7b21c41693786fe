package attacks

import (
	"maps"
	"math"
	"math/big"
	"slices"
	"testing"
)

// TestBounds plays every attack: none gains more than the rules allow.
func TestBounds(t *testing.T) {
	for _, a := range All() {
		t.Run(a.Name, func(t *testing.T) {
			t.Parallel()
			o, err := a.Run()
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("gain %.6f, bound %.6f", o.Gain, o.Bound)
			for _, k := range slices.Sorted(maps.Keys(o.Numbers)) {
				t.Logf("  %-48s %.6g", k, o.Numbers[k])
			}
			if !o.Holds() {
				t.Errorf("%s: a gain of %f, the rules allow %f", a.About, o.Gain, o.Bound)
			}
		})
	}
}

// TestNumbers are what the attacks' comments say.
func TestNumbers(t *testing.T) {
	for _, c := range []struct {
		attack Attack
		name   string
		low    float64
		high   float64
	}{
		{replay(), "that_paid", 1, 1},
		{friend(), "beyond_all_it_has_refused", 1, 1},
		{selfSlash(), "saved_by_40_equivocations_neuro", 0, 0},
		{copyJuror(), "copies_accepted", 0, 0},
		{unpaid(), "tokens_unpaid_a_gate", 16, 96},
		{halted(), "served_while_halted_neuro", 99, 100},
		{spam(), "bytes_left_by_1400_refused", 0, 0},
		{manyKeys(), "times", 0.999, 1.001},
		{manyKeys(), "part_of_a_tenth_of_the_bond", 0.09, 0.12},
		{falseOutput(), "slashed_neuro", 1000, 1000},
		{frame(), "victim_lost_neuro", 0, 0},
		{wash(), "lost_of_turnover_pct", 5, 8},
		{tallies(), "friend_reputation_bps", 6000, 6000},
		{bribe(), "jury_ppm_at_10_pct", 170, 190},
		{bribe(), "jury_ppm_at_33_pct", 45_000, 46_000},
		{bribe(), "appeal_ppm_at_33_pct", 1_500, 2_000},
		{lazyHolder(), "calls_until_found_mean", 99, 106},
		{equivocate(), "gate_lost_neuro", 1000, 1000},
	} {
		o, err := c.attack.Run()
		if err != nil {
			t.Fatal(err)
		}
		if got, ok := o.Numbers[c.name]; !ok || got < c.low || got > c.high {
			t.Errorf("%s: %s is %g, want %g to %g", c.attack.Name, c.name, got, c.low, c.high)
		}
	}
}

func TestAtLeast(t *testing.T) {
	if got := atLeast(3, 2, big.NewRat(1, 2)); got != 0.5 {
		t.Errorf("two of three: %v", got)
	}
	if got := atLeast(7, 0, big.NewRat(1, 3)); math.Abs(got-1) > 1e-15 {
		t.Errorf("any: %v", got)
	}
}

// TestHoldsSeesAGain: a bound that is passed is seen.
func TestHoldsSeesAGain(t *testing.T) {
	for _, o := range []Outcome{{Gain: 1}, {Gain: math.NaN(), Bound: 1}, {Gain: -1, Bound: -2}} {
		if o.Holds() {
			t.Errorf("%+v holds", o)
		}
	}
}
