package engine

import (
	"cmp"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/moeswarm/moeswarm/gating/prompt"
)

// obviousLeft is what may be drawn and with what probability, computed one
// filter after the other on a fully sorted list.
func obviousLeft(logits []float32, recent []int32, p prompt.Sampling) map[int32]float64 {
	type token struct {
		id    int32
		logit float64
	}
	var all []token
	for i, x := range logits {
		y := float64(x)
		if slices.Contains(recent, int32(i)) && p.RepeatPenalty != 0 {
			if x > 0 {
				y = float64(x / p.RepeatPenalty)
			} else {
				y = float64(x * p.RepeatPenalty)
			}
		}
		all = append(all, token{int32(i), y})
	}
	slices.SortStableFunc(all, func(a, b token) int { return cmp.Compare(b.logit, a.logit) })
	if p.Temperature == 0 {
		return map[int32]float64{all[0].id: 1}
	}
	if p.TopK > 0 {
		all = all[:min(p.TopK, len(all))]
	}
	softmax := func(temperature float64) []float64 {
		out, sum := make([]float64, len(all)), 0.0
		for i, t := range all {
			out[i] = math.Exp((t.logit - all[0].logit) / temperature)
			sum += out[i]
		}
		for i := range out {
			out[i] /= sum
		}
		return out
	}
	if p.TopP > 0 && p.TopP < 1 {
		sum := 0.0
		for i, x := range softmax(1) {
			if sum += x; sum >= float64(p.TopP) {
				all = all[:i+1]
				break
			}
		}
	}
	if p.MinP > 0 {
		probs := softmax(1)
		n := 0
		for n < len(all) && probs[n] >= float64(p.MinP)*probs[0] {
			n++
		}
		all = all[:n]
	}
	left := make(map[int32]float64)
	for i, x := range softmax(float64(p.Temperature)) {
		left[all[i].id] = x
	}
	return left
}

func randomSampling(rng *rand.Rand, vocab int) prompt.Sampling {
	p := prompt.Sampling{Temperature: 0.1 + 2*rng.Float32(), Seed: rng.Uint64()}
	if rng.IntN(2) == 0 {
		p.TopK = rng.IntN(vocab + 2)
	}
	if rng.IntN(2) == 0 {
		p.TopP = rng.Float32()
	}
	if rng.IntN(2) == 0 {
		p.MinP = rng.Float32() / 2
	}
	if rng.IntN(2) == 0 {
		p.RepeatPenalty = 0.5 + rng.Float32()
	}
	if rng.IntN(8) == 0 {
		p.Temperature = 0
	}
	return p
}

// The candidates left, and their probabilities, are those of the obvious
// version.
func TestNarrowEqualsObvious(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	var s sampler
	for range 3000 {
		logits := make([]float32, 1+rng.IntN(60))
		for i := range logits {
			// Quarters, so that equal logits occur.
			logits[i] = float32(rng.IntN(80)-40) / 4
		}
		var recent []int32
		for range rng.IntN(10) {
			recent = append(recent, int32(rng.IntN(len(logits))))
		}
		p := randomSampling(rng, len(logits))
		want := obviousLeft(logits, recent, p)
		x := slices.Clone(logits)
		id, err := drawAt(&s, x, recent, p, rng.IntN(1000))
		if err != nil {
			t.Fatal(err)
		}
		if want[id] == 0 {
			t.Fatalf("%+v, recent %v, logits %v: drew %d, which is not among %v", p, recent, logits, id, want)
		}
		if p.Temperature == 0 {
			continue
		}
		// x now has the penalty in it.
		best, _ := argmax(x)
		left := s.narrow(x, x[best], p)
		s.pick(left, x[best], p.Temperature)
		sum := 0.0
		for _, w := range s.weights {
			sum += w
		}
		edge := math.Abs(float64(p.TopP)-massOf(want)) < 1e-6
		for i, c := range left {
			if got := s.weights[i] / sum; math.Abs(got-want[c.id]) > 1e-6 && !edge {
				t.Fatalf("%+v, recent %v, logits %v: token %d has probability %v, want %v", p, recent, logits, c.id, got, want[c.id])
			}
		}
		if len(left) != len(want) && !edge {
			t.Fatalf("%+v, recent %v, logits %v: %d candidates left, want %d", p, recent, logits, len(left), len(want))
		}
	}
}

func massOf(m map[int32]float64) (sum float64) {
	for _, x := range m {
		sum += x
	}
	return sum
}

// Over many indices the draws come as often as their probabilities say, and
// each index by itself gives the same token again.
func TestDrawDistribution(t *testing.T) {
	logits := []float32{2, 1, 0.5, 0, -1, -3, 1.5, 2}
	for _, p := range []prompt.Sampling{
		{Temperature: 1, Seed: 1},
		{Temperature: 0.7, TopK: 5, Seed: 2},
		{Temperature: 1.3, TopP: 0.8, Seed: math.MaxUint64},
		{Temperature: 2, MinP: 0.2, RepeatPenalty: 1.5, Seed: 4},
	} {
		recent := []int32{0, 5, 0}
		want := obviousLeft(logits, recent, p)
		var s, other sampler
		const n = 40_000
		seen := make(map[int32]int)
		same := 0 // neighbouring indices with the same token
		last := int32(-1)
		for i := range n {
			id, _ := drawAt(&s, slices.Clone(logits), recent, p, i)
			seen[id]++
			if id == last {
				same++
			}
			last = id
			if i%1000 == 0 {
				if again, _ := drawAt(&other, slices.Clone(logits), recent, p, i); again != id {
					t.Fatalf("%+v, index %d: %d, then %d", p, i, id, again)
				}
			}
		}
		wantSame := 0.0
		for id, x := range want {
			wantSame += x * x
			if got := float64(seen[id]) / n; math.Abs(got-x) > 5*math.Sqrt(x/n) {
				t.Errorf("%+v: token %d drawn with frequency %v, want %v", p, id, got, x)
			}
		}
		if got := float64(same) / n; math.Abs(got-wantSame) > 5*math.Sqrt(wantSame/n) {
			t.Errorf("%+v: neighbours are equal with frequency %v, want %v: the indices' random numbers hang together", p, got, wantSame)
		}
	}
}

func TestDrawGreedy(t *testing.T) {
	inf := float32(math.Inf(1))
	nan := float32(math.NaN())
	for _, c := range []struct {
		logits  []float32
		recent  []int32
		penalty float32
		want    int32 // -1: an error
	}{
		{[]float32{1, 3, 3, 2}, nil, 0, 1}, // lowest id among equals
		{[]float32{-1, -inf, -0.5}, nil, 0, 2},
		{[]float32{1, 3, 2}, []int32{1}, 2, 2},
		{[]float32{-1, -3, -2}, []int32{0}, 4, 2},
		{[]float32{1, 3, 2}, []int32{1, 1, 1}, 1.2, 1}, // once only
		{[]float32{-inf, -inf}, nil, 0, -1},
		{[]float32{1, nan, 2}, nil, 0, -1},
		{[]float32{1, inf}, nil, 0, -1},
		{nil, nil, 0, -1},
	} {
		var s sampler
		id, err := drawAt(&s, slices.Clone(c.logits), c.recent, prompt.Sampling{RepeatPenalty: c.penalty}, 0)
		if (err != nil) != (c.want < 0) || (err == nil && id != c.want) || (err != nil && !errors.Is(err, errLogits)) {
			t.Errorf("%v: got %d, %v; want %d", c.logits, id, err, c.want)
		}
	}
}

// Extreme numbers that pass the request's check leave something to draw.
func TestDrawExtremes(t *testing.T) {
	var s sampler
	for _, p := range []prompt.Sampling{
		{Temperature: math.SmallestNonzeroFloat32},
		{Temperature: math.MaxFloat32},
		{Temperature: 1, TopP: math.SmallestNonzeroFloat32},
		{Temperature: 1, MinP: 1},
		{Temperature: 1, TopK: math.MaxInt},
		{Temperature: 1, TopK: 1, TopP: 0.5, MinP: 1, RepeatPenalty: maxPenalty},
		{Temperature: 1, TopP: 0.999999, RepeatPenalty: minPenalty},
	} {
		if err := checkSampling(p); err != nil {
			t.Fatal(err)
		}
		for i := range 20 {
			if id, err := drawAt(&s, []float32{1e30, -1e30, 0, float32(math.Inf(-1)), 1e30}, []int32{2, 4}, p, i); err != nil || id == 3 {
				t.Errorf("%+v: %d, %v", p, id, err)
			}
		}
	}
}

func TestDrawAllocatesNothing(t *testing.T) {
	logits := randomLogits(5000)
	for name, p := range samplings() {
		var s sampler
		recent := make([]int32, recentTokens)
		i := 0
		draw := func() {
			i++
			if _, err := drawAt(&s, logits, recent, p, i); err != nil {
				t.Fatal(err)
			}
		}
		draw() // the scratch memory
		if n := testing.AllocsPerRun(10, draw); n > 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func samplings() map[string]prompt.Sampling {
	return map[string]prompt.Sampling{
		"greedy":  {},
		"plain":   {Temperature: 1},
		"topk40":  {Temperature: 0.8, TopK: 40, TopP: 0.95, MinP: 0.05, RepeatPenalty: 1.1},
		"topk20k": {Temperature: 0.8, TopK: 20_000},
		"topp":    {Temperature: 1, TopP: 0.95},
		"topp999": {Temperature: 1, TopP: 0.999},
		"minp":    {Temperature: 1, MinP: 0.05},
	}
}

// randomLogits look like a language model's: a bulk, and a few far above it.
func randomLogits(n int) []float32 {
	rng := rand.New(rand.NewPCG(1, 2))
	logits := make([]float32, n)
	for i := range logits {
		logits[i] = float32(rng.NormFloat64() * 2.5)
	}
	for i := range 30 {
		logits[rng.IntN(n)] = 16 - float32(i)/4
	}
	return logits
}

func BenchmarkDraw(b *testing.B) {
	logits := randomLogits(152_000)
	recent := make([]int32, recentTokens)
	for i := range recent {
		recent[i] = int32(i)
	}
	for name, p := range samplings() {
		p.RepeatPenalty = 0 // the logits are used again
		b.Run(name, func(b *testing.B) {
			var s sampler
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if _, err := drawAt(&s, logits, recent, p, i); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func TestExp(t *testing.T) {
	for x := 0.0; x > -800; x -= 0.0137 {
		if got, want := exp(x), math.Exp(x); math.Abs(got-want) > 1e-9*want+1e-300 {
			t.Fatalf("exp(%v) = %v, want %v", x, got, want)
		}
	}
	if exp(math.Inf(-1)) != 0 {
		t.Error("exp of minus infinity is not 0")
	}
}
