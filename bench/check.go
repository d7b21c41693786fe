package bench

import (
	"context"
	"encoding/binary"
	"slices"
	"time"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/internal/ggml"
	"github.com/moeswarm/moeswarm/internal/simswarm"
	"github.com/moeswarm/moeswarm/routing"
	"github.com/moeswarm/moeswarm/routing/audit"
)

// checker is the checks of results that a gating node makes: it has the whole
// file, so it recomputes, and asks a second holder where it has to. A nil
// checker makes none.
type checker struct {
	model     expert.ModelID
	weights   *expert.Set
	manifest  *expert.Manifest
	seed      uint64
	always    bool // check every answer, also those of trusted peers
	inspector *audit.Inspector
	router    *routing.Router
}

// checkReport is what checks did so far.
type checkReport struct {
	checked int           // answers looked at closely
	spent   time.Duration // in checks, their waits included
}

// newChecker makes the checks of a node that has the model's file.
func newChecker(m *expert.Model, pool *ggml.Pool, seed uint64) (*checker, error) {
	all, err := expert.NewSet(m, m.Manifest().IDs(), pool)
	if err != nil {
		return nil, err
	}
	return &checker{model: m.ID(), weights: all, manifest: m.Manifest(), seed: seed}, nil
}

// install puts the checks into the configuration of the node's router.
func (c *checker) install(cfg *routing.Config, n *simswarm.Node) (err error) {
	if c == nil {
		return nil
	}
	var seed [32]byte
	binary.LittleEndian.PutUint64(seed[:], c.seed+1)
	c.inspector, err = audit.New(audit.Config{
		Weights: func(expert.ModelID) *expert.Set { return c.weights },
		Piece: func(id expert.ID) (expert.Piece, bool) {
			return c.manifest.Piece(int(id.Layer), int(id.Index))
		},
		Directory: n, Caller: n,
		Passed:  func(p routing.Peer) { c.router.Passed(p) },
		Condemn: func(p routing.Peer, why string) { c.router.Condemn(p, why) },
		Seed:    seed, Always: c.always,
	})
	if err == nil {
		cfg.Check = c.inspector.Look
	}
	return err
}

// attach gives them the router, whose peers they judge.
func (c *checker) attach(r *routing.Router) {
	if c != nil {
		c.router = r
	}
}

// run works on checks that nobody waits for, until ctx ends.
func (c *checker) run(ctx context.Context) error {
	if c == nil {
		return nil
	}
	return c.inspector.Run(ctx)
}

// settle waits for the checks of the step so far. An error means that one
// found a lie, and that the step is to be run again.
func (c *checker) settle(ctx context.Context) error {
	if c == nil {
		return nil
	}
	return c.inspector.Settle(ctx, c.model)
}

func (c *checker) stats() checkReport {
	if c == nil || c.inspector == nil {
		return checkReport{}
	}
	s := c.inspector.Stats()
	r := checkReport{checked: s.Drawn}
	for _, m := range s.Methods {
		r.spent += m.Took
	}
	return r
}

// caught says whether the peer was found to lie.
func (c *checker) caught(r *routing.Router, p routing.Peer) bool {
	if c == nil {
		return false
	}
	return slices.ContainsFunc(c.inspector.Stats().Liars, func(l audit.Liar) bool { return l.Peer == p })
}
