package engine

// outlook is what the choice of the next step depends on.
type outlook struct {
	pending []int // tokens the trunk has not seen, of each sequence that is in no step, oldest first
	users   []int // whose each sequence is
	groups  int   // in which the sequences that decode are to advance
	decode  int   // sequences that decode, those under way included
	// Steps under way: with sequences that decode, and with prompts only.
	decoding, reading int
	chunk, maxRows    int // rows of prompts in a step, and of all
}

// mostReading bounds the steps under way that only read prompts: they compute
// long and wait little.
const mostReading = 4

// next gives the rows of the next step by sequence; nil: there is none to be
// begun now.
//
// One group takes all there is in one step, as soon as the last one is over.
// Several groups share out the sequences that decode as evenly as can be, each
// begins as soon as it is complete, and prompts are read beside them in steps
// of their own, so that no answer waits for a prompt.
func (o outlook) next() []int {
	if len(o.pending) == 0 {
		return nil
	}
	if o.groups <= 1 {
		if o.decoding+o.reading > 0 {
			return nil
		}
		return schedule(o.pending, o.users, o.chunk, o.maxRows)
	}
	decoders, prompts := make([]int, len(o.pending)), make([]int, len(o.pending))
	ready, unread := 0, 0
	for _, n := range o.pending {
		if n == 1 {
			ready++
		}
	}
	size := (o.decode + o.groups - 1) / o.groups
	if free := o.groups - o.decoding; free > 0 { // even parts also where groups do not divide the number
		size = min(size, (ready+free-1)/free)
	}
	ready = 0
	for i, n := range o.pending {
		if n > 1 {
			prompts[i] = n
			unread++
		} else if ready < min(size, o.maxRows) {
			decoders[i] = 1
			ready++
		}
	}
	if ready > 0 && o.decoding < o.groups {
		return decoders
	}
	if unread > 0 && o.reading < min(o.groups, mostReading) {
		return schedule(prompts, o.users, o.chunk, o.maxRows)
	}
	return nil
}

// schedule shares out the rows of one step. pending says how many tokens of
// each sequence the trunk has not seen, oldest sequence first, and users whose
// it is; the result says how many of them it sees next.
//
// A sequence with one token left decodes and always gets its row; there are
// fewer than maxRows of these. What remains, up to chunk rows, goes to
// prompts: in equal shares to users, and each user's in equal shares to theirs.
// What a short one leaves, longer ones get, so that a short prompt does not
// wait behind a long one, nor a user with one prompt behind one with many.
// When there are fewer rows than prompts, the oldest get one each, so that each
// is done some time.
func schedule(pending, users []int, chunk, maxRows int) []int {
	rows := make([]int, len(pending))
	left := maxRows
	wanted := map[int]int{} // user -> rows
	var order []int         // users, as they come
	for i, n := range pending {
		switch {
		case n > 1:
			if wanted[users[i]] == 0 {
				order = append(order, users[i])
			}
			wanted[users[i]] += n
		case n == 1 && left > 0:
			rows[i] = 1
			left--
		}
	}
	want := make([]int, len(order))
	for k, u := range order {
		want[k] = wanted[u]
	}
	for k, part := range share(min(left, chunk), want) {
		var theirs, needs []int
		for i, n := range pending {
			if n > 1 && users[i] == order[k] {
				theirs, needs = append(theirs, i), append(needs, n)
			}
		}
		for j, n := range share(part, needs) {
			rows[theirs[j]] = n
		}
	}
	return rows
}
