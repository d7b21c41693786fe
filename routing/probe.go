package routing

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/moeswarm/moeswarm/expert"
)

// Run probes peers whose estimate is stale, so that one that became fast
// again is found and one that failed is trusted again, within the budget of
// the policy. It returns nil when ctx has ended and all probes with it.
func (r *Router) Run(ctx context.Context) error {
	perSecond := r.cfg.Policy.ProbesPerSecond
	if r.cfg.Prober == nil || perSecond < 0 {
		<-ctx.Done()
		return nil
	}
	var probes sync.WaitGroup
	defer probes.Wait()
	free := make(chan struct{}, maxProbing)
	tick := time.NewTicker(time.Second / time.Duration(perSecond))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		select {
		case free <- struct{}{}:
		default: // those under way wait for lost peers; their deadlines free them
			continue
		}
		peer, bytes, limit, ok := r.nextProbe(time.Now())
		if !ok {
			<-free
			continue
		}
		probes.Go(func() {
			r.probe(ctx, peer, bytes, limit)
			<-free
		})
	}
}

// nextProbe picks the peer with the stalest estimate, if any is stale, and
// marks it as being probed. bytes is the payload, limit the probe's deadline.
func (r *Router) nextProbe(now time.Time) (peer Peer, bytes int, limit time.Duration, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	t := &r.mu.table
	var oldest time.Time
	pick, urgent := -1, false
	for i := range t.estimates {
		e, rec := &t.estimates[i], &t.records[i]
		seen := rec.probedAt
		if e.measuredAt.After(seen) {
			seen = e.measuredAt
		}
		// A peer that failed and has rested is the more urgent: until it
		// succeeds it is asked only when there is no other.
		trial := e.Suspect() && now.Sub(rec.probedAt) >= t.policy.BackoffMin
		switch {
		case rec.probing, e.excluded, e.flying.Calls > 0, e.Resting(now) > 0, now.Sub(rec.listedAt) > probeListed:
		case now.Sub(seen) < t.policy.StaleAfter && !trial, urgent && !trial:
		case pick < 0 || trial && !urgent || seen.Before(oldest):
			pick, oldest, urgent = i, seen, trial
		}
	}
	if pick < 0 {
		return "", 0, 0, false
	}
	t.records[pick].probing, t.records[pick].probedAt = true, now
	bytes = min(max(t.typical.Bytes/2, minProbeBytes), maxProbeBytes)
	limit = t.estimates[pick].Cutoff(Size{Bytes: 2 * bytes}, 0, false, now, t.policy)
	return t.estimates[pick].Peer, bytes, limit, true
}

func (r *Router) probe(ctx context.Context, peer Peer, bytes int, limit time.Duration) {
	own, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	began := time.Now()
	load, err := r.cfg.Prober.Probe(own, peer, bytes)
	now := time.Now()
	kind := blame(ctx.Err() != nil, context.Cause(own), err)

	r.mu.Lock()
	defer r.mu.Unlock()
	e, rec := r.mu.table.find(peer)
	if e == nil {
		return // forgotten meanwhile
	}
	rec.probing = false
	rec.probes++
	switch {
	case err == nil:
		e.Probed(2*bytes, now.Sub(began), load, now)
		rec.reputation = rec.reputation.Met(true, now)
	case kind == Cancelled:
	case errors.Is(err, expert.ErrOverloaded):
		e.Refuse(retryAfter(err), now)
	default:
		rec.failures[kind]++
		rec.reputation = rec.reputation.Met(false, now)
		before := e.Breaker(now)
		e.Fail(began, now, r.cfg.Policy)
		r.mu.totals.Openings += opened(before, e.Breaker(now))
	}
}
