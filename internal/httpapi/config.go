package httpapi

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/gating/prompt"
)

// Config joins a [Server] to its node. The functions must be safe for use by
// several goroutines and must not block for long.
type Config struct {
	Completer prompt.Completer
	// Models lists the models that the swarm serves.
	Models func() []Model
	// Resolve finds the model that a request names. An error that wraps
	// prompt.ErrUnknownModel becomes a 404, any other a 400. nil: [Resolve]
	// over Models.
	Resolve func(name string) (expert.ModelID, error)
	// Swarm gives the JSON value of /v1/swarm. nil: an empty object.
	Swarm func() any
	// Leaderboard gives the JSON value of /v1/leaderboard, with so many nodes
	// and teams at most. nil: this node counts nobody's work.
	Leaderboard func(most int) any
	// Owner answers what only the machine's owner may say, below /v1/owner/;
	// nil: nothing is there.
	Owner http.Handler
	// Health tells whether this node can serve, and why not. nil: it can.
	Health func() (ok bool, detail string)
	// Hosts are names, without port, besides localhost under which clients may address this
	// node over loopback: the host it was told to listen on, the name that a
	// reverse proxy passes on.
	Hosts []string
	// Keys are the API keys of which a request must show one; none: anybody may
	// ask.
	Keys []string
	// Origins are those of web pages, such as https://chat.example.org, that may
	// ask from a browser; "*": all.
	Origins []string
	// Rate is how many requests a minute a key, or without keys an address, may
	// make; 0: any number.
	Rate   int
	Limits Limits       // zero fields mean their defaults
	Log    *slog.Logger // nil: silent
}

// Model is one model that the swarm serves.
type Model struct {
	ID      expert.ModelID
	Name    string // for people; may be empty, and two models may share it
	Created time.Time
}

// Limits bounds what clients can cause.
type Limits struct {
	// Body is the size of a request's body in bytes. Default 12 MiB: long
	// conversations come with a lot around their text. What a gating node
	// takes of it is less (4 MiB of text).
	Body int64
	// Header is the size of a request's header in bytes. Default 32 KiB: room
	// for the cookies and tokens that clients carry along.
	Header int
	// Bodies is the memory that bodies of requests may take together, in bytes.
	// Default 256 MiB: twenty of the largest, thousands of usual ones.
	Bodies int64
	// Running is how many completions may be under way, waiting ones
	// included. Default 128: the gating nodes' own queues are shorter.
	Running int
	// Conns is how many connections may be open; more wait to be accepted.
	// Default 512: half of the file descriptors a process usually gets.
	Conns int
	// MaxTokens is the highest max_tokens. Default 32768: a few hours of a
	// slow swarm's work.
	MaxTokens int

	// HeaderTime and BodyTime are how long a client may take to send its
	// header and its body. Defaults 10 s and 30 s: a slow mobile line sends
	// 1 MiB in the latter.
	HeaderTime, BodyTime time.Duration
	// WriteTime is how long one write of the answer may take: a client that
	// reads nothing for so long is gone. Default 30 s.
	WriteTime time.Duration
	// IdleTime is how long a connection may stay open between requests.
	// Default 2 min.
	IdleTime time.Duration
	// KeepAlive is after how much silence a stream sends a comment, so that
	// proxies keep the connection. Default 10 s: they cut at 30 s and more.
	// Until the first one, or the first token, an error can still have its
	// own status; gating nodes refuse sooner than this.
	KeepAlive time.Duration
	// Grace is how long running answers may go on once the server stops.
	// Default 8 s: the whole node has 10 s to leave.
	Grace time.Duration
}

// validate fills defaults and rejects what cannot work.
func (c Config) validate() (Config, error) {
	if c.Completer == nil || c.Models == nil {
		return c, errors.New("httpapi: Completer and Models must be set")
	}
	if c.Resolve == nil {
		models := c.Models
		c.Resolve = func(name string) (expert.ModelID, error) { return Resolve(models(), name) }
	}
	if c.Swarm == nil {
		c.Swarm = func() any { return struct{}{} }
	}
	if c.Health == nil {
		c.Health = func() (bool, string) { return true, "" }
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	var err error
	c.Limits, err = c.Limits.validate()
	return c, err
}

func (l Limits) validate() (Limits, error) {
	l, errs := l, []error{}
	errs = append(errs,
		fill("Body", &l.Body, 12<<20),
		fill("Header", &l.Header, 32<<10),
		fill("Bodies", &l.Bodies, 256<<20),
		fill("Running", &l.Running, 128),
		fill("Conns", &l.Conns, 512),
		fill("MaxTokens", &l.MaxTokens, 32768),
		fill("HeaderTime", &l.HeaderTime, 10*time.Second),
		fill("BodyTime", &l.BodyTime, 30*time.Second),
		fill("WriteTime", &l.WriteTime, 30*time.Second),
		fill("IdleTime", &l.IdleTime, 2*time.Minute),
		fill("KeepAlive", &l.KeepAlive, 10*time.Second),
		fill("Grace", &l.Grace, 8*time.Second),
	)
	return l, errors.Join(errs...)
}

// fill sets a limit that is zero to its default.
func fill[T ~int | ~int64](name string, v *T, def T) error {
	if *v < 0 {
		return fmt.Errorf("httpapi: Limits.%s is %v; want a positive value, or 0 for %v", name, *v, def)
	}
	if *v == 0 {
		*v = def
	}
	return nil
}
