package httpapi

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/moeswarm/moeswarm/gating/prompt"
)

// Where an answer came from, as headers.
const (
	routeHeader  = "X-Moeswarm-Route"
	timingHeader = "Server-Timing"
)

// trace is where an answer came from and what it took.
type trace struct {
	begun, first time.Time // first: of the first token; zero before
	gates        []string  // in the order in which they gave something
	failovers    int
	cached       int
	drafts       prompt.Drafts
	work         prompt.Work
}

// add takes note of a chunk.
func (t *trace) add(c prompt.Chunk, now time.Time) {
	if c.HasToken && t.first.IsZero() {
		t.first = now
	}
	if c.Gate != "" && !slices.Contains(t.gates, c.Gate) {
		t.gates = append(t.gates, c.Gate)
	}
	t.failovers = max(t.failovers, c.Failovers)
	if c.Finish == prompt.FinishNone {
		return
	}
	t.cached = max(t.cached, c.Cached)
	t.drafts.Drafted += c.Drafts.Drafted
	t.drafts.Accepted += c.Drafts.Accepted
	t.work.Rounds = max(t.work.Rounds, c.Work.Rounds) // several answers at once share them
	t.work.Holders = max(t.work.Holders, c.Work.Holders)
	t.work.Hedges = max(t.work.Hedges, c.Work.Hedges)
}

// route is the value of X-Moeswarm-Route; empty while nothing is known.
func (t *trace) route() string {
	if len(t.gates) == 0 {
		return ""
	}
	return fmt.Sprintf("gates=%s; failovers=%d", strings.Join(t.gates, ","), t.failovers)
}

// timing is the value of Server-Timing.
func (t *trace) timing(now time.Time) string {
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	var parts []string
	if !t.first.IsZero() {
		parts = append(parts, fmt.Sprintf("first;dur=%.1f", ms(t.first.Sub(t.begun))))
	}
	parts = append(parts, fmt.Sprintf("total;dur=%.1f", ms(now.Sub(t.begun))))
	for _, g := range t.gates {
		parts = append(parts, fmt.Sprintf("gate;desc=%q", g))
	}
	for _, n := range []struct {
		name  string
		count int
	}{{"holders", t.work.Holders}, {"rounds", t.work.Rounds}, {"hedges", t.work.Hedges}, {"drafted", t.drafts.Drafted}, {"accepted", t.drafts.Accepted}, {"cached", t.cached}, {"failovers", t.failovers}} {
		parts = append(parts, fmt.Sprintf("%s;desc=\"%d\"", n.name, n.count))
	}
	return strings.Join(parts, ", ")
}

// tell sets the headers: before a whole answer, or as trailers after a stream.
func (t *trace) tell(h http.Header) {
	if r := t.route(); r != "" {
		h.Set(routeHeader, r)
	}
	h.Set(timingHeader, t.timing(time.Now()))
}
