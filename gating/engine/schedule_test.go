package engine

import (
	"math/rand/v2"
	"slices"
	"testing"
)

func TestSchedule(t *testing.T) {
	for _, c := range []struct {
		name           string
		pending        []int
		chunk, maxRows int
		want           []int
	}{
		{"nothing", nil, 4, 8, []int{}},
		{"all decode", []int{1, 1, 1}, 4, 8, []int{1, 1, 1}},
		{"a prompt in chunks", []int{100}, 4, 8, []int{4}},
		{"a prompt beside decoding", []int{1, 100, 1}, 4, 8, []int{1, 4, 1}},
		{"rows bound the chunk", []int{1, 100, 1}, 40, 8, []int{1, 6, 1}},
		{"equal shares", []int{100, 100, 100}, 9, 20, []int{3, 3, 3}},
		{"what short ones leave", []int{100, 2, 100}, 10, 20, []int{4, 2, 4}},
		{"short ones end", []int{1000, 3, 1}, 256, 300, []int{253, 3, 1}},
		{"fewer rows than prompts: the oldest", []int{9, 2, 5}, 2, 20, []int{1, 1, 0}},
	} {
		if got := schedule(c.pending, make([]int, len(c.pending)), c.chunk, c.maxRows); !slices.Equal(got, c.want) {
			t.Errorf("%s: schedule(%v, %d, %d) = %v, want %v", c.name, c.pending, c.chunk, c.maxRows, got, c.want)
		}
	}
}

func TestScheduleInvariants(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	for range 20_000 {
		pending := make([]int, rng.IntN(10))
		for i := range pending {
			pending[i] = 1 + rng.IntN(30)*rng.IntN(2)
		}
		chunk, maxRows := 1+rng.IntN(40), len(pending)+1+rng.IntN(40)
		users := make([]int, len(pending))
		for i := range users {
			users[i] = rng.IntN(3)
		}
		rows := schedule(pending, users, chunk, maxRows)
		sum, prompts, wanted := 0, 0, 0
		for i, n := range rows {
			sum += n
			if pending[i] == 1 && n != 1 {
				t.Fatalf("%v, %d, %d: %v starves decoding", pending, chunk, maxRows, rows)
			}
			if n < 0 || n > pending[i] {
				t.Fatalf("%v, %d, %d: %v gives rows nobody asked for", pending, chunk, maxRows, rows)
			}
			if pending[i] > 1 {
				prompts += n
				wanted += pending[i]
			}
		}
		free := min(chunk, maxRows-(sum-prompts))
		if sum > maxRows || prompts != min(free, wanted) && free >= len(pending) {
			t.Fatalf("%v, %d, %d: %v has %d rows of prompts, want %d", pending, chunk, maxRows, rows, prompts, min(free, wanted))
		}
		if wanted > 0 && prompts == 0 {
			t.Fatalf("%v, %d, %d: %v does not advance any prompt", pending, chunk, maxRows, rows)
		}
	}
}
