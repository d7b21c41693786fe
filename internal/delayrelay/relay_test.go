package delayrelay

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/moeswarm/moeswarm/internal/simswarm"
)

// echo listens on loopback and sends everything back until the test ends.
func echo(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_, _ = io.Copy(c, c)
			}()
		}
	}()
	return ln.Addr().String()
}

func start(t *testing.T, cfg Config) *Relay {
	t.Helper()
	r, err := Listen(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		buf := make([]byte, 1<<20)
		if s := string(buf[:runtime.Stack(buf, true)]); strings.Contains(s, "delayrelay.pump") {
			t.Errorf("a goroutine is left:\n%s", s)
		}
	})
	return r
}

func dial(t *testing.T, r *Relay) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", r.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	return c
}

// roundTrip sends n bytes and gets them back.
func roundTrip(t *testing.T, c net.Conn, n int) time.Duration {
	t.Helper()
	sent := make([]byte, n)
	r := rand.New(rand.NewPCG(1, 1))
	for i := range sent {
		sent[i] = byte(r.Uint32())
	}
	began := time.Now()
	go c.Write(sent)
	got := make([]byte, n)
	if _, err := io.ReadFull(c, got); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, sent) {
		t.Fatal("other bytes came back")
	}
	return time.Since(began)
}

func TestDelay(t *testing.T) {
	r := start(t, Config{Target: echo(t), Link: simswarm.Link{RTT: 40 * time.Millisecond}})
	c := dial(t, r)
	roundTrip(t, c, 1)
	best := time.Hour
	for range 3 {
		best = min(best, roundTrip(t, c, 1000))
	}
	if best < 40*time.Millisecond || best > 60*time.Millisecond {
		t.Errorf("a round trip takes %v, want 40 ms and a little", best)
	}
	r.Relink(simswarm.Link{})
	best = time.Hour
	for range 5 {
		best = min(best, roundTrip(t, c, 1000))
	}
	if best > 20*time.Millisecond {
		t.Errorf("without delay: %v", best)
	}
}

// Many bytes over an uneven link arrive in order, both ways at once.
func TestOrder(t *testing.T) {
	r := start(t, Config{Target: echo(t), Seed: 1, Link: simswarm.Link{RTT: 2 * time.Millisecond, Jitter: time.Millisecond,
		Tail: 0.1, TailTime: 5 * time.Millisecond, Loss: 0.001, Bandwidth: 100e6}})
	roundTrip(t, dial(t, r), 3<<20)
}

// A closed half is passed on after the bytes before it.
func TestHalfClose(t *testing.T) {
	r := start(t, Config{Target: echo(t), Link: simswarm.Link{RTT: 10 * time.Millisecond}})
	c := dial(t, r).(*net.TCPConn)
	c.Write([]byte("last words"))
	c.CloseWrite()
	if got, err := io.ReadAll(c); string(got) != "last words" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}

// A target that is not there closes the connection.
func TestNoTarget(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
	c := dial(t, start(t, Config{Target: ln.Addr().String()}))
	var timeout interface{ Timeout() bool }
	if _, err := c.Read(make([]byte, 1)); err == nil || errors.As(err, &timeout) && timeout.Timeout() {
		t.Errorf("got %v, want a closed connection", err)
	}
}

func TestBadTarget(t *testing.T) {
	if _, err := Listen(Config{Target: "nowhere"}); err == nil {
		t.Error("no error")
	}
}
