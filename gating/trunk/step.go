package trunk

import "slices"

// Step is one pass over the trunk: a batch of rows, each one token of some
// sequence. Sequences are told apart by slots, small integers that the caller
// chooses; a slot's keys and values are kept until it is released.
//
// Rows of one slot stand in ascending order of position, and the first of them
// continues what the slot holds or overwrites it from that position on. So the
// same step may be run again after an error.
type Step struct {
	Tokens    []int32 // token id of each row
	Positions []int   // position of each row in its sequence, from 0
	Slots     []int   // slot of each row
	Logits    []int   // rows whose logits are wanted, ascending
	Hidden    []int   // rows whose hidden state is wanted, ascending
	// Waves is in how many parts the rows go through the layers, one behind the
	// other, so that some are computed while others wait for their experts; 0 and 1
	// are all at once. It changes no bit of what comes out. A step that leaves
	// anything out (gating.BestEffort) goes in one.
	Waves int
}

// Rows is the number of rows in the step.
func (s Step) Rows() int { return len(s.Tokens) }

// part is rows first to before last as a step of their own.
func (s Step) part(first, last int) Step {
	return Step{
		Tokens: s.Tokens[first:last], Positions: s.Positions[first:last], Slots: s.Slots[first:last],
		Logits: within(s.Logits, first, last), Hidden: within(s.Hidden, first, last),
	}
}

// within are those of some rows, ascending, that are from first to before last,
// counted from first.
func within(rows []int, first, last int) []int {
	from, _ := slices.BinarySearch(rows, first)
	to, _ := slices.BinarySearch(rows, last)
	in := slices.Clone(rows[from:to])
	for i := range in {
		in[i] -= first
	}
	return in
}
