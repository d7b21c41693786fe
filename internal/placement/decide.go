package placement

import (
	"cmp"
	"math"
	"slices"
)

// Decide says what the node should fetch and let go. The policy must have
// passed Validate.
func Decide(v View, p Policy) Decision {
	d := decider{View: v, p: p, free: v.Budget, batch: batch(v, p)}
	for i := range v.Experts {
		if v.Experts[i].Held {
			d.free -= v.Experts[i].Bytes
			d.held++
		}
	}
	if d.free < 0 {
		d.shrink()
		return d.out
	}
	d.fillHoles()
	d.useRoom()
	if len(d.out.Fetch) == 0 {
		d.exchange()
	}
	return d.out
}

// Confirm reports whether a fetch is still wanted, now that others' intentions
// are known. Only fetches for want of holders are contested.
func Confirm(f Fetch, e Expert, p Policy) bool {
	return !e.Held && (f.Why > Scarce || e.Replicas+float64(e.Intended) < float64(p.Want))
}

// batch is how many bytes one decision may fetch: what the node's rate allows
// in the batch time, and one expert at least.
func batch(v View, p Policy) int64 {
	if v.Rate <= 0 {
		return math.MaxInt64
	}
	return int64(v.Rate * p.BatchTime.Seconds())
}

// decider is one decision under way.
type decider struct {
	View
	p       Policy
	free    int64 // of the budget
	batch   int64 // that may still be fetched
	held    int
	lacking int64 // bytes of copies that the swarm lacks, up to Want of each expert
	victims []int // held experts that may go, cheapest last; made when first needed
	listed  bool
	out     Decision
}

// worth is what a copy at this node is worth to the swarm: demand over the
// copies at others. Half a copy keeps it finite.
func (d *decider) worth(e *Expert) float64 {
	demand := d.p.Floor + (1-d.p.Floor)*max(0, e.Demand)
	if d.Speed > 0 && d.Speed < 1 { // a slow node is no help where demand is high
		demand = math.Pow(demand, d.Speed)
	}
	return demand / (max(0, e.Replicas) + 0.5)
}

// loose reports whether the node may let an expert go whatever others do at
// the same moment.
func (d *decider) loose(e *Expert) bool {
	return e.Held && e.Above >= d.p.Want && e.Replicas >= float64(d.p.Want)
}

// listVictims lists what may go, the least worth last.
func (d *decider) listVictims() {
	if d.listed {
		return
	}
	d.listed = true
	for i := range d.Experts {
		if d.loose(&d.Experts[i]) {
			d.victims = append(d.victims, i)
		}
	}
	slices.SortFunc(d.victims, func(a, b int) int {
		return cmp.Or(cmp.Compare(d.worth(&d.Experts[b]), d.worth(&d.Experts[a])), cmp.Compare(a, b))
	})
}

// shrink brings what is held down to the budget: first what is safe to let
// go, the least worth first; then it names what others should take.
func (d *decider) shrink() {
	d.listVictims()
	for d.free < 0 && len(d.victims) > 0 {
		d.dropLast()
	}
	if d.free >= 0 {
		return
	}
	var rest []int
	for i := range d.Experts {
		if d.Experts[i].Held && !slices.Contains(d.out.Drop, i) {
			rest = append(rest, i)
		}
	}
	// Those with the most other holders are easiest to part with.
	slices.SortFunc(rest, func(a, b int) int {
		return cmp.Or(cmp.Compare(d.worth(&d.Experts[a]), d.worth(&d.Experts[b])), cmp.Compare(a, b))
	})
	over := -d.free
	for _, i := range rest {
		if over <= 0 {
			break
		}
		over -= d.Experts[i].Bytes
		d.out.HandOver = append(d.out.HandOver, i)
	}
}

func (d *decider) dropLast() {
	i := d.victims[len(d.victims)-1]
	d.victims = d.victims[:len(d.victims)-1]
	d.out.Drop = append(d.out.Drop, i)
	d.free += d.Experts[i].Bytes
}

// take fetches an expert if the batch has room for it; the first always fits,
// or a slow node would never begin.
func (d *decider) take(i int, why Why) bool {
	size := d.Experts[i].Bytes
	if size > d.free || size > d.batch && len(d.out.Fetch) > 0 {
		return false
	}
	d.free -= size
	d.batch -= size
	d.out.Fetch = append(d.out.Fetch, Fetch{i, why})
	return true
}

// fillHoles volunteers for experts with too few holders.
func (d *decider) fillHoles() {
	want := float64(d.p.Want)
	type hole struct {
		expert int
		have   float64
		draw   float64
	}
	var holes []hole
	for i := range d.Experts {
		e := &d.Experts[i]
		have := e.Replicas + float64(e.Intended)
		if e.Held || e.Lost || have >= want {
			continue
		}
		d.lacking += int64(math.Ceil(want-have)) * e.Bytes
		if e.Bytes > d.Budget {
			continue
		}
		draw := uniform(d.Seed, i)
		if draw*float64(d.Takers+1) < d.p.Volunteers*math.Ceil(want-have) {
			holes = append(holes, hole{i, have, uniform(d.Seed+1, i)})
		}
	}
	slices.SortFunc(holes, func(a, b hole) int {
		if c := cmp.Compare(math.Floor(a.have), math.Floor(b.have)); c != 0 {
			return c
		}
		// Demand first, but not for all nodes in the same order.
		return cmp.Compare(a.draw/(d.p.Floor+d.Experts[a.expert].Demand), b.draw/(d.p.Floor+d.Experts[b.expert].Demand))
	})
	for _, h := range holes {
		why := Scarce
		if h.have < 1 {
			why = Missing
		}
		if size := d.Experts[h.expert].Bytes; d.free < size && d.batch >= size {
			// A third copy gives way to a second one, however hot it is.
			d.makeRoom(size, math.Inf(1))
		}
		if !d.take(h.expert, why) && d.batch <= 0 {
			break
		}
	}
}

// makeRoom drops experts that are worth less until size bytes are free, or
// none at all if they do not suffice.
func (d *decider) makeRoom(size int64, worth float64) bool {
	d.listVictims()
	free, n := d.free, len(d.victims)
	for free < size && n > 0 && d.worth(&d.Experts[d.victims[n-1]]) < worth {
		n--
		free += d.Experts[d.victims[n]].Bytes
	}
	if free < size {
		return false
	}
	for len(d.victims) > n {
		d.dropLast()
	}
	return true
}

// reserve is how many times its share of what the swarm lacks a node keeps
// free while experts lack holders, because others may have less room.
const reserve = 3

// useRoom fills what is free of the budget with copies, drawn by what they
// are worth.
func (d *decider) useRoom() {
	if d.Takers > 0 {
		kept := reserve * d.lacking / int64(d.Takers+1)
		d.free -= kept
		defer func() { d.free += kept }()
	}
	smallest := int64(math.MaxInt64)
	for i := range d.Experts {
		if e := &d.Experts[i]; !e.Held && !e.Lost {
			smallest = min(smallest, e.Bytes)
		}
	}
	if d.free < smallest || d.batch < smallest && len(d.out.Fetch) > 0 {
		return
	}
	for l := d.lottery(); ; {
		i, ok := l.next()
		if !ok || !d.take(i, Spare) && (d.free < smallest || d.batch < smallest) {
			return
		}
	}
}

// exchangeTries bounds the draws of one decision for an exchange; what it does
// not find now it may find next time.
const exchangeTries = 200

// exchange gives up copies for others that are worth more by the hysteresis,
// a small share of the budget at a time.
func (d *decider) exchange() {
	d.listVictims()
	if len(d.victims) == 0 {
		return
	}
	least := d.worth(&d.Experts[d.victims[len(d.victims)-1]])
	best := 0.0
	for i := range d.Experts {
		if e := &d.Experts[i]; !e.Held && !e.Lost {
			best = max(best, d.worth(e))
		}
	}
	if best <= d.p.Hysteresis*least {
		return
	}
	room := max(1, int64(d.p.MaxMove*float64(d.Budget)))
	l := d.lottery()
	for tries := 0; tries < exchangeTries && room > 0 && d.batch > 0 && len(d.victims) > 0; tries++ {
		i, ok := l.next()
		if !ok {
			return
		}
		e := &d.Experts[i]
		w := d.worth(e)
		// The greater the advantage the likelier the move: as many move as are
		// needed, not all who could.
		if gain := w / (d.p.Hysteresis * least); gain <= 1 || uniform(d.Seed+3, i) > 1-1/gain {
			continue
		}
		if d.free < e.Bytes && !d.makeRoom(e.Bytes, w/d.p.Hysteresis) {
			continue
		}
		if d.take(i, Better) {
			room -= e.Bytes
		}
	}
}

// Leave lists the experts that a node which leaves should hand over: those
// with too few other holders, the last copies first, then by demand.
func Leave(experts []Expert, p Policy) []int {
	var out []int
	for i := range experts {
		if experts[i].Held && experts[i].Replicas < float64(p.Want) {
			out = append(out, i)
		}
	}
	slices.SortFunc(out, func(a, b int) int {
		x, y := &experts[a], &experts[b]
		return cmp.Or(cmp.Compare(math.Floor(x.Replicas), math.Floor(y.Replicas)), cmp.Compare(y.Demand, x.Demand), cmp.Compare(a, b))
	})
	return out
}
