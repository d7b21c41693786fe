package draft

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

func TestAcceptanceLearns(t *testing.T) {
	wide := NewAcceptance()
	a := wide.Narrow()
	if got := a.Rate(match3); got != priorRate(match3) {
		t.Errorf("begins with %v", got)
	}
	p := Proposal{Tokens: []int32{1, 2, 3}, Classes: []Class{match3, match4, match6}}
	for range 30 {
		a.Observe(&p, []int32{1, 9, 3})
	}
	if a.Rate(match3) < 0.9 || a.Rate(match4) > 0.1 {
		t.Errorf("always and never right: %v, %v", a.Rate(match3), a.Rate(match4))
	}
	if got := a.Rate(match6); got != priorRate(match6) {
		t.Errorf("a token after a wrong one counted: %v", got)
	}
	b := wide.Narrow()
	if b.Rate(match4) > 0.15 {
		t.Errorf("another sequence begins with %v", b.Rate(match4))
	}
	for range 60 {
		a.Observe(&p, []int32{5})
	}
	if a.Rate(match3) > 0.4 {
		t.Errorf("what was is not forgotten: %v", a.Rate(match3))
	}
	got := b.Chances(&p, nil)
	want := b.Rate(match3) * b.Rate(match4) * b.Rate(match6)
	if len(got) != 3 || math.Abs(got[2]-want) > 1e-12 {
		t.Errorf("chances %v, want the product %v last", got, want)
	}
}

func TestClasses(t *testing.T) {
	last := Class(0)
	for n := 1; n < 40; n++ {
		c := matchClass(n)
		if c < last || c > matchLong || priorRate(c) < priorRate(last) {
			t.Errorf("match of %d is class %d after %d", n, c, last)
		}
		last = c
	}
	for _, p := range []float64{0, 0.2, 0.99, 1, math.Inf(1)} {
		if c := ConfidenceClass(p); c < confident0 || c >= classes {
			t.Errorf("confidence %v is class %d", p, c)
		}
	}
}

func TestGrades(t *testing.T) {
	for rows := 1; rows <= 1024; rows++ {
		g := grade(rows)
		if rowsOf(g) < rows || (g > 0 && rowsOf(g-1) >= rows) {
			t.Fatalf("%d rows are grade %d of up to %d", rows, g, rowsOf(g))
		}
	}
	if grade(1<<30) != grades-1 {
		t.Error("many rows")
	}
}

func TestCurve(t *testing.T) {
	var c Costs
	if got := c.Curve(10, nil); len(got) != 1 || c.Known(1) {
		t.Errorf("nothing known: %v", got)
	}
	c.Note(1, 10)
	if got := c.Curve(10, nil); len(got) != 3 || got[2] != 10 {
		t.Errorf("one point: %v", got)
	}
	c.Note(4, 40)
	c.Note(4, 4000) // a stall
	c.Note(4, 40)
	got := c.Curve(10, nil)
	for n, want := range []float64{0, 10, 20, 30, 40, 50, 60, 70, 80} {
		if math.Abs(got[n]-want) > 1e-9 {
			t.Errorf("%d rows: %v, want %v", n, got[n], want)
		}
	}
	c.Note(8, 30) // fewer than 4 rows took: noise
	if got := c.Curve(100, nil); got[8] != 40 || len(got) != 17 {
		t.Errorf("falls: %v", got)
	}
	for range fresh {
		c.Note(2, 10)
	}
	if c.Known(4) || !c.Known(2) {
		t.Error("old steps are not forgotten")
	}
}

// Share finds what trying everything finds.
func TestShareIsBest(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	for range 500 {
		chances := make([][]float64, 1+rng.IntN(3))
		for i := range chances {
			p := 1.0
			for range rng.IntN(5) {
				p *= rng.Float64()
				chances[i] = append(chances[i], p)
			}
		}
		base, room := len(chances)+rng.IntN(3), rng.IntN(8)
		costs := []float64{0}
		for range base + rng.IntN(room+3) {
			costs = append(costs, costs[len(costs)-1]+rng.Float64()*rng.Float64()+1e-3)
		}
		best := margin * float64(len(chances)) / costs[base]
		var try func(i, rows int, tokens float64)
		try = func(i, rows int, tokens float64) {
			if rows > room || base+rows >= len(costs) {
				return
			}
			if i == len(chances) {
				best = max(best, tokens/costs[base+rows])
				return
			}
			for n := range len(chances[i]) + 1 {
				if n > 0 {
					tokens += chances[i][n-1]
				}
				try(i+1, rows+n, tokens)
			}
		}
		try(0, 0, float64(len(chances)))
		rows, tokens := base, float64(len(chances))
		for i, n := range Share(base, room, chances, costs) {
			rows += n
			for _, c := range chances[i][:n] {
				tokens += c
			}
		}
		got := tokens / costs[rows]
		if rows == base {
			got *= margin
		}
		if rows-base > room || math.Abs(got-best) > 1e-9 {
			t.Fatalf("base %d room %d chances %v costs %v: rate %v with %d rows, best %v", base, room, chances, costs, got, rows-base, best)
		}
	}
}

// world is a model and a network to draft for: how often a proposal of each
// class is right, and what steps take.
type world struct {
	right func(Class) float64
	took  func(rows int) float64 // ms
	noise float64
}

// play draws some tokens with drafts and returns the rate against that without.
func (w world) play(rng *rand.Rand, tokens int) float64 {
	const most = 16
	costs, rates := Costs{}, NewAcceptance().Narrow()
	step := func(rows int) float64 {
		t := w.took(rows) * (1 + w.noise*rng.ExpFloat64())
		costs.Note(rows, time.Duration(t*1e6))
		return t
	}
	step(100) // the prompt
	var spent float64
	var curve []float64
	for drawn := 0; drawn < tokens; {
		var p Proposal
		came := []int32{}
		length, wrong := 1<<rng.IntN(6), false
		for j := range most {
			p.Add(1, matchClass(length+j))
			if !wrong {
				wrong = rng.Float64() > w.right(p.Classes[j])
				if wrong {
					came = append(came, 2)
				} else {
					came = append(came, 1)
				}
			}
		}
		k := 0
		if costs.Known(1) {
			curve = costs.Curve(1+most, curve)
			k = Share(1, most, [][]float64{rates.Chances(&p, nil)}, curve)[0]
		}
		spent += step(1 + k)
		right := 0
		for right < k && right < len(came) && came[right] == 1 {
			right++
		}
		drawn += right + 1
		rates.Observe(&p, came[:min(right+1, len(came))])
	}
	plain := w.took(1) * (1 + w.noise) * float64(tokens)
	return plain / spent
}

// In no world does drafting cost more than a twentieth; where rows are cheap
// and drafts good it multiplies the rate.
func TestDraftsTurnThemselvesOff(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	networks := map[string]func(int) float64{
		"30 ms":      func(rows int) float64 { return 120 + 2*float64(rows) },
		"lan":        func(rows int) float64 { return 2 + 1.5*math.Pow(float64(rows), 0.8) },
		"one core":   func(rows int) float64 { return 3 * float64(rows) },
		"one memory": func(rows int) float64 { return 5*(1-math.Pow(0.75, float64(rows))) + 0.2*float64(rows) },
	}
	for name, took := range networks {
		for _, c := range []struct {
			about string
			right float64
			least float64 // rate against none
		}{{"never right", 0, 0.95}, {"seldom right", 0.1, 0.95}, {"often right", 0.6, 0.95}, {"nearly always right", 0.97, 0.95}} {
			if name == "30 ms" && c.right > 0.9 {
				c.least = 5
			}
			if name == "30 ms" && c.right == 0.6 {
				c.least = 1.8
			}
			for _, noise := range []float64{0, 0.1, 0.5} {
				if noise == 0.5 && c.least < 1 {
					c.least = 0.93 // half of a step's time is chance: nobody sees 5 % there
				}
				w := world{right: func(Class) float64 { return c.right }, took: took, noise: noise}
				got := 0.0
				const turns = 4
				for range turns {
					got += w.play(rng, 3000) / turns
				}
				t.Logf("%s, %s, noise %v: %.3f", name, c.about, noise, got)
				if got < c.least {
					t.Errorf("%s, %s, noise %v: %.3f of the rate without drafts, want %v", name, c.about, noise, got, c.least)
				}
			}
		}
	}
}
