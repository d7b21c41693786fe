package placement

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func policy(t *testing.T, p Policy) Policy {
	t.Helper()
	p, err := p.Validate()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestValidate(t *testing.T) {
	if _, err := (Policy{Hysteresis: 0.5}).Validate(); err == nil {
		t.Error("hysteresis below 1 is taken")
	}
	if _, err := (Policy{Want: -1}).Validate(); err == nil {
		t.Error("negative numbers are taken")
	}
}

// TestDecideProperties: whatever a node sees, it keeps to its budget and its
// rate, lets go only what is safe, and names nothing twice.
func TestDecideProperties(t *testing.T) {
	p := policy(t, Policy{})
	for seed := range uint64(3000) {
		r := rand.New(rand.NewPCG(seed, 2))
		v := View{Budget: r.Int64N(400), Takers: r.IntN(4), Seed: r.Uint64(), Speed: r.Float64() * 2}
		if r.IntN(2) == 0 {
			v.Rate = r.Float64() * 10
		}
		var used int64
		for range r.IntN(60) {
			e := Expert{Bytes: 1 + r.Int64N(20), Replicas: float64(r.IntN(5)) * r.Float64(), Intended: r.IntN(3) / 2,
				Demand: r.ExpFloat64(), Held: r.IntN(3) == 0, Lost: r.IntN(5) == 0}
			e.Above = r.IntN(5)
			if e.Held {
				used += e.Bytes
			}
			v.Experts = append(v.Experts, e)
		}
		d := Decide(v, p)
		seen := map[int]bool{}
		left, fetched := used, int64(0)
		for _, i := range d.Drop {
			e := v.Experts[i]
			if !e.Held || e.Above < p.Want || e.Replicas < float64(p.Want) || seen[i] {
				t.Fatalf("seed %d: drops %+v", seed, e)
			}
			seen[i] = true
			left -= e.Bytes
		}
		for _, i := range d.HandOver {
			if e := v.Experts[i]; !e.Held || seen[i] {
				t.Fatalf("seed %d: hands over %+v", seed, e)
			}
			seen[i] = true
			left -= v.Experts[i].Bytes
		}
		for _, f := range d.Fetch {
			if e := v.Experts[f.Expert]; e.Held || e.Lost || seen[f.Expert] || !Confirm(f, e, p) {
				t.Fatalf("seed %d: fetches %+v because %v", seed, e, f.Why)
			}
			seen[f.Expert] = true
			fetched += v.Experts[f.Expert].Bytes
		}
		if left+fetched > v.Budget {
			t.Fatalf("seed %d: %d bytes held and %d fetched with a budget of %d", seed, left, fetched, v.Budget)
		}
		if v.Rate > 0 && len(d.Fetch) > 1 && float64(fetched) > v.Rate*p.BatchTime.Seconds() {
			t.Fatalf("seed %d: %d bytes in one batch at %.1f bytes/s", seed, fetched, v.Rate)
		}
		if again := Decide(v, p); !slices.Equal(again.Fetch, d.Fetch) || !slices.Equal(again.Drop, d.Drop) {
			t.Fatalf("seed %d: the same view, another decision", seed)
		}
	}
}

func TestMissingFirst(t *testing.T) {
	p := policy(t, Policy{})
	v := View{Budget: 10, Seed: 3}
	for range 20 {
		v.Experts = append(v.Experts, Expert{Bytes: 10, Replicas: 5, Demand: 3})
	}
	v.Experts[7] = Expert{Bytes: 10, Replicas: 0, Demand: 0.1}
	v.Experts[9] = Expert{Bytes: 10, Replicas: 1, Demand: 9}
	if d := Decide(v, p); len(d.Fetch) != 1 || d.Fetch[0] != (Fetch{7, Missing}) {
		t.Errorf("%+v, want the missing one", d)
	}
	v.Experts[7].Lost = true
	if d := Decide(v, p); len(d.Fetch) != 1 || d.Fetch[0] != (Fetch{9, Scarce}) {
		t.Errorf("%+v, want the scarce one where the missing one cannot be had", d)
	}
	// A full node gives up what others hold best.
	v.Experts[7].Lost = false
	v.Experts[3] = Expert{Bytes: 10, Held: true, Replicas: 5, Above: 2, Demand: 1}
	if d := Decide(v, p); !slices.Equal(d.Drop, []int{3}) || len(d.Fetch) != 1 || d.Fetch[0].Expert != 7 {
		t.Errorf("%+v, want 7 for 3", d)
	}
	// But not what it is among the first to keep.
	v.Experts[3].Above = 1
	if d := Decide(v, p); len(d.Drop) != 0 || len(d.Fetch) != 0 {
		t.Errorf("%+v, want nothing", d)
	}
}

// TestShrinks: a smaller budget lets go what is safe, and offers the rest.
func TestShrinks(t *testing.T) {
	p := policy(t, Policy{})
	v := View{Budget: 10, Experts: []Expert{
		{Bytes: 10, Held: true, Replicas: 0, Demand: 1},
		{Bytes: 10, Held: true, Replicas: 1, Above: 1, Demand: 1},
		{Bytes: 10, Held: true, Replicas: 9, Above: 9, Demand: 1},
	}}
	d := Decide(v, p)
	if !slices.Equal(d.Drop, []int{2}) || !slices.Equal(d.HandOver, []int{1}) || len(d.Fetch) != 0 {
		t.Errorf("%+v, want 2 let go and 1 handed over", d)
	}
}

func TestBatch(t *testing.T) {
	p := policy(t, Policy{BatchTime: 10 * time.Second})
	v := View{Budget: 1000, Rate: 3}
	for range 50 {
		v.Experts = append(v.Experts, Expert{Bytes: 10, Replicas: 3, Demand: 1})
	}
	if d := Decide(v, p); len(d.Fetch) != 3 {
		t.Errorf("%d experts of 10 bytes at 3 bytes/s in 10 s, want 3", len(d.Fetch))
	}
	v.Rate = 0.1
	if d := Decide(v, p); len(d.Fetch) != 1 {
		t.Errorf("%d experts for a slow node, want 1", len(d.Fetch))
	}
}

func TestSlowNodesTakeTheCold(t *testing.T) {
	p := policy(t, Policy{})
	hot := map[float64]int{}
	for _, speed := range []float64{0.1, 1} {
		for seed := range uint64(500) {
			v := View{Budget: 10, Speed: speed, Seed: seed}
			for i := range 10 {
				v.Experts = append(v.Experts, Expert{Bytes: 10, Replicas: 4, Demand: float64(1 + 9*(i/5))})
			}
			if d := Decide(v, p); d.Fetch[0].Expert >= 5 {
				hot[speed]++
			}
		}
	}
	if hot[0.1] >= hot[1]-50 {
		t.Errorf("hot experts in %d of 500 choices of slow nodes, %d of others", hot[0.1], hot[1])
	}
}

func TestLeave(t *testing.T) {
	p := policy(t, Policy{})
	got := Leave([]Expert{
		{Held: true, Replicas: 5}, {Held: true, Replicas: 1, Demand: 9}, {Replicas: 0},
		{Held: true, Replicas: 0, Demand: 1}, {Held: true, Replicas: 0.5, Demand: 2},
	}, p)
	if !slices.Equal(got, []int{4, 3, 1}) {
		t.Errorf("%v, want the last copies first, hot ones first among them", got)
	}
}

func TestTrunk(t *testing.T) {
	p := policy(t, Policy{})
	can := Trunk{Bytes: 10, Budget: 100, Holders: 8}
	for name, c := range map[string]struct {
		change func(*Trunk)
		want   Verdict
	}{
		"nobody gates":              {func(*Trunk) {}, Take},
		"one gates":                 {func(x *Trunk) { x.Gates = 1 }, Take},
		"two gate":                  {func(x *Trunk) { x.Gates = 2 }, Stay},
		"two gate, and are busy":    {func(x *Trunk) { x.Gates, x.Waiting = 2, 5 }, Take},
		"a hundred holders":         {func(x *Trunk) { x.Gates, x.Holders = 2, 100 }, Take},
		"another is about to":       {func(x *Trunk) { x.Gates, x.Intended = 1, 1 }, Stay},
		"no room":                   {func(x *Trunk) { x.Budget = 9 }, Stay},
		"little room":               {func(x *Trunk) { x.Budget, x.Gates = 15, 1 }, Stay},
		"little room, nobody gates": {func(x *Trunk) { x.Budget = 15 }, Take},
		"slow":                      {func(x *Trunk) { x.Speed, x.Gates = 0.2, 1 }, Stay},
		"slow, nobody gates":        {func(x *Trunk) { x.Speed = 0.2 }, Take},
		"gating":                    {func(x *Trunk) { x.Held, x.Gates, x.Above = true, 2, 2 }, Stay},
		"gating, far too many":      {func(x *Trunk) { x.Held, x.Gates, x.Above = true, 5, 4 }, LetGo},
		"gating, among the first":   {func(x *Trunk) { x.Held, x.Gates, x.Above = true, 5, 1 }, Stay},
		"gating, no room":           {func(x *Trunk) { x.Held, x.Budget, x.Above, x.Gates = true, 5, 2, 2 }, LetGo},
		"gating, no room, the only": {func(x *Trunk) { x.Held, x.Budget = true, 5 }, GiveUp},
	} {
		x := can
		c.change(&x)
		if got := DecideTrunk(x, p); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
		if c.want == Take && !ConfirmTrunk(x, p) {
			t.Errorf("%s: taken but not confirmed", name)
		}
	}
	x := can
	x.Gates, x.Intended = 1, 1
	if ConfirmTrunk(x, p) {
		t.Error("confirmed although another is about to gate")
	}
}

// FuzzDecide: no view makes a decision fail.
func FuzzDecide(f *testing.F) {
	f.Add(int64(100), 0.5, 1.0, 3, uint64(1), int64(10), 1.5, 2, 1, 0.7, true)
	f.Fuzz(func(t *testing.T, budget int64, rate, speed float64, takers int, seed uint64, bytes int64, replicas float64, above, intended int, demand float64, held bool) {
		if budget < 0 || bytes < 0 || bytes > 1<<50 || takers < 0 || takers > 1<<30 {
			return // sizes come from a manifest that was checked
		}
		p, _ := Policy{}.Validate()
		v := View{Budget: budget, Rate: rate, Speed: speed, Takers: takers, Seed: seed, Experts: []Expert{
			{Bytes: bytes, Replicas: replicas, Above: above, Intended: intended, Demand: demand, Held: held},
			{Bytes: bytes, Demand: demand}, {Bytes: 1, Replicas: 3, Above: 3, Held: true},
		}}
		Decide(v, p)
		Leave(v.Experts, p)
	})
}
