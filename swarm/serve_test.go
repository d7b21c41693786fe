package swarm

import (
	"context"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/routing"
	"github.com/moeswarm/moeswarm/swarm/wire"
)

// oneRow asks for one expert on one row.
func oneRow(index uint16) routing.Ask {
	return routing.Ask{In: expert.NewBatch(1, 4), Calls: []expert.Call{{Expert: expert.ID{Index: index}, Rows: []int32{0}}}}
}

// callFrame is oneRow as a frame.
func callFrame(t testing.TB, id uint64, index uint16) []byte {
	a := oneRow(index)
	b, err := wire.AppendCall(nil, id, wire.Call{In: a.In, Calls: a.Calls})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// next reads one frame off s.
func next(r *wire.Reader) (wire.Header, []byte, error) {
	h, err := r.Next()
	if err != nil {
		return h, nil, err
	}
	body, err := r.Body(nil)
	return h, body, err
}

// TestBrokenProtocolEndsTheStream: and only that stream.
func TestBrokenProtocolEndsTheStream(t *testing.T) {
	p := startPair(t, "tcp", serverConfig{Workers: 1, Apply: scale{before: func(ctx context.Context, calls []expert.Call) {
		if calls[0].Expert.Index == 77 {
			<-ctx.Done()
		}
	}}})
	version := callFrame(t, 1, 0)
	version[4] = 7
	reply, _ := wire.AppendReply(nil, 1, wire.Meter{}, nil)
	for name, bytes := range map[string][]byte{
		"noise":         []byte("GET / HTTP/1.1\r\nHost: example.com\r\n\r\n"),
		"version":       version,
		"short length":  {3, 0, 0, 0, wire.Version, 1, 0, 0, 0, 0, 0, 0, 0, 0},
		"huge length":   {255, 255, 255, 255, wire.Version, 1, 0, 0, 0, 0, 0, 0, 0, 0},
		"long cancel":   {20, 0, 0, 0, wire.Version, 4, 0, 0, 0, 0, 0, 0, 0, 0, 1},
		"reply":         reply,
		"prompt":        wire.AppendKeepAlive(nil),
		"id used twice": append(callFrame(t, 5, 77), callFrame(t, 5, 77)...),
	} {
		s := rawStream(t, p)
		if _, err := s.Write(bytes); err != nil {
			t.Fatal(err)
		}
		if h, err := wire.NewReader(s).Next(); !errors.Is(err, network.ErrReset) {
			t.Errorf("%s: %v, %v, want a reset", name, h, err)
		}
	}
	a := testAsk(rand.New(rand.NewPCG(4, 4)), true)
	got, err := p.caller.Call(testContext(t), p.to, a)
	if err == nil {
		err = checkAnswer(a, got)
	}
	if err != nil {
		t.Errorf("an honest call afterwards: %v", err)
	}
}

// TestRandomBytes: no bytes stall or crash the server.
func TestRandomBytes(t *testing.T) {
	p := startPair(t, "tcp", serverConfig{Apply: scale{}})
	for seed := range uint64(30) {
		r := rand.New(rand.NewPCG(seed, 8))
		s := rawStream(t, p)
		var b []byte
		for range 1 + r.IntN(20) {
			f := callFrame(t, r.Uint64N(3), 0)
			for range r.IntN(4) {
				f[r.IntN(len(f))] = byte(r.Uint32())
			}
			if n := binary.LittleEndian.Uint32(f); r.IntN(2) == 0 && n < 200 {
				f = append(f[:wire.HeaderLen], make([]byte, n)...)
			}
			b = append(b, f...)
		}
		if _, err := s.Write(b); err == nil {
			_ = s.CloseWrite()
		}
		in := wire.NewReader(s)
		for err := error(nil); err == nil; {
			_, _, err = next(in)
		}
		if _, err := p.caller.Call(testContext(t), p.to, oneRow(3)); err != nil {
			t.Fatalf("seed %d: an honest call afterwards: %v", seed, err)
		}
	}
}

// TestBadCallsAreRefused: with a word about what is wrong, and the stream
// serves on.
func TestBadCallsAreRefused(t *testing.T) {
	p := startPair(t, "tcp", serverConfig{Apply: scale{known: 10}, Holds: func(id expert.ID) bool { return id.Index != 5 }})
	nan := callFrame(t, 1, 0)
	copy(nan[len(nan)-4:], []byte{0, 0, 0xc0, 0x7f})
	row := callFrame(t, 2, 0)
	row[wire.HeaderLen+56] = 9
	kind := callFrame(t, 3, 0)
	kind[5] = 99
	s := rawStream(t, p)
	in := wire.NewReader(s)
	for _, want := range []struct {
		frame  []byte
		code   wire.Code
		expert uint16
		detail string
	}{
		{nan, wire.CodeBadCall, wire.NoExpert, "NaN"},
		{row, wire.CodeBadCall, wire.NoExpert, "row 9 of 1"},
		{kind, wire.CodeBadCall, wire.NoExpert, "unknown frame kind"},
		{callFrame(t, 4, 5), wire.CodeUnknownExpert, 5, "expert 5"},
		{callFrame(t, 5, 11), wire.CodeUnknownExpert, 11, "expert 11"},
	} {
		if _, err := s.Write(want.frame); err != nil {
			t.Fatal(err)
		}
		h, body, err := next(in)
		if err != nil || h.Kind != wire.KindRefusal || h.ID != binary.LittleEndian.Uint64(want.frame[6:]) {
			t.Fatalf("%v, %v, want a refusal", h, err)
		}
		r, err := wire.ParseRefusal(body)
		if err != nil || r.Code != want.code || r.Expert != want.expert || !strings.Contains(r.Detail, want.detail) {
			t.Errorf("%+v, %v, want %+v", r, err, want)
		}
	}
	_, err := p.caller.Call(testContext(t), p.to, oneRow(5))
	var refused *wire.Refused
	if !errors.Is(err, expert.ErrUnknownExpert) || !errors.As(err, &refused) || refused.Expert != 5 {
		t.Errorf("%v, want ErrUnknownExpert that names expert 5", err)
	}
}

// TestOverload: past the limit a frame is refused at once, with a wait, while
// the others wait; then all of those are answered.
func TestOverload(t *testing.T) {
	began, release := make(chan struct{}, 3), make(chan struct{})
	p := startPair(t, "tcp", serverConfig{Workers: 1, Frames: 3, Apply: scale{before: func(context.Context, []expert.Call) {
		began <- struct{}{}
		<-release
	}}})
	free := sync.OnceFunc(func() { close(release) })
	t.Cleanup(free)
	errs := make(chan error, 3)
	for i := range 3 {
		go func() {
			_, err := p.caller.Call(testContext(t), p.to, oneRow(1))
			errs <- err
		}()
		if i == 0 {
			<-began
		} else {
			eventually(t, "the queue", func() bool { return p.server.Load().Waiting == i })
		}
	}
	_, err := p.caller.Call(testContext(t), p.to, oneRow(1))
	var after interface{ RetryAfter() time.Duration }
	if !errors.Is(err, expert.ErrOverloaded) || !errors.As(err, &after) || after.RetryAfter() <= 0 {
		t.Errorf("%v, want ErrOverloaded with a wait", err)
	}
	if load, err := p.caller.Probe(testContext(t), p.to, 8); err != nil || load.Waiting != 2 || load.Queued <= 0 {
		t.Errorf("probe: %v, %v, want 2 waiting", load, err)
	}
	free()
	for range 3 {
		if err := <-errs; err != nil {
			t.Errorf("a call that was let in: %v", err)
		}
	}
	if s := p.server.Served()[routingPeer(p.asker.ID())]; s.Refused != 1 {
		t.Errorf("%+v, want 1 refused", s)
	}
}

// TestMemoryLimit: a frame whose reply would not fit is refused before work.
func TestMemoryLimit(t *testing.T) {
	p := startPair(t, "tcp", serverConfig{Apply: scale{}, Bytes: 130_000})
	if _, err := p.caller.Call(testContext(t), p.to, wideAsk(10, 1000, 3, false)); !errors.Is(err, expert.ErrOverloaded) {
		t.Errorf("160 KB against 130: %v, want ErrOverloaded", err)
	}
	for range 20 {
		if _, err := p.caller.Call(testContext(t), p.to, wideAsk(10, 1000, 1, true)); err != nil {
			t.Errorf("80 KB against 130, one after the other: %v", err)
		}
	}
}

// TestSlowReader: a peer that sends and never reads holds up nobody, and what
// it causes stays within its limits.
func TestSlowReader(t *testing.T) {
	p := startPair(t, "tcp", serverConfig{Apply: scale{}, Workers: 1})
	other := testHost(t, "tcp")
	acquaint(other, p.holder)
	s, err := other.NewStream(testContext(t), p.holder.ID(), expertsProtocol)
	if err != nil {
		t.Fatal(err)
	}
	a := wideAsk(64, 1024, 8, false) // 256 KiB out, 2 MiB back
	frame, err := wire.AppendCall(nil, 1, wire.Call{In: a.In, Calls: a.Calls})
	if err != nil {
		t.Fatal(err)
	}
	_ = s.SetWriteDeadline(time.Now().Add(patience))
	for i := range uint64(60) {
		wire.SetID(frame, i+1)
		if _, err := s.Write(frame); err != nil {
			t.Fatal(err)
		}
	}
	slow := routingPeer(other.ID())
	eventually(t, "the slow reader's limit", func() bool { return p.server.Served()[slow].Refused > 0 })
	if _, err := p.caller.Call(testContext(t), p.to, oneRow(1)); err != nil {
		t.Errorf("beside a slow reader: %v", err)
	}
	p.server.intake.mu.Lock()
	held := p.server.intake.mu.bytes
	p.server.intake.mu.Unlock()
	if held > servePeerBytes {
		t.Errorf("%d bytes held for it, at most %d allowed", held, servePeerBytes)
	}
	_ = s.Reset()
	eventually(t, "its memory to be free", func() bool {
		p.server.intake.mu.Lock()
		defer p.server.intake.mu.Unlock()
		return p.server.intake.mu.bytes == 0 && p.server.intake.mu.frames == 0
	})
}

// TestPeerLeavesItsCallsBehind: work for a peer that is gone stops.
func TestPeerLeavesItsCallsBehind(t *testing.T) {
	began, stopped := make(chan struct{}), make(chan struct{})
	p := startPair(t, "tcp", serverConfig{Workers: 1, Apply: scale{before: func(ctx context.Context, _ []expert.Call) {
		close(began)
		<-ctx.Done()
		close(stopped)
	}}})
	s := rawStream(t, p)
	_, _ = s.Write(append(callFrame(t, 1, 0), callFrame(t, 2, 0)...))
	<-began
	_ = s.Reset()
	<-stopped
	eventually(t, "both to be counted", func() bool { return p.server.Served()[routingPeer(p.asker.ID())].Cancelled == 2 })
}

func TestTooManyStreams(t *testing.T) {
	p := startPair(t, "tcp", serverConfig{Apply: scale{}})
	for range serveStreams {
		s := rawStream(t, p)
		_, _ = s.Write(wire.AppendPing(nil, 1, nil))
		if h, _, err := next(wire.NewReader(s)); err != nil || h.Kind != wire.KindPong {
			t.Fatalf("%v, %v", h, err)
		}
	}
	s := rawStream(t, p)
	_, _ = s.Write(wire.AppendPing(nil, 1, nil))
	if _, _, err := next(wire.NewReader(s)); !errors.Is(err, network.ErrReset) {
		t.Errorf("%v, want a reset", err)
	}
}

// TestIdleServedStreamEnds: but not while a call is being worked on.
func TestIdleServedStreamEnds(t *testing.T) {
	release := make(chan struct{})
	p := startPair(t, "tcp", serverConfig{Tick: time.Millisecond, Idle: 150 * time.Millisecond,
		Apply: scale{before: func(context.Context, []expert.Call) { <-release }}})
	free := sync.OnceFunc(func() { close(release) })
	t.Cleanup(free)
	idle, busy := rawStream(t, p), rawStream(t, p)
	_, _ = busy.Write(callFrame(t, 1, 0))
	_, _ = idle.Write(wire.AppendPing(nil, 1, nil))
	in := wire.NewReader(idle)
	if h, _, err := next(in); err != nil || h.Kind != wire.KindPong {
		t.Fatalf("%v, %v", h, err)
	}
	if _, _, err := next(in); !errors.Is(err, network.ErrReset) {
		t.Errorf("%v, want a reset", err)
	}
	free()
	if h, _, err := next(wire.NewReader(busy)); err != nil || h.Kind != wire.KindReply {
		t.Errorf("the busy stream: %v, %v", h, err)
	}
}

// TestStop: what is worked on is answered, what waits and what still comes is
// refused so that the asker goes elsewhere.
func TestStop(t *testing.T) {
	began, release := make(chan struct{}), make(chan struct{})
	p := startPair(t, "tcp", serverConfig{Workers: 1, Grace: patience, Apply: scale{before: func(context.Context, []expert.Call) {
		close(began)
		<-release
	}}})
	free := sync.OnceFunc(func() { close(release) })
	t.Cleanup(free)
	call := func() chan error {
		errs := make(chan error, 1)
		go func() {
			_, err := p.caller.Call(testContext(t), p.to, oneRow(1))
			errs <- err
		}()
		return errs
	}
	running := call()
	<-began
	waiting := call()
	eventually(t, "the second to wait", func() bool { return p.server.Load().Waiting == 1 })
	stopped := make(chan struct{})
	go func() {
		p.stop()
		close(stopped)
	}()
	if err := <-waiting; !errors.Is(err, expert.ErrOverloaded) {
		t.Errorf("the one that waits: %v, want ErrOverloaded", err)
	}
	if err := <-call(); !errors.Is(err, expert.ErrOverloaded) {
		t.Errorf("one that comes late: %v, want ErrOverloaded", err)
	}
	free()
	if err := <-running; err != nil {
		t.Errorf("the one being worked on: %v", err)
	}
	<-stopped
	if _, err := p.caller.Call(testContext(t), p.to, oneRow(1)); !errors.Is(err, expert.ErrUnreachable) {
		t.Errorf("after the stop: %v, want ErrUnreachable", err)
	}
}

// TestStopAfterGrace: work that does not end by itself is told to.
func TestStopAfterGrace(t *testing.T) {
	began := make(chan struct{})
	p := startPair(t, "tcp", serverConfig{Grace: time.Millisecond, Apply: scale{before: func(ctx context.Context, _ []expert.Call) {
		close(began)
		<-ctx.Done()
	}}})
	errs := make(chan error, 1)
	go func() {
		_, err := p.caller.Call(testContext(t), p.to, oneRow(1))
		errs <- err
	}()
	<-began
	p.stop()
	if err := <-errs; !errors.Is(err, expert.ErrUnreachable) {
		t.Errorf("%v, want ErrUnreachable", err)
	}
}
