package httpapi

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"iter"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moeswarm/moeswarm/gating/prompt"
)

func TestWhole(t *testing.T) {
	f := newFake("Once", " upon", " <a>", " \xf0\x9f", "\x90\x9d")
	url := serve(t, f, nil)
	r := post(t, url, `{"model":"demo","prompt":"Tell me.","max_tokens":5}`)
	golden(t, scrub(readAll(t, r)), `{"id":X,"object":"text_completion","created":X,"model":"demo",`+
		`"choices":[{"text":"Once upon <a> 🐝","index":0,"logprobs":null,"finish_reason":"length"}],`+
		`"usage":{"prompt_tokens":5,"completion_tokens":5,"total_tokens":10}}`+"\n")
	if r.StatusCode != 200 || r.Header.Get("Content-Type") != "application/json" {
		t.Errorf("%s, %v", r.Status, r.Header)
	}
	f.finish = prompt.FinishStop
	r = post(t, url, `{"prompt":["Tell me."],"return_tokens":true}`)
	golden(t, scrub(readAll(t, r)), `{"id":X,"object":"text_completion","created":X,"model":"demo",`+
		`"choices":[{"text":"Once upon <a> 🐝","index":0,"logprobs":null,"finish_reason":"stop"}],`+
		`"usage":{"prompt_tokens":5,"completion_tokens":5,"total_tokens":10},"moeswarm":{"tokens":[100,101,102,103,104]}}`+"\n")
}

func TestStream(t *testing.T) {
	url := serve(t, newFake("Once", " \xf0\x9f", "\x90\x9d", " \xff\xf0"), nil)
	r := post(t, url, `{"prompt":"Tell me.","stream":true}`)
	const head = `data: {"id":X,"object":"text_completion","created":X,"model":"demo","choices":[`
	piece := func(text, rest string) string {
		return head + `{"text":"` + text + `","index":0,"logprobs":null,"finish_reason":null}],"usage":null` + rest + "}\n\n"
	}
	end := func(text, rest string) string {
		return head + `{"text":"` + text + `","index":0,"logprobs":null,"finish_reason":"length"}],"usage":null` + rest + "}\n\n"
	}
	golden(t, scrub(readAll(t, r)), piece("Once", "")+piece(" ", "")+piece("🐝", "")+piece(" \ufffd", "")+end("\ufffd", "")+"data: [DONE]\n\n")
	if r.StatusCode != 200 || r.Header.Get("Content-Type") != "text/event-stream" || r.Header.Get("Cache-Control") != "no-cache" {
		t.Errorf("%s, %v", r.Status, r.Header)
	}
	r = post(t, url, `{"prompt":"Tell me.","stream":true,"stream_options":{"include_usage":true},"return_tokens":true,"stop":["\ufffd\ufffd"]}`)
	golden(t, scrub(readAll(t, r)), piece("Once", `,"moeswarm":{"tokens":[100]}`)+
		piece(" ", `,"moeswarm":{"tokens":[101]}`)+piece("🐝", `,"moeswarm":{"tokens":[102]}`)+
		piece(" ", `,"moeswarm":{"tokens":[103]}`)+end("", `,"moeswarm":{"tokens":[]}`)+
		head+`],"usage":{"prompt_tokens":5,"completion_tokens":4,"total_tokens":9}}`+"\n\ndata: [DONE]\n\n")
}

// A chunk with both the last token and the reason, as an engine may send.
func TestLastTokenCarriesTheReason(t *testing.T) {
	url := serve(t, completer(func(_ context.Context, r prompt.Request) iter.Seq2[prompt.Chunk, error] {
		return func(yield func(prompt.Chunk, error) bool) {
			yield(prompt.Chunk{PromptTokens: 2, HasToken: true, Token: 1, Bytes: []byte("yes"), Finish: prompt.FinishLength}, nil)
		}
	}), nil)
	got := readAll(t, post(t, url, `{"prompt":"Well?","stream":true}`))
	if n := strings.Count(got, "data: {"); n != 1 || !strings.Contains(got, `"text":"yes"`) || !strings.Contains(got, `"finish_reason":"length"`) {
		t.Errorf("got %s", got)
	}
}

type completer func(context.Context, prompt.Request) iter.Seq2[prompt.Chunk, error]

func (f completer) Complete(ctx context.Context, r prompt.Request) iter.Seq2[prompt.Chunk, error] {
	return f(ctx, r)
}

func TestStopStringEndsTheWork(t *testing.T) {
	for _, stream := range []bool{false, true} {
		f := newFake("one ", "two ", "thr", "ee fo", "ur ", "five ")
		f.eager = true
		url := serve(t, f, nil)
		r := post(t, url, fmt.Sprintf(`{"prompt":"Count.","stream":%v,"stop":["x","three four"],"max_tokens":30000}`, stream))
		got := readAll(t, r)
		wait(t, "the end of the work", f.stopped)
		if stream {
			if !strings.HasSuffix(got, "data: [DONE]\n\n") || strings.Count(got, `"finish_reason":"stop"`) != 1 {
				t.Errorf("got %s", got)
			}
			got = strings.Join(texts(got), "")
			if got != "one two " {
				t.Errorf("got %q", got)
			}
		} else if !strings.Contains(got, `"text":"one two "`) || !strings.Contains(got, `"finish_reason":"stop"`) || !strings.Contains(got, `"completion_tokens":5,`) {
			t.Errorf("got %s", got)
		}
	}
}

// texts gives the text of each event of a stream.
func texts(stream string) (all []string) {
	for rest := stream; ; {
		_, after, ok := strings.Cut(rest, `"text":"`)
		if !ok {
			return all
		}
		text, after, _ := strings.Cut(after, `"`)
		all, rest = append(all, text), after
	}
}

func TestClientLeaves(t *testing.T) {
	for _, stream := range []bool{false, true} {
		t.Run(fmt.Sprintf("stream %v", stream), func(t *testing.T) {
			f := newFake("a")
			f.gate = make(chan struct{})
			url := serve(t, f, nil)
			ctx, cancel := context.WithCancel(t.Context())
			body := strings.NewReader(fmt.Sprintf(`{"prompt":"Wait.","stream":%v}`, stream))
			r, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/v1/completions", body)
			if err != nil {
				t.Fatal(err)
			}
			done := make(chan error, 1)
			go func() {
				resp, err := http.DefaultClient.Do(r)
				if err == nil {
					_, err = io.Copy(io.Discard, resp.Body)
					resp.Body.Close()
				}
				done <- err
			}()
			wait(t, "the request", f.seen)
			if stream {
				f.gate <- struct{}{} // one token, so that it leaves in the middle
			}
			cancel()
			wait(t, "the end of the work", f.stopped)
			if err := wait(t, "the client's end", done); err == nil {
				t.Error("the client noticed nothing")
			}
		})
	}
}

func TestSlowReader(t *testing.T) {
	for _, stream := range []bool{false, true} {
		t.Run(fmt.Sprintf("stream %v", stream), func(t *testing.T) {
			short, long := newFake("a"), newFake(strings.Repeat("very much text ", 4000))
			for range 7 {
				long.words = append(long.words, long.words...) // 8 MB in all, more than the sockets hold
			}
			long.eager = stream
			url := serve(t, completer(func(ctx context.Context, r prompt.Request) iter.Seq2[prompt.Chunk, error] {
				if r.Text == "Talk." {
					return long.Complete(ctx, r)
				}
				return short.Complete(ctx, r)
			}), func(c *Config) { c.Limits.WriteTime = 200 * time.Millisecond; c.Limits.Running = 1 })
			c := dial(t, url)
			if err := c.(*net.TCPConn).SetReadBuffer(4096); err != nil {
				t.Fatal(err)
			}
			body := fmt.Sprintf(`{"prompt":"Talk.","stream":%v}`, stream)
			fmt.Fprintf(c, "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
			wait(t, "the request", long.seen)
			if stream {
				wait(t, "the end of the work", long.stopped)
			}
			for { // until the only place is free again, although nobody read anything
				r := post(t, url, `{"prompt":"Next."}`)
				if r.StatusCode == http.StatusOK {
					break
				}
				if r.StatusCode != http.StatusTooManyRequests {
					t.Fatal(r.Status)
				}
			}
		})
	}
}

// A stream that is silent for longer than each of the other limits lives on,
// and comments keep its connection alive.
func TestSilentStream(t *testing.T) {
	f := newFake("at last")
	f.gate = make(chan struct{})
	url := serve(t, f, func(c *Config) {
		const short = 200 * time.Millisecond
		c.Limits.BodyTime, c.Limits.WriteTime, c.Limits.HeaderTime, c.Limits.IdleTime = short, short, short, short
		c.Limits.KeepAlive = short / 20
	})
	r := post(t, url, `{"prompt":"Wait.","stream":true}`)
	lines := bufio.NewScanner(r.Body)
	for comments := 0; comments < 40 && lines.Scan(); {
		switch lines.Text() {
		case ": waiting":
			comments++
		case "":
		default:
			t.Fatalf("got %q while waiting", lines.Text())
		}
	}
	close(f.gate)
	var rest strings.Builder
	for lines.Scan() {
		rest.WriteString(lines.Text() + "\n")
	}
	if !strings.Contains(rest.String(), `"text":"at last"`) || !strings.HasSuffix(rest.String(), "data: [DONE]\n\n") {
		t.Errorf("the stream ended with %q", rest.String())
	}
}

func TestManyAtOnce(t *testing.T) {
	url := serve(t, completer(func(_ context.Context, r prompt.Request) iter.Seq2[prompt.Chunk, error] {
		return func(yield func(prompt.Chunk, error) bool) {
			for i := range r.MaxTokens {
				if !yield(prompt.Chunk{PromptTokens: 1, HasToken: true, Token: int32(i), Bytes: []byte(r.Text)}, nil) {
					return
				}
			}
			yield(prompt.Chunk{PromptTokens: 1, Finish: prompt.FinishLength}, nil)
		}
	}), nil)
	var wg sync.WaitGroup
	for i := range 40 {
		wg.Go(func() {
			body := fmt.Sprintf(`{"prompt":"p%d.","stream":%v,"max_tokens":20}`, i, i%2 == 0)
			r, err := http.Post(url+"/v1/completions", "text/plain", strings.NewReader(body))
			if err != nil {
				t.Error(err)
				return
			}
			defer r.Body.Close()
			b, err := io.ReadAll(r.Body)
			if got, want := strings.Join(texts(string(b)), ""), strings.Repeat(fmt.Sprintf("p%d.", i), 20); err != nil || got != want {
				t.Errorf("got %q, want %q (%v)", got, want, err)
			}
		})
	}
	wg.Wait()
}

func TestSeed(t *testing.T) {
	f := newFake("a")
	url := serve(t, f, nil)
	seed := func(fields string) uint64 {
		readAll(t, post(t, url, `{"prompt":"Roll."`+fields+`}`))
		return wait(t, "the request", f.seen).Sampling.Seed
	}
	if a, b := seed(""), seed(""); a == b {
		t.Errorf("two requests without a seed both got %d", a)
	}
	if s := seed(`,"seed":42`); s != 42 {
		t.Errorf("seed 42 became %d", s)
	}
	if s := seed(`,"seed":0`); s != 0 {
		t.Errorf("seed 0 became %d", s)
	}
	if s := seed(`,"temperature":0`); s != 0 {
		t.Errorf("a greedy request got seed %d", s)
	}
}
