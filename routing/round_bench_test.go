package routing

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/expert/experttest"
)

// instant is a swarm whose peers answer at once, each in a goroutine of its own, as
// streams are read: what is left of a round is the round's own work.
type instant struct {
	peers   map[Peer]chan func()
	holders map[expert.ID][]Peer
	results map[int][]expert.Result // by number of calls
}

func newInstant(b *testing.B, peers, experts, dim int) *instant {
	s := &instant{peers: map[Peer]chan func(){}, holders: map[expert.ID][]Peer{}, results: map[int][]expert.Result{}}
	for p := range peers {
		name := Peer(fmt.Sprintf("12D3KooWPjceQrSwdWXPyLLeABRXmuqt69Rg3sBYbU1Nft9HyQ%02d", p))
		work := make(chan func(), 1)
		s.peers[name] = work
		b.Cleanup(func() { close(work) })
		go func() {
			for f := range work {
				f()
			}
		}()
		for e := range experts {
			if e%(peers+1) == p {
				s.holders[expert.ID{Index: uint16(e)}] = []Peer{name}
			}
		}
	}
	for n := range experts + 1 {
		for range n {
			s.results[n] = append(s.results[n], expert.Result{Out: expert.NewBatch(1, dim)})
		}
	}
	return s
}

func (s *instant) Holders(id expert.ID) []Peer { return s.holders[id] }

func (s *instant) Call(_ context.Context, _ Peer, a Ask) (Answer, error) {
	return Answer{Results: s.results[len(a.Calls)], Compute: time.Microsecond}, nil
}

func (s *instant) Start(ctx context.Context, to Peer, a Ask, done func(func() (Answer, error))) func(error) {
	s.peers[to] <- func() { done(func() (Answer, error) { return s.Call(ctx, to, a) }) }
	return func(error) {}
}

// Apply is the local holder's.
func (s *instant) Apply(_ context.Context, _ expert.Batch, calls []expert.Call) []expert.Result {
	return s.results[len(calls)]
}

// BenchmarkLayer is a layer of one row, of eight experts of which three peers and
// this node hold two each. Cold, 64 MB are read before each, as a layer's weights
// are.
func BenchmarkLayer(b *testing.B) {
	const peers, experts, dim = 3, 8, 2048
	for _, cold := range []bool{false, true} {
		b.Run(map[bool]string{false: "warm", true: "cold"}[cold], func(b *testing.B) {
			s := newInstant(b, peers, experts, dim)
			r, err := New(Config{Local: s, LocalHolds: func(id expert.ID) bool { return int(id.Index)%(peers+1) == peers },
				Directory: s, Caller: s, Starter: s, Policy: Policy{Seed: 1}})
			if err != nil {
				b.Fatal(err)
			}
			in, calls := expert.NewBatch(1, dim), make([]expert.Call, experts)
			for e := range calls {
				calls[e] = expert.Call{Expert: expert.ID{Index: uint16(e)}, Rows: []int32{0}, Weights: []float32{1}}
			}
			var room expert.Room
			weights := experttest.NewSweep()
			var took time.Duration
			b.ReportAllocs()
			for b.Loop() {
				if cold {
					weights.Run()
				}
				began := time.Now()
				for _, got := range r.ApplyIn(b.Context(), in, calls, &room) {
					if got.Err != nil {
						b.Fatal(got.Err)
					}
				}
				took += time.Since(began)
			}
			b.ReportMetric(float64(took.Microseconds())/float64(b.N), "µs/round")
		})
	}
}
