package audit

import (
	"math"
	"time"

	"github.com/moeswarm/moeswarm/expert"
)

// Finding is what an auditor saw: sums of squares, so that findings of several
// rows can be pooled, and the worst row by itself.
type Finding struct {
	Worst float64 // relative error of the worst row, or of the pool where rows are too few to tell alone
	Rows  int     // rows of output that were looked at
	Class expert.Numeric
	Same  bool // equal to the last bit
	// Pair: the other side of the comparison is somebody else's word, in
	// whatever arithmetic.
	Pair bool
	// Bytes and Where are for people: what the audit cost on the network, and
	// what was worst.
	Bytes int
	Where string
	// Work is how long this node computed for it, waits and secrets left out;
	// 0: it was not measured. Wait is how long it waited for a challenged peer.
	Work, Wait time.Duration
}

// Grade is what a finding is worth.
type Grade uint8

// The grades.
const (
	Inconclusive Grade = iota
	Pass
	Fail
)

func (g Grade) String() string { return [...]string{"inconclusive", "pass", "fail"}[g] }

// Grade compares a finding with the tolerance of its class.
func (f Finding) Grade(t Tolerances) Grade {
	tau := t[f.Class].Tau
	if f.Pair {
		tau = t[f.Class].Apart
	}
	switch {
	case f.Worst <= tau:
		return Pass
	case f.Worst > 2*tau || f.Worst != f.Worst:
		return Fail
	}
	return Inconclusive
}

// Outcome is the end of a case.
type Outcome uint8

// The outcomes.
const (
	Open      Outcome = iota // another auditor should look
	Cleared                  // the answer is right
	Guilty                   // two auditors say it is wrong
	Unproven                 // one says it is wrong, and nobody else can say
	Undecided                // too close to call
)

func (o Outcome) String() string {
	return [...]string{"open", "cleared", "guilty", "unproven", "undecided"}[o]
}

// weigh draws the conclusion from the grades so far, in the order given. more
// says whether another auditor can look. One pass clears at once. After a fail
// it takes two passes to clear and one more fail to convict.
func weigh(grades []Grade, more bool) Outcome {
	var passes, fails int
	for _, g := range grades {
		switch g {
		case Pass:
			passes++
		case Fail:
			fails++
		}
	}
	switch {
	case fails >= 2:
		return Guilty
	case fails == 0 && passes >= 1, fails == 1 && passes >= 2:
		return Cleared
	case more:
		return Open
	case fails == 1 && passes == 0:
		return Unproven
	}
	return Undecided
}

// rowError is the relative error of a row.
func rowError(got, want []float32) (rel float64, same bool) {
	var diff, norm float64
	same = true
	for i, w := range want {
		d := float64(got[i]) - float64(w)
		same = same && d == 0
		diff += d * d
		norm += float64(w) * float64(w)
	}
	return relative(diff, norm, len(want)), same
}

// relative is the root of diff over norm, both sums of squares of n values. A
// row of zeros has no size to relate to; a millionth of what activations usually
// have is taken instead.
func relative(diff, norm float64, n int) float64 {
	const least = 1e-12
	return math.Sqrt(diff / max(norm, least*float64(n)))
}

// compare finds the worst row of got, where want holds the right ones.
func compare(f *Finding, got, want expert.Batch, where string) {
	if got.Rows != want.Rows || got.Dim != want.Dim || len(got.Data) != len(want.Data) {
		f.Worst, f.Same, f.Where = math.Inf(1), false, where
		return
	}
	for r := range want.Rows {
		rel, same := rowError(got.Row(r), want.Row(r))
		f.Same = f.Same && same
		if rel != rel {
			rel = math.Inf(1)
		}
		if rel >= f.Worst {
			f.Worst, f.Where = rel, where
		}
		f.Rows++
	}
}
