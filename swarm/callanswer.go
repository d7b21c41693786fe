package swarm

import (
	"fmt"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/routing"
	"github.com/moeswarm/moeswarm/swarm/wire"
)

// What an ask becomes on its way out, and an answer on its way in, as pure
// functions.

// splitAsk cuts an ask into such as fit into one frame, in order. Calls stay
// whole; one that is too large alone is left for the encoder to refuse.
func splitAsk(a routing.Ask) []routing.Ask {
	var parts []routing.Ask
	first, pairs := 0, 0
	for i, c := range a.Calls {
		if i > first && !wire.Fits(i-first+1, pairs+len(c.Rows), a.In.Dim) {
			parts = append(parts, routing.Ask{In: a.In, Calls: a.Calls[first:i], Sum: a.Sum, Once: a.Once})
			first, pairs = i, 0
		}
		pairs += len(c.Rows)
	}
	return append(parts, routing.Ask{In: a.In, Calls: a.Calls[first:], Sum: a.Sum, Once: a.Once})
}

// smallAsk reports whether the outputs that an ask is for are few, and it goes into
// one frame.
func smallAsk(a routing.Ask) bool {
	pairs := 0
	for _, c := range a.Calls {
		pairs += len(c.Rows)
	}
	return 4*a.In.Dim*pairs <= startMost && wire.Fits(len(a.Calls), pairs, a.In.Dim)
}

// joinAnswers puts together the answers to the parts of a.
func joinAnswers(a routing.Ask, parts []routing.Answer) routing.Answer {
	var all routing.Answer
	if a.Sum {
		all.Sum = expert.NewBatch(a.In.Rows, a.In.Dim)
	}
	for _, p := range parts {
		for _, s := range p.Signed {
			s.First += len(all.Results)
			all.Signed = append(all.Signed, s)
		}
		all.Results = append(all.Results, p.Results...)
		for i, x := range p.Sum.Data {
			all.Sum.Data[i] += x
		}
		all.Waiting = max(all.Waiting, p.Waiting)
		all.Queued = max(all.Queued, p.Queued)
		all.Compute += p.Compute
		all.BytesOut += p.BytesOut
		all.BytesIn += p.BytesIn
		all.Half = all.Half || p.Half
	}
	all.Done = func() {
		for _, p := range parts {
			p.Done()
		}
	}
	return all
}

// outputRows counts the rows that the answer to a must have. The encoder has
// checked a.
func outputRows(a routing.Ask) int {
	if a.Sum {
		if used := wire.UsedRows(a.In.Rows, a.Calls); used != nil {
			return len(used)
		}
		return a.In.Rows
	}
	n := 0
	for _, c := range a.Calls {
		n += len(c.Rows)
	}
	return n
}

// toAnswer reads the reply to a. What it returns shares memory with body. An
// error wraps [expert.ErrBadResult].
func toAnswer(a routing.Ask, rows int, body []byte) (routing.Answer, error) {
	r, err := wire.ParseReply(body)
	if err != nil {
		return routing.Answer{}, err
	}
	if r.Sum != a.Sum || r.Out.Rows != rows || r.Out.Dim != a.In.Dim {
		return routing.Answer{}, fmt.Errorf("%w: sum %v (%d, %d), want %v (%d, %d)",
			expert.ErrBadResult, r.Sum, r.Out.Rows, r.Out.Dim, a.Sum, rows, a.In.Dim)
	}
	answer := routing.Answer{
		Waiting: r.Meter.Waiting,
		Queued:  r.Meter.Queued,
		Compute: r.Meter.Compute,
		Half:    r.Half,
	}
	if a.Sum {
		answer.Sum = spread(r.Out, a.In.Rows, wire.UsedRows(a.In.Rows, a.Calls))
		return answer, nil
	}
	answer.Results = make([]expert.Result, len(a.Calls))
	rest, dim := r.Out.Data, r.Out.Dim
	for i, c := range a.Calls {
		n := len(c.Rows) * dim
		answer.Results[i].Out = expert.Batch{Rows: len(c.Rows), Dim: dim, Data: rest[:n:n]}
		rest = rest[n:]
	}
	return answer, nil
}

// spread puts the rows of b back to where they were in a batch of so many
// rows, of which only the used ones travelled; nil: all did.
func spread(b expert.Batch, rows int, used []int32) expert.Batch {
	if used == nil {
		return b
	}
	all := expert.NewBatch(rows, b.Dim)
	for i, r := range used {
		copy(all.Row(int(r)), b.Row(i))
	}
	return all
}
