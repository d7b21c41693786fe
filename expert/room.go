package expert

import "context"

// Room is memory for the results of an Applier, for whoever asks again and
// again. The zero Room is ready. One user has it at a time.
type Room struct {
	results []Result
	data    []float32
	lent    []float32
	kept    any
}

// Lend has the numbers of the next results written to memory of the caller's, from
// its beginning and in the order of the calls, if they fit; nil: no more.
func (r *Room) Lend(memory []float32) { r.lent = memory }

// For gives n results without answers, and forgets those that it gave before.
func (r *Room) For(n int) []Result {
	if cap(r.results) < n {
		r.results = make([]Result, n)
	}
	r.results = r.results[:n]
	clear(r.results)
	return r.results
}

// Trim gives the memory back when it is more than so many bytes, which a long
// prompt takes and nothing after it.
func (r *Room) Trim(most int) {
	if 4*cap(r.data) > most {
		*r = Room{}
	}
}

// Keep leaves something of an Applier's own with the room, such as memory, and Kept
// gives it back: what was left last by whoever has answered here, or nil.
func (r *Room) Keep(v any) { r.kept = v }

// Kept gives what Keep was given.
func (r *Room) Kept() any { return r.kept }

// values gives room for n numbers, whatever they are.
func (r *Room) values(n int) []float32 {
	if n <= len(r.lent) {
		return r.lent[:n]
	}
	r.data = sized(r.data, n)
	return r.data
}

// Reuser is an Applier's optional power to answer in memory that its caller
// has: what ApplyIn returns is valid until room is used again. It allocates
// nothing once room has grown to the largest answer.
type Reuser interface {
	ApplyIn(ctx context.Context, in Batch, calls []Call, room *Room) []Result
}

// ApplyIn has an Applier answer in room if it can, and in memory of its own
// otherwise.
func ApplyIn(ctx context.Context, a Applier, in Batch, calls []Call, room *Room) []Result {
	if r, ok := a.(Reuser); ok {
		return r.ApplyIn(ctx, in, calls, room)
	}
	return a.Apply(ctx, in, calls)
}
