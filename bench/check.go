package bench

import (
	"time"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/internal/ggml"
	"github.com/moeswarm/moeswarm/routing"
)

// checker is the checks of results that a node makes. A nil checker makes
// none.
type checker struct {
	configure func(*routing.Config)
	use       func(*routing.Router)
	report    func() checkReport
}

// checkReport is what checks did so far.
type checkReport struct {
	checked int           // answers looked at closely
	spent   time.Duration // computing on checks, here
}

// newChecker makes the checks of a node that may recompute with the model's
// weights; nil if this build has none.
func newChecker(m *expert.Model, pool *ggml.Pool, seed uint64) (*checker, error) { return nil, nil }

func (c *checker) install(rc *routing.Config) {
	if c != nil {
		c.configure(rc)
	}
}

func (c *checker) attach(r *routing.Router) {
	if c != nil {
		c.use(r)
	}
}

func (c *checker) stats() checkReport {
	if c == nil {
		return checkReport{}
	}
	return c.report()
}
