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
	"github.com/moeswarm/moeswarm/gating/prompt"
	"github.com/moeswarm/moeswarm/gating/trunk"
)

// world is a model, its holders and a network in virtual time.
type world struct {
	layers         int
	compute        [2]time.Duration // of the trunk, all layers: of a step, of a row
	experts        [2]time.Duration // of the holders, likewise
	shared         bool             // holders work on the trunk's processors
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
		work(holders, experts)
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
func (w *world) rate(t *testing.T, n int) (rate float64, groups int) {
	synctest.Test(t, func(t *testing.T) {
		w.trunk, w.holders = make(chan struct{}, 1), make(chan struct{}, 1)
		f := newFakeTrunk(t)
		f.model = func(history []int32, out []float32) { // never ends
			clear(out)
			out[1+len(history)%30] = 1
		}
		e, err := New(Config{
			NewLane: func() Forwarder { return &worldLane{fakeTrunk: f, w: w, number: w.lanes.Add(1)} }, Slots: f,
			Tokenizer: fakeTokenizer{}, Vocab: fakeVocab, Context: 400, MaxRunning: n, Away: w.away, Drafts: -1,
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- e.Run(ctx) }()
		const tokens = 90
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
		rate, groups = float64(count)/to.Sub(from).Seconds(), int(w.most.Load())
	})
	return rate, groups
}

// TestAggregateRate: whatever the RTT, streams together have 0.85 of the smaller
// of the rate at 1 ms and one token per stream and round trips, or where a step's
// own work, which comes on top of its round trips, leaves less than that, nearly
// what the best grouping gives.
func TestAggregateRate(t *testing.T) {
	for _, kind := range []struct {
		name  string
		world func(rtt time.Duration) *world
	}{
		// Measured on two processors: the work of lumabri's shape by rows.
		{"holders beside the trunk", func(rtt time.Duration) *world {
			return &world{layers: 16, compute: [2]time.Duration{8 * time.Millisecond, 600 * time.Microsecond}, experts: [2]time.Duration{16 * time.Millisecond, 3 * time.Millisecond}, shared: true, rtt: rtt}
		}},
		{"holders elsewhere", func(rtt time.Duration) *world {
			return &world{layers: 16, compute: [2]time.Duration{8 * time.Millisecond, 600 * time.Microsecond}, experts: [2]time.Duration{16 * time.Millisecond, 3 * time.Millisecond}, rtt: rtt}
		}},
		{"few layers", func(rtt time.Duration) *world {
			return &world{layers: 4, compute: [2]time.Duration{2 * time.Millisecond, 100 * time.Microsecond}, experts: [2]time.Duration{2 * time.Millisecond, 300 * time.Microsecond}, shared: true, rtt: rtt}
		}},
	} {
		near := map[int]float64{}
		far := map[int]float64{}
		for _, rtt := range []time.Duration{1 * time.Millisecond, 10 * time.Millisecond, 30 * time.Millisecond, 100 * time.Millisecond} {
			for _, n := range []int{1, 4, 8, 16, 64} {
				w := kind.world(rtt)
				got, groups := w.rate(t, n)
				if rtt == time.Millisecond {
					near[n] = got
				}
				if rtt == 30*time.Millisecond {
					far[n] = got
				}
				could, best := min(near[n], float64(n)/w.away().Seconds()), w.best(n)
				t.Logf("%s, RTT %5v, %2d streams: %6.1f tokens/s, %.2f of what there could be, %.2f of the best grouping's, %d steps at once",
					kind.name, rtt, n, got, got/could, got/best, groups)
				if least := min(0.85*could, 0.88*best); got < least {
					t.Errorf("%s, RTT %v, %d streams: %.1f tokens/s, want %.1f", kind.name, rtt, n, got, least)
				}
			}
		}
		if far[8] < 6*far[1] {
			t.Errorf("%s: 8 streams at 30 ms are %.1f times as fast as one, want 6", kind.name, far[8]/far[1])
		}
	}
}

// best is what n streams could give if their steps never got into each other's
// way: by token, the longer of all groups' work and one step from end to end, in
// the best number of groups.
func (w *world) best(n int) (rate float64) {
	for g := 1; g <= n; g++ {
		rows := time.Duration((n + g - 1) / g)
		compute, experts := w.compute[0]+rows*w.compute[1], w.experts[0]+rows*w.experts[1]
		busy := max(compute, experts)
		if w.shared {
			busy = compute + experts
		}
		took := max(time.Duration(g)*busy, compute+experts+w.away())
		rate = max(rate, float64(n)/took.Seconds())
	}
	return rate
}
