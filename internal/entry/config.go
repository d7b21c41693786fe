package entry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/gating/prompt"
)

// Config joins an [Entry] to the rest of the node. Its functions must be safe
// for use by several goroutines.
type Config struct {
	// Self is the name of this node, for those who ask where an answer came
	// from.
	Self string
	// Local completes at this node; nil when it gates nothing.
	Local prompt.Completer
	// LocalModels tells whether Local gates a model. Needed with Local.
	LocalModels func(expert.ModelID) bool

	// Gates lists the gating peers known now, nearest first, without this
	// node. It is asked often and must not block. nil: there are none.
	Gates func(expert.ModelID) []string
	// Find looks for gating peers and may take its time. It runs while no
	// known one serves and must end soon after ctx does. nil: no look-up.
	Find func(ctx context.Context, model expert.ModelID) ([]string, error)
	// Remote completes at a peer. It reports a peer that it cannot reach, or
	// whose connection breaks, as prompt.ErrLost. Needed with Gates or Find.
	Remote func(peer string) prompt.Completer

	Policy Policy       // zero fields mean their defaults
	Log    *slog.Logger // nil: silent
}

// Policy says how long and how often an answer is tried.
type Policy struct {
	// GateWait is how long an answer without a working gating node waits for
	// one; the time of attempts that come to nothing is not counted. It also
	// bounds every other wait once tokens were delivered. Default 30 s: a restarted
	// node is found again in 5-20 s, and few people wait longer for nothing.
	GateWait time.Duration
	// BusyWait is how long an answer that has not begun waits for a place at
	// gating nodes that are all busy or failing. Default 5 s: enough for a
	// short answer to end, and soon enough to tell the client to come back.
	BusyWait time.Duration
	// MissingWait is how long an answer that has not begun waits for experts
	// without a holder. Default 8 s: a new holder's gossip takes 1-5 s.
	MissingWait time.Duration
	// FirstToken is how long a peer may take until its first chunk, queueing
	// and prefill included. Default 5 min: a prompt of 8,000 tokens at 30
	// tokens/s of prefill, the slowest that anybody would bear.
	FirstToken time.Duration
	// NextToken is how long a peer may take between two chunks. Default 1 min:
	// 60 layers at a full second a round.
	NextToken time.Duration
	// FindTime ends one look-up. Default 10 s: a DHT query of a few hops, some
	// of them to dead peers.
	FindTime time.Duration
	// Delay is the first back-off between rounds; it doubles up to MaxDelay.
	// Defaults 100 ms, unnoticed by a person, and 3 s, a tenth of GateWait.
	Delay, MaxDelay time.Duration
	// FailedFor is how long a failed gating node is tried after all others.
	// Default 1 min: the time in which gossip forgets a dead peer.
	FailedFor time.Duration
	// MaxFailovers is how often one answer may lose a gating node that had
	// delivered tokens of it or had kept it waiting in silence. Default 16:
	// far more than churn explains, and an end to a peer that gives one token
	// and fails, over and over.
	MaxFailovers int
}

// validate fills defaults and rejects what cannot work.
func (c Config) validate() (Config, error) {
	remote := c.Gates != nil || c.Find != nil
	switch {
	case c.Local == nil && !remote:
		return c, errors.New("entry: neither Local nor Gates nor Find is set, so no prompt could be completed")
	case c.Local != nil && c.LocalModels == nil:
		return c, errors.New("entry: Local is set, LocalModels is not")
	case remote && c.Remote == nil:
		return c, errors.New("entry: Gates or Find is set, Remote is not")
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	var err error
	c.Policy, err = c.Policy.validate()
	return c, err
}

func (p Policy) validate() (Policy, error) {
	for _, f := range []struct {
		name  string
		value *time.Duration
		def   time.Duration
	}{
		{"GateWait", &p.GateWait, 30 * time.Second},
		{"BusyWait", &p.BusyWait, 5 * time.Second},
		{"MissingWait", &p.MissingWait, 8 * time.Second},
		{"FirstToken", &p.FirstToken, 5 * time.Minute},
		{"NextToken", &p.NextToken, time.Minute},
		{"FindTime", &p.FindTime, 10 * time.Second},
		{"Delay", &p.Delay, 100 * time.Millisecond},
		{"MaxDelay", &p.MaxDelay, 3 * time.Second},
		{"FailedFor", &p.FailedFor, time.Minute},
	} {
		if *f.value < 0 {
			return p, fmt.Errorf("entry: Policy.%s is %v; want a positive time, or 0 for %v", f.name, *f.value, f.def)
		}
		if *f.value == 0 {
			*f.value = f.def
		}
	}
	if p.MaxFailovers < 0 {
		return p, fmt.Errorf("entry: Policy.MaxFailovers is %d; want a positive number, or 0 for 16", p.MaxFailovers)
	}
	if p.MaxFailovers == 0 {
		p.MaxFailovers = 16
	}
	return p, nil
}
