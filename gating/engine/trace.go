package engine

import (
	"fmt"
	"slices"

	"github.com/moeswarm/moeswarm/gating"
	"github.com/moeswarm/moeswarm/gating/prompt"
)

// tracing is what a sequence remembers of the experts that its rows chose, for
// whoever checks its answer later.
type tracing struct {
	per    int      // experts of a row, in all layers
	greedy bool     // see prompt.Request
	routes []uint16 // of the rows that the trunk has seen, by position, (fed, per)
	told   int      // rows whose routes the reader has
}

// resume takes over the first n rows of an earlier sequence.
func (t *tracing) resume(of *tracing, n int) {
	if t != nil && of != nil {
		t.routes = append(t.routes[:0], of.routes[:n*t.per]...)
	}
}

// traceFor prepares a lane for a step, if any of its sequences is traced.
func (n *lane) traceFor(in []member) {
	n.trace = nil
	if !slices.ContainsFunc(in, func(m member) bool { return m.trace != nil }) {
		return
	}
	if n.traces == nil {
		n.traces = gating.NewTrace(n.cfg.Sparse, n.cfg.TopK)
	}
	n.trace = n.traces
	n.trace.Begin(n.step.Rows())
}

// note remembers so many of a sequence's rows in a step, from one on, which
// follow what the trunk has seen of it. Rows that are computed again, after a
// sequence lost its memory, choose the same again.
func (m member) note(t *gating.Trace, from, rows int) {
	if m.trace == nil {
		return
	}
	m.trace.routes = m.trace.routes[:(m.fed+from)*m.trace.per]
	for i := from; i < from+rows; i++ {
		m.trace.routes = append(m.trace.routes, t.Row(m.row+i)...)
	}
}

// traced is what led to the token that the i-th row of logits of a sequence
// gives, nil if nobody asks.
func (m member) traced(n *lane, i int) (*prompt.Trace, error) {
	s := m.trace
	if s == nil {
		return nil, nil
	}
	hidden := n.forwarder.Hidden()
	if hidden.Rows != len(n.step.Hidden) {
		return nil, fmt.Errorf("%w: the trunk gave %d hidden states, want %d", prompt.ErrLost, hidden.Rows, len(n.step.Hidden))
	}
	if at := len(m.ids) - 1; i > 0 { // a row of the draft, which was right
		s.routes = append(s.routes[:at*s.per], n.trace.Row(m.row+m.rows-1+i)...)
	}
	t := &prompt.Trace{Hidden: slices.Clone(hidden.Row(m.hidden + i)), Routes: slices.Clone(s.routes[s.told*s.per:])}
	if s.told == 0 {
		t.Prompt, t.Greedy = slices.Clone(m.ids), s.greedy
	}
	s.told = len(m.ids)
	return t, nil
}
