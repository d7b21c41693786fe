package node

import (
	"math/rand/v2"
	"slices"
	"sync"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/routing"
)

const (
	// sampleRows and sampleCalls are how large work is that probes are made after:
	// steps of answers are small, and most of what holders see.
	sampleRows, sampleCalls = 8, 16
	// maxSamples bounds the pieces of work of a model that are kept, each of
	// sampleRows rows; after sampleEvery asks one of them is replaced.
	maxSamples, sampleEvery = 64, 17
)

// sample is a piece of work that a holder was given, with rows of its own.
type sample struct {
	peer  routing.Peer
	in    expert.Batch
	calls []expert.Call // rows index in
}

// samples keeps some of the work that this node lately gave to holders, so that
// what it asks of them to see whether they are there looks the same.
type samples struct {
	mu   sync.Mutex
	seen map[expert.ModelID]int
	kept map[expert.ModelID][]sample
}

func newSamples() *samples {
	return &samples{seen: map[expert.ModelID]int{}, kept: map[expert.ModelID][]sample{}}
}

// saw takes in an ask that was answered. Most are let pass.
func (s *samples) saw(to routing.Peer, a routing.Ask) {
	if s == nil || a.Sum || len(a.Calls) == 0 || len(a.Calls) > sampleCalls {
		return
	}
	model := a.Calls[0].Expert.Model
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.seen[model]
	s.seen[model]++
	if len(s.kept[model]) >= maxSamples && n%sampleEvery != 0 {
		return
	}
	taken, ok := copyOf(to, a)
	switch all := s.kept[model]; {
	case !ok:
	case len(all) < maxSamples:
		s.kept[model] = append(all, taken)
	default:
		all[n/sampleEvery%maxSamples] = taken
	}
}

// copyOf keeps the rows that calls name; ok is false for more than sampleRows.
func copyOf(to routing.Peer, a routing.Ask) (s sample, ok bool) {
	s = sample{peer: to, calls: make([]expert.Call, len(a.Calls))}
	at := map[int32]int32{}
	for i, c := range a.Calls {
		s.calls[i] = expert.Call{Expert: c.Expert, Rows: make([]int32, len(c.Rows))}
		for j, row := range c.Rows {
			to, known := at[row]
			if !known {
				if len(at) == sampleRows {
					return s, false
				}
				to = int32(len(at))
				at[row] = to
				s.in.Data = append(s.in.Data, a.In.Row(int(row))...)
			}
			s.calls[i].Rows[j] = to
		}
	}
	s.in.Rows, s.in.Dim = len(at), a.In.Dim
	return s, true
}

// sampleNoise is how much values of a probe are changed, as a part of each: who
// kept what it answered before does not find it again.
const sampleNoise = 1.0 / 64

// probe makes an ask for a holder of these experts, of one model: as large as one
// that another holder was given, if there was one, with its rows hardly changed and
// its experts replaced by some that this one says it holds. Without any work to
// look like it is a row of noise for each of a few experts.
func (s *samples) probe(r *rand.Rand, p routing.Peer, held []expert.ID, dim int) routing.Ask {
	like := s.draw(r, p, held[0].Model)
	layer := held[r.IntN(len(held))].Layer
	if like.in.Rows == 0 {
		like = sample{in: expert.NewBatch(availRows, dim), calls: []expert.Call{{}}}
		for row := range int32(availRows) {
			like.calls[0].Rows = append(like.calls[0].Rows, row)
		}
		for i := range like.in.Data {
			like.in.Data[i] = float32(r.NormFloat64())
		}
	} else if at := like.calls[0].Expert.Layer; slices.ContainsFunc(held, func(id expert.ID) bool { return id.Layer == at }) {
		layer = at // rows of one layer are not like those of another
	}
	there := slices.DeleteFunc(slices.Clone(held), func(id expert.ID) bool { return id.Layer != layer })
	r.Shuffle(len(there), func(i, j int) { there[i], there[j] = there[j], there[i] })
	a := routing.Ask{In: expert.NewBatch(like.in.Rows, dim)}
	for i, v := range like.in.Data {
		a.In.Data[i] = v * float32(1+sampleNoise*(2*r.Float64()-1))
	}
	for i, c := range like.calls[:min(len(like.calls), len(there))] {
		a.Calls = append(a.Calls, expert.Call{Expert: there[i], Rows: c.Rows})
	}
	slices.SortFunc(a.Calls, func(x, y expert.Call) int { return int(x.Expert.Index) - int(y.Expert.Index) })
	return a
}

// draw is a piece of work of a model, rather one that somebody else had; it has no
// rows if there was none.
func (s *samples) draw(r *rand.Rand, p routing.Peer, model expert.ModelID) sample {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.kept[model]
	others := slices.DeleteFunc(slices.Clone(all), func(x sample) bool { return x.peer == p })
	switch {
	case len(others) > 0:
		return others[r.IntN(len(others))]
	case len(all) > 0:
		return all[r.IntN(len(all))]
	}
	return sample{}
}
