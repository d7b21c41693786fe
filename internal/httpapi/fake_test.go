package httpapi

import (
	"bytes"
	"context"
	"errors"
	"io"
	"iter"
	"net"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/gating/prompt"
)

var demo = Model{ID: expert.ModelID{0xde, 0xad, 0xbe, 0xef}, Name: "demo", Created: time.Unix(1700000000, 0)}

// fake is a Completer that says words, one token each.
type fake struct {
	words  []string // one token each
	finish prompt.Finish
	err    error         // after the words, instead of finish
	gate   chan struct{} // when set: waits for one value before each word and before the end
	eager  bool          // repeats the words for ever

	seen    chan prompt.Request // gets every request, if there is room
	stopped chan struct{}       // gets a value for each answer that was cut off
}

func newFake(words ...string) *fake {
	return &fake{words: words, finish: prompt.FinishLength, seen: make(chan prompt.Request, 100), stopped: make(chan struct{}, 100)}
}

func (f *fake) Complete(ctx context.Context, r prompt.Request) iter.Seq2[prompt.Chunk, error] {
	return func(yield func(prompt.Chunk, error) bool) {
		select {
		case f.seen <- r:
		default:
		}
		buffer := make([]byte, 0, 1<<20) // used again for each token, as a real one may
		for i := 0; f.eager || i <= len(f.words); i++ {
			if f.gate != nil {
				select {
				case <-f.gate:
				case <-ctx.Done():
				}
			}
			if ctx.Err() != nil {
				f.stopped <- struct{}{}
				yield(prompt.Chunk{}, ctx.Err())
				return
			}
			c := prompt.Chunk{PromptTokens: 5, Gate: "12D3Gate"}
			if i < len(f.words) || f.eager {
				c.HasToken, c.Token, c.Bytes = true, int32(100+i), append(buffer, f.words[i%len(f.words)]...)
			} else if f.err != nil {
				yield(prompt.Chunk{}, f.err)
				return
			} else {
				c.Finish = f.finish
				c.Work = prompt.Work{Rounds: 8, Holders: 2, Hedges: 1}
			}
			if !yield(c, nil) {
				f.stopped <- struct{}{}
				return
			}
		}
	}
}

// wait fails the test when an event does not come.
func wait[T any](t *testing.T, what string, events <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-events:
	case <-time.After(10 * time.Second):
		t.Fatalf("%s did not happen within 10 s", what)
	}
	return v
}

// serve runs a server on loopback until the test ends.
func serve(t *testing.T, c prompt.Completer, change func(*Config)) (url string) {
	t.Helper()
	url, stop := serveUntil(t, c, change)
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		stop()
	})
	return url
}

// serveUntil also gives a function that stops the server and waits for it.
func serveUntil(t *testing.T, c prompt.Completer, change func(*Config)) (url string, stop func()) {
	t.Helper()
	cfg := Config{Completer: c, Models: func() []Model { return []Model{demo} }}
	cfg.Limits.Grace = 50 * time.Millisecond // nobody is to wait for tests that hold answers back
	if change != nil {
		change(&cfg)
	}
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx, ln) }()
	return "http://" + ln.Addr().String(), func() {
		cancel()
		if err := wait(t, "the end of Serve", ended); err != nil {
			t.Error(err)
		}
	}
}

func post(t *testing.T, url, body string) *http.Response {
	t.Helper()
	r, err := http.Post(url+"/v1/completions", "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Body.Close() })
	return r
}

func readAll(t *testing.T, r *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

var varying = regexp.MustCompile(`"id":"(?:chat)?cmpl-[A-Z2-7]{26}"|"created":1[0-9]{9}`)

// scrub replaces what differs between runs.
func scrub(s string) string {
	return varying.ReplaceAllStringFunc(s, func(m string) string {
		name, _, _ := strings.Cut(m, ":")
		return name + ":X"
	})
}

func golden(t *testing.T, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// rawRequest sends bytes as they are and gives what comes back until the
// server closes.
func rawRequest(t *testing.T, url, request string) string {
	t.Helper()
	c := dial(t, url)
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if _, err := io.Copy(&b, c); err != nil && !errors.Is(err, net.ErrClosed) {
		t.Logf("the connection ended with %v", err)
	}
	return b.String()
}

func dial(t *testing.T, url string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}
