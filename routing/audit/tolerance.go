package audit

import (
	"errors"
	"fmt"

	"github.com/moeswarm/moeswarm/expert"
)

// Tolerance is what was measured of one numeric class, and what follows. All
// numbers are relative errors of a row of output, or estimates of it, against
// the nearest of the arithmetics that honest computers use (see [Reference]).
type Tolerance struct {
	// Tau: an honest result is not further off.
	Tau float64
	// Honest is the largest 99.9th percentile of the honest computations,
	// Cheat the smallest 1st percentile of the cheats that must be found.
	Honest, Cheat float64
	// Apart is what Tau is for two honest results compared with each other,
	// which may come from two arithmetics.
	Apart float64
}

// Tolerances has an entry for each numeric class.
type Tolerances [expert.Numerics]Tolerance

// DefaultTolerances are those measured on the project's machines.
func DefaultTolerances() Tolerances {
	// moeswarm bench tolerance: *_tau, *_honest_p999, *_cheat_p01. The honest
	// ones are computers that keep activations in bfloat16, the cheats weights
	// in 6 bits and, of K types, 5 % of noise.
	return Tolerances{
		expert.Float:     {Tau: 0.0063, Honest: 0.0042, Cheat: 0.0173, Apart: 0.082},
		expert.Blocks32:  {Tau: 0.0063, Honest: 0.0042, Cheat: 0.0202, Apart: 0.075},
		expert.Blocks256: {Tau: 0.0067, Honest: 0.0044, Cheat: 0.0236, Apart: 0.073},
	}
}

// ErrOverlap: honest results and cheats cannot be told apart.
var ErrOverlap = errors.New("honest results and cheats overlap")

// margin is how far tau lies above what was seen of honest computations.
const margin = 1.5 // what is not seen once in a thousand rows is not seen half as far again

// Derive gives a class its tau, or refuses. apart is the 99.9th percentile of
// the difference between two arithmetics.
func Derive(honest, cheat, apart float64) (Tolerance, error) {
	t := Tolerance{Tau: margin * honest, Honest: honest, Cheat: cheat, Apart: margin * apart}
	return t, t.check()
}

// check refuses a tolerance under which an honest peer may be condemned or a
// cheat that must be found passes.
func (t Tolerance) check() error {
	switch {
	case !(t.Tau > 0) || !(t.Honest >= 0) || t.Tau < t.Honest:
		return fmt.Errorf("%w: tolerance %.3g for honest errors of up to %.3g", ErrOverlap, t.Tau, t.Honest)
	case !(t.Apart >= t.Tau):
		return fmt.Errorf("%w: two honest results may be %.3g apart, one may be off by %.3g", ErrOverlap, t.Apart, t.Tau)
	case !(t.Cheat >= 2*t.Tau):
		return fmt.Errorf("%w: cheats from %.3g on, twice the tolerance is %.3g", ErrOverlap, t.Cheat, 2*t.Tau)
	}
	return nil
}

func (t Tolerances) check() error {
	for class, x := range t {
		if err := x.check(); err != nil {
			return fmt.Errorf("audit: %v: %w", expert.Numeric(class), err)
		}
	}
	return nil
}
