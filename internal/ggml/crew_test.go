package ggml

import (
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/moeswarm/moeswarm/internal/gguf"
)

// crewCase is work of all kinds for a pool, and its answer by one worker.
type crewCase struct {
	w       Matrix
	f       FFN
	heads   []Head
	floats  []float32
	n       int
	product []float32
	fed     []float32
	seen    []float32
	normed  []float32
}

const crewIn, crewFF = 128, 112

func newCrewCase(t *testing.T, seed uint64) *crewCase {
	r := rand.New(rand.NewPCG(seed, 1))
	c := &crewCase{n: 1 + r.IntN(40)}
	c.w, _ = quantized(t, r, gguf.Q8_0, crewIn, 80)
	c.f.W1, _ = quantized(t, r, gguf.F32, crewIn, crewFF)
	c.f.W3, _ = quantized(t, r, gguf.F32, crewIn, crewFF)
	c.f.W2, _ = quantized(t, r, gguf.F32, crewFF, crewIn)
	c.floats = randomRows(r, c.n, crewIn)
	keys := randomRows(r, 300, 32)
	for i := range 24 {
		c.heads = append(c.heads, Head{
			Q: randomRows(r, 1, 32), KV: Stored{Keys: keys, Values: keys, KeyStride: 32, ValueStride: 32},
			N: 1 + r.IntN(300), Scale: 0.2, Out: make([]float32, 32),
		})
		if i%2 == 0 {
			c.heads[i].Sink = float32(math.Inf(-1))
		} else {
			c.heads[i].Sink = 0.5
		}
	}
	c.product, c.fed, c.seen, c.normed = c.do(NewPool(1), 1)
	return c
}

// do has a pool do all of it.
func (c *crewCase) do(p *Pool, pieces int) (product, fed, seen, normed []float32) {
	var x, floats Rows
	p.Quantize(&x, c.w.Activations(), c.floats, c.n, crewIn)
	product = make([]float32, 2*c.n*c.w.Out)
	half := len(product) / 2
	p.Multiply(&x, []Product{{W: c.w, Y: product[:half]}, {W: c.w, Y: product[half:]}}, pieces)

	p.Quantize(&floats, gguf.F32, c.floats, c.n, crewIn)
	fed = make([]float32, 3*c.n*crewIn)
	rows := make([]int32, c.n)
	for i := range rows {
		rows[i] = int32(c.n - 1 - i)
	}
	splits := []*Split{{}, {}, {}}
	for i, s := range splits {
		s.Begin(c.f, &floats, rows, fed[i*c.n*crewIn:(i+1)*c.n*crewIn])
	}
	p.Feed(splits, pieces)

	heads := slices.Clone(c.heads)
	seen = make([]float32, 32*len(heads))
	for i := range heads {
		heads[i].Out = seen[i*32 : (i+1)*32]
	}
	p.Attend(heads)

	normed = make([]float32, len(c.floats))
	p.Norm(c.floats, c.floats[:crewIn], normed, c.n, 1e-5)
	return product, fed, seen, normed
}

func (c *crewCase) check(t *testing.T, p *Pool, pieces int) {
	product, fed, seen, normed := c.do(p, pieces)
	if !slices.Equal(product, c.product) || !slices.Equal(fed, c.fed) || !slices.Equal(seen, c.seen) || !slices.Equal(normed, c.normed) {
		t.Errorf("%d workers, %d pieces, %d rows: not the bits of one worker", p.Workers(), pieces, c.n)
	}
}

// TestCrewGivesTheSameBits: whatever the number of workers, pieces and callers at
// a time, and beside a bound on the pool's share of the machine.
func TestCrewGivesTheSameBits(t *testing.T) {
	var cases []*crewCase
	for seed := range uint64(4) {
		cases = append(cases, newCrewCase(t, seed))
	}
	for _, workers := range []int{1, 2, 3, runtime.NumCPU(), 8} {
		p := NewPool(workers)
		var callers sync.WaitGroup
		for i, c := range cases {
			callers.Go(func() {
				for k := range 30 {
					c.check(t, p, 1+(i+k)%9)
				}
			})
		}
		callers.Wait()
	}
	p := NewPool(2)
	p.SetShare(0.99)
	cases[0].check(t, p, 4)
}

// TestPoolsEndTheirThreads: a pool that nobody has any more is collected while its
// threads sleep, and another one works meanwhile.
func TestPoolsEndTheirThreads(t *testing.T) {
	c := newCrewCase(t, 9)
	ended := make(chan struct{})
	func() {
		p := NewPool(3)
		c.check(t, p, 6)
		runtime.AddCleanup(p, func(done chan struct{}) { close(done) }, ended)
	}()
	alive := NewPool(2)
	for deadline := time.Now().Add(time.Minute); ; {
		c.check(t, alive, 4)
		runtime.GC()
		select {
		case <-ended:
			return
		default:
			if time.Now().After(deadline) {
				t.Fatal("the pool was never collected")
			}
		}
	}
}
