package bench

import (
	"context"
	"time"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/internal/ggml"
	"github.com/moeswarm/moeswarm/internal/simswarm"
	"github.com/moeswarm/moeswarm/routing"
)

// checker is the checks of results that a node makes. A nil checker makes
// none.
type checker struct{}

// checkReport is what checks did so far.
type checkReport struct {
	checked int           // answers looked at closely
	spent   time.Duration // in checks, their waits included
}

// newChecker makes the checks of a node that has the model's file; nil if this
// build has none.
func newChecker(*expert.Model, *ggml.Pool, uint64) (*checker, error) { return nil, nil }

// install puts the checks into the configuration of the node's router.
func (c *checker) install(*routing.Config, *simswarm.Node) error { return nil }

// attach gives them the router, whose peers they judge.
func (c *checker) attach(*routing.Router) {}

// run works on checks that nobody waits for, until ctx ends.
func (c *checker) run(context.Context) error { return nil }

// settle waits for the checks of the step so far. An error means that one
// found a lie, and that the step is to be run again.
func (c *checker) settle(context.Context) error { return nil }

func (c *checker) stats() checkReport { return checkReport{} }

// caught says whether the peer was found to lie.
func (c *checker) caught(r *routing.Router, p routing.Peer) bool {
	for _, s := range r.Peers() {
		if s.Peer == p {
			return s.Failures[routing.BadResult] > 0
		}
	}
	return false
}

// opens makes a holder's work one that can be challenged: it shows the inner
// layers of its set. A liar shows the true ones; lying there too would only be
// found sooner.
func opens(work expert.Applier, _ *expert.Set) expert.Applier { return work }
