package node

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/routing"
)

// work is an ask of a layer with as many calls, of rows that have a scale and a mean
// like no noise has.
func work(r *rand.Rand, layer uint16, calls, dim int) routing.Ask {
	a := routing.Ask{In: expert.NewBatch(5, dim)}
	for i := range a.In.Data {
		a.In.Data[i] = float32(30 + 10*r.NormFloat64())
	}
	for i := range calls {
		a.Calls = append(a.Calls, expert.Call{Expert: expert.ID{Layer: layer, Index: uint16(2 * i)}, Rows: []int32{int32(i % 5), int32((i + 1) % 5)}})
	}
	return a
}

func held(layers, experts uint16) (ids []expert.ID) {
	for l := range layers {
		for e := range experts {
			ids = append(ids, expert.ID{Layer: l, Index: e})
		}
	}
	return ids
}

// TestProbesLookLikeWork: what a holder is asked to see whether it is there has the
// layer, calls and rows of work that somebody else was given, and none that anybody was
// given before.
func TestProbesLookLikeWork(t *testing.T) {
	const seed, dim = 9, 64
	t.Log("seed", seed)
	r := rand.New(rand.NewPCG(seed, seed))
	s := newSamples()
	given := map[[2]float32]bool{} // by how rows begin
	for i := range 3000 {
		calls := 1 + r.IntN(4)
		a := work(r, uint16(i%4), calls, dim)
		for row := range a.In.Rows {
			given[[2]float32(a.In.Row(row))] = true
		}
		s.saw(routing.Peer([]string{"a", "b", "c"}[i%3]), a)
	}
	if n := len(s.kept[expert.ModelID{}]); n != maxSamples {
		t.Fatalf("%d pieces of work are kept, want %d", n, maxSamples)
	}
	sizes, layers := map[int]int{}, map[uint16]int{}
	for range 400 {
		a := s.probe(r, "a", held(4, 16), dim)
		sizes[len(a.Calls)]++
		layers[a.Calls[0].Expert.Layer]++
		index := -1
		for _, c := range a.Calls {
			if len(c.Rows) != 2 || int(c.Expert.Index) <= index || c.Expert.Layer != a.Calls[0].Expert.Layer {
				t.Fatalf("a probe of %+v", a.Calls)
			}
			index = int(c.Expert.Index)
		}
		sum := 0.0
		for row := range a.In.Rows {
			if given[[2]float32(a.In.Row(row))] {
				t.Fatal("a row was given to somebody before")
			}
		}
		for _, v := range a.In.Data {
			sum += float64(v)
		}
		if mean := sum / float64(len(a.In.Data)); math.Abs(mean-30) > 5 {
			t.Fatalf("rows with a mean of %.1f, work has 30", mean)
		}
	}
	for n := 1; n <= 4; n++ {
		if sizes[n] < 50 || layers[uint16(n-1)] < 50 {
			t.Errorf("of 400 probes %d have %d calls and %d are of layer %d; a fourth of the work does", sizes[n], n, layers[uint16(n-1)], n-1)
		}
	}
	for _, x := range s.kept[expert.ModelID{}] {
		if x.peer == "a" {
			if got := s.draw(r, "a", expert.ModelID{}); got.peer == "a" {
				t.Error("a holder is asked what it was given itself, though others were given work")
			}
			break
		}
	}
}

// TestProbesWithoutWork: with no work to look like, or too few experts for it, there
// is a probe all the same, and work that is too large is not copied.
func TestProbesWithoutWork(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	s := newSamples()
	if a := s.probe(r, "a", held(1, 1), 8); len(a.Calls) != 1 || len(a.Calls[0].Rows) != availRows {
		t.Errorf("a probe of %+v", a.Calls)
	}
	large := work(r, 0, 1, 8)
	large.In = expert.NewBatch(sampleRows+1, 8)
	large.Calls[0].Rows = nil
	for row := range int32(sampleRows + 1) {
		large.Calls[0].Rows = append(large.Calls[0].Rows, row)
	}
	s.saw("b", large)
	s.saw("b", routing.Ask{Sum: true, Calls: large.Calls[:1], In: large.In})
	if n := len(s.kept[expert.ModelID{}]); n != 0 {
		t.Errorf("%d pieces of work are kept", n)
	}
	s.saw("b", work(r, 3, 4, 8))
	if a := s.probe(r, "a", held(2, 2), 8); len(a.Calls) != 2 || a.Calls[0].Expert.Layer > 1 {
		t.Errorf("a probe of %+v", a.Calls)
	}
}
