package placement

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// crowd is many nodes that decide in rounds. All decide from what was true
// when the round began, then hear each other's intentions, then act, all at
// once: no order of events could give them older news.
type crowd struct {
	p       Policy
	size    []int64 // of each expert
	demand  []float64
	budget  []int64
	holds   [][]bool // node, expert
	gone    []bool
	hash    []uint64 // of each node's name
	random  *rand.Rand
	round   uint64
	fetched []int     // copies of each expert fetched so far
	changes int       // in the last round
	speed   []float64 // of each node; nil: not known
}

func newCrowd(seed uint64, nodes, experts int, budget func(*rand.Rand) int64) *crowd {
	c := &crowd{random: rand.New(rand.NewPCG(seed, 1)), fetched: make([]int, experts)}
	c.p, _ = Policy{}.Validate()
	for range experts {
		c.size, c.demand = append(c.size, 10), append(c.demand, 1)
	}
	for i := range nodes {
		c.hash = append(c.hash, PeerHash(fmt.Sprint("node", i)))
		c.budget = append(c.budget, budget(c.random))
		c.holds = append(c.holds, make([]bool, experts))
		c.gone = append(c.gone, false)
	}
	return c
}

func (c *crowd) replicas(e int) (n int) {
	for i := range c.holds {
		if c.holds[i][e] && !c.gone[i] {
			n++
		}
	}
	return n
}

// view is what node i sees of the given holdings and intentions.
func (c *crowd) view(i int, holds, intends [][]bool) View {
	v := View{Budget: c.budget[i], Seed: c.random.Uint64(), Takers: -1}
	if c.speed != nil {
		v.Speed = c.speed[i]
	}
	for _, gone := range c.gone {
		if !gone {
			v.Takers++
		}
	}
	for e := range c.size {
		x := Expert{Bytes: c.size[e], Demand: c.demand[e], Held: holds[i][e]}
		anywhere := x.Held
		for j := range holds {
			if j == i || c.gone[j] {
				continue
			}
			above := Rank(c.hash[j], e) > Rank(c.hash[i], e)
			if holds[j][e] {
				anywhere = true
				x.Replicas++
				if above {
					x.Above++
				}
			}
			if intends != nil && intends[j][e] && above {
				x.Intended++
			}
		}
		x.Lost = !anywhere
		v.Experts = append(v.Experts, x)
	}
	return v
}

func clone(m [][]bool) [][]bool {
	out := make([][]bool, len(m))
	for i := range m {
		out[i] = append([]bool(nil), m[i]...)
	}
	return out
}

// step is one round; share of the nodes decide in it.
func (c *crowd) step(t *testing.T, share float64) {
	t.Helper()
	c.round++
	c.changes = 0
	before := clone(c.holds)
	decisions := make([]Decision, len(c.holds))
	intends := make([][]bool, len(c.holds))
	for i := range c.holds {
		intends[i] = make([]bool, len(c.size))
		if c.gone[i] || c.random.Float64() >= share {
			continue
		}
		decisions[i] = Decide(c.view(i, before, nil), c.p)
		for _, f := range decisions[i].Fetch {
			intends[i][f.Expert] = true
		}
	}
	for i, d := range decisions {
		if c.gone[i] {
			continue
		}
		v := c.view(i, before, intends)
		for _, e := range d.Drop {
			c.holds[i][e] = false
			c.changes++
		}
		for _, f := range d.Fetch {
			if Confirm(f, v.Experts[f.Expert], c.p) {
				c.holds[i][f.Expert] = true
				c.fetched[f.Expert]++
				c.changes++
			}
		}
		var used int64
		for e, held := range c.holds[i] {
			if held {
				used += c.size[e]
			}
		}
		over := int64(0)
		for _, e := range d.HandOver {
			over += c.size[e]
		}
		if used-over > c.budget[i] {
			t.Fatalf("round %d: node %d holds %d of %d bytes", c.round, i, used, c.budget[i])
		}
	}
	for e := range c.size {
		had := 0
		for i := range before {
			if before[i][e] && !c.gone[i] {
				had++
			}
		}
		if now := c.replicas(e); now < min(had, c.p.Want) {
			t.Fatalf("round %d: expert %d had %d holders and has %d", c.round, e, had, now)
		}
	}
}

func (c *crowd) fewest() int {
	least := len(c.holds)
	for e := range c.size {
		least = min(least, c.replicas(e))
	}
	return least
}

// TestSpreads: a seeder and seven nodes with room for a fifth of the model
// each. Every expert gets a second holder, the seeder may go, and it becomes
// still.
func TestSpreads(t *testing.T) {
	for seed := range uint64(30) {
		c := newCrowd(seed, 8, 160, func(*rand.Rand) int64 { return 320 })
		c.budget[0] = 1600
		for e := range c.size {
			c.holds[0][e] = true
		}
		for range 12 {
			c.step(t, 0.8)
		}
		if n := c.fewest(); n < 2 {
			t.Errorf("seed %d: an expert has %d holders after %d rounds", seed, n, c.round)
		}
		c.gone[0] = true
		if n := c.fewest(); n < 1 {
			t.Errorf("seed %d: an expert is gone with the seeder", seed)
		}
		for range 30 {
			c.step(t, 1)
		}
		for range 5 {
			if c.step(t, 1); c.changes != 0 {
				t.Errorf("seed %d: %d changes in round %d, when nothing happens", seed, c.changes, c.round)
			}
		}
	}
}

// TestTight: with room for two copies and little more, and demand that is far
// from even, every expert still gets its second holder.
func TestTight(t *testing.T) {
	for seed := range uint64(10) {
		c := newCrowd(seed, 11, 64, func(*rand.Rand) int64 { return 128 })
		for e := range c.size {
			c.demand[e] = c.random.ExpFloat64() * c.random.ExpFloat64()
			c.holds[e%11][e] = true
		}
		for range 60 {
			c.step(t, 0.7)
		}
		if n := c.fewest(); n < 2 {
			t.Errorf("seed %d: an expert has %d holders", seed, n)
		}
	}
}

// TestNoHerd: an expert that all see missing is fetched by the wanted number
// of nodes, whether there are ten or two hundred.
func TestNoHerd(t *testing.T) {
	for _, nodes := range []int{10, 50, 200} {
		c := newCrowd(uint64(nodes), nodes, 40, func(*rand.Rand) int64 { return 100 })
		for i := range c.holds {
			for k := range 10 { // all are full, of all experts but the last
				c.holds[i][(i+4*k)%39] = true
			}
		}
		c.budget[0] = 110
		c.holds[0][39] = true // the only copy
		rounds := 0
		for ; c.replicas(39) < c.p.Want && rounds < 40; rounds++ {
			c.step(t, 1)
		}
		if n := c.replicas(39); n != c.p.Want {
			t.Errorf("%d nodes: %d holders after %d rounds, want %d", nodes, n, rounds, c.p.Want)
		}
		if rounds > 10 {
			t.Errorf("%d nodes: it took %d rounds", nodes, rounds)
		}
	}
}

// TestFollowsDemand: copies end up in proportion to demand within what the
// hysteresis allows, stop moving, and move again when demand does.
func TestFollowsDemand(t *testing.T) {
	c := newCrowd(5, 60, 40, func(r *rand.Rand) int64 { return 40 + 10*int64(r.IntN(9)) })
	for e := range c.size {
		c.holds[e%60][e] = true
	}
	settle := func() {
		for range 60 {
			c.step(t, 0.5)
		}
		c.step(t, 1)
		if c.changes > 2 {
			t.Errorf("%d changes in round %d, when nothing happens", c.changes, c.round)
		}
	}
	settle()
	if c.fewest() < 4 { // 480 places on average, for 40 experts
		t.Errorf("an expert has %d copies where 12 are the average", c.fewest())
	}
	before := c.replicas(7)
	for e := range c.demand {
		c.demand[e] = 0.8
	}
	c.demand[7] = 8.8
	settle()
	hot := c.replicas(7)
	if hot < 2*before {
		t.Errorf("the expert that is asked for ten times as often has %d copies, had %d", hot, before)
	}
	c.demand[7] = 0.8
	settle()
	if n := c.replicas(7); n >= hot {
		t.Errorf("%d copies, as when it was hot", n)
	}
	if n := c.fewest(); n < c.p.Want {
		t.Errorf("an expert has %d copies", n)
	}
}

// TestChurn: nodes come and go at random, a few at a time and never the last
// holder, as when it hands over; what the swarm can restore it restores.
func TestChurn(t *testing.T) {
	c := newCrowd(9, 40, 60, func(r *rand.Rand) int64 { return 50 + 10*int64(r.IntN(10)) })
	for e := range c.size {
		c.holds[e%40][e] = true
	}
	for range 15 {
		c.step(t, 1)
	}
	for range 100 {
		i := c.random.IntN(len(c.gone))
		if c.gone[i] {
			c.gone[i] = false
			for e := range c.size {
				c.holds[i][e] = false
			}
		} else if len(Leave(c.view(i, c.holds, nil).Experts, Policy{Want: 1})) == 0 {
			c.gone[i] = true
		}
		c.step(t, 0.7)
	}
	for range 15 {
		c.step(t, 0.7)
	}
	if n := c.fewest(); n < c.p.Want {
		t.Errorf("an expert has %d holders", n)
	}
}

// TestSlowNodesHoldTheCold: where half of the nodes are slow, what is asked for
// most lies at the others, and everything still has its holders.
func TestSlowNodesHoldTheCold(t *testing.T) {
	for seed := range uint64(6) {
		c := newCrowd(seed, 40, 40, func(*rand.Rand) int64 { return 80 })
		for i := range c.holds {
			c.speed = append(c.speed, []float64{0.1, 1}[i%2])
		}
		for e := range c.size {
			c.demand[e] = []float64{0.2, 1.8}[e%2]
			c.holds[e%40][e] = true
		}
		for range 60 {
			c.step(t, 0.5)
		}
		if n := c.fewest(); n < c.p.Want {
			t.Errorf("seed %d: an expert has %d holders", seed, n)
		}
		var hot, held [2]float64
		for i := range c.holds {
			for e, here := range c.holds[i] {
				if here {
					held[i%2]++
					hot[i%2] += float64(e % 2)
				}
			}
		}
		slow, fast := hot[0]/held[0], hot[1]/held[1]
		if slow > fast-0.1 {
			t.Errorf("seed %d: %.2f of what slow nodes hold is asked for often, %.2f of what others hold", seed, slow, fast)
		}
	}
}
