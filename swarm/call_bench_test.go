package swarm

import (
	"context"
	"fmt"
	"io"
	"sync/atomic"
	"testing"

	"github.com/libp2p/go-libp2p/core/network"

	"github.com/moeswarm/moeswarm/expert"
)

// fixed is an applier that computes nothing: what is left is the way there
// and back.
type fixed struct{ out expert.Batch }

func (f fixed) Apply(_ context.Context, _ expert.Batch, calls []expert.Call) []expert.Result {
	results := make([]expert.Result, len(calls))
	for i := range results {
		results[i].Out = f.out
	}
	return results
}

// BenchmarkCall times one expert call on rows of 4 KiB, one at a time and
// many at once.
func BenchmarkCall(b *testing.B) {
	for _, transport := range []string{"tcp", "quic"} {
		for _, row := range []struct{ rows, parallel int }{{1, 1}, {1, 16}, {128, 1}, {128, 4}} {
			parallel := row.parallel
			b.Run(fmt.Sprintf("%s/rows=%d/inflight=%d", transport, row.rows, parallel), func(b *testing.B) {
				p := startPair(b, transport, serverConfig{Apply: fixed{expert.NewBatch(row.rows, 1024)}})
				ask := wideAsk(row.rows, 1024, 1, false)
				if _, err := p.caller.Call(b.Context(), p.to, ask); err != nil {
					b.Fatal(err)
				}
				b.SetBytes(int64(2 * 4096 * row.rows))
				b.ReportAllocs()
				b.ResetTimer()
				var left atomic.Int64
				left.Store(int64(b.N))
				done := make(chan error, parallel)
				for range parallel {
					go func() {
						for left.Add(-1) >= 0 {
							if _, err := p.caller.Call(b.Context(), p.to, ask); err != nil {
								done <- err
								return
							}
						}
						done <- nil
					}()
				}
				for range parallel {
					if err := <-done; err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// BenchmarkEcho times the bare way: 4 KiB there and back on an open stream,
// read and written by one goroutine each side. It is what BenchmarkCall is to
// be compared with.
func BenchmarkEcho(b *testing.B) {
	for _, transport := range []string{"tcp", "quic"} {
		b.Run(transport, func(b *testing.B) {
			asker, holder := testHost(b, transport), testHost(b, transport)
			acquaint(asker, holder)
			holder.SetStreamHandler("/echo", func(s network.Stream) {
				buf := make([]byte, 4096)
				for {
					if _, err := io.ReadFull(s, buf); err != nil {
						return
					}
					if _, err := s.Write(buf); err != nil {
						return
					}
				}
			})
			s, err := asker.NewStream(b.Context(), holder.ID(), "/echo")
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(2 * 4096)
			buf := make([]byte, 4096)
			for b.Loop() {
				if _, err := s.Write(buf); err != nil {
					b.Fatal(err)
				}
				if _, err := io.ReadFull(s, buf); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
