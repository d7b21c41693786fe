package swarm

import (
	"context"
	"crypto/ed25519"
	"errors"
	"log/slog"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/multiformats/go-multiaddr"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/routing"
)

// patience bounds what a test waits for before it fails. Nothing sleeps.
const patience = 10 * time.Second

var transports = map[string]string{ // name → address to listen on
	"tcp":  "/ip4/127.0.0.1/tcp/0",
	"quic": "/ip4/127.0.0.1/udp/0/quic-v1",
}

// testHost returns a host as nodes have it, listening on loopback.
func testHost(t testing.TB, transport string) host.Host {
	t.Helper()
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	h, err := newHost(key, &reacher{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Close() })
	if err := listen(h, []multiaddr.Multiaddr{multiaddr.StringCast(transports[transport])}); err != nil {
		t.Fatal(err)
	}
	return h
}

// acquaint tells a where b is.
func acquaint(a, b host.Host) {
	a.Peerstore().AddAddrs(b.ID(), b.Addrs(), time.Hour)
}

// startRun runs f until the test ends, or stop is called, and fails the test
// if it does not return then, or leaves a goroutine behind.
func startRun(t testing.TB, f func(ctx context.Context) error) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- f(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("run: %v", err)
			}
		case <-time.After(patience):
			t.Error("run does not return")
		}
	})
	t.Cleanup(stop)
	return stop
}

// checkNoneLeft fails the test, at its very end, if goroutines with one of
// the types of these files in their stack are left.
func checkNoneLeft(t testing.TB) {
	t.Cleanup(func() {
		var left string
		for range 1000 {
			if left = ourGoroutines(); left == "" {
				return
			}
			runtime.Gosched() // one that has done its last deed may still be ending
		}
		t.Errorf("goroutines left:\n%s", left)
	})
}

func ourGoroutines() string {
	buf := make([]byte, 1<<20)
	buf = buf[:runtime.Stack(buf, true)]
	var left []string
	for g := range strings.SplitSeq(string(buf), "\n\n") {
		for _, ours := range []string{"caller", "link", "outbox", "server", "serveStream", "intake", "promptServer", "answer", "remote"} {
			if strings.Contains(g, "moeswarm/swarm.(*"+ours+")") {
				left = append(left, g)
				break
			}
		}
	}
	return strings.Join(left, "\n\n")
}

// pair is an asker and a holder on two hosts.
type pair struct {
	caller *caller
	server *server
	asker  host.Host
	holder host.Host
	to     routing.Peer
	stop   func() // the server
}

func startPair(t testing.TB, transport string, cfg serverConfig) *pair {
	t.Helper()
	checkNoneLeft(t)
	p := &pair{asker: testHost(t, transport), holder: testHost(t, transport)}
	acquaint(p.asker, p.holder)
	p.to = routingPeer(p.holder.ID())
	p.server = newServer(p.holder, cfg)
	p.stop = startRun(t, p.server.run)
	awaitHandler(t, p.holder, string(expertsProtocol))
	p.caller = newCaller(p.asker, slog.New(slog.DiscardHandler), callerConfig{})
	startRun(t, p.caller.run)
	return p
}

// awaitHandler waits until h serves the protocol.
func awaitHandler(t testing.TB, h host.Host, protocol string) {
	t.Helper()
	eventually(t, "the handler", func() bool {
		for _, p := range h.Mux().Protocols() {
			if string(p) == protocol {
				return true
			}
		}
		return false
	})
}

// eventually spins until f holds. It is for states that nothing announces.
func eventually(t testing.TB, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !f(); runtime.Gosched() {
		if time.Now().After(end) {
			t.Fatalf("%s: not within %v", what, patience)
		}
	}
}

func testContext(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// rawStream opens a stream of the asker's own making.
func rawStream(t testing.TB, p *pair) network.Stream {
	t.Helper()
	s, err := p.asker.NewStream(testContext(t), p.holder.ID(), expertsProtocol)
	if err != nil {
		t.Fatal(err)
	}
	_ = s.SetDeadline(time.Now().Add(patience))
	t.Cleanup(func() { _ = s.Reset() })
	return s
}

// scale is an applier whose expert i multiplies a row by i+1. Hooks may hold
// it up.
type scale struct {
	before func(ctx context.Context, calls []expert.Call) // may be nil
	known  int                                            // experts held; 0: all
}

func (s scale) Apply(ctx context.Context, in expert.Batch, calls []expert.Call) []expert.Result {
	if s.before != nil {
		s.before(ctx, calls)
	}
	results := make([]expert.Result, len(calls))
	for i, c := range calls {
		if ctx.Err() != nil {
			results[i].Err = ctx.Err()
			continue
		}
		if s.known > 0 && int(c.Expert.Index) >= s.known {
			results[i].Err = expert.ErrUnknownExpert
			continue
		}
		out := expert.NewBatch(len(c.Rows), in.Dim)
		for k, r := range c.Rows {
			for d, x := range in.Row(int(r)) {
				out.Row(k)[d] = x * float32(c.Expert.Index+1)
			}
		}
		results[i].Out = out
	}
	return results
}

// testAsk draws an ask for some experts on some of the rows.
func testAsk(r *rand.Rand, sum bool) routing.Ask {
	a := routing.Ask{In: expert.NewBatch(1+r.IntN(20), 1+r.IntN(40)), Sum: sum}
	for i := range a.In.Data {
		a.In.Data[i] = float32(r.IntN(1000)) // sums stay exact
	}
	for range 1 + r.IntN(4) {
		c := expert.Call{Expert: expert.ID{Layer: 2, Index: uint16(r.IntN(8))}}
		for _, row := range r.Perm(a.In.Rows)[:1+r.IntN(a.In.Rows)] {
			c.Rows = append(c.Rows, int32(row))
			c.Weights = append(c.Weights, float32(r.IntN(8)))
		}
		a.Calls = append(a.Calls, c)
	}
	return a
}

// checkAnswer compares an answer with what scale must have computed.
func checkAnswer(a routing.Ask, got routing.Answer) error {
	want := scale{}.Apply(context.Background(), a.In, a.Calls)
	if !a.Sum {
		for i := range want {
			if !equalBatches(got.Results[i].Out, want[i].Out) {
				return errors.New("another result")
			}
		}
		return nil
	}
	sum := expert.NewBatch(a.In.Rows, a.In.Dim)
	for i, c := range a.Calls {
		for k, r := range c.Rows {
			for d, x := range want[i].Out.Row(k) {
				sum.Row(int(r))[d] += c.Weights[k] * x
			}
		}
	}
	if !equalBatches(got.Sum, sum) {
		return errors.New("another sum")
	}
	return nil
}

func equalBatches(a, b expert.Batch) bool {
	if a.Rows != b.Rows || a.Dim != b.Dim || len(a.Data) != len(b.Data) {
		return false
	}
	for i, x := range a.Data {
		if x != b.Data[i] {
			return false
		}
	}
	return true
}
