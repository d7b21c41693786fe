package swarm

import (
	"log/slog"
	"math/rand/v2"
	"sync/atomic"
	"testing"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/routing"
)

// signs is a coder that counts how often it is asked.
type signs struct{ made atomic.Int64 }

// Encode implements RowCoder: rows travel as they are.
func (s *signs) Encode(expert.Batch, []expert.Call, *expert.Codes) bool {
	s.made.Add(1)
	return false
}

// TestAnswersServeAgain: a router that answers in its caller's memory gives each
// layer its own results, although the answers of one layer lie where those of the
// one before lay, short ones and long ones apart, and rows are made ready once for
// all who are asked about them.
func TestAnswersServeAgain(t *testing.T) {
	const experts, layers = 8, 100
	first := startPair(t, "tcp", serverConfig{Apply: scale{}})
	second := testHost(t, "tcp")
	acquaint(first.asker, second)
	other := newServer(second, serverConfig{Apply: scale{}})
	startRun(t, other.run)
	awaitHandler(t, second, string(expertsProtocol))
	coder := &signs{}
	c := newCaller(first.asker, slog.New(slog.DiscardHandler), callerConfig{Coder: coder})
	startRun(t, c.run)
	peers := []routing.Peer{first.to, routingPeer(second.ID())}
	r, err := routing.New(routing.Config{Directory: halves(peers), Caller: c, Starter: c})
	if err != nil {
		t.Fatal(err)
	}
	seed := rand.Uint64()
	draw := rand.New(rand.NewPCG(seed, 0))
	var room expert.Room
	reused := map[*kept]int{}
	for n := range layers {
		a := testAsk(draw, false)
		a.Calls = nil
		for e := range experts {
			a.Calls = append(a.Calls, expert.Call{Expert: expert.ID{Layer: 2, Index: uint16(e)}, Rows: []int32{int32(draw.IntN(a.In.Rows))}})
		}
		if n%4 == 3 {
			a = longAsk(draw, experts)
		}
		r.ApplyIn(testContext(t), a.In, nil, &room) // gives the answers' memory back
		for _, k := range []*kept{&c.bodies.small, &c.bodies.large} {
			if buf := k.get(); buf != nil {
				reused[k]++
				buf = buf[:cap(buf)]
				for i := range buf { // what lies there is nobody's
					buf[i] = 0xff
				}
				k.put(buf)
			}
		}
		before := coder.made.Load()
		got := r.ApplyIn(testContext(t), a.In, a.Calls, &room)
		for _, result := range got {
			if result.Err != nil {
				t.Fatalf("seed %d, layer %d: %v", seed, n, result.Err)
			}
		}
		if err := checkAnswer(a, routing.Answer{Results: got}); err != nil {
			t.Fatalf("seed %d, layer %d: %v", seed, n, err)
		}
		if n > 0 && coder.made.Load()-before != 1 {
			t.Fatalf("rows of layer %d were made ready %d times", n, coder.made.Load()-before)
		}
	}
	if reused[&c.bodies.small] == 0 || reused[&c.bodies.large] == 0 {
		t.Errorf("memory of %d short and %d long answers came back", reused[&c.bodies.small], reused[&c.bodies.large])
	}
}

// longAsk is an ask of so many experts whose answers are longer than those that the
// asker's own goroutine reads.
func longAsk(r *rand.Rand, experts int) routing.Ask {
	a := routing.Ask{In: expert.NewBatch(40+r.IntN(20), 1024)}
	for i := range a.In.Data {
		a.In.Data[i] = float32(r.IntN(1000))
	}
	for e := range experts {
		c := expert.Call{Expert: expert.ID{Layer: 2, Index: uint16(e)}}
		for _, row := range r.Perm(a.In.Rows)[:30+r.IntN(10)] {
			c.Rows = append(c.Rows, int32(row))
		}
		a.Calls = append(a.Calls, c)
	}
	return a
}

// halves is a directory of two peers that hold every other expert each.
type halves []routing.Peer

func (h halves) Holders(id expert.ID) []routing.Peer {
	return h[id.Index%2 : id.Index%2+1]
}

// TestSizedBuffers: buffers have the room asked for, and serve for less, but no long
// one for a short frame.
func TestSizedBuffers(t *testing.T) {
	var b buffers
	for _, n := range []int{1, 2, 3, 4096, buffersSmall + 1, 4097, 100, 1 << 20, buffersSmall, 1, buffersKeep, buffersKeep + 1} {
		buf := b.sized(n)
		if len(buf) != 0 || cap(buf) < n || b.of(cap(buf)) != b.of(n) || cap(buf) > max(n, buffersKeep) {
			t.Errorf("%d of %d bytes, %d asked for", len(buf), cap(buf), n)
		}
		b.put(buf)
		if cap(b.get()) > buffersSmall {
			t.Errorf("a short frame gets %d bytes", cap(buf))
		}
	}
}
