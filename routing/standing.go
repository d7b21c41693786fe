package routing

import (
	"io"
	"maps"
	"strings"
	"time"
	"unicode/utf8"
)

// Passed notes that an answer of the peer was checked and found right.
func (r *Router) Passed(p Peer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	r.mu.table.judge(p, func(rep Reputation) Reputation { return rep.Checked(true, now) })
}

// Condemn excludes the peer, which was found to give wrong answers: it is
// planned no more until it is forgiven, answers of it that are under way are
// not accepted, and its correctness drops.
func (r *Router) Condemn(p Peer, reason string) {
	reason = trimmedReason(reason)
	r.cfg.Log.Warn("a peer gave a wrong answer; it is asked nothing any more", "peer", p, "reason", reason)
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	r.mu.table.judge(p, func(rep Reputation) Reputation {
		rep = rep.Checked(false, now)
		rep.Excluded = reason
		return rep
	})
}

// trimmedReason is a reason that fits into the files.
func trimmedReason(reason string) string {
	if reason == "" {
		reason = "no reason given"
	}
	return strings.ToValidUTF8(reason[:min(len(reason), maxReason)], "")
}

// Forgive ends an exclusion. The failed check still counts.
func (r *Router) Forgive(p Peer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mu.table.judge(p, func(rep Reputation) Reputation { rep.Excluded = ""; return rep })
}

// SaveReputations writes what is known of the peers' conduct, see
// [WriteReputations].
func (r *Router) SaveReputations(w io.Writer) error {
	r.mu.Lock()
	all := r.mu.table.reputations()
	r.mu.Unlock()
	return WriteReputations(w, all)
}

// LoadReputations adopts what SaveReputations wrote. It is meant for the time
// before the first call: what is known of a peer already is replaced.
func (r *Router) LoadReputations(rd io.Reader) error {
	all, err := ReadReputations(rd)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for p, rep := range all {
		r.mu.table.judge(p, func(Reputation) Reputation { return rep })
	}
	return nil
}

// wrong draws the consequence of an answer that a check found wrong.
func (r *Router) wrong(o *outcome) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	e, rec := r.mu.table.find(o.ask.peer)
	if e == nil {
		return // forgotten meanwhile
	}
	before := e.Breaker(now)
	e.Lie(now)
	r.mu.totals.Openings += opened(before, e.Breaker(now))
	r.mu.totals.Failovers++
	rec.failures[BadResult]++
	r.cfg.Log.Warn("an answer was found wrong; its calls are done again elsewhere", "peer", o.ask.peer, "calls", len(o.ask.calls), "err", o.err)
}

// judge changes a peer's reputation, whether it is in the table or not.
func (t *table) judge(p Peer, change func(Reputation) Reputation) {
	if n, ok := t.index[p]; ok {
		t.records[n].reputation = change(t.records[n].reputation)
		t.trusts(n)
		return
	}
	rep, ok := t.absent[p]
	if !ok {
		rep = NewReputation()
	}
	t.keep(p, change(rep))
}

// trusts makes the estimate follow the reputation.
func (t *table) trusts(n int32) {
	rep := &t.records[n].reputation
	t.estimates[n].trust, t.estimates[n].excluded = rep.handicap(), rep.Excluded != ""
}

// keep remembers the reputation of a peer that is not in the table. When there
// is no room, one that is not excluded goes; if all are, the new one.
func (t *table) keep(p Peer, rep Reputation) {
	if _, known := t.absent[p]; !known && len(t.absent) >= maxPeers {
		for other, r := range t.absent {
			if r.Excluded == "" {
				delete(t.absent, other)
				break
			}
		}
		if len(t.absent) >= maxPeers {
			return
		}
	}
	t.absent[p] = rep
}

// reputations collects all, at most maxPeers: the excluded first.
func (t *table) reputations() map[Peer]Reputation {
	all := map[Peer]Reputation{}
	add := func(p Peer, rep Reputation, excluded bool) {
		if (rep.Excluded != "") == excluded && !rep.Seen.IsZero() && len(all) < maxPeers && writable(p) {
			all[p] = rep
		}
	}
	for _, excluded := range []bool{true, false} {
		for i := range t.records {
			add(t.estimates[i].Peer, t.records[i].reputation, excluded)
		}
		for p, rep := range maps.All(t.absent) {
			add(p, rep, excluded)
		}
	}
	return all
}

// writable says whether a name can be written to a file and read again.
func writable(p Peer) bool { return p != "" && len(p) <= maxPeerName && utf8.ValidString(string(p)) }
