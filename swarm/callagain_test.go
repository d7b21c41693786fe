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
// one before lay, and rows are made ready once for all who are asked about them.
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
	reused := 0
	for n := range layers {
		a := testAsk(draw, false)
		a.Calls = nil
		for e := range experts {
			a.Calls = append(a.Calls, expert.Call{Expert: expert.ID{Layer: 2, Index: uint16(e)}, Rows: []int32{int32(draw.IntN(a.In.Rows))}})
		}
		r.ApplyIn(testContext(t), a.In, nil, &room) // gives the answers' memory back
		if buf := c.bodies.get(); buf != nil {
			reused++
			buf = buf[:cap(buf)]
			for i := range buf { // what lies there is nobody's
				buf[i] = 0xff
			}
			c.bodies.put(buf)
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
	if reused == 0 {
		t.Error("no answer's memory came back")
	}
}

// halves is a directory of two peers that hold every other expert each.
type halves []routing.Peer

func (h halves) Holders(id expert.ID) []routing.Peer {
	return h[id.Index%2 : id.Index%2+1]
}

// TestSizedBuffers: buffers have the room asked for, and serve for less.
func TestSizedBuffers(t *testing.T) {
	var b buffers
	for _, n := range []int{1, 2, 3, 4096, 4097, 100, 1} {
		buf := b.sized(n)
		if len(buf) != 0 || cap(buf) < n || cap(buf) > 2*4097 {
			t.Errorf("%d of %d bytes, %d asked for", len(buf), cap(buf), n)
		}
		b.put(buf)
	}
}
