package experttest

import (
	"testing"

	"github.com/moeswarm/moeswarm/expert"
)

func TestFake(t *testing.T) {
	Run(t, func(*testing.T) (expert.Applier, Fixture) {
		ids := IDs(expert.ModelID{1}, 3, 6)
		return NewFake(1, 8, ids[:5]...), Fixture{Dim: 8, Held: ids[:5], Unheld: ids[5], Reference: NewFake(1, 8, ids[:5]...)}
	})
}

// Experts must differ, or the suite could not see them mixed up.
func TestFakeExpertsDiffer(t *testing.T) {
	ids := append(IDs(expert.ModelID{1}, 0, 4), IDs(expert.ModelID{1}, 1, 4)...)
	ids = append(ids, IDs(expert.ModelID{2}, 0, 4)...)
	f := NewFake(1, 8, ids...)
	in := Batch(1, 1, 8)
	seen := map[float32]expert.ID{}
	for _, id := range ids {
		v := mustApply(t, f, in, []expert.Call{{Expert: id, Rows: []int32{0}}})[0].Out.Data[0]
		if other, ok := seen[v]; ok {
			t.Errorf("%v and %v agree", id, other)
		}
		seen[v] = id
	}
}

func TestCallsAreLikeAGates(t *testing.T) {
	for seed := range uint64(20) {
		rows, k := 1+int(seed), 1+int(seed)%4
		calls := Calls(seed, IDs(expert.ModelID{}, 0, 6), rows, k)
		if err := expert.CheckCalls(Batch(seed, rows, 4), calls); err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, c := range calls {
			n += len(c.Rows)
		}
		if n != rows*k {
			t.Errorf("seed %d: %d pairs of row and expert, want %d", seed, n, rows*k)
		}
	}
}
