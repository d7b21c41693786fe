package swarm

import (
	"context"
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/routing"
)

// began is a call that was started.
type began struct {
	stop func(error)
	over chan error // its end
	got  routing.Answer
}

func start(t *testing.T, p *pair, ctx context.Context, a routing.Ask) *began {
	t.Helper()
	b := &began{over: make(chan error, 2)} // room for a second, which would be wrong
	b.stop = p.caller.Start(ctx, p.to, a, func(read func() (routing.Answer, error)) {
		var err error
		b.got, err = read()
		b.over <- err
	})
	return b
}

func (b *began) end(t *testing.T) error {
	t.Helper()
	select {
	case err := <-b.over:
		return err
	case <-testContext(t).Done():
		t.Fatal("a call that was started does not end")
		return nil
	}
}

// TestStart: calls that are started are answered as those that are waited for,
// the first, for which there is no stream yet, and those of several frames among
// them.
func TestStart(t *testing.T) {
	for transport := range transports {
		t.Run(transport, func(t *testing.T) {
			p := startPair(t, transport, serverConfig{Apply: scale{}})
			r := rand.New(rand.NewPCG(7, 1))
			var asks []routing.Ask
			var all []*began
			for i := range 40 {
				asks = append(asks, testAsk(r, i%2 == 0))
				all = append(all, start(t, p, t.Context(), asks[i]))
			}
			for i, b := range all {
				if err := b.end(t); err != nil {
					t.Errorf("ask %d: %v", i, err)
				} else if err := checkAnswer(asks[i], b.got); err != nil || b.got.BytesIn == 0 || b.got.BytesOut == 0 {
					t.Errorf("ask %d: %v, %d bytes in, %d out", i, err, b.got.BytesIn, b.got.BytesOut)
				}
			}
		})
	}
}

// TestStop: who stops a call is told at once, once, and the holder stops work.
func TestStopWhatWasStarted(t *testing.T) {
	why := errors.New("no longer wanted")
	working, stopped := make(chan struct{}), make(chan struct{})
	p := startPair(t, "tcp", serverConfig{Workers: 1, Apply: scale{before: func(ctx context.Context, calls []expert.Call) {
		switch calls[0].Expert.Index {
		case 1:
			close(working)
			<-ctx.Done()
			close(stopped)
		case 2:
			t.Error("a call that was stopped while it waited is worked on")
		}
	}}})
	ask := func(index uint16) routing.Ask {
		return routing.Ask{In: expert.NewBatch(1, 4), Calls: []expert.Call{{Expert: expert.ID{Index: index}, Rows: []int32{0}}}}
	}
	if err := start(t, p, t.Context(), ask(0)).end(t); err != nil { // opens the stream
		t.Fatal(err)
	}
	running := start(t, p, t.Context(), ask(1))
	<-working
	waiting := start(t, p, t.Context(), ask(2))
	eventually(t, "the second call", func() bool { return p.server.Load().Waiting == 1 })
	for _, b := range []*began{waiting, running} {
		b.stop(why)
		b.stop(why)
		if err := b.end(t); !errors.Is(err, why) {
			t.Errorf("stopped: %v", err)
		}
	}
	<-stopped
	last := start(t, p, t.Context(), ask(3))
	if err := last.end(t); err != nil {
		t.Errorf("after the stops: %v", err)
	}
	last.stop(why) // too late, and says nothing
	for _, b := range []*began{waiting, running, last} {
		select {
		case err := <-b.over:
			t.Errorf("over twice: %v", err)
		default:
		}
	}
}

// TestStartedCallsFailWithTheirStream: what was started ends when the peer goes.
func TestStartedCallsFailWithTheirStream(t *testing.T) {
	working := make(chan struct{})
	p := startPair(t, "tcp", serverConfig{Workers: 1, Apply: scale{before: func(ctx context.Context, calls []expert.Call) {
		if calls[0].Expert.Index == 1 {
			close(working)
			<-ctx.Done()
		}
	}}})
	ask := func(index uint16) routing.Ask {
		return routing.Ask{In: expert.NewBatch(1, 4), Calls: []expert.Call{{Expert: expert.ID{Index: index}, Rows: []int32{0}}}}
	}
	if err := start(t, p, t.Context(), ask(0)).end(t); err != nil {
		t.Fatal(err)
	}
	b := start(t, p, t.Context(), ask(1))
	<-working
	_ = p.holder.Close()
	if err := b.end(t); !errors.Is(err, expert.ErrUnreachable) {
		t.Errorf("%v, want unreachable", err)
	}
}
