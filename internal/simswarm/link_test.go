package simswarm

import (
	"math"
	"testing"
	"time"
)

const ms = time.Millisecond

// mean draws many delays of small messages and averages them, in milliseconds.
func mean(p *Path, d Direction, bytes, n int) float64 {
	sum := 0.0
	for range n {
		sum += p.Delay(d, bytes, time.Time{}).Seconds() * 1000
	}
	return sum / float64(n)
}

func TestDelay(t *testing.T) {
	for _, tt := range []struct {
		name      string
		link      Link
		dir       Direction
		bytes     int
		want, tol float64 // ms
	}{
		{"nothing", Link{}, Out, 1 << 20, 0, 0},
		{"half a round trip", Link{RTT: 30 * ms}, Out, 100, 15, 0},
		{"jitter has no bias", Link{RTT: 30 * ms, Jitter: 5 * ms}, Back, 100, 15, 0.1},
		{"tail", Link{RTT: 30 * ms, Tail: 0.1, TailTime: 50 * ms}, Out, 100, 20, 0.5},
		// One packet: a loss costs 1.5 round trips and the acknowledgement delay.
		{"loss", Link{RTT: 30 * ms, Loss: 0.01}, Out, 100, 15 + 0.7, 0.15},
		// Ten packets: the nine first cost a round trip each when lost.
		{"losses", Link{RTT: 30 * ms, Loss: 0.01}, Out, 12000, 15 + 9*0.3 + 0.7, 0.3},
	} {
		p := tt.link.Path(1, "a", "b")
		if got := mean(p, tt.dir, tt.bytes, 20000); math.Abs(got-tt.want) > tt.tol {
			t.Errorf("%s: %.3f ms on average, want %.3f", tt.name, got, tt.want)
		}
	}
}

// Messages at the same time share the line; a pause empties it.
func TestBandwidth(t *testing.T) {
	p := Link{RTT: 10 * ms, Bandwidth: 1e6}.Path(1, "a", "b")
	now := time.Now()
	for i, want := range []time.Duration{6 * ms, 7 * ms, 8 * ms} {
		if got := p.Delay(Out, 1000, now); got != want {
			t.Errorf("message %d takes %v, want %v", i, got, want)
		}
	}
	if got := p.Delay(Back, 1000, now); got != 6*ms {
		t.Errorf("the other direction takes %v, want 6ms", got)
	}
	if got := p.Delay(Out, 1000, now.Add(time.Second)); got != 6*ms {
		t.Errorf("after a pause: %v, want 6ms", got)
	}
}

// A pair's way is drawn once, from the seed and the names.
func TestPathIsDrawnOnce(t *testing.T) {
	l := Link{RTT: 30 * ms, Spread: 0.5, Jitter: 5 * ms, Tail: 0.1, TailTime: ms, Loss: 0.1}
	a, b := l.Path(7, "x", "y"), l.Path(7, "x", "y")
	for i := range 1000 {
		if x, y := a.Delay(Back, 5000, time.Time{}), b.Delay(Back, 5000, time.Time{}); x != y {
			t.Fatalf("message %d: %v and %v from equal seeds", i, x, y)
		}
	}
	if l.Path(7, "x", "z").RTT() == a.RTT() || l.Path(8, "x", "y").RTT() == a.RTT() {
		t.Error("another pair or seed draws the same round trip")
	}
	sum := 0.0
	for i := range 2000 {
		sum += math.Log(l.Path(uint64(i), "x", "y").RTT().Seconds() / 0.030)
	}
	if m := sum / 2000; math.Abs(m) > 0.05 {
		t.Errorf("the median pair is off by a factor of %.2f", math.Exp(m))
	}
}
