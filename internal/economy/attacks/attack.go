package attacks

import (
	"fmt"
	"math"
)

// Outcome is what became of an attack.
type Outcome struct {
	Gain    float64            // NEURO, over what honesty would have given
	Bound   float64            // NEURO, the most that the rules allow
	Numbers map[string]float64 // more, by names of metrics
}

// Attack is one way to get what one should not.
type Attack struct {
	Name  string
	About string // what is tried, and what answers it
	play  func() Outcome
}

// All lists the attacks.
func All() []Attack {
	return []Attack{
		doubleSpend(), replay(), withdrawEarly(), unpaid(), halted(), wash(), friend(), washFriend(), stiff(), equivocate(),
		lazyHolder(), quorum(), falseOutput(), frame(), copyJuror(), bribe(), withhold(), capture(), sybil(), manyKeys(),
		tallies(), selfSlash(), spam(),
	}
}

// Run plays the attack. An error means that the stage broke, not that the
// attack failed.
func (a Attack) Run() (o Outcome, err error) {
	defer func() {
		if r := recover(); r != nil {
			broken, ok := r.(stageError)
			if !ok {
				panic(r)
			}
			err = fmt.Errorf("attack %s: %w", a.Name, broken.error)
		}
	}()
	return a.play(), nil
}

// Holds says whether the gain stayed within its bound, to a nneuro.
func (o Outcome) Holds() bool { return !math.IsNaN(o.Gain) && o.Gain <= o.Bound+1e-9 }
