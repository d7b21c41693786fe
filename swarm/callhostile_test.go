package swarm

import (
	"errors"
	"log/slog"
	"math"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/routing"
	"github.com/moeswarm/moeswarm/swarm/wire"
)

// TestHostileHolders: whatever a holder answers, the asker gets an error that
// blames it rightly, at once, and the next holder is asked as if nothing had
// happened.
func TestHostileHolders(t *testing.T) {
	ask := routing.Ask{In: expert.NewBatch(2, 3), Calls: []expert.Call{{Rows: []int32{0, 1}}}}
	reply := func(id uint64, rows, dim int, change func(d []float32)) []byte {
		out := expert.NewBatch(rows, dim)
		if change != nil {
			change(out.Data)
		}
		b, err := wire.AppendReply(nil, id, wire.Meter{}, []expert.Result{{Out: out}})
		if err != nil {
			t.Error(err)
		}
		return b
	}
	refusal := func(c wire.Code) func(id uint64) []byte {
		return func(id uint64) []byte { return wire.AppendRefusal(nil, id, wire.Refusal{Code: c}) }
	}
	for name, row := range map[string]struct {
		answer func(id uint64) []byte
		want   error
	}{
		"NaN":         {func(id uint64) []byte { return reply(id, 2, 3, func(d []float32) { d[4] = float32(math.NaN()) }) }, expert.ErrBadResult},
		"Inf":         {func(id uint64) []byte { return reply(id, 2, 3, func(d []float32) { d[0] = float32(math.Inf(-1)) }) }, expert.ErrBadResult},
		"too short":   {func(id uint64) []byte { return reply(id, 1, 3, nil) }, expert.ErrBadResult},
		"too long":    {func(id uint64) []byte { return reply(id, 1000, 1000, nil) }, expert.ErrBadResult},
		"turned":      {func(id uint64) []byte { return reply(id, 3, 2, nil) }, expert.ErrBadResult},
		"a pong":      {func(id uint64) []byte { return wire.AppendPong(nil, id, wire.Pong{Payload: make([]byte, 40)}) }, expert.ErrBadResult},
		"a call":      {func(id uint64) []byte { return wire.AppendCancel(nil, id) }, expert.ErrBadResult},
		"a sum":       {func(id uint64) []byte { b, _ := wire.AppendSum(nil, id, wire.Meter{}, expert.NewBatch(2, 3)); return b }, expert.ErrBadResult},
		"other id":    {func(id uint64) []byte { return reply(id+7, 2, 3, nil) }, expert.ErrUnreachable},
		"noise":       {func(id uint64) []byte { return []byte("HTTP/1.1 400 Bad Request\r\n\r\n") }, expert.ErrUnreachable},
		"version":     {func(id uint64) []byte { b := reply(id, 2, 3, nil); b[4] = 9; return b }, expert.ErrUnreachable},
		"cut off":     {func(id uint64) []byte { return reply(id, 2, 3, nil)[:40] }, expert.ErrUnreachable},
		"huge length": {func(id uint64) []byte { return []byte{255, 255, 255, 255, wire.Version, 2, 0, 0, 0, 0, 0, 0, 0, 0} }, expert.ErrUnreachable},
		"bad call":    {refusal(wire.CodeBadCall), expert.ErrBadCall},
		"unknown":     {refusal(wire.CodeUnknownExpert), expert.ErrUnknownExpert},
		"overloaded":  {refusal(wire.CodeOverloaded), expert.ErrOverloaded},
		"no code":     {refusal(200), expert.ErrOverloaded},
		"silence":     {func(id uint64) []byte { return nil }, expert.ErrUnreachable},
	} {
		t.Run(name, func(t *testing.T) {
			checkNoneLeft(t)
			asker, holder := testHost(t, "tcp"), testHost(t, "tcp")
			acquaint(asker, holder)
			holder.SetStreamHandler(expertsProtocol, func(s network.Stream) {
				h, err := wire.NewReader(s).Next()
				if err != nil {
					t.Error(err)
				}
				_, _ = s.Write(row.answer(h.ID))
				_ = s.Close()
			})
			c := newCaller(asker, slog.New(slog.DiscardHandler), callerConfig{Tick: 10 * time.Millisecond})
			startRun(t, c.run)
			_, err := c.Call(testContext(t), routingPeer(holder.ID()), ask)
			if !errors.Is(err, row.want) {
				t.Errorf("%v, want %v", err, row.want)
			}
		})
	}
}
