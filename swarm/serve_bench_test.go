//go:build unix

package swarm

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/expert/experttest"
	"github.com/moeswarm/moeswarm/swarm/wire"
)

// nothing is an applier whose answers are there already.
type nothing struct{ fixed }

var nought [8 << 10]float32

func (nothing) ApplyIn(_ context.Context, in expert.Batch, calls []expert.Call, room *expert.Room) []expert.Result {
	results := room.For(len(calls))
	for i, c := range calls {
		results[i].Out = expert.Batch{Rows: len(c.Rows), Dim: in.Dim, Data: nought[:len(c.Rows)*in.Dim]}
	}
	return results
}

// handed is a stream over which one frame at a time comes, and whose answers
// nobody reads.
type handed struct {
	network.Stream
	frames chan []byte
	rest   []byte
	wrote  chan struct{}
}

func (h *handed) Read(b []byte) (int, error) {
	if len(h.rest) == 0 {
		var ok bool
		if h.rest, ok = <-h.frames; !ok {
			return 0, io.EOF
		}
	}
	n := copy(b, h.rest)
	h.rest = h.rest[n:]
	return n, nil
}

func (h *handed) Write(b []byte) (int, error)      { h.wrote <- struct{}{}; return len(b), nil }
func (h *handed) SetWriteDeadline(time.Time) error { return nil }
func (h *handed) Reset() error                     { return nil }
func (h *handed) Close() error                     { return nil }

// BenchmarkServe is what a holder does for an ask, from the bytes of a frame to
// those of the answer, without the experts: warm, and with the caches full of other
// things, as the weights leave them.
func BenchmarkServe(b *testing.B) {
	for _, rows := range []int{1, 8} {
		for _, cold := range []bool{false, true} {
			b.Run(fmt.Sprintf("rows=%d/cold=%v", rows, cold), func(b *testing.B) {
				s := newServer(nil, serverConfig{Apply: nothing{}, Workers: 2})
				var workers sync.WaitGroup
				for range 2 {
					workers.Go(s.work)
				}
				h := &handed{frames: make(chan []byte), wrote: make(chan struct{}, 1)}
				s.intake.join("peer")
				st := newServeStream(s, h, "peer")
				workers.Go(func() { _ = st.run(context.Background()) })
				frame := codedCall(b, rows)
				var spent time.Duration
				weights := experttest.NewSweep()
				b.ReportAllocs()
				n := 0
				for id := uint64(1); b.Loop(); id++ {
					if cold {
						weights.Run()
					}
					before := processorTime()
					wire.SetID(frame, id)
					h.frames <- frame
					<-h.wrote
					spent += processorTime() - before
					n++
				}
				b.ReportMetric(float64(spent.Nanoseconds())/float64(n), "cpu-ns/op")
				close(h.frames)
				s.intake.close()
				workers.Wait()
			})
		}
	}
}

// codedCall is a call frame of three experts on rows of 1,024 codes.
func codedCall(b *testing.B, rows int) []byte {
	r := rand.New(rand.NewPCG(1, 2))
	c := wire.Call{In: expert.NewBatch(rows, 1024), Codes: expert.Codes{Rows: rows, Dim: 1024, Block: 32,
		Extremes: make([]float32, rows*32), Values: make([]int8, rows*1024)}}
	for i := range c.Codes.Values {
		c.Codes.Values[i] = int8(r.IntN(255) - 127)
	}
	for i := range c.Codes.Extremes {
		c.Codes.Extremes[i], c.Codes.Values[32*i+r.IntN(32)] = 1, 127
	}
	for i := range 3 {
		call := expert.Call{Expert: expert.ID{Index: uint16(i)}}
		for row := range rows {
			call.Rows = append(call.Rows, int32(row))
		}
		c.Calls = append(c.Calls, call)
	}
	frame, err := wire.AppendCall(nil, 1, c)
	if err != nil {
		b.Fatal(err)
	}
	return frame
}

// processorTime is what this process has used so far.
func processorTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
