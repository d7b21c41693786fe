package hot

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/moeswarm/moeswarm/expert"
)

func call(layer, index, rows int) expert.Call {
	return expert.Call{Expert: expert.ID{Layer: uint16(layer), Index: uint16(index)}, Rows: make([]int32, rows)}
}

// TestCountsFollowUse: what was used more counts more, and what is used now
// overtakes what was used long ago.
func TestCountsFollowUse(t *testing.T) {
	c := NewCounts()
	for range 2 * halfLife {
		c.Observe(1, []expert.Call{call(3, 1, 1), call(3, 5, 1)})
	}
	old := c.Rate(expert.Slot{Layer: 3, Index: 1})
	if old == 0 || old != c.Rate(expert.Slot{Layer: 3, Index: 5}) || c.Rate(expert.Slot{Layer: 3, Index: 2}) != 0 || c.Rate(expert.Slot{Layer: 4, Index: 1}) != 0 {
		t.Fatalf("rates %v, %v", old, c)
	}
	for range 2 * halfLife {
		c.Observe(1, []expert.Call{call(3, 2, 1)})
	}
	if was, now := c.Rate(expert.Slot{Layer: 3, Index: 1}), c.Rate(expert.Slot{Layer: 3, Index: 2}); now < 3*was || was > old/3.9 || was < old/4.1 {
		t.Errorf("after two half-lives: %v of %v, and %v", was, old, now)
	}
	// Long use neither overflows nor loses the order.
	for range 100 {
		c.Observe(halfLife, []expert.Call{call(3, 2, halfLife), call(3, 1, halfLife/2)})
	}
	if a, b := c.Rate(expert.Slot{Layer: 3, Index: 2}), c.Rate(expert.Slot{Layer: 3, Index: 1}); !(a > 1.9*b && a < 2.1*b) {
		t.Errorf("%v and %v", a, b)
	}
}

// TestChooseKeepsTheBudget: the choice fits, is the hottest, has nothing
// unused, and does not change over noise.
func TestChooseKeepsTheBudget(t *testing.T) {
	const seed = 8
	r := rand.New(rand.NewPCG(seed, 0))
	for range 300 {
		var all []Candidate
		bytes := map[expert.Slot]int64{}
		rate := map[expert.Slot]float64{}
		for i := range 1 + r.IntN(60) {
			c := Candidate{Slot: expert.Slot{Layer: i / 8, Index: i % 8}, Bytes: 100, Rate: float64(r.IntN(50))}
			all = append(all, c)
			bytes[c.Slot], rate[c.Slot] = c.Bytes, c.Rate
		}
		budget := int64(r.IntN(8000))
		keep := Choose(all, budget)
		used, least := int64(0), 1e9
		kept := map[expert.Slot]bool{}
		for _, s := range keep {
			used += bytes[s]
			least = min(least, rate[s])
			kept[s] = true
			if rate[s] == 0 {
				t.Fatalf("seed %d: %v is kept and was never used", seed, s)
			}
		}
		if used > budget {
			t.Fatalf("seed %d: %d bytes of %d", seed, used, budget)
		}
		for _, c := range all {
			if !kept[c.Slot] && c.Rate > least && used+c.Bytes <= budget+0 {
				t.Fatalf("seed %d: %v is left out", seed, c)
			}
			if !kept[c.Slot] && c.Rate > least {
				t.Fatalf("seed %d: %v is hotter than one kept", seed, c)
			}
		}
		for i := range all {
			all[i].Kept = kept[all[i].Slot]
			all[i].Rate *= 1 + 0.1*r.Float64()
		}
		for _, s := range Choose(all, budget) {
			if !kept[s] && int64(len(keep)+1)*100 > budget {
				t.Fatalf("seed %d: %v changed over noise", seed, s)
			}
		}
	}
}

func TestWorth(t *testing.T) {
	for _, c := range []struct {
		rows int
		rate float64
		room int64
		want bool
	}{
		{1, 1e7, 1 << 30, false},
		{512, 1e7, 1 << 30, true},   // 8 MB of rows, 0.8 s; the expert 0.3 s and 0.1
		{512, 1e7, 1 << 20, false},  // no room
		{512, 0, 1 << 30, false},    // nothing measured
		{512, 1e10, 1 << 30, false}, // on a fast line the delay decides
	} {
		if got := Worth(c.rows, 8192, 3<<20, c.rate, c.room); got != c.want {
			t.Errorf("%s: %v", fmt.Sprint(c), got)
		}
	}
}
