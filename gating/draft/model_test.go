package draft

import (
	"math"
	"testing"
	"time"
)

// A model's draft is as long as makes the rate highest, and it is asked where
// that is more than without.
func TestModelPace(t *testing.T) {
	for _, x := range []struct {
		name       string
		right      float64
		model, row float64 // ns
		pays       bool
	}{
		{"cheap and right", 0.9, 1, 1, true},
		{"dear", 0.9, 200, 1, false},
		{"wrong", 0.02, 5, 1, false},
		{"rows are dear", 0.9, 1, 120, false},
	} {
		costs := []float64{0, 100}
		for len(costs) < 40 {
			costs = append(costs, costs[len(costs)-1]+x.row)
		}
		var m ModelPace
		m.Took(time.Duration(x.model))
		p := Proposal{Tokens: []int32{1}, Classes: []Class{confident7}}
		for i := range 1000 {
			came := int32(0)
			if math.Mod(float64(i)*x.right, 1) < x.right {
				came = 1
			}
			m.Came(&p, []int32{came})
		}
		if math.Abs(m.Rate()-x.right) > 0.12 {
			t.Errorf("%s: rate %.2f, want about %.2f", x.name, m.Rate(), x.right)
		}
		best := m.Best(1, 30, costs)
		if pays := best > 1/costs[1]; pays != x.pays {
			t.Errorf("%s: pays %v, want %v", x.name, pays, x.pays)
		}
		// Going on for as long as More says gives that rate.
		n, chance, tokens := 1, m.Rate(), 1+m.Rate()
		for m.More(n, chance, tokens, 1, costs) && n < 30 {
			n++
			chance *= m.Rate()
			tokens += chance
		}
		if got := tokens / (costs[1+n] + float64(n)*m.took); best > 1/costs[1] && got < 0.999*best {
			t.Errorf("%s: %d tokens give %v, best is %v", x.name, n, got, best)
		}
	}
}

// A model that does not pay is tried again now and then.
func TestModelIsTriedAgain(t *testing.T) {
	var m ModelPace
	if !m.Try() {
		t.Error("a model that nobody knows is not tried")
	}
	m.Came(&Proposal{Tokens: []int32{1}, Classes: []Class{0}}, []int32{2})
	tries := 0
	for range 10 * patience {
		if m.Try() {
			tries++
		}
	}
	if tries != 10 {
		t.Errorf("%d tries in %d", tries, 10*patience)
	}
}
