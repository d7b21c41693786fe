package routing

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"

	"github.com/moeswarm/moeswarm/expert"
)

// Config is what a [Router] is made of.
type Config struct {
	// Local computes the experts that LocalHolds says this node holds. Both
	// may be nil: it holds none.
	Local      expert.Applier
	LocalHolds func(expert.ID) bool

	// Directory and Caller reach the peers. Both may be nil: there are none.
	Directory Directory
	Caller    Caller
	Starter   Starter // of the same caller; nil: a goroutine waits for each call
	Prober    Prober  // may be nil: idle peers are not probed
	// Relayed says that a peer can only be reached through a third node, so
	// that more is expected of the way there as long as it is not measured. It
	// must not block. May be nil.
	Relayed func(Peer) bool
	// Kind says what kind of computing an expert's calls are, so that peers'
	// speeds are measured by kind. It must not block. May be nil: all are the
	// same.
	Kind func(expert.ID) Kind
	// Missing is told of experts that nobody known can compute now, so that
	// the swarm is searched for holders. It must not block. May be nil.
	Missing func([]expert.ID)

	// Check looks at every good answer of a peer after it was accepted and
	// before the layer returns. It decides at once whether there is something
	// to check; if so, it returns what does that, and the layer waits for it.
	// If that returns an error, the answer counts as [expert.ErrBadResult] and
	// its calls are done again elsewhere. Several checks may run at once. May
	// be nil.
	Check func(context.Context, Checked) (check func() error)

	Policy Policy
	Log    *slog.Logger // nil: none
}

func (c Config) validate() (Config, error) {
	if (c.Local == nil) != (c.LocalHolds == nil) {
		return c, errors.New("routing: Local and LocalHolds go together; set both or neither")
	}
	if (c.Directory == nil) != (c.Caller == nil) {
		return c, errors.New("routing: Directory and Caller go together; set both or neither")
	}
	if c.Local == nil && c.Caller == nil {
		return c, errors.New("routing: neither local experts nor a way to peers; set Local or Caller")
	}
	if c.Starter == nil && c.Caller != nil {
		c.Starter = waiter{c.Caller}
	}
	if c.LocalHolds == nil {
		c.LocalHolds = func(expert.ID) bool { return false }
	}
	if c.Kind == nil {
		c.Kind = func(expert.ID) Kind { return Kind{} }
	}
	if c.Missing == nil {
		c.Missing = func([]expert.ID) {}
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	var err error
	c.Policy, err = c.Policy.validate()
	if c.Policy.Seed == 0 {
		c.Policy.Seed = rand.Uint64() // spreads ties, so it should differ between routers
	}
	return c, err
}

// Router applies experts wherever they are. It is safe for concurrent use.
type Router struct {
	cfg   Config
	spare sync.Pool // *round, between two

	mu struct {
		sync.Mutex // held for a plan (microseconds), never across a call to a peer
		table      table
		planner    planner
		plans      uint64 // made so far
		budget     tokens // of duplicates
		totals     Totals
		away       float64 // see Away
		rounds     int     // in it, awayRounds at most
	}
}

// New checks the configuration. It starts nothing.
func New(cfg Config) (*Router, error) {
	cfg, err := cfg.validate()
	if err != nil {
		return nil, err
	}
	r := &Router{cfg: cfg}
	r.mu.table = newTable(cfg.Policy)
	r.mu.table.relayed = cfg.Relayed
	return r, nil
}

// round is one that is over, or a new one.
func (r *Router) round() *round {
	if w, ok := r.spare.Get().(*round); ok {
		return w
	}
	return newRound(r)
}

// Apply implements [expert.Applier]. The error of a result wraps
// [expert.ErrBadCall], [expert.ErrNoHolder] once the wait for a holder is
// over, or the error of ctx.
func (r *Router) Apply(ctx context.Context, in expert.Batch, calls []expert.Call) []expert.Result {
	if err := checkCalls(in, calls); err != nil {
		return allFailed(len(calls), err)
	}
	w := r.round()
	defer r.spare.Put(w)
	w.begin(ctx, in, calls, false)
	w.run()
	w.end()
	results := w.results
	w.results = nil // they are the caller's now
	return results
}

// Sum implements [expert.Summer]. Each peer sums its own calls; the partial
// sums are added in the order of the peers' names, after the local one.
func (r *Router) Sum(ctx context.Context, in expert.Batch, calls []expert.Call) (expert.Batch, error) {
	if err := checkSum(in, calls); err != nil {
		return expert.Batch{}, err
	}
	w := r.round()
	defer r.spare.Put(w)
	w.begin(ctx, in, calls, true)
	w.run()
	defer w.end()
	if w.err != nil {
		return expert.Batch{}, w.err
	}
	return w.total(), nil
}

func checkCalls(in expert.Batch, calls []expert.Call) error {
	if len(calls) > maxCalls {
		return fmt.Errorf("%w: %d calls in a layer, at most %d", expert.ErrBadCall, len(calls), maxCalls)
	}
	return expert.CheckCalls(in, calls)
}

func checkSum(in expert.Batch, calls []expert.Call) error {
	if err := checkCalls(in, calls); err != nil {
		return err
	}
	for i := range calls {
		if calls[i].Weights == nil {
			return fmt.Errorf("%w: call %d (%v) has no weights to sum with", expert.ErrBadCall, i, calls[i].Expert)
		}
	}
	return nil
}

func allFailed(n int, err error) []expert.Result {
	results := make([]expert.Result, n)
	for i := range results {
		results[i].Err = err
	}
	return results
}
