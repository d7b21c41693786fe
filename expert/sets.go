package expert

import (
	"context"
	"fmt"
)

// Sets is the experts this node holds of several models, as one [Applier] and
// [Summer].
type Sets map[ModelID]*Set

// Holds reports whether one of the sets can apply this expert.
func (s Sets) Holds(id ID) bool { return s[id.Model] != nil && s[id.Model].Holds(id) }

// Apply hands the calls, which all name one model, to that model's set.
func (s Sets) Apply(ctx context.Context, in Batch, calls []Call) []Result {
	return s.ApplyIn(ctx, in, calls, new(Room))
}

// ApplyIn implements [Reuser].
func (s Sets) ApplyIn(ctx context.Context, in Batch, calls []Call, room *Room) []Result {
	if len(calls) == 0 {
		return nil
	}
	if set := s[calls[0].Expert.Model]; set != nil {
		return set.ApplyIn(ctx, in, calls, room)
	}
	results := room.For(len(calls))
	for i, c := range calls {
		results[i].Err = fmt.Errorf("%w: %v of model %s", ErrUnknownExpert, c.Expert, c.Expert.Model.Short())
	}
	return results
}

// Sum adds up weight × output in the order of the calls.
func (s Sets) Sum(ctx context.Context, in Batch, calls []Call) (Batch, error) {
	return SumResults(in, calls, s.Apply(ctx, in, calls))
}
