package audit

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/routing"
)

// Second asks another holder of the same experts.
type Second struct {
	Directory routing.Directory
	Caller    routing.Caller
	// Kin gives what says whether another peer may well be of the same operator as
	// this one: such a one is asked only where there is no other. Nil: nobody knows.
	Kin func(routing.Peer) func(routing.Peer) bool
}

// Name implements [Auditor].
func (Second) Name() string { return "second holder" }

// Quiet implements [Auditor].
func (Second) Quiet() bool { return false }

// Audit implements [Auditor]. Each call goes to one other holder, drawn at
// random among strangers to the peer, if there are any, so that two who lie alike
// cannot count on each other.
func (a Second) Audit(ctx context.Context, c *Case) (Finding, error) {
	o := others{Second: a, not: c.Peer}
	if a.Kin != nil {
		o.kin = a.Kin(c.Peer)
	}
	f, err := against(ctx, o, c)
	f.Pair = true
	return f, err
}

// others applies experts at holders other than one.
type others struct {
	Second
	not routing.Peer
	kin func(routing.Peer) bool // of it; nil: nobody knows
}

// strangers are the holders but the one, and without its kin unless there is
// nobody else.
func (o others) strangers(holders []routing.Peer) []routing.Peer {
	all := slices.DeleteFunc(slices.Clone(holders), func(p routing.Peer) bool { return p == o.not })
	if o.kin == nil {
		return all
	}
	if far := slices.DeleteFunc(slices.Clone(all), o.kin); len(far) > 0 {
		return far
	}
	return all
}

// Apply implements [expert.Applier].
func (o others) Apply(ctx context.Context, in expert.Batch, calls []expert.Call) []expert.Result {
	results := make([]expert.Result, len(calls))
	asked := map[routing.Peer][]int{}
	for i, c := range calls {
		holders := o.strangers(o.Directory.Holders(c.Expert))
		var to routing.Peer
		offset := 0
		if len(holders) > 0 {
			offset = rand.IntN(len(holders))
		}
		for k := range holders {
			p := holders[(offset+k)%len(holders)]
			if to == "" {
				to = p
			}
			if asked[p] != nil { // fewer frames
				to = p
				break
			}
		}
		if to == "" {
			results[i].Err = fmt.Errorf("%w: %v has no other holder", ErrUnable, c.Expert)
			continue
		}
		asked[to] = append(asked[to], i)
	}
	for to, which := range asked {
		ask := routing.Ask{In: in, Calls: make([]expert.Call, len(which))}
		for k, i := range which {
			ask.Calls[k] = calls[i]
		}
		got, err := o.Caller.Call(ctx, to, ask)
		if err == nil && len(got.Results) != len(which) {
			err = fmt.Errorf("%w: %d results for %d calls", expert.ErrBadResult, len(got.Results), len(which))
		}
		for k, i := range which {
			if err != nil {
				results[i].Err = err
			} else {
				results[i] = got.Results[k]
			}
		}
	}
	return results
}
