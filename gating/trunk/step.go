package trunk

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
}

// Rows is the number of rows in the step.
func (s Step) Rows() int { return len(s.Tokens) }
