package bench

import (
	"context"
	"errors"
	"runtime"
	"sort"
	"time"

	"github.com/moeswarm/moeswarm/gating/groups"
	"github.com/moeswarm/moeswarm/gating/trunk"
)

// stepReps is how often a step of each number of rows is timed.
const stepReps = 3

// stepTime is what a step of so many rows takes without any network.
type stepTime struct {
	rows int
	took time.Duration // from end to end, alone: the least of several
	busy time.Duration // of all processors, where others fill its gaps
}

// stepRows are the numbers of rows up to n whose steps are timed.
func stepRows(n int) (rows []int) {
	for r := 1; r < n; r += max(1, r/3) {
		rows = append(rows, r)
	}
	return append(rows, n)
}

// steps times steps of 1 to n rows that decode, one at a time and without any
// network.
func (b *streamBed) steps(ctx context.Context, n int) (all []stepTime, err error) {
	a, err := b.start(0)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, a.close()) }()
	var prompts trunk.Step
	for slot, ids := range b.ids[:n] {
		for at, id := range ids {
			prompts.Tokens, prompts.Positions, prompts.Slots = append(prompts.Tokens, id), append(prompts.Positions, at), append(prompts.Slots, slot)
		}
	}
	if _, err := a.trunk.Forward(ctx, prompts); err != nil {
		return nil, err
	}
	slot := 0
	for _, rows := range stepRows(n) {
		t := stepTime{rows: rows}
		worked := selfTime()
		for range stepReps {
			var s trunk.Step
			for i := range rows {
				s.Tokens, s.Positions = append(s.Tokens, b.want[slot][0]), append(s.Positions, len(b.ids[slot]))
				s.Slots, s.Logits = append(s.Slots, slot), append(s.Logits, i)
				slot = (slot + 1) % n
			}
			began := time.Now()
			if _, err := a.trunk.Forward(ctx, s); err != nil {
				return nil, err
			}
			if took := time.Since(began); t.took == 0 || took < t.took {
				t.took = took
			}
		}
		if t.busy = (selfTime() - worked) / stepReps / time.Duration(runtime.NumCPU()); b.o.virtual || t.busy > t.took {
			t.busy = t.took
		}
		b.o.Progress("a step of %2d rows alone: %v, of which processors work %v", rows, t.took.Round(time.Millisecond), t.busy.Round(time.Millisecond))
		all = append(all, t)
	}
	return all, nil
}

// workOf is what steps take, on straight lines between those that were timed,
// the last of which has as many rows as any.
func workOf(timed []stepTime) groups.Work {
	return func(rows int) (took, busy time.Duration) {
		i := sort.Search(len(timed), func(i int) bool { return timed[i].rows >= rows })
		b := timed[min(i, len(timed)-1)]
		if i == 0 || b.rows == rows {
			return b.took, b.busy
		}
		a := timed[i-1]
		f := float64(rows-a.rows) / float64(b.rows-a.rows)
		between := func(a, b time.Duration) time.Duration { return a + time.Duration(f*float64(b-a)) }
		return between(a.took, b.took), between(a.busy, b.busy)
	}
}
