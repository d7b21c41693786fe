package groups

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// learn is a choice that has seen steps of so many rows, each alone.
func learn(work func(rows int) (compute, experts float64), away time.Duration, rows ...int) *Choice {
	c := &Choice{}
	for _, n := range rows {
		for range 30 {
			compute, experts := work(n)
			c.Times.Note(Step{Rows: n, Compute: seconds(compute), Experts: seconds(experts) + away, Away: away, Alone: true})
		}
	}
	return c
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// The number of groups follows what there is to wait for.
func TestGroups(t *testing.T) {
	for _, x := range []struct {
		n           int
		away        float64
		least, most int
	}{
		{1, 1, 1, 1},
		{64, 0, 1, 1},
		{64, 0.001, 2, 3}, // while one computes, the other's experts do
		{64, 0.5, 5, 20},  // 64 rows take 68 ms, but 11 times 6 more
		{8, 2, 1, 2},      // 2.024 s a token; 8 groups would take 2.01
		{8, 0.03, 2, 6},
	} {
		// A step's own work: 4 ms, and 1 ms for each row; experts the same.
		w := truth{compute: [2]float64{0.004, 0.001}, experts: [2]float64{0.004, 0.001}, away: x.away}
		c, g := learn(w.work, seconds(w.away), 1, x.n), 1
		for range 20 {
			g = c.Groups(x.n, g, seconds(w.away))
			c.Saw(Round{Groups: g, Rows: float64(x.n) / float64(g), Took: seconds(w.round(x.n, g))}, seconds(w.away))
		}
		if g < x.least || g > x.most {
			t.Errorf("%d sequences, %v s away: %d groups, want %d to %d", x.n, x.away, g, x.least, x.most)
		}
		if again := c.Groups(x.n, g, seconds(w.away)); again != g {
			t.Errorf("%d sequences, %v s away: %d groups after %d", x.n, x.away, again, g)
		}
	}
	if got := (&Choice{}).Groups(64, 1, time.Second); got != 1 {
		t.Errorf("nothing measured: %d groups", got)
	}
}

// Before anything was measured there are no more than two groups, and then no more
// than twice as many as that says something of.
func TestChoiceClimbs(t *testing.T) {
	w := truth{compute: [2]float64{0.004, 0.001}, experts: [2]float64{0.004, 0.001}, away: 3}
	c, was := learn(w.work, seconds(w.away), 1, 64), 1
	for range 8 {
		g := c.Groups(64, was, seconds(w.away))
		if g > 2*was+1 {
			t.Errorf("%d groups after %d", g, was)
		}
		c.Saw(Round{Groups: g, Rows: 64 / float64(g), Took: seconds(w.round(64, g))}, seconds(w.away))
		was = g
	}
}

// truth is how steps really behave, which a choice has to find out.
type truth struct {
	compute, experts [2]float64 // of a step, of a row, in seconds
	shared           bool       // holders work on the trunk's processors
	extra            float64    // by which steps that are together are slower than they need be
	away             float64
}

func (w truth) work(rows int) (compute, experts float64) {
	return w.compute[0] + float64(rows)*w.compute[1], w.experts[0] + float64(rows)*w.experts[1]
}

// round of n sequences in g groups.
func (w truth) round(n, g int) float64 {
	c, e := w.work((n + g - 1) / g)
	if g == 1 {
		return c + e + w.away
	}
	mc, me := w.compute[0]+float64(n)/float64(g)*w.compute[1], w.experts[0]+float64(n)/float64(g)*w.experts[1]
	busy := max(mc, me)
	if w.shared {
		busy = mc + me
	}
	return max(c+e+w.away, float64(g)*busy) * (1 + w.extra*min(1, float64(g)*busy/(c+e+w.away)))
}

func randomTruth(rng *rand.Rand) truth {
	ms := func(least, most float64) float64 { return least * math.Pow(most/least, rng.Float64()) / 1000 }
	return truth{
		compute: [2]float64{ms(1, 50), ms(0.1, 5)}, experts: [2]float64{ms(1, 60), ms(0.2, 20)},
		shared: rng.IntN(2) == 0, extra: 0.3 * rng.Float64(), away: ms(2, 3000),
	}
}

// Whatever steps take and however they slow each other down, the choice soon is
// nearly the best number of groups, and stays there: trying costs little.
func TestChoiceFindsTheBest(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	var shares, late []float64
	changes := 0
	const rounds, cases = 60, 400
	for range cases {
		w, n := randomTruth(rng), 2+rng.IntN(63)
		c := learn(w.work, seconds(w.away), 1, n) // what it has seen when n have come
		best := math.Inf(1)
		for g := 1; g <= min(n, Most); g++ {
			best = min(best, w.round(n, g))
		}
		all, end, g := 0.0, 0.0, 1
		for i := range rounds {
			was := g
			if g = c.Groups(n, g, seconds(w.away)); g != was {
				changes++
				all += w.round(n, g) // to settle
			}
			took := w.round(n, g)
			if all += took; i >= rounds*2/3 {
				end += took / (rounds / 3)
			}
			noise := 1 + 0.02*rng.NormFloat64()
			c.Saw(Round{Groups: g, Rows: float64(n) / float64(g), Took: seconds(took * noise)}, seconds(w.away))
			rows := (n + g - 1) / g
			compute, experts := w.work(rows)
			slow := took / (compute + experts + w.away)
			c.Times.Note(Step{Rows: rows, Compute: seconds(compute * slow), Experts: seconds((experts + w.away) * slow), Away: seconds(w.away), Alone: g == 1})
		}
		shares, late = append(shares, best*rounds/all), append(late, best/end)
		if s := best / end; s < 0.8 {
			t.Errorf("%+v, %d sequences: %d groups in the end, %.2f of the best in the last third", w, n, g, s)
		}
	}
	t.Logf("of the best: %.3f on average in the end, %.3f over %d rounds; %.1f changes", mean(late), mean(shares), rounds, float64(changes)/cases)
	if mean(late) < 0.97 || mean(shares) < 0.88 {
		t.Errorf("of the best: %.3f in the end, %.3f over %d rounds; want 0.97 and 0.88", mean(late), mean(shares), rounds)
	}
	if float64(changes)/cases > 8 {
		t.Errorf("%.1f changes in %d rounds", float64(changes)/cases, rounds)
	}
}

func mean(x []float64) (m float64) {
	for _, v := range x {
		m += v / float64(len(x))
	}
	return m
}

// What was measured with one number of sequences says something of another.
func TestChoiceCarriesOver(t *testing.T) {
	// Holders work on the trunk's processors, which nothing tells beforehand.
	w := truth{compute: [2]float64{0.06, 0.001}, experts: [2]float64{0.06, 0.001}, shared: true, away: 0.2}
	c := learn(w.work, seconds(w.away), 1, 4, 16, 32)
	for _, g := range []int{2, 4, 8, 16} {
		for range 5 {
			c.Saw(Round{Groups: g, Rows: 32 / float64(g), Took: seconds(w.round(32, g))}, seconds(w.away))
		}
	}
	for _, n := range []int{24, 40, 48} {
		best := math.Inf(1)
		for g := 1; g <= n; g++ {
			best = min(best, w.round(n, g))
		}
		if got := w.round(n, c.Groups(n, 1, seconds(w.away))); got > 1.05*best {
			t.Errorf("%d sequences: %.3f of the best round after 32 were measured", n, got/best)
		}
	}
}

func TestChoosingAllocatesNothing(t *testing.T) {
	w := truth{compute: [2]float64{0.01, 0.001}, experts: [2]float64{0.02, 0.004}, away: 0.3}
	c := learn(w.work, seconds(w.away), 1, 16)
	if n := testing.AllocsPerRun(100, func() { c.Groups(64, 3, time.Second); c.Saw(Round{Groups: 3, Rows: 5, Took: time.Second}, time.Second) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestTimes(t *testing.T) {
	near := func(got, want float64) bool { return math.Abs(got-want) < 1e-9 }
	note := func(ts *Times, rows int, ms float64, alone bool) {
		ts.Note(Step{Rows: rows, Compute: seconds(ms / 1000), Alone: alone})
	}
	var ts Times
	if _, _, ok := ts.Of(3); ok {
		t.Error("knows something of nothing")
	}
	note(&ts, 8, 80, true)
	for rows, want := range map[float64]float64{8: 0.08, 16: 0.12, 4: 0.06} { // half of it does not depend on rows
		if got, _, _ := ts.Of(rows); !near(got, want) {
			t.Errorf("one number measured: %v rows take %v, want %v", rows, got, want)
		}
	}
	note(&ts, 16, 100, true)
	for rows, want := range map[float64]float64{12: 0.09, 4: 0.07, 32: 0.14, 64: 0.22} {
		if got, _, _ := ts.Of(rows); !near(got, want) {
			t.Errorf("two numbers measured: %v rows take %v, want %v", rows, got, want)
		}
	}
	note(&ts, 8, 200, false) // in another's way
	if got, _, _ := ts.Of(8); !near(got, 0.08) {
		t.Errorf("after a step in another's way: %v", got)
	}
	note(&ts, 8, 30, false) // even so, it took less
	if got, _, _ := ts.Of(8); !near(got, 0.06) {
		t.Errorf("after a step that took less: %v", got)
	}
}

// Rounds are measured once things have settled, over whole rounds, without prompts.
func TestMeter(t *testing.T) {
	var m Meter
	at := time.Unix(0, 0)
	land := func(after time.Duration, groups, streams, sequences int, reading bool) (Round, bool, bool) {
		at = at.Add(after)
		return m.Landed(Landing{At: at, Groups: groups, Streams: streams, Sequences: sequences, Rows: sequences, Reading: reading})
	}
	// Two groups that land one soon after the other, every 400 ms.
	for i := range 9 {
		after, sequences := 10*time.Millisecond, 3
		if i%2 == 0 {
			after, sequences = 390*time.Millisecond, 5
		}
		r, over, ok := land(after, 2, 8, sequences, i > 6)
		switch want := i >= 3 && i%2 == 1; {
		case over != want:
			t.Errorf("landing %d: over %v, want %v", i, over, want)
		case over && (r.Took != 400*time.Millisecond || r.Rows != 4 || r.Groups != 2 || ok != (i < 7)):
			t.Errorf("landing %d: %+v, %v", i, r, ok)
		}
	}
	for i := range 2 { // a group more: settled after a round
		if _, over, _ := land(time.Second, 3, 8, 4, false); over {
			t.Errorf("landing %d after a change: over", i)
		}
	}
	if _, over, _ := land(time.Second, 3, 9, 4, false); over { // one sequence more in eight does not matter
		t.Error("over after half a round")
	}
	if r, over, ok := land(time.Second, 3, 9, 4, false); !over || !ok || r.Took != 2*time.Second {
		t.Errorf("%+v, %v, %v", r, over, ok)
	}
}

// Nothing is better than what is possible, and something is as good.
func TestPossible(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	for range 200 {
		// Work that grows by less with each row, as weights are read once.
		fixed, each, power := time.Duration(rng.IntN(50))*time.Millisecond, float64(1+rng.IntN(20)), 0.5+rng.Float64()/2
		work := func(rows int) (took, busy time.Duration) {
			took = fixed + time.Duration(each*math.Pow(float64(rows), power)*1e6)
			return took, took * 4 / 5
		}
		n, away := 1+rng.IntN(9), time.Duration(rng.IntN(300))*time.Millisecond
		rate, rows := Possible(n, away, work)
		best := 0.0
		parts(n, n, nil, func(sizes []int) {
			var busy, longest time.Duration
			for _, s := range sizes {
				took, b := work(s)
				busy, longest = busy+b, max(longest, took+away)
			}
			best = max(best, float64(n)/max(busy, longest).Seconds())
		})
		if math.Abs(rate/best-1) > 1e-6 {
			t.Errorf("%d sequences: %v possible, in parts of %d; the best of all parts gives %v", n, rate, rows, best)
		}
	}
}

// parts calls try with all ways to part n in numbers of at most most.
func parts(n, most int, sizes []int, try func([]int)) {
	if n == 0 {
		try(sizes)
	}
	for s := min(n, most); s > 0; s-- {
		parts(n-s, s, append(sizes, s), try)
	}
}
