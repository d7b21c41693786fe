package routing

import (
	"cmp"
	"reflect"
	"slices"
	"testing"
)

// planSlowly is the choice of holders as one would write it down: every holder
// of a call is looked at and timed, and they are sorted. Changing, collecting
// and duplicating what was chosen is the planner's own.
func planSlowly(in *instance, seed uint64) ([]Attempt, []int) {
	var p planner
	w := in.w
	p.reset(len(in.peers), len(w.Calls))
	for h := range in.peers {
		p.meet(&w, int32(h), in.peers, in.now, seed)
	}
	p.order = slices.Clone(w.Place)
	slices.SortStableFunc(p.order, func(a, b int) int {
		one, other := len(w.Holders[a]), len(w.Holders[b])
		return cmp.Or(cmp.Compare(min(one, 2), min(other, 2)), // no choice first
			cmp.Compare(len(w.Calls[b].Rows), len(w.Calls[a].Rows)), // then the large ones
			cmp.Compare(one, other), cmp.Compare(a, b))
	})
	for _, c := range p.order {
		at := p.chooseSlowly(in, c)
		p.chosen = append(p.chosen, at)
		if at < 0 {
			p.left = append(p.left, c)
			continue
		}
		s := &p.slots[at]
		if s.calls == 0 {
			s.use = len(p.used)
			p.used = append(p.used, at)
		}
		s.calls, s.rows = s.calls+1, s.rows+len(w.Calls[c].Rows)
	}
	slices.Sort(p.left)
	p.refine(&w)
	p.collect(in.peers)
	p.hedge(&w, in.peers)
	return p.attempts, p.left
}

func (p *planner) chooseSlowly(in *instance, c int) int32 {
	var usable []int32
	for _, h := range in.w.Holders[c] {
		if in.usable(c, h) {
			usable = append(usable, p.slotOf[h]-1)
		}
	}
	time := func(at int32) float64 { return p.slots[at].timeWith(&in.w, len(in.w.Calls[c].Rows)) }
	slices.SortStableFunc(usable, func(a, b int32) int {
		return cmp.Or(cmp.Compare(time(a), time(b)), cmp.Compare(p.slots[a].tie, p.slots[b].tie))
	})
	p.second[c] = -1
	if len(usable) == 0 {
		return -1
	}
	if len(usable) > 1 {
		p.second[c] = usable[1]
	}
	best := usable[0]
	joined := slices.IndexFunc(usable, func(at int32) bool { return p.slots[at].calls > 0 })
	if joined > 0 && time(usable[joined]) <= time(best)*(1+p.slots[best].joinSlack(len(p.used))) {
		p.second[c] = best
		return usable[joined]
	}
	return best
}

// The planner passes over most holders with one look. What it decides is what
// it would decide if it timed every holder of every call.
func TestPlanLooksAtEnough(t *testing.T) {
	var p planner
	same := func(in *instance, seed uint64) {
		t.Helper()
		want, wantLeft := planSlowly(in, seed)
		got, left := p.plan(in.w, in.peers, in.now, seed)
		if len(got)+len(want) > 0 && !reflect.DeepEqual(got, want) || !slices.Equal(left, wantLeft) {
			t.Fatalf("seed %d: planned %v, left %v\nwant %v, left %v", seed, got, left, want, wantLeft)
		}
	}
	for seed := range uint64(2000) {
		in := draw(t, seed, 40, 40, seed%2 == 0)
		in.w.Explore = seed%7 == 0
		same(&in, seed)
	}
	for _, replicas := range []int{1, 2, 8, 32, 200} {
		in := swarmOf(t, replicas)
		in.w.Excluded = make([][]int32, len(in.w.Calls))
		for seed := range uint64(5) {
			same(&in, seed)
		}
	}
}
