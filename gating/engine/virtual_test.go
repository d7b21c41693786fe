package engine

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/gating/groups"
	"github.com/moeswarm/moeswarm/gating/prompt"
	"github.com/moeswarm/moeswarm/gating/trunk"
)

// world is a model, its holders and a network in virtual time.
type world struct {
	layers         int
	compute        [2]time.Duration // of the trunk, all layers: of a step, of a row
	experts        [2]time.Duration // of the holders, likewise
	shared         bool             // holders work on the trunk's processors
	gaps           float64          // part of the holders' time in which they leave a processor to others
	rtt            time.Duration
	trunk, holders chan struct{} // of one place each: who computes
	under, most    atomic.Int64  // steps under way
	lanes          atomic.Int64  // made so far
}

func (w *world) away() time.Duration { return w.rtt * time.Duration(w.layers) }

// lane is a Forwarder that takes its time, layer by layer, as the trunk's do.
type worldLane struct {
	*fakeTrunk
	w       *world
	number  int64
	rounds  int64 // so far
	spent   time.Duration
	waiting time.Duration
}

func (l *worldLane) Forward(ctx context.Context, s trunk.Step) (expert.Batch, error) {
	rows, layers := time.Duration(s.Rows()), time.Duration(l.w.layers)
	compute, experts := (l.w.compute[0]+rows*l.w.compute[1])/layers, (l.w.experts[0]+rows*l.w.experts[1])/layers
	holders := l.w.holders
	if l.w.shared {
		holders = l.w.trunk
	}
	l.spent, l.waiting = 0, 0
	l.w.most.Store(max(l.w.most.Load(), l.w.under.Add(1)))
	defer l.w.under.Add(-1)
	time.Sleep(l.apart())
	for range l.w.layers {
		work(l.w.trunk, compute)
		l.spent += compute
		began := time.Now()
		time.Sleep(l.w.rtt/2 + l.apart())
		gap := time.Duration(l.w.gaps * float64(experts))
		work(holders, experts-gap)
		time.Sleep(gap)
		time.Sleep(l.w.rtt - l.w.rtt/2 + l.apart())
		l.waiting += time.Since(began)
	}
	return l.fakeTrunk.Forward(ctx, s)
}

// apart keeps events of different lanes from coming at the same moment: which of
// them goes first would be up to the order in which goroutines run. So the same
// world always gives the same rate.
func (l *worldLane) apart() time.Duration {
	l.rounds++
	x := uint64(l.number)<<32 + uint64(l.rounds)
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return time.Duration((x^x>>31)%20_000) * time.Nanosecond
}

func work(on chan struct{}, d time.Duration) {
	on <- struct{}{}
	time.Sleep(d)
	<-on
}

func (l *worldLane) Spent() (compute, experts time.Duration) { return l.spent, l.waiting }

// rate is the tokens per second of n streams together.
func (w *world) rate(t *testing.T, n, fixed int) (rate float64, most int) {
	synctest.Test(t, func(t *testing.T) {
		w.trunk, w.holders = make(chan struct{}, 1), make(chan struct{}, 1)
		f := newFakeTrunk(t)
		f.model = func(history []int32, out []float32) { // never ends
			clear(out)
			out[1+len(history)%30] = 1
		}
		e, err := New(Config{
			NewLane: func() Forwarder { return &worldLane{fakeTrunk: f, w: w, number: w.lanes.Add(1)} }, Slots: f,
			Tokenizer: fakeTokenizer{}, Vocab: fakeVocab, Context: 400, MaxRunning: n, Away: w.away, Drafts: -1, Groups: fixed,
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- e.Run(ctx) }()
		const tokens = 48
		at := make([][tokens]time.Time, n)
		var wg sync.WaitGroup
		for i := range n {
			wg.Go(func() {
				k := 0
				time.Sleep(time.Duration(i+1) * time.Microsecond) // they come in the same order always
				for c, err := range e.Complete(ctx, prompt.Request{Text: fmt.Sprintf("%08d", i), MaxTokens: tokens}) {
					if err != nil {
						t.Error(err)
					}
					if c.HasToken {
						at[i][k] = time.Now()
						k++
					}
				}
			})
		}
		wg.Wait()
		cancel()
		<-done
		var from, to time.Time
		for i := range at {
			if first := at[i][tokens/3]; first.After(from) {
				from = first
			}
			if last := at[i][tokens-1]; to.IsZero() || last.Before(to) {
				to = last
			}
		}
		count := 0
		for i := range at {
			for _, when := range at[i] {
				if when.After(from) && !when.After(to) {
					count++
				}
			}
		}
		rate, most = float64(count)/to.Sub(from).Seconds(), int(w.most.Load())
	})
	return rate, most
}

// kinds of worlds, by their name. least is the share of what there could be that they
// give whatever the RTT and the streams.
var kinds = []struct {
	name  string
	least float64
	world func(rtt time.Duration) *world
}{
	// Measured on two processors: the work of lumabri's shape by rows.
	{"holders beside the trunk", 0.76, func(rtt time.Duration) *world {
		return &world{layers: 16, compute: [2]time.Duration{8 * time.Millisecond, 600 * time.Microsecond}, experts: [2]time.Duration{16 * time.Millisecond, 3 * time.Millisecond}, shared: true, rtt: rtt}
	}},
	{"holders elsewhere", 0.84, func(rtt time.Duration) *world {
		return &world{layers: 16, compute: [2]time.Duration{8 * time.Millisecond, 600 * time.Microsecond}, experts: [2]time.Duration{16 * time.Millisecond, 3 * time.Millisecond}, rtt: rtt}
	}},
	{"lumabri on two cores", 0.57, func(rtt time.Duration) *world {
		return &world{layers: 16, compute: [2]time.Duration{35 * time.Millisecond, 4 * time.Millisecond}, experts: [2]time.Duration{60 * time.Millisecond, 17 * time.Millisecond}, gaps: 0.2, shared: true, rtt: rtt}
	}},
	{"few layers", 0.76, func(rtt time.Duration) *world {
		return &world{layers: 4, compute: [2]time.Duration{2 * time.Millisecond, 100 * time.Microsecond}, experts: [2]time.Duration{2 * time.Millisecond, 300 * time.Microsecond}, shared: true, rtt: rtt}
	}},
}

// TestAggregateRate: whatever the RTT, streams together have 0.85 of the smaller
// of the rate at 1 ms and one token per stream and round trips, or where a step's
// own work, which comes on top of its round trips, leaves less than that, nearly
// what the best grouping gives.
func TestAggregateRate(t *testing.T) {
	for _, kind := range kinds {
		near := map[int]float64{}
		far := map[int]float64{}
		for _, rtt := range []time.Duration{1 * time.Millisecond, 10 * time.Millisecond, 30 * time.Millisecond, 100 * time.Millisecond} {
			for _, n := range []int{1, 4, 8, 16, 64} {
				w := kind.world(rtt)
				got, most := w.rate(t, n, 0)
				if rtt == time.Millisecond {
					near[n] = got
				}
				if rtt == 30*time.Millisecond {
					far[n] = got
				}
				could, best := min(near[n], float64(n)/w.away().Seconds()), w.best(n)
				t.Logf("%s, RTT %5v, %2d streams: %6.1f tokens/s, %.2f of what there could be, %.2f of the best grouping's, %d steps at once",
					kind.name, rtt, n, got, got/could, got/best, most)
				if least := max(kind.least*could, min(0.85*could, 0.85*best)); got < least {
					t.Errorf("%s, RTT %v, %d streams: %.1f tokens/s, want %.1f", kind.name, rtt, n, got, least)
				}
			}
		}
		if far[8] < 6*far[1] {
			t.Errorf("%s: 8 streams at 30 ms are %.1f times as fast as one, want 6", kind.name, far[8]/far[1])
		}
	}
}

// TestNearTheBestGroups: the engine, which has to find out, is nearly as fast as
// with the best number of groups from the beginning.
func TestNearTheBestGroups(t *testing.T) {
	sum, count := 0.0, 0.
	for _, kind := range kinds {
		for _, rtt := range []time.Duration{10 * time.Millisecond, 30 * time.Millisecond} {
			for _, n := range []int{4, 16, 32} {
				got, _ := kind.world(rtt).rate(t, n, 0)
				best, at := 0.0, 0
				for _, g := range []int{1, 2, 3, 4, 6, 8, 16} {
					if g > n {
						break
					}
					if r, _ := kind.world(rtt).rate(t, n, g); r > best {
						best, at = r, g
					}
				}
				t.Logf("%s, RTT %5v, %2d streams: %.2f of what %d groups have, %.1f tokens/s", kind.name, rtt, n, got/best, at, best)
				if got < 0.88*best {
					t.Errorf("%s, RTT %v, %d streams: %.1f tokens/s, %d groups have %.1f", kind.name, rtt, n, got, at, best)
				}
				sum, count = sum+got/best, count+1
			}
		}
	}
	if t.Logf("%.3f on average", sum/count); sum/count < 0.95 {
		t.Errorf("%.3f of the best on average, want 0.95", sum/count)
	}
}

// best is what n streams could give in the best groups, if their steps never got
// into each other's way.
func (w *world) best(n int) float64 {
	rate, _ := groups.Possible(n, w.away(), func(n int) (took, busy time.Duration) {
		rows := time.Duration(n)
		compute, experts := w.compute[0]+rows*w.compute[1], w.experts[0]+rows*w.experts[1]
		if busy = time.Duration((1 - w.gaps) * float64(experts)); w.shared {
			return compute + experts, compute + busy
		}
		return compute + experts, max(compute, busy)
	})
	return rate
}
