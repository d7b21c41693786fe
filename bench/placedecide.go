package bench

import (
	"cmp"
	"slices"
	"time"

	"github.com/moeswarm/moeswarm/internal/placement"
)

// tick is a node's regular look at the swarm.
func (s *placeSim) tick(n int32) {
	s.after(n, time.Duration((0.5+s.random.Float64())*float64(placeTick)), (*placeSim).tick)
	s.look(n)
}

// look decides, if there may be something to decide.
func (s *placeSim) look(n int32) {
	x := &s.nodes[n]
	if !x.online || x.leaving || len(x.plan) > 0 {
		return
	}
	due := s.now-x.looked >= placeRebalance
	room := x.budget-x.used >= placeBytes
	if !room && !due && len(s.holes) == 0 {
		return
	}
	v := s.viewOf(n, !room && !due)
	if due {
		x.looked = s.now
	}
	d := placement.Decide(v, s.policy)
	if len(d.Fetch) == 0 {
		return
	}
	for _, f := range d.Fetch {
		f.Expert = int(s.index[f.Expert])
		x.plan = append(x.plan, f)
	}
	x.drop = x.drop[:0]
	for _, i := range d.Drop {
		x.drop = append(x.drop, s.index[i])
	}
	s.after(n, placeGossip, (*placeSim).intend)
	s.after(n, placeSettle, (*placeSim).confirm)
}

// intend makes a node's intentions known, those that others would contest.
func (s *placeSim) intend(n int32) {
	for _, f := range s.nodes[n].plan {
		if f.Why <= placement.Scarce {
			s.intents[int32(f.Expert)] = append(s.intents[int32(f.Expert)], n)
		}
	}
}

// withdraw takes a node's intentions back.
func (s *placeSim) withdraw(n int32) {
	for _, f := range s.nodes[n].plan {
		s.fulfil(n, int32(f.Expert))
	}
	s.nodes[n].plan = nil
}

func (s *placeSim) fulfil(n, e int32) {
	list := slices.DeleteFunc(s.intents[e], func(m int32) bool { return m == n })
	if len(list) == 0 {
		delete(s.intents, e)
		return
	}
	s.intents[e] = list
}

// above counts the nodes that are about to fetch an expert and rank above n.
func (s *placeSim) above(n, e int32) (count int) {
	own := placement.Rank(s.nodes[n].hash, int(e))
	for _, m := range s.intents[e] {
		if m != n && placement.Rank(s.nodes[m].hash, int(e)) > own {
			count++
		}
	}
	return count
}

// confirm looks again once others' intentions are known, makes room for what
// is still wanted, and begins to fetch.
func (s *placeSim) confirm(n int32) {
	x := &s.nodes[n]
	var kept []placement.Fetch
	for _, f := range x.plan {
		e := s.seen[f.Expert]
		e.Intended = s.above(n, int32(f.Expert))
		if placement.Confirm(f, e, s.policy) {
			kept = append(kept, f)
			continue
		}
		s.fulfil(n, int32(f.Expert))
		if s.now >= s.warm {
			s.stats.gaveWay++
		}
	}
	x.plan = kept
	if s.now >= s.warm {
		s.stats.confirmed += len(kept)
	}
	for _, e := range x.drop {
		if x.budget-x.used >= int64(len(kept))*placeBytes {
			break
		}
		s.lose(n, e)
	}
	s.next(n)
}

// next fetches the first expert of the plan.
func (s *placeSim) next(n int32) {
	x := &s.nodes[n]
	if len(x.plan) == 0 {
		return
	}
	s.after(n, time.Duration(placeBytes/x.rate*float64(time.Second)), func(s *placeSim, n int32) {
		x := &s.nodes[n]
		f := x.plan[0]
		x.plan = x.plan[1:]
		s.fulfil(n, int32(f.Expert))
		if s.have[f.Expert] > 0 && !x.leaving { // a source was there to the end
			s.gain(n, int32(f.Expert))
			if s.now >= s.warm {
				s.stats.moved[f.Why] += placeBytes
			}
		}
		s.next(n)
	})
}

// viewOf is the swarm as a node sees it. A partial view has only what the
// node holds and what has too few holders: enough for a full node between two
// looks at exchanges. s.index translates back.
func (s *placeSim) viewOf(n int32, partial bool) placement.View {
	x := &s.nodes[n]
	v := placement.View{Budget: x.budget, Rate: x.rate, Takers: len(s.online) - 1, Seed: s.random.Uint64()}
	s.view, s.index = s.view[:0], s.index[:0]
	if partial {
		for e := range s.holes {
			s.index = append(s.index, e)
		}
		for _, e := range x.held {
			if !s.holes[e] {
				s.index = append(s.index, e)
			}
		}
		slices.SortFunc(s.index, cmp.Compare[int32]) // maps have no order, and a seed must give one result
	} else {
		for e := range s.seen {
			s.index = append(s.index, int32(e))
		}
	}
	for i, e := range s.index {
		s.view = append(s.view, s.seen[e])
		s.place[e] = int32(i)
	}
	for _, e := range x.held {
		w := &s.view[s.place[e]]
		w.Held = true
		if x.visible {
			w.Replicas--
		}
		own := placement.Rank(x.hash, int(e))
		for _, r := range s.top[e] {
			if r > own {
				w.Above++
			}
		}
	}
	for e := range s.intents {
		if i := int(s.place[e]); i < len(s.index) && s.index[i] == e {
			s.view[i].Intended = s.above(n, e)
		}
	}
	v.Experts = s.view
	return v
}

// provide renews a node's provider records, which live for six hours, every
// two and a half (recordValidity, reprovideEvery of package swarm).
func (s *placeSim) provide(n int32) {
	s.nodes[n].until = s.now + 6*time.Hour
	s.after(n, 150*time.Minute, (*placeSim).provide)
}

// sample adds the state of the swarm to the statistics.
func (s *placeSim) sample(int32) {
	s.after(-1, time.Minute, (*placeSim).sample)
	if s.now < s.warm {
		return
	}
	st := &s.stats
	st.samples++
	st.online += float64(len(s.online))
	var missing, total float64
	for e, have := range s.have {
		total += float64(have)
		st.fewest = min(st.fewest, float64(have))
		if have == 0 {
			missing++
		}
		if have < 2 {
			st.scarce++
		}
		if s.seen[e].Replicas <= 0 {
			st.unseen += s.demand[e] * placeTopK / placeExperts
		}
	}
	st.missing += missing
	if missing == 0 {
		st.whole++
	}
	st.copies += total / float64(len(s.have))
	st.stale += float64(s.stale) / float64(max(1, s.inView))
	if int(st.samples)%60 == 1 {
		s.sampleHourly()
	}
	st.records += s.records
	st.ratio += s.ratio
	st.puts += total / float64(len(s.online)) / (150 * time.Minute).Seconds()
}

// sampleHourly counts what takes long to count.
func (s *placeSim) sampleHourly() {
	const keyLimit, closest = 128, 20 // maxKeyProviders of package swarm, Kademlia's k
	count := make([]int, len(s.seen))
	for i := range s.nodes {
		if x := &s.nodes[i]; x.until > s.now {
			for _, e := range x.held {
				count[e]++
			}
		}
	}
	sum := 0
	for _, c := range count {
		sum += min(c, keyLimit)
	}
	s.records = closest * float64(sum) / float64(len(s.online))

	order := make([]int, len(s.demand))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(s.demand[a], s.demand[b]) })
	twentieth := len(order) / 20
	var cold, hot float64
	for i := range twentieth {
		cold += float64(s.have[order[i]])
		hot += float64(s.have[order[len(order)-1-i]])
	}
	s.ratio = hot / max(1, cold)
}
