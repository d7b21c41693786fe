package swarm

import (
	"bytes"
	"context"
	"iter"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/gating/prompt"
	"github.com/moeswarm/moeswarm/swarm/wire"
)

func TestLeavingPeerIsGoneAtOnce(t *testing.T) {
	a := startNode(t, Config{Offers: []Offer{gates()}})
	b := startNode(t, Config{Join: a.Addrs(), Offers: []Offer{holds(0, 1, 2, 3)}})
	a.await("coverage", a.covered)
	began := time.Now()
	b.stop()
	if d := time.Since(began); d > 5*time.Second {
		t.Errorf("an idle node took %v to stop", d)
	}
	// The goodbye was read before b closed its connections, so there is
	// nothing to wait for, and b left no trace as a lost peer.
	a.dir.read(func(h *holdings) {
		c := h.claim(b.ID(), testModel())
		if c == nil || !c.left {
			t.Errorf("claim %+v: the goodbye was not heard", c)
		}
	})
	if a.Coverage(testModel()).Held != 0 {
		t.Error("a peer that left is named as a holder")
	}
}

func TestKilledPeerIsMarked(t *testing.T) {
	a := startNode(t, Config{Offers: []Offer{gates()}})
	b := startNode(t, Config{Join: a.Addrs(), Offers: []Offer{holds(0, 1, 2, 3)}})
	a.await("coverage", a.covered)
	b.kill()
	a.await("the holder is not named any more", func() bool { return a.Coverage(testModel()).Held == 0 })
	views := a.Peers()
	if len(views) != 1 || views[0].Usable || views[0].Connected || len(views[0].Models) != 1 {
		t.Errorf("peers %+v: want b, lost, with what it held", views)
	}
	// It comes back under the same identity and is named again.
	again := startNode(t, Config{Key: b.key, Join: a.Addrs(), Offers: []Offer{holds(0, 1, 2, 3)}})
	a.await("the holder again", a.covered)
	if again.ID() != b.ID() {
		t.Error("another identity")
	}
}

// kill ends the node without a goodbye, as a power cut would.
func (n *testNode) kill() {
	n.t.Helper()
	_ = n.live.Load().host.Network().Close()
	n.stop()
}

// endless is a Completer that answers until it is stopped, one token each
// time it is nudged.
type endless struct{ nudge chan struct{} }

func (e endless) Complete(ctx context.Context, _ prompt.Request) iter.Seq2[prompt.Chunk, error] {
	return func(yield func(prompt.Chunk, error) bool) {
		for i := int32(0); ; i++ {
			select {
			case _, more := <-e.nudge:
				if !more {
					yield(prompt.Chunk{Finish: prompt.FinishStop}, nil)
					return
				}
			case <-ctx.Done():
				yield(prompt.Chunk{}, ctx.Err())
				return
			}
			if !yield(prompt.Chunk{HasToken: true, Token: i, Bytes: []byte("x")}, nil) {
				return
			}
		}
	}
}

// A node that is told to stop says goodbye and ends the answer it is giving. What
// counts is the order: on a machine that is busy elsewhere, the second in which
// users' answers are to be read would end before this one is.
func TestRunningAnswerEndsBeforeTheNode(t *testing.T) {
	e := endless{nudge: make(chan struct{})}
	a := newTestNode(t, Config{Offers: []Offer{gates()}, Completer: e})
	a.hooks.patience = testPatience
	a.start()
	<-a.Ready()
	b := startNode(t, Config{Join: a.Addrs()})
	b.await("the gate", func() bool { return len(b.Gates(testModel())) == 1 })
	tokens, stopping := 0, make(chan struct{})
	var finish prompt.Finish
	var stop sync.WaitGroup
	go func() {
		e.nudge <- struct{}{}
		<-stopping
		for range 5 {
			e.nudge <- struct{}{}
		}
		close(e.nudge)
	}()
	for c, err := range b.Remote(a.ID()).Complete(t.Context(), prompt.Request{Model: testModel(), Text: "x", MaxTokens: 10}) {
		if err != nil {
			t.Fatal(err)
		}
		if c.HasToken {
			tokens++
		}
		if tokens == 1 {
			stop.Go(a.stop)
			b.await("the goodbye", func() bool { return len(b.Gates(testModel())) == 0 })
			close(stopping)
		}
		finish = c.Finish
	}
	stop.Wait()
	if tokens != 6 || finish != prompt.FinishStop {
		t.Errorf("%d tokens, finish %q; want 6 and %q", tokens, finish, prompt.FinishStop)
	}
}

// lines collects log lines and tells of each.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
	came chan struct{}
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	l.text.Write(b)
	l.mu.Unlock()
	signal(l.came)
	return len(b), nil
}

// wait waits until some line contains s.
func (l *lines) wait(t *testing.T, s string) {
	t.Helper()
	timeout := time.After(testPatience)
	for {
		l.mu.Lock()
		found := strings.Contains(l.text.String(), s)
		l.mu.Unlock()
		if found {
			return
		}
		select {
		case <-l.came:
		case <-timeout:
			t.Fatalf("in vain: a log line with %q", s)
		}
	}
}

func newLines() (*lines, *slog.Logger) {
	l := &lines{came: make(chan struct{}, 1)}
	return l, slog.New(slog.NewTextHandler(l, nil))
}

// freePort finds a port that nobody listens on.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

// A node whose join address is not up yet says so, keeps trying and gets there.
func TestJoinRetries(t *testing.T) {
	late := newTestNode(t, Config{Listen: []string{"/ip4/127.0.0.1/tcp/" + freePort(t)}, Offers: []Offer{gates()}})
	at := late.listenAt[0].String() + "/p2p/" + string(late.ID())
	log, logger := newLines()
	n := newTestNode(t, Config{Join: []string{at, selfAddr}, Log: logger})
	n.start()
	log.wait(t, "nobody answers at "+late.listenAt[0].String()+"; retrying in 1s")
	select {
	case <-n.Ready():
		t.Error("ready before anything was reached or the wait was over")
	default:
	}
	late.start()
	<-late.Ready()
	n.await("the gating node", func() bool { return len(n.Gates(testModel())) == 1 })
	<-n.Ready()

	// All peers lost: it joins again by itself.
	late.stop()
	n.await("its loss", func() bool { return len(n.Gates(testModel())) == 0 })
	back := newTestNode(t, Config{Key: late.key, Listen: []string{late.listenAt[0].String()}, Offers: []Offer{gates()}})
	back.start()
	n.await("the gating node again", func() bool { return len(n.Gates(testModel())) == 1 })
}

// selfAddr is well formed and nobody's.
const selfAddr = "/ip4/127.0.0.1/tcp/1/p2p/12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN"

func TestJoinTellsOfAnotherIdentity(t *testing.T) {
	a := startNode(t, Config{})
	log, logger := newLines()
	wrong, _, _ := strings.Cut(a.Addrs()[0], "/p2p/")
	n := newTestNode(t, Config{Join: []string{wrong + selfAddr[strings.Index(selfAddr, "/p2p/"):]}, Log: logger})
	n.start()
	log.wait(t, "the address to join is out of date")
	log.wait(t, string(a.ID()))
}

func TestListenFails(t *testing.T) {
	a := startNode(t, Config{})
	at, _, _ := strings.Cut(a.Addrs()[0], "/p2p/")
	n := newTestNode(t, Config{Listen: []string{"/ip4/127.0.0.1/udp/0/quic-v1", at}})
	ctx, cancel := context.WithTimeout(t.Context(), testPatience)
	defer cancel()
	err := n.Run(ctx)
	if err == nil || !strings.Contains(err.Error(), at) {
		t.Errorf("error %v, want one that names %s", err, at)
	}
	select {
	case <-n.Ready():
		t.Error("ready though it could not listen")
	default:
	}
}

func TestQUIC(t *testing.T) {
	a := startNode(t, Config{Listen: []string{"/ip4/127.0.0.1/udp/0/quic-v1"}, Offers: []Offer{gates()}})
	startNode(t, Config{Listen: []string{"/ip4/127.0.0.1/udp/0/quic-v1"}, Join: a.Addrs(), Offers: []Offer{holds(0, 1, 2, 3)}})
	a.await("coverage over QUIC", a.covered)
}

// Hellos that no honest node says end the stream and leave nothing behind;
// the node goes on.
func TestHostileHellos(t *testing.T) {
	n := startNode(t, Config{})
	s := newStranger(t)
	s.connect(n)
	good := mustEncode(t, announcementOf(Offer{Model: expert.ModelID{1}, Layers: testLayers, Gates: true}, time.Now().Add(announceTTL), 0))
	huge := bytes.Clone(good)
	huge[0], huge[1], huge[2], huge[3] = 0xff, 0xff, 0xff, 0x7f
	for name, b := range map[string][]byte{
		"nonsense":     []byte("GET / HTTP/1.1\r\n\r\n"),
		"cut off":      good[:len(good)-3],
		"huge":         huge,
		"another kind": wire.AppendKeepAlive(nil),
		"too many":     bytes.Repeat(good, maxHelloFrames+1),
	} {
		if s.hello(n, b) == nil {
			t.Errorf("%s: read to the end", name)
		}
	}
	if err := s.hello(n, good); err != nil {
		t.Errorf("a good hello after bad ones: %v", err)
	}
	n.await("the good one", func() bool { return len(n.Gates(expert.ModelID{1})) == 1 })
	// Too often: the pace allows eight at once.
	refused := 0
	for range 20 {
		if s.hello(n, nil) != nil {
			refused++
		}
	}
	if refused < 10 {
		t.Errorf("%d of 20 hellos in a row refused", refused)
	}
	// A stream that says nothing does not keep others from being heard.
	s.stream(n)
	other := newStranger(t)
	other.connect(n)
	if err := other.hello(n, good); err != nil {
		t.Error(err)
	}
}
