package swarm

import (
	"math/rand/v2"
	"testing"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/routing"
	"github.com/moeswarm/moeswarm/swarm/wire"
)

// wideAsk names every row of a batch in every call.
func wideAsk(rows, dim, calls int, sum bool) routing.Ask {
	a := routing.Ask{In: expert.NewBatch(rows, dim), Sum: sum}
	for i := range a.In.Data {
		a.In.Data[i] = float32(i % 64)
	}
	for i := range calls {
		c := expert.Call{Expert: expert.ID{Index: uint16(i)}}
		for r := range rows {
			c.Rows = append(c.Rows, int32(r))
			c.Weights = append(c.Weights, float32(1+i%2))
		}
		a.Calls = append(a.Calls, c)
	}
	return a
}

// TestSplitAsk: the parts are the whole, each fits into a frame, and no two
// neighbours would have fitted into one.
func TestSplitAsk(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for range 100 {
		rows, dim, calls := 1+r.IntN(300), 1+r.IntN(5000), 1+r.IntN(60)
		if r.IntN(4) == 0 {
			rows, dim, calls = 1, 1, 1+r.IntN(3*wire.MaxCalls)
		}
		a := wideAsk(rows, 1, calls, false)
		a.In.Dim = dim // the data is of no interest here
		parts := splitAsk(a)
		i := 0
		for k, p := range parts {
			for _, c := range p.Calls {
				if c.Expert != a.Calls[i].Expert {
					t.Fatalf("(%d, %d) × %d: call %d is another", rows, dim, calls, i)
				}
				i++
			}
			if n := len(p.Calls); n > 1 && !wire.Fits(n, n*rows, dim) {
				t.Fatalf("(%d, %d) × %d: part %d of %d calls is too large", rows, dim, calls, k, n)
			}
			if n := len(p.Calls) + 1; k+1 < len(parts) && wire.Fits(n, n*rows, dim) {
				t.Fatalf("(%d, %d) × %d: part %d could hold another call", rows, dim, calls, k)
			}
		}
		if i != calls {
			t.Fatalf("(%d, %d) × %d: %d calls come out", rows, dim, calls, i)
		}
	}
}

// TestAskPastOneFrame: 17 MiB of outputs come back as if there were no frames.
func TestAskPastOneFrame(t *testing.T) {
	p := startPair(t, "tcp", serverConfig{Apply: scale{}})
	for _, sum := range []bool{false, true} {
		a := wideAsk(1100, 2048, 2, sum)
		if n := len(splitAsk(a)); n < 2 {
			t.Fatalf("%d parts: the ask is too small for this test", n)
		}
		got, err := p.caller.Call(testContext(t), p.to, a)
		if err == nil {
			err = checkAnswer(a, got)
		}
		if err != nil {
			t.Errorf("sum %v: %v", sum, err)
		}
	}
}

// TestJoinedAnswersGoBack: who gives an answer back that came in parts gives back the
// memory of each.
func TestJoinedAnswersGoBack(t *testing.T) {
	a := wideAsk(1, 1, 3, false)
	back := make([]int, 3)
	parts := make([]routing.Answer, len(back))
	for i := range parts {
		parts[i] = routing.Answer{Results: make([]expert.Result, 1), Done: func() { back[i]++ }}
	}
	joinAnswers(a, parts).Done()
	for i, n := range back {
		if n != 1 {
			t.Errorf("part %d was given back %d times", i, n)
		}
	}
}
