package swarm

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/routing"
	"github.com/moeswarm/moeswarm/swarm/wire"
)

// scaleSum is scale with an own sum, which adds one to every number so that
// the test sees who summed.
type scaleSum struct{ scale }

func (s scaleSum) Sum(ctx context.Context, in expert.Batch, calls []expert.Call) (expert.Batch, error) {
	sum := weightedSum(wire.Call{In: in, Calls: calls}, s.Apply(ctx, in, calls))
	for i := range sum.Data {
		sum.Data[i]++
	}
	return sum, nil
}

// TestManyCallsInFlight: from many goroutines at once, each gets the answer
// to what it asked, over one stream, and the holder's counts add up.
func TestManyCallsInFlight(t *testing.T) {
	for transport := range transports {
		t.Run(transport, func(t *testing.T) {
			p := startPair(t, transport, serverConfig{Apply: scale{}})
			var wg sync.WaitGroup
			var calls, bytesIn, bytesOut atomic.Int64
			for seed := range uint64(16) {
				wg.Go(func() {
					r := rand.New(rand.NewPCG(seed, 1))
					for i := range 20 {
						a := testAsk(r, i%2 == 0)
						got, err := p.caller.Call(testContext(t), p.to, a)
						if err == nil {
							err = checkAnswer(a, got)
						}
						if err != nil {
							t.Errorf("seed %d, ask %d: %v", seed, i, err)
							return
						}
						calls.Add(int64(len(a.Calls)))
						bytesIn.Add(int64(got.BytesIn))
						bytesOut.Add(int64(got.BytesOut))
					}
				})
			}
			wg.Wait()
			if n := len(p.holder.Network().Conns()[0].GetStreams()); n > 4 {
				t.Errorf("%d streams on the connection, want one for calls", n)
			}
			// A reply may be here before the holder has counted it.
			eventually(t, "counts", func() bool {
				s := p.server.Served()[routingPeer(p.asker.ID())]
				return s.Frames == 320 && s.Calls == uint64(calls.Load()) && s.Refused == 0 &&
					s.BytesIn == uint64(bytesOut.Load()) && s.BytesOut == uint64(bytesIn.Load())
			})
		})
	}
}

func TestHolderSumsItself(t *testing.T) {
	p := startPair(t, "tcp", serverConfig{Apply: scaleSum{}})
	a := routing.Ask{Sum: true, In: expert.Batch{Rows: 3, Dim: 1, Data: []float32{1, 2, 3}}, Calls: []expert.Call{
		{Expert: expert.ID{Index: 1}, Rows: []int32{2, 0}, Weights: []float32{0.5, 1}},
	}}
	got, err := p.caller.Call(testContext(t), p.to, a)
	if want := (expert.Batch{Rows: 3, Dim: 1, Data: []float32{3, 0, 4}}); err != nil || !equalBatches(got.Sum, want) {
		t.Errorf("%v, %v, want %v", got.Sum, err, want)
	}
}

// TestRepliesOutOfOrder: the first call waits at the holder until the second
// has been answered.
func TestRepliesOutOfOrder(t *testing.T) {
	first, release := make(chan struct{}), make(chan struct{})
	p := startPair(t, "tcp", serverConfig{Workers: 2, Apply: scale{before: func(ctx context.Context, calls []expert.Call) {
		if calls[0].Expert.Index == 0 {
			close(first)
			<-release
		}
	}}})
	ask := func(index uint16) routing.Ask {
		return routing.Ask{In: expert.NewBatch(1, 4), Calls: []expert.Call{{Expert: expert.ID{Index: index}, Rows: []int32{0}}}}
	}
	slow := make(chan error, 1)
	go func() {
		_, err := p.caller.Call(testContext(t), p.to, ask(0))
		slow <- err
	}()
	<-first
	if _, err := p.caller.Call(testContext(t), p.to, ask(1)); err != nil {
		t.Errorf("the second: %v", err)
	}
	select {
	case err := <-slow:
		t.Errorf("the first was answered too early: %v", err)
	default:
	}
	close(release)
	if err := <-slow; err != nil {
		t.Errorf("the first: %v", err)
	}
}

// TestCancel: who cancels gets away at once, the work at the holder is told
// to stop, and the stream serves on.
func TestCancel(t *testing.T) {
	why := errors.New("no longer wanted")
	began, stopped := make(chan struct{}), make(chan struct{})
	p := startPair(t, "quic", serverConfig{Workers: 1, Apply: scale{before: func(ctx context.Context, calls []expert.Call) {
		switch calls[0].Expert.Index {
		case 0:
			close(began)
			<-ctx.Done()
			close(stopped)
		case 1:
			t.Error("a call that was cancelled while it waited is worked on")
		}
	}}})
	ask := func(index uint16) routing.Ask {
		return routing.Ask{In: expert.NewBatch(1, 4), Calls: []expert.Call{{Expert: expert.ID{Index: index}, Rows: []int32{0}}}}
	}
	errs := [2]chan error{make(chan error, 1), make(chan error, 1)}
	var cancels [2]context.CancelCauseFunc
	for i := range errs {
		var ctx context.Context
		ctx, cancels[i] = context.WithCancelCause(testContext(t))
		go func() {
			_, err := p.caller.Call(ctx, p.to, ask(uint16(i)))
			errs[i] <- err
		}()
		if i == 0 {
			<-began
		} else { // it waits behind the first
			eventually(t, "the second call", func() bool { return p.server.Load().Waiting == 1 })
		}
	}
	cancels[1](why)
	if err := <-errs[1]; !errors.Is(err, why) {
		t.Errorf("waiting call: %v", err)
	}
	eventually(t, "the waiting call to be dropped", func() bool { return p.server.Load().Waiting == 0 })
	cancels[0](why)
	if err := <-errs[0]; !errors.Is(err, why) {
		t.Errorf("running call: %v", err)
	}
	<-stopped
	if _, err := p.caller.Call(testContext(t), p.to, ask(2)); err != nil {
		t.Errorf("after the cancels: %v", err)
	}
	if s := p.server.Served()[routingPeer(p.asker.ID())]; s.Cancelled != 2 || s.Frames > 1 {
		t.Errorf("%+v, want two cancelled", s)
	}
}

func TestCallThatIsOverBeforeItBegins(t *testing.T) {
	p := startPair(t, "tcp", serverConfig{Apply: scale{}})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.caller.Call(ctx, p.to, testAsk(rand.New(rand.NewPCG(1, 1)), false)); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want Canceled", err)
	}
	if n := len(p.caller.all()); n != 0 {
		t.Errorf("%d streams opened for nothing", n)
	}
}

// TestHolderDies: everything in flight fails at once with ErrUnreachable, and
// when the holder is back the next call finds it.
func TestHolderDies(t *testing.T) {
	var arrived sync.WaitGroup
	arrived.Add(10)
	p := startPair(t, "tcp", serverConfig{Workers: 10, Apply: scale{before: func(ctx context.Context, _ []expert.Call) {
		arrived.Done()
		<-ctx.Done()
	}}})
	errs := make(chan error, 10)
	for range 10 {
		go func() {
			_, err := p.caller.Call(testContext(t), p.to, routing.Ask{In: expert.NewBatch(1, 4), Calls: []expert.Call{{Rows: []int32{0}}}})
			errs <- err
		}()
	}
	arrived.Wait()
	for _, c := range p.holder.Network().Conns() {
		_ = c.Close()
	}
	for range 10 {
		if err := <-errs; !errors.Is(err, expert.ErrUnreachable) {
			t.Errorf("%v, want ErrUnreachable", err)
		}
	}
	p.stop()
	again := newServer(p.holder, serverConfig{Apply: scale{}})
	startRun(t, again.run)
	awaitHandler(t, p.holder, string(expertsProtocol))
	a := testAsk(rand.New(rand.NewPCG(1, 2)), false)
	eventually(t, "an answer", func() bool {
		got, err := p.caller.Call(testContext(t), p.to, a)
		return err == nil && checkAnswer(a, got) == nil
	})
}

func TestUnreachable(t *testing.T) {
	p := startPair(t, "tcp", serverConfig{Apply: scale{}})
	a := testAsk(rand.New(rand.NewPCG(1, 2)), false)
	stranger := testHost(t, "tcp") // whose address nobody knows
	deaf := testHost(t, "tcp")     // that does not serve calls
	acquaint(p.asker, deaf)
	for _, to := range []routing.Peer{"nonsense", "", routingPeer(stranger.ID()), routingPeer(deaf.ID()), routingPeer(p.asker.ID())} {
		if _, err := p.caller.Call(testContext(t), to, a); !errors.Is(err, expert.ErrUnreachable) {
			t.Errorf("call to %q: %v, want ErrUnreachable", to, err)
		}
		if _, err := p.caller.Probe(testContext(t), to, 10); !errors.Is(err, expert.ErrUnreachable) {
			t.Errorf("probe of %q: %v, want ErrUnreachable", to, err)
		}
	}
}

// TestCallerOutsideItsLife: before run, a call waits for it; after it, calls
// fail.
func TestCallerOutsideItsLife(t *testing.T) {
	checkNoneLeft(t)
	holder, asker := testHost(t, "tcp"), testHost(t, "tcp")
	acquaint(asker, holder)
	startRun(t, newServer(holder, serverConfig{Apply: scale{}}).run)
	awaitHandler(t, holder, string(expertsProtocol))
	c := newCaller(asker, slog.New(slog.DiscardHandler), callerConfig{})
	a := testAsk(rand.New(rand.NewPCG(1, 2)), false)
	early := make(chan error, 1)
	go func() {
		_, err := c.Call(testContext(t), routingPeer(holder.ID()), a)
		early <- err
	}()
	stop := startRun(t, c.run)
	if err := <-early; err != nil {
		t.Errorf("the early call: %v", err)
	}
	stop()
	if _, err := c.Call(testContext(t), routingPeer(holder.ID()), a); !errors.Is(err, expert.ErrUnreachable) {
		t.Errorf("the late call: %v, want ErrUnreachable", err)
	}
}

func TestBadCallStaysAtHome(t *testing.T) {
	p := startPair(t, "tcp", serverConfig{Apply: scale{}})
	bad := expert.NewBatch(1, 4)
	bad.Data[2] = float32(math.NaN())
	for name, a := range map[string]routing.Ask{
		"no calls": {In: expert.NewBatch(1, 4)},
		"no row":   {In: expert.NewBatch(1, 4), Calls: []expert.Call{{Rows: []int32{1}}}},
		"NaN":      {In: bad, Calls: []expert.Call{{Rows: []int32{0}}}},
		"no weight for a sum": {In: expert.NewBatch(1, 4), Sum: true,
			Calls: []expert.Call{{Rows: []int32{0}}}},
	} {
		if _, err := p.caller.Call(testContext(t), p.to, a); !errors.Is(err, expert.ErrBadCall) {
			t.Errorf("%s: %v, want ErrBadCall", name, err)
		}
	}
	if s := p.server.Served(); len(s) > 0 {
		t.Errorf("the holder heard of it: %v", s)
	}
}

func TestTooManyInFlight(t *testing.T) {
	p := startPair(t, "tcp", serverConfig{Apply: scale{before: func(ctx context.Context, _ []expert.Call) { <-ctx.Done() }}})
	c := newCaller(p.asker, slog.New(slog.DiscardHandler), callerConfig{InFlight: 1})
	startRun(t, c.run)
	a := routing.Ask{In: expert.NewBatch(1, 4), Calls: []expert.Call{{Rows: []int32{0}}}}
	ctx, cancel := context.WithCancel(testContext(t))
	first := make(chan error, 1)
	go func() {
		_, err := c.Call(ctx, p.to, a)
		first <- err
	}()
	eventually(t, "the first call", func() bool { return p.server.Load().Waiting > 0 || len(c.all()) > 0 && c.all()[0].stream.Load() != nil })
	eventually(t, "a refusal", func() bool {
		short, done := context.WithTimeout(ctx, time.Second)
		defer done()
		_, err := c.Call(short, p.to, a)
		return errors.Is(err, expert.ErrOverloaded)
	})
	cancel()
	<-first
}

func TestProbe(t *testing.T) {
	p := startPair(t, "quic", serverConfig{Apply: scale{}})
	for _, payload := range []int{-1, 0, 1, 4096, wire.MaxPing, wire.MaxPing + 1} {
		if load, err := p.caller.Probe(testContext(t), p.to, payload); err != nil || load.Waiting != 0 {
			t.Errorf("payload of %d: %v, %v", payload, load, err)
		}
	}
}

// TestIdleStreamIsGivenUp: and the next call opens another.
func TestIdleStreamIsGivenUp(t *testing.T) {
	p := startPair(t, "tcp", serverConfig{Apply: scale{}})
	c := newCaller(p.asker, slog.New(slog.DiscardHandler), callerConfig{Tick: time.Millisecond, Idle: 3 * time.Millisecond})
	startRun(t, c.run)
	for i := range 3 {
		a := testAsk(rand.New(rand.NewPCG(uint64(i), 9)), false)
		if _, err := c.Call(testContext(t), p.to, a); err != nil {
			t.Fatalf("call %d: %v", i, err)
		}
		eventually(t, "the stream to be given up", func() bool { return len(c.all()) == 0 })
	}
}

// TestSilentHolder: a peer that takes calls and says nothing is found out
// without any deadline.
func TestSilentHolder(t *testing.T) {
	for transport := range transports {
		t.Run(transport, func(t *testing.T) {
			checkNoneLeft(t)
			asker, dead := testHost(t, transport), testHost(t, transport)
			acquaint(asker, dead)
			dead.SetStreamHandler(expertsProtocol, func(s network.Stream) {})
			c := newCaller(asker, slog.New(slog.DiscardHandler), callerConfig{Tick: time.Millisecond})
			startRun(t, c.run)
			a := testAsk(rand.New(rand.NewPCG(1, 2)), false)
			if _, err := c.Call(testContext(t), routingPeer(dead.ID()), a); !errors.Is(err, expert.ErrUnreachable) {
				t.Errorf("%v, want ErrUnreachable", err)
			}
		})
	}
}

// TestSlowHolder: a holder that computes for longer than a dead one would be
// waited for answers pings all the while, and its answer is waited for.
func TestSlowHolder(t *testing.T) {
	release := make(chan struct{})
	p := startPair(t, "tcp", serverConfig{Apply: scale{before: func(context.Context, []expert.Call) { <-release }}})
	free := sync.OnceFunc(func() { close(release) })
	t.Cleanup(free)
	// A pong comes after each 2 ticks of silence; the third is past callDead.
	c := newCaller(p.asker, slog.New(slog.DiscardHandler), callerConfig{Tick: 100 * time.Millisecond})
	startRun(t, c.run)
	slow := make(chan error, 1)
	go func() {
		_, err := c.Call(testContext(t), p.to, testAsk(rand.New(rand.NewPCG(1, 2)), false))
		slow <- err
	}()
	eventually(t, "the call", func() bool { return len(c.all()) == 1 && c.all()[0].stream.Load() != nil })
	read := &c.all()[0].read
	eventually(t, "three pongs", func() bool { return read.Load() >= 3*int64(wire.HeaderLen+wire.PongSize(0)) })
	free()
	if err := <-slow; err != nil {
		t.Errorf("slow, but alive: %v", err)
	}
}

// TestHalfAnswers: a holder answers in half precision when it is asked to, and
// the answer says so.
func TestHalfAnswers(t *testing.T) {
	p := startPair(t, "tcp", serverConfig{Apply: scale{}})
	for _, half := range []bool{false, true} {
		c := newCaller(p.asker, slog.New(slog.DiscardHandler), callerConfig{Half: half})
		startRun(t, c.run)
		a := testAsk(rand.New(rand.NewPCG(3, 5)), false)
		got, err := c.Call(testContext(t), p.to, a)
		if err != nil || got.Half != half {
			t.Fatalf("asked for half precision: %v; came so: %v, %v", half, got.Half, err)
		}
	}
}
