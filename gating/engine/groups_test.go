package engine

import (
	"context"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/moeswarm/moeswarm/gating/groups"
	"github.com/moeswarm/moeswarm/gating/prompt"
	"github.com/moeswarm/moeswarm/gating/trunk"
)

// Any grouping, any memory, any users, with readers that leave at any time and
// steps that fail: each answer has the tokens it has alone.
func TestGroupsDoNotMatter(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	var all Stats
	most := 0
	// How steps meet is up to the machine as well: it takes as many rounds as it
	// takes to have seen all of it.
	little := func() bool { return most < 3 || all.Reused < 100 || all.Suspended < 3 }
	for round := 0; round < 80 || round < 2000 && little(); round++ {
		f := quotingTrunk(t)
		f.compute, f.experts = time.Duration(rng.IntN(5)+1)*time.Millisecond, time.Duration(rng.IntN(50))*time.Millisecond
		fails := rng.IntN(2) == 0
		f.before = func(context.Context, trunk.Step) error {
			for range rand.IntN(4) {
				runtime.Gosched()
			}
			if fails && rand.IntN(50) == 0 {
				return context.DeadlineExceeded
			}
			return nil
		}
		cfg := Config{
			MaxRunning: 1 + rng.IntN(8), MaxWaiting: 100, PrefillChunk: 1 + rng.IntN(70), Context: 60 + rng.IntN(100),
			Drafts: rng.IntN(6) - 1,
			Away:   func() time.Duration { return time.Duration(rand.IntN(100)) * time.Millisecond },
		}
		cfg.MaxRows = cfg.MaxRunning + 1 + rng.IntN(40)
		if rng.IntN(2) == 0 {
			cfg.Memory = int64(40 + rng.IntN(160))
		}
		e, stop := start(t, f, cfg)
		var wg sync.WaitGroup
		begun := randomText(rng, 30)
		for range 1 + rng.IntN(16) {
			r := randomRequest(rng)
			r.User = string(rune('a' + rng.IntN(3)))
			if rng.IntN(2) == 0 { // a common beginning
				r.Text = begun[:1+rng.IntN(len(begun))] + r.Text
			}
			r.Text = r.Text[:min(len(r.Text), e.cfg.room-1)]
			want, wantFinish := referenceOf(quoting, r, e.cfg.room)
			leaves := 1000
			if rng.IntN(4) == 0 {
				leaves = rng.IntN(20)
			}
			wg.Go(func() {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				var ids []int32
				var finish prompt.Finish
				for c, err := range e.Complete(ctx, r) {
					if err != nil {
						if leaves == 1000 && !fails {
							t.Errorf("%+v: %v", r, err)
						}
						break
					}
					if c.HasToken {
						ids = append(ids, c.Token)
					}
					if finish = c.Finish; len(ids) >= leaves {
						cancel()
					}
				}
				if finish != "" && (finish != wantFinish || !slices.Equal(ids, want)) || len(ids) > len(want) || !slices.Equal(ids, want[:len(ids)]) {
					t.Errorf("%+v\n got %v, %q\nwant %v, %q", r, ids, finish, want, wantFinish)
				}
			})
		}
		wg.Wait()
		s := e.Stats()
		stop()
		for i, s := range f.steps() {
			if s.Rows() > cfg.MaxRows {
				t.Errorf("step %d has %d rows, limit %d", i, s.Rows(), cfg.MaxRows)
			}
		}
		if t.Failed() {
			t.Fatalf("config %+v", cfg)
		}
		most = max(most, f.mu.most)
		all.Reused, all.Suspended = all.Reused+s.Reused, all.Suspended+s.Suspended
	}
	t.Logf("%d steps at once at most, %d tokens reused, %d sequences suspended", most, all.Reused, all.Suspended)
	if little() {
		t.Error("too little of it to have tested anything")
	}
}

// Prompts are read in parts that answers can wait for.
func TestChunkBesideAnswers(t *testing.T) {
	c := &groups.Times{}
	for _, rows := range []int{1, 16, 32, 64, 256} {
		for range 30 {
			c.Note(groups.Step{Rows: rows, Compute: time.Duration(rows) * 2 * time.Millisecond, Experts: time.Duration(rows) * 3 * time.Millisecond, Alone: true})
		}
	}
	if got := chunk(c, 256, 0, 0); got != 256 {
		t.Errorf("nobody waits: %d rows", got)
	}
	if got := chunk(c, 256, 1, 0); got != 32 { // 160 ms
		t.Errorf("beside answers: %d rows, want 32", got)
	}
	if got := chunk(c, 256, 1, 3*time.Second); got != 256 { // 1.3 s, where an answer's step takes 3
		t.Errorf("beside answers that take their time: %d rows, want 256", got)
	}
	if got := chunk(c, 8, 1, 0); got != 8 {
		t.Errorf("a small chunk: %d rows", got)
	}
}

// TestWaves: prompts are read in waves where the network takes a good part of the
// time, of 32 rows at least, four at most, and not before a step was measured.
func TestWaves(t *testing.T) {
	var unknown, known groups.Times
	known.Note(groups.Step{Rows: 64, Compute: 300 * time.Millisecond, Experts: 500 * time.Millisecond, Alone: true})
	for _, c := range []struct {
		times *groups.Times
		rows  int
		away  time.Duration
		want  int
	}{
		{&unknown, 256, time.Hour, 1},
		{&known, 64, 0, 1},
		{&known, 64, 190 * time.Millisecond, 1},
		{&known, 64, 210 * time.Millisecond, 2},
		{&known, 63, time.Second, 1},
		{&known, 1, time.Second, 1},
		{&known, 100, time.Second, 3},
		{&known, 4096, time.Hour, 4},
	} {
		if got := waves(c.times, c.rows, c.away); got != c.want {
			t.Errorf("%d rows, %v away: %d waves, want %d", c.rows, c.away, got, c.want)
		}
	}
}

func TestNextStep(t *testing.T) {
	for _, x := range []struct {
		name string
		o    outlook
		want []int
	}{
		{"nothing", outlook{groups: 3}, nil},
		{"one group waits", outlook{pending: []int{1}, users: []int{0}, decode: 2, groups: 1, decoding: 1}, nil},
		{"one group takes all", outlook{pending: []int{1, 9}, users: []int{0, 0}, decode: 1, groups: 1}, []int{1, 4}},
		{"a group is a fair part", outlook{pending: []int{1, 1, 1, 1, 1}, users: make([]int, 5), decode: 5, groups: 2}, []int{1, 1, 1, 0, 0}},
		{"the second group", outlook{pending: []int{1, 1}, users: make([]int, 2), decode: 5, groups: 2, decoding: 1}, []int{1, 1}},
		{"no third", outlook{pending: []int{1, 1}, users: make([]int, 2), decode: 5, groups: 2, decoding: 2}, nil},
		{"prompts beside groups", outlook{pending: []int{1, 9}, users: make([]int, 2), decode: 3, groups: 2, decoding: 2}, []int{0, 4}},
		{"not too many of them", outlook{pending: []int{9}, users: make([]int, 1), groups: 2, reading: 2}, nil},
	} {
		x.o.chunk, x.o.maxRows = 4, 20
		if got := x.o.next(); !slices.Equal(got, x.want) {
			t.Errorf("%s: %v, want %v", x.name, got, x.want)
		}
	}
}
