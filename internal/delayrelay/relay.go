package delayrelay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/moeswarm/moeswarm/internal/simswarm"
)

// Config of a [Relay].
type Config struct {
	Target string // host:port to pass connections on to
	Link   simswarm.Link
	Seed   uint64
	Sleep  simswarm.Sleep // until bytes arrive; nil: a timer, a millisecond late where nothing else runs
}

const (
	chunkBytes = 64 << 10
	// chunksLate bounds what is on its way in one direction of a connection:
	// 16 MB, past 100 MB/s at 100 ms.
	chunksLate  = 256
	dialTimeout = 5 * time.Second
)

// Relay passes connections on, late.
type Relay struct {
	cfg Config
	ln  net.Listener

	mu struct {
		sync.Mutex
		link  simswarm.Link
		conns map[net.Conn]struct{}
		paths map[*simswarm.Path]struct{}
		count int
		ended bool
	}
}

// Listen opens a port of loopback for the relay. Connections wait until Run.
func Listen(cfg Config) (*Relay, error) {
	if _, _, err := net.SplitHostPort(cfg.Target); err != nil {
		return nil, fmt.Errorf("delayrelay: target: %w", err)
	}
	if cfg.Sleep == nil {
		cfg.Sleep = byTimer
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("delayrelay: %w", err)
	}
	r := &Relay{cfg: cfg, ln: ln}
	r.mu.link = cfg.Link
	r.mu.conns = make(map[net.Conn]struct{})
	r.mu.paths = make(map[*simswarm.Path]struct{})
	return r, nil
}

// Addr is where the relay listens, as host:port.
func (r *Relay) Addr() string { return r.ln.Addr().String() }

// Relink gives all connections, those that stand and those to come, another
// link.
func (r *Relay) Relink(l simswarm.Link) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mu.link = l
	for p := range r.mu.paths {
		p.Change(l)
	}
}

// Run relays until ctx ends, then closes everything and returns nil.
func (r *Relay) Run(ctx context.Context) error {
	var all sync.WaitGroup
	defer all.Wait()
	defer context.AfterFunc(ctx, r.close)()
	defer r.close()
	for {
		c, err := r.ln.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("delayrelay: %w", err)
		}
		all.Go(func() { r.relay(ctx, c) })
	}
}

// close closes the port and all connections.
func (r *Relay) close() {
	r.ln.Close()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mu.ended = true
	for c := range r.mu.conns {
		c.Close()
	}
}

// own notes a connection that close has to close.
func (r *Relay) own(c net.Conn) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.mu.ended {
		c.Close()
		return false
	}
	r.mu.conns[c] = struct{}{}
	return true
}

func (r *Relay) disown(c net.Conn) {
	c.Close()
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.mu.conns, c)
}

// relay is one connection's life.
func (r *Relay) relay(ctx context.Context, from net.Conn) {
	if !r.own(from) {
		return
	}
	defer r.disown(from)
	d := net.Dialer{Timeout: dialTimeout}
	to, err := d.DialContext(ctx, "tcp", r.cfg.Target)
	if err != nil {
		return // the caller sees its connection closed, as of a dead peer
	}
	if !r.own(to) {
		return
	}
	defer r.disown(to)
	path := r.path()
	defer r.forget(path)
	var both sync.WaitGroup
	both.Go(func() { r.pump(ctx, to, from, path, simswarm.Out) })
	both.Go(func() { r.pump(ctx, from, to, path, simswarm.Back) })
	both.Wait()
}

func (r *Relay) path() *simswarm.Path {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mu.count++
	p := r.mu.link.Path(r.cfg.Seed, r.cfg.Target, fmt.Sprint(r.mu.count))
	r.mu.paths[p] = struct{}{}
	return p
}

func (r *Relay) forget(p *simswarm.Path) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.mu.paths, p)
}

// chunk is bytes and when they arrive; without bytes, the end.
type chunk struct {
	data []byte
	due  time.Time
	err  error
}

// pump moves bytes from src to dst until either ends. An end travels as late
// as bytes do; an error ends the whole connection.
func (r *Relay) pump(ctx context.Context, dst, src net.Conn, path *simswarm.Path, d simswarm.Direction) {
	late := make(chan chunk, chunksLate)
	var reading sync.WaitGroup
	gone := make(chan struct{}) // the writer gave up
	reading.Go(func() {
		defer close(late)
		var last time.Time
		for {
			buf := make([]byte, chunkBytes)
			n, err := src.Read(buf)
			now := time.Now()
			due := now.Add(path.Delay(d, n, now))
			if due.Before(last) {
				due = last
			}
			last = due
			select {
			case late <- chunk{buf[:n], due, err}:
			case <-gone:
				return
			}
			if err != nil {
				return
			}
		}
	})
	defer reading.Wait()
	defer close(gone)
	for c := range late {
		if d := time.Until(c.due); d > 0 && r.cfg.Sleep(ctx, d) != nil || ctx.Err() != nil {
			break
		}
		if len(c.data) > 0 {
			if _, err := dst.Write(c.data); err != nil {
				break
			}
		}
		switch {
		case c.err == nil:
		case errors.Is(c.err, io.EOF):
			closeWrite(dst)
			return // the other direction may go on
		default:
			dst.Close()
			return
		}
	}
	src.Close()
	dst.Close()
}

// closeWrite passes an end of one direction on.
func closeWrite(c net.Conn) {
	if t, ok := c.(*net.TCPConn); ok {
		_ = t.CloseWrite()
		return
	}
	c.Close()
}

// byTimer is a [simswarm.Sleep].
func byTimer(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
