package swarm

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"

	"github.com/moeswarm/moeswarm/gating/prompt"
	"github.com/moeswarm/moeswarm/routing"
	"github.com/moeswarm/moeswarm/swarm/wire"
)

// completerFunc is a completer made of a function that gives chunks until
// give reports false, and then why the answer ended early, if it did.
type completerFunc func(ctx context.Context, r prompt.Request, give func(prompt.Chunk) bool) error

func (f completerFunc) Complete(ctx context.Context, r prompt.Request) iter.Seq2[prompt.Chunk, error] {
	return func(yield func(prompt.Chunk, error) bool) {
		if err := f(ctx, r, func(c prompt.Chunk) bool { return yield(c, nil) }); err != nil {
			yield(prompt.Chunk{}, err)
		}
	}
}

func token(i int) prompt.Chunk {
	return prompt.Chunk{PromptTokens: 3, HasToken: true, Token: int32(i), Bytes: []byte{byte(i), 0xc3}}
}

// count answers with the tokens after the prefix, as many as asked for.
func count(ctx context.Context, r prompt.Request, give func(prompt.Chunk) bool) error {
	for i := len(r.Prefix); i < r.MaxTokens; i++ {
		c := token(i)
		if i == r.MaxTokens-1 {
			c.Finish = prompt.FinishLength
		}
		if !give(c) {
			return nil
		}
	}
	return nil
}

// gives is one token, after which the answer waits until ctx ends.
func gives(stopped chan<- error) completerFunc {
	return func(ctx context.Context, _ prompt.Request, give func(prompt.Chunk) bool) error {
		if give(token(0)) {
			<-ctx.Done()
		}
		stopped <- context.Cause(ctx)
		return ctx.Err()
	}
}

type promptPair struct {
	entry, gating host.Host
	server        *promptServer
	remote        *remote
	stop          func()
}

func startPromptPair(t testing.TB, transport string, cfg promptServerConfig) *promptPair {
	t.Helper()
	checkNoneLeft(t)
	p := &promptPair{entry: testHost(t, transport), gating: testHost(t, transport)}
	acquaint(p.entry, p.gating)
	p.server = newPromptServer(p.gating, cfg)
	p.stop = startRun(t, p.server.run)
	awaitHandler(t, p.gating, string(promptProtocol))
	p.remote = newRemote(p.entry, routingPeer(p.gating.ID()), cfg.Times, nil)
	return p
}

// collect ranges over an answer.
func collect(ctx context.Context, c prompt.Completer, r prompt.Request) (chunks []prompt.Chunk, err error) {
	for chunk, e := range c.Complete(ctx, r) {
		if e != nil {
			err = e
			continue
		}
		chunks = append(chunks, chunk)
	}
	return chunks, err
}

var someRequest = prompt.Request{Text: "Once", MaxTokens: 5, Prefix: []int32{9, 8}, Sampling: prompt.Sampling{Seed: 7, TopP: 0.5}}

// TestPromptRoundTrip: the request arrives as it was made, the chunks come
// back as they were given, several answers at once.
func TestPromptRoundTrip(t *testing.T) {
	for transport := range transports {
		t.Run(transport, func(t *testing.T) {
			p := startPromptPair(t, transport, promptServerConfig{Completer: completerFunc(
				func(ctx context.Context, r prompt.Request, give func(prompt.Chunk) bool) error {
					if r.User == "" {
						t.Error("a request does not say whose it is")
					}
					if r.User = ""; !reflect.DeepEqual(r, someRequest) {
						t.Errorf("%+v arrived, want %+v", r, someRequest)
					}
					return count(ctx, r, give)
				})})
			want, _ := collect(t.Context(), completerFunc(count), someRequest)
			var wg sync.WaitGroup
			for range 8 {
				wg.Go(func() {
					got, err := collect(testContext(t), p.remote, someRequest)
					if err != nil || !reflect.DeepEqual(got, want) {
						t.Errorf("%v, %v, want %v", got, err, want)
					}
				})
			}
			wg.Wait()
			eventually(t, "the answers to end", func() bool { return p.server.Running() == 0 })
		})
	}
}

func TestLongestPrompt(t *testing.T) {
	r := prompt.Request{Text: strings.Repeat("x", wire.MaxPromptBytes), Prefix: make([]int32, wire.MaxPrefix), MaxTokens: wire.MaxPrefix + 1}
	p := startPromptPair(t, "tcp", promptServerConfig{Completer: completerFunc(count)})
	if got, err := collect(testContext(t), p.remote, r); err != nil || len(got) != 1 {
		t.Errorf("%d chunks, %v", len(got), err)
	}
	r.Text += "x"
	if _, err := collect(testContext(t), p.remote, r); !errors.Is(err, prompt.ErrBadRequest) {
		t.Errorf("%v, want ErrBadRequest", err)
	}
}

// TestAskerStops: by no longer ranging, by its context, or by falling silent;
// each ends the work at the gating node.
func TestAskerStops(t *testing.T) {
	stopped := make(chan error, 1)
	p := startPromptPair(t, "tcp", promptServerConfig{Completer: gives(stopped),
		Times: promptTimes{Beat: 5 * time.Millisecond, Silence: 150 * time.Millisecond}})
	for chunk, err := range p.remote.Complete(testContext(t), someRequest) {
		if err != nil || chunk.Token != 0 {
			t.Errorf("%v, %v", chunk, err)
		}
		break
	}
	if err := <-stopped; !errors.Is(err, errAskerGone) {
		t.Errorf("no longer ranging: %v", err)
	}

	ctx, cancel := context.WithCancelCause(testContext(t))
	defer cancel(nil)
	why := errors.New("the user left")
	var last error
	for _, err := range p.remote.Complete(ctx, someRequest) {
		last = err
		cancel(why)
	}
	if !errors.Is(last, why) {
		t.Errorf("%v, want the context's cause", last)
	}
	if err := <-stopped; !errors.Is(err, errAskerGone) {
		t.Errorf("context: %v", err)
	}

	s, err := p.entry.NewStream(testContext(t), p.gating.ID(), promptProtocol)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Reset() }()
	b, _ := wire.AppendPrompt(nil, someRequest)
	_, _ = s.Write(b) // and then no keep-alives
	if err := <-stopped; !errors.Is(err, errAskerGone) {
		t.Errorf("silence: %v", err)
	}
}

// TestGatingNodeStops: an answer that outlasts the grace is handed over at
// once, even by a completer that is slow to stop; new prompts go elsewhere.
func TestGatingNodeStops(t *testing.T) {
	began, release := make(chan struct{}), make(chan struct{})
	p := startPromptPair(t, "quic", promptServerConfig{Times: promptTimes{Grace: time.Millisecond},
		Completer: completerFunc(func(_ context.Context, _ prompt.Request, give func(prompt.Chunk) bool) error {
			give(token(2))
			close(began)
			<-release
			give(token(3))
			return nil
		})})
	free := sync.OnceFunc(func() { close(release) })
	t.Cleanup(free)
	go func() {
		<-began
		p.stop()
	}()
	got, err := collect(testContext(t), p.remote, someRequest)
	if !errors.Is(err, prompt.ErrLost) || len(got) != 1 {
		t.Errorf("%v, %v, want one chunk and ErrLost", got, err)
	}
	if _, err := collect(testContext(t), p.remote, someRequest); !errors.Is(err, prompt.ErrLost) {
		t.Errorf("a new prompt: %v, want ErrLost", err)
	}
	free()
}

// TestGraceLetsAnswersEnd: a short answer ends although the node stops.
func TestGraceLetsAnswersEnd(t *testing.T) {
	began, release := make(chan struct{}), make(chan struct{})
	var calls atomic.Int32
	p := startPromptPair(t, "tcp", promptServerConfig{Times: promptTimes{Grace: patience},
		Completer: completerFunc(func(ctx context.Context, r prompt.Request, give func(prompt.Chunk) bool) error {
			if calls.Add(1) == 1 { // others ask whether it has stopped
				close(began)
				<-release
			}
			return count(ctx, r, give)
		})})
	go func() {
		<-began
		go p.stop()
		eventually(t, "the stop", func() bool {
			_, err := collect(testContext(t), p.remote, someRequest)
			return errors.Is(err, prompt.ErrLost)
		})
		close(release)
	}()
	if got, err := collect(testContext(t), p.remote, someRequest); err != nil || len(got) != 3 {
		t.Errorf("%v, %v", got, err)
	}
	eventually(t, "its end", func() bool { return p.server.Running() == 0 })
}

func TestBusy(t *testing.T) {
	release := make(chan struct{})
	p := startPromptPair(t, "tcp", promptServerConfig{PerPeer: 2, Completer: completerFunc(
		func(ctx context.Context, r prompt.Request, give func(prompt.Chunk) bool) error {
			<-release
			return count(ctx, r, give)
		})})
	free := sync.OnceFunc(func() { close(release) })
	t.Cleanup(free)
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			if _, err := collect(testContext(t), p.remote, someRequest); err != nil {
				t.Errorf("admitted: %v", err)
			}
		})
	}
	eventually(t, "both answers", func() bool { return p.server.Running() == 2 })
	long := someRequest
	long.Text = strings.Repeat("x", wire.MaxPromptBytes) // is not even read
	if _, err := collect(testContext(t), p.remote, long); !errors.Is(err, prompt.ErrBusy) {
		t.Errorf("%v, want ErrBusy", err)
	}
	free()
	wg.Wait()
}

// TestBusyTellsItsWait: the asker hears when an answer would begin.
func TestBusyTellsItsWait(t *testing.T) {
	p := startPromptPair(t, "tcp", promptServerConfig{Completer: completerFunc(
		func(context.Context, prompt.Request, func(prompt.Chunk) bool) error {
			return fmt.Errorf("the engine: %w", &prompt.BusyError{Wait: 42 * time.Second, Detail: "full"})
		})})
	_, err := collect(testContext(t), p.remote, someRequest)
	if b, ok := errors.AsType[*prompt.BusyError](err); !ok || b.Wait != 42*time.Second || !errors.Is(err, prompt.ErrBusy) {
		t.Errorf("%v, want a wait of 42 s", err)
	}
}

// TestReusedTokensArrive: with the last chunk, beside the work.
func TestReusedTokensArrive(t *testing.T) {
	p := startPromptPair(t, "tcp", promptServerConfig{Completer: completerFunc(
		func(_ context.Context, _ prompt.Request, give func(prompt.Chunk) bool) error {
			give(token(2))
			c := token(3)
			c.Cached, c.Finish, c.Drafts = 2, prompt.FinishLength, prompt.Drafts{Drafted: 4, Accepted: 3}
			give(c)
			return nil
		})})
	got, err := collect(testContext(t), p.remote, someRequest)
	if err != nil || len(got) != 2 || got[1].Cached != 2 || got[1].Drafts.Accepted != 3 {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestCompleterErrors: each arrives as what it is.
func TestCompleterErrors(t *testing.T) {
	var fail error
	p := startPromptPair(t, "tcp", promptServerConfig{Completer: completerFunc(
		func(_ context.Context, _ prompt.Request, give func(prompt.Chunk) bool) error {
			give(token(2))
			return fail
		})})
	for _, row := range []struct{ fail, want error }{
		{prompt.ErrBadRequest, prompt.ErrBadRequest},
		{prompt.ErrUnknownModel, prompt.ErrUnknownModel},
		{prompt.ErrMissingExperts, prompt.ErrMissingExperts},
		{errors.New("a disk broke"), prompt.ErrLost},
		{nil, prompt.ErrLost}, // it just ends, without a reason
	} {
		fail = row.fail
		got, err := collect(testContext(t), p.remote, someRequest)
		if !errors.Is(err, row.want) || len(got) != 1 {
			t.Errorf("%v: %v, %v, want %v", row.fail, got, err, row.want)
		}
	}
}

// TestHostileGatingNodes: whatever the node sends, the answer ends with
// ErrLost, so that the entry goes on elsewhere, and what came before stands.
func TestHostileGatingNodes(t *testing.T) {
	chunk := func(c prompt.Chunk) []byte {
		b, err := wire.AppendChunk(nil, c)
		if err != nil {
			t.Error(err)
		}
		return b
	}
	endless := make([]byte, 0, 1000)
	for i := range 10 {
		endless = append(endless, chunk(token(i))...)
	}
	version := chunk(token(1))
	version[4] = wire.Version + 1
	for name, row := range map[string]struct {
		bytes []byte
		want  int // chunks
	}{
		"nothing":      {nil, 0},
		"noise":        {[]byte("HTTP/1.1 200 OK\r\n\r\n"), 0},
		"version":      {append(chunk(token(1)), version...), 1},
		"bad chunk":    {append(chunk(token(1)), 14, 0, 0, 0, wire.Version, 17, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4), 1},
		"wrong kind":   {wire.AppendCancel(chunk(token(1)), 1), 1},
		"cut off":      {chunk(token(1))[:10], 0},
		"too many":     {endless, 3},
		"early end":    {wire.AppendPromptEnd(chunk(token(1)), wire.PromptEnd{}), 1},
		"unknown code": {wire.AppendPromptEnd(chunk(token(1)), wire.PromptEnd{Code: 99}), 1},
	} {
		t.Run(name, func(t *testing.T) {
			checkNoneLeft(t)
			entry, gating := testHost(t, "tcp"), testHost(t, "tcp")
			acquaint(entry, gating)
			gating.SetStreamHandler(promptProtocol, func(s network.Stream) {
				_, _ = wire.NewReader(s).Next()
				_, _ = s.Write(row.bytes)
				_ = s.Close()
			})
			got, err := collect(testContext(t), newRemote(entry, routingPeer(gating.ID()), promptTimes{}, nil), someRequest)
			if !errors.Is(err, prompt.ErrLost) || len(got) != row.want {
				t.Errorf("%d chunks, %v, want %d and ErrLost", len(got), err, row.want)
			}
		})
	}
}

// TestKeepAlivesHoldAnAnswer: an answer that takes longer than silence may
// last is waited for as long as the node gives signs of life, both ways; a
// node that gives none is lost.
func TestKeepAlivesHoldAnAnswer(t *testing.T) {
	times := promptTimes{Beat: 20 * time.Millisecond, Silence: 400 * time.Millisecond}
	thinking := time.NewTimer(2 * times.Silence)
	p := startPromptPair(t, "quic", promptServerConfig{Times: times, Completer: completerFunc(
		func(ctx context.Context, r prompt.Request, give func(prompt.Chunk) bool) error {
			select {
			case <-thinking.C:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
			return count(ctx, r, give)
		})})
	if got, err := collect(testContext(t), p.remote, someRequest); err != nil || len(got) != 3 {
		t.Errorf("%v, %v", got, err)
	}

	dead := testHost(t, "quic")
	acquaint(p.entry, dead)
	dead.SetStreamHandler(promptProtocol, func(network.Stream) {})
	if _, err := collect(testContext(t), newRemote(p.entry, routingPeer(dead.ID()), times, nil), someRequest); !errors.Is(err, prompt.ErrLost) {
		t.Errorf("%v, want ErrLost", err)
	}
}

func TestPromptUnreachable(t *testing.T) {
	entry, stranger := testHost(t, "tcp"), testHost(t, "tcp")
	for _, to := range []routing.Peer{"nonsense", routingPeer(stranger.ID()), routingPeer(entry.ID())} {
		if _, err := collect(testContext(t), newRemote(entry, to, promptTimes{}, nil), someRequest); !errors.Is(err, prompt.ErrLost) {
			t.Errorf("%q: %v, want ErrLost", to, err)
		}
	}
}

// TestGatingNodeVanishes: its connections break in the middle of an answer.
func TestGatingNodeVanishes(t *testing.T) {
	stopped := make(chan error, 1)
	p := startPromptPair(t, "tcp", promptServerConfig{Completer: gives(stopped)})
	var last error
	for _, err := range p.remote.Complete(testContext(t), someRequest) {
		if last = err; err == nil {
			for _, c := range p.gating.Network().Conns() {
				_ = c.Close()
			}
		}
	}
	if !errors.Is(last, prompt.ErrLost) {
		t.Errorf("%v, want ErrLost", last)
	}
	<-stopped
}

// TestBadPromptFrames: the gating node says what is wrong, or hangs up.
func TestBadPromptFrames(t *testing.T) {
	p := startPromptPair(t, "tcp", promptServerConfig{Completer: completerFunc(count)})
	good, _ := wire.AppendPrompt(nil, someRequest)
	text := append([]byte(nil), good...)
	text[len(text)-1] = 0xff
	for name, row := range map[string]struct {
		bytes []byte
		want  wire.Code // CodeOK: hangs up
	}{
		"not UTF-8":  {text, wire.CodeBadRequest},
		"wrong kind": {wire.AppendKeepAlive(nil), wire.CodeBadRequest},
		"noise":      {[]byte("GET / HTTP/1.1\r\n\r\n"), wire.CodeOK},
		"cut off":    {good[:30], wire.CodeOK},
	} {
		s, err := p.entry.NewStream(testContext(t), p.gating.ID(), promptProtocol)
		if err != nil {
			t.Fatal(err)
		}
		_ = s.SetDeadline(time.Now().Add(patience))
		_, _ = s.Write(row.bytes)
		_ = s.CloseWrite()
		h, body, err := next(wire.NewReader(s))
		if row.want == wire.CodeOK {
			if err == nil {
				t.Errorf("%s: %v, want no answer", name, h)
			}
			continue
		}
		if end, err := wire.ParsePromptEnd(body); err != nil || end.Code != row.want {
			t.Errorf("%s: %v, %v, want code %d", name, end, err, row.want)
		}
	}
	if got, err := collect(testContext(t), p.remote, someRequest); err != nil || len(got) != 3 {
		t.Errorf("an honest prompt afterwards: %v, %v", got, err)
	}
}
