package audit

import (
	"context"
	crand "crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/routing"
)

// Config is what an [Inspector] is made of.
type Config struct {
	// Weights finds the experts' weights on this node. May be nil: it has
	// none, and only other holders can tell right from wrong.
	Weights Weights
	// Piece is what a manifest says of an expert. It goes with Weights.
	Piece func(expert.ID) (expert.Piece, bool)
	// Challenger asks peers to open their work. May be nil.
	Challenger Challenger
	// Directory and Caller reach other holders. Both may be nil.
	Directory routing.Directory
	Caller    routing.Caller
	// Kin gives what says whether another peer may well be of the same operator as
	// this one, for whom to ask besides it; nil: nobody knows.
	Kin func(routing.Peer) func(routing.Peer) bool

	// Passed and Condemn hear of right answers and of liars. They must not
	// block. May be nil.
	Passed  func(routing.Peer)
	Condemn func(routing.Peer, string)
	// Verdict hears how every audit ended. It must not block. May be nil.
	Verdict func(Verdict)

	// Vouch looks at what a peer signs of an answer that is audited, and waits for
	// that, for a bounded time. An error makes the answer as good as wrong: who signs
	// badly cannot be held to it. May be nil.
	Vouch func(context.Context, routing.Checked) error
	// Accuse takes what a liar signed of its lie. May be nil.
	Accuse func(Accusation)

	// Always audits every answer, also those of trusted peers.
	Always bool
	// Tolerances to judge by. The zero value: [DefaultTolerances].
	Tolerances Tolerances
	// Evidence is the directory where what convicts a peer is kept. Empty:
	// nowhere.
	Evidence string
	// Workers bounds the audits in the background that run at once, beside
	// those that Settle runs. 0: one; audits are to leave processors to the
	// answers.
	Workers int
	// Seed makes what is drawn repeatable, for tests. Zero: it is drawn from
	// the system, so that no holder can know what is audited.
	Seed [32]byte

	Log *slog.Logger // nil: none

	auditors []Auditor // instead of those that the fields above make; for tests
	now      func() time.Time
}

func (c Config) validate() (Config, error) {
	if (c.Weights == nil) != (c.Piece == nil) {
		return c, errors.New("audit: Weights and Piece go together; set both or neither")
	}
	if (c.Directory == nil) != (c.Caller == nil) {
		return c, errors.New("audit: Directory and Caller go together; set both or neither")
	}
	if c.Weights == nil && c.Caller == nil && c.auditors == nil {
		return c, errors.New("audit: neither weights nor other holders to compare with; set Weights or Caller")
	}
	if c.Tolerances == (Tolerances{}) {
		c.Tolerances = DefaultTolerances()
	}
	if err := c.Tolerances.check(); err != nil {
		return c, err
	}
	if c.Workers < 0 {
		return c, fmt.Errorf("audit: %d workers; want 0 or more", c.Workers)
	}
	if c.Workers == 0 {
		c.Workers = 1
	}
	if c.Passed == nil {
		c.Passed = func(routing.Peer) {}
	}
	if c.Condemn == nil {
		c.Condemn = func(routing.Peer, string) {}
	}
	if c.Verdict == nil {
		c.Verdict = func(Verdict) {}
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.now == nil {
		c.now = time.Now
	}
	if c.Seed == ([32]byte{}) {
		_, _ = crand.Read(c.Seed[:]) // never fails
	}
	return c, nil
}

// panel is the auditors in the order in which they are asked.
type panel []Auditor

// panels makes the two orders. For an answer that waits for its audit, this
// node's own work is soonest; in the background the projection is cheapest.
// The reference comes after the recomputation, so that a fault of this node's
// kernels condemns nobody.
func (c Config) panels() (waiting, background panel) {
	if c.auditors != nil {
		return c.auditors, c.auditors
	}
	if c.Weights != nil {
		waiting = append(waiting, Recompute{c.Weights, c.Tolerances}, Reference{c.Weights})
	}
	if c.Weights != nil && c.Challenger != nil {
		background = append(background, &Projection{newSecrets(c.Seed, c.Weights, c.Piece, c.now), c.Challenger, c.Tolerances})
	}
	if c.Caller != nil {
		waiting = append(waiting, Second{c.Directory, c.Caller, c.Kin})
	}
	background = append(background, waiting...)
	return waiting, background
}

// classOf is the coarsest arithmetic of a case's experts; without weights the
// coarsest there is.
func (c Config) classOf(calls []expert.Call) expert.Numeric {
	var set *expert.Set
	if c.Weights != nil {
		set = c.Weights(calls[0].Expert.Model)
	}
	if set == nil {
		return expert.Numerics - 1
	}
	class := expert.Float
	for _, call := range calls {
		class = max(class, set.Numeric(call.Expert))
	}
	return class
}

// quiet is a context for work that nobody waits for by name.
func quiet(d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), d)
}
