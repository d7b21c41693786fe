package audit

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/routing"
)

// Case is an answer under audit. It is read only.
type Case struct {
	routing.Checked
	At    time.Time      // when the answer came
	Class expert.Numeric // the coarsest of its experts
	// Earlier are single rows of answers of the same peer that were not
	// audited, for auditors that need more rows than the answer has.
	Earlier []*Case
}

// Auditor is one way to check an answer.
type Auditor interface {
	// Name is one word, for logs and evidence.
	Name() string
	// Quiet says that no other node learns of the audit while it goes on.
	Quiet() bool
	// Audit looks at the whole case or at a sample of it. An error means that
	// it cannot tell; it wraps [ErrUnable] when that is no surprise.
	Audit(ctx context.Context, c *Case) (Finding, error)
}

// ErrUnable: the auditor lacks the weights, a second holder or the like.
var ErrUnable = errors.New("cannot audit this")

// model is what the case's calls are about; all name the same.
func (c *Case) model() expert.ModelID { return c.Calls[0].Expert.Model }

// someAnswered says whether the peer answered any of the calls.
func someAnswered(a *routing.Checked) bool {
	return a.Sum != nil || slices.ContainsFunc(a.Results, func(r expert.Result) bool { return r.Err == nil })
}

// answered lists the calls that the peer answered.
func (c *Case) answered() []int {
	var out []int
	for i := range c.Calls {
		if c.Sum != nil || c.Results[i].Err == nil {
			out = append(out, i)
		}
	}
	return out
}

// keep copies what the case points to, rows that no call names left out, so
// that it can be audited after the answer was handed on.
func (c *Case) keep() *Case {
	named := make([]int32, c.In.Rows) // 1 + place in the copy
	own := &Case{At: c.At, Class: c.Class, Earlier: c.Earlier}
	own.Peer = c.Peer
	var data []float32
	var sum []float32
	if len(c.answered()) == len(c.Calls) { // else they are about other calls
		own.Signed = slices.Clone(c.Signed)
	}
	n := int32(0)
	for _, i := range c.answered() {
		call := c.Calls[i]
		call.Weights = slices.Clone(call.Weights)
		rows := make([]int32, len(call.Rows))
		for k, r := range call.Rows {
			if named[r] == 0 {
				n++
				named[r] = n
				data = append(data, c.In.Row(int(r))...)
				if c.Sum != nil {
					sum = append(sum, c.Sum.Row(int(r))...)
				}
			}
			rows[k] = named[r] - 1
		}
		call.Rows = rows
		own.Calls = append(own.Calls, call)
		if c.Sum == nil {
			out := c.Results[i].Out
			out.Data = slices.Clone(out.Data)
			own.Results = append(own.Results, expert.Result{Out: out})
		}
	}
	own.In = expert.Batch{Rows: int(n), Dim: c.In.Dim, Data: data}
	if c.Sum != nil {
		own.Sum = &expert.Batch{Rows: int(n), Dim: c.In.Dim, Data: sum}
	}
	return own
}

// pick is a row of output: row k of call i.
type pick struct{ call, k int }

// only is the case cut down to some rows of output, copied. Of a sum, picks
// name rows by any call that has them; all calls that name such a row come.
func (c *Case) only(picks []pick) *Case {
	cut := *c
	cut.Earlier, cut.Signed = nil, nil
	if c.Sum != nil {
		var rows []int32
		for _, p := range picks {
			rows = append(rows, c.Calls[p.call].Rows[p.k])
		}
		cut.Calls = nil
		for _, call := range c.Calls {
			part := expert.Call{Expert: call.Expert}
			for k, r := range call.Rows {
				if slices.Contains(rows, r) {
					part.Rows = append(part.Rows, r)
					part.Weights = append(part.Weights, call.Weights[k])
				}
			}
			if len(part.Rows) > 0 {
				cut.Calls = append(cut.Calls, part)
			}
		}
		return cut.keep()
	}
	cut.Calls, cut.Results = nil, nil
	for i, call := range c.Calls {
		part := expert.Call{Expert: call.Expert}
		out := expert.Batch{Dim: c.In.Dim}
		for _, p := range picks {
			if p.call == i {
				part.Rows = append(part.Rows, call.Rows[p.k])
				out.Data = append(out.Data, c.Results[i].Out.Row(p.k)...)
				out.Rows++
			}
		}
		if out.Rows > 0 {
			cut.Calls = append(cut.Calls, part)
			cut.Results = append(cut.Results, expert.Result{Out: out})
		}
	}
	return cut.keep()
}

// oneOfFew is the case cut down to its first row of output, copied; nil if it has
// enough rows to be audited alone, or none.
func (c *Case) oneOfFew() *Case {
	rows, first := 0, -1
	for i := range c.Calls {
		if c.Sum != nil || c.Results[i].Err == nil {
			if rows += len(c.Calls[i].Rows); first < 0 {
				first = i
			}
		}
	}
	switch {
	case first < 0 || rows >= leastRows && c.Sum == nil:
		return nil
	case c.Sum != nil: // rows may be named by several calls
		all := c.allPicks()
		if len(all) >= leastRows {
			return nil
		}
		return c.only(all[:1])
	}
	dim, call := c.In.Dim, c.Calls[first]
	data := make([]float32, 2*dim)
	own := &Case{At: c.At, Class: c.Class}
	own.Peer = c.Peer
	own.Calls = []expert.Call{{Expert: call.Expert, Rows: []int32{0}}}
	own.In = expert.Batch{Rows: 1, Dim: dim, Data: data[:dim:dim]}
	copy(own.In.Data, c.In.Row(int(call.Rows[0])))
	out := expert.Batch{Rows: 1, Dim: dim, Data: data[dim:]}
	copy(out.Data, c.Results[first].Out.Row(0))
	own.Results = []expert.Result{{Out: out}}
	return own
}

// allPicks lists every row of output; of a sum, one for each row of the batch
// that some call names.
func (c *Case) allPicks() []pick {
	var all []pick
	seen := make([]bool, c.In.Rows)
	for _, i := range c.answered() {
		for k, r := range c.Calls[i].Rows {
			if c.Sum != nil && seen[r] {
				continue
			}
			seen[r] = true
			all = append(all, pick{i, k})
		}
	}
	return all
}
