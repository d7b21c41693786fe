package swarm

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/swarm/wire"
)

// job is one call frame from its arrival to its reply. Its memory serves for others
// afterwards.
type job struct {
	stream    *serveStream
	id        uint64
	call      wire.Call // views into body
	body      []byte
	challenge bool            // asks for the inner layer of the call
	signed    bool            // the answer will be
	rows      int             // of output, before any summing
	results   []expert.Result // to be signed; nil: they are not
	charged   int64           // bytes charged to the peer for body and reply
	came      time.Time
	end       *callEnd
}

// missingExpert says which expert a call names that is not held here.
type missingExpert struct{ id expert.ID }

func (m *missingExpert) Error() string { return fmt.Sprintf("%v: %v", expert.ErrUnknownExpert, m.id) }
func (m *missingExpert) Unwrap() error { return expert.ErrUnknownExpert }

// parse reads the body, makes sure that what it names is held, and charges
// for the reply.
func (j *job) parse() error {
	if j.challenge {
		return j.parseChallenge()
	}
	if err := wire.ParseCall(j.body, &j.call); err != nil {
		return err
	}
	s := j.stream.server
	for _, c := range j.call.Calls {
		j.rows += len(c.Rows)
		if s.cfg.Holds != nil && !s.cfg.Holds(c.Expert) {
			return &missingExpert{c.Expert}
		}
	}
	// A sum is shorter, but the outputs it is made of are not.
	reply := int64(wire.ReplySize(j.rows, j.call.In.Dim))
	if j.call.Codes.Rows > 0 {
		reply += int64(4*len(j.call.In.Data) + len(j.call.Codes.Values)) // the rows made of codes
	}
	if err := s.intake.admit(j.stream.peer, 0, reply); err != nil {
		return err
	}
	j.charged += reply
	return nil
}

// work answers frames until the intake is closed.
func (s *server) work() {
	var room expert.Room // of the results, until they are in a reply
	for {
		j, ok := s.intake.pop()
		if !ok {
			return
		}
		s.do(j, &room)
		room.Trim(buffersKeep)
	}
}

// do computes one frame and queues its reply.
func (s *server) do(j *job, room *expert.Room) {
	st, id := j.stream, j.id
	began := time.Now()
	b, err := s.compute(j, began, room)
	took := time.Since(began)
	switch {
	case j.end.Err() != nil:
		s.counts.add(st.peer, Served{Cancelled: 1})
		s.settle(j)
		took = 0
	case err != nil:
		s.cfg.Log.Debug("expert call failed", "peer", st.peer, "why", err)
		s.settle(j)
		st.turnAway(id, err)
		took = 0
	default:
		s.counts.add(st.peer, Served{
			Frames: 1, Calls: uint64(len(j.call.Calls)), Rows: uint64(j.rows),
			BytesIn: uint64(wire.HeaderLen + len(j.body)), BytesOut: uint64(len(b)),
		})
		// The reply stays charged until it is written; everything else is
		// free before the peer can know that the call is done.
		cost := int64(len(b))
		j.charged -= cost
		s.settle(j)
		if !st.out.put(outFrame{b: b, id: id, cost: cost}) {
			s.intake.release(st.peer, 0, cost)
		}
		// What nobody waits for comes behind the answer.
		if s.cfg.Debts != nil && !j.challenge {
			s.cfg.Debts.Served(st.peer, j.call.Calls[0].Expert.Model, j.rows)
		}
		if j.results != nil {
			s.note(j)
		}
	}
	s.intake.done(j, took)
	s.forget(j)
}

// compute applies the experts and encodes the reply.
func (s *server) compute(j *job, began time.Time, room *expert.Room) ([]byte, error) {
	if err := j.end.Err(); err != nil {
		return nil, err
	}
	if j.challenge {
		return s.open(j)
	}
	c := j.call
	meter := wire.Meter{Queued: began.Sub(j.came)}
	summer, sums := s.cfg.Apply.(expert.Summer)
	if c.Sum && sums {
		sum, err := summer.Sum(j.end, c.In, c.Calls)
		if err != nil {
			return nil, err
		}
		s.finish(&meter, began)
		return wire.AppendSum(s.room(sum.Rows, sum.Dim), j.id, meter, sum)
	}
	var b []byte
	j.signed = j.stream.signing.Load() != nil
	if !c.Sum && !c.Half && !j.signed { // results are computed where they will be sent from
		var outputs []float32
		b, outputs = wire.ReplyRoom(s.room(j.rows, c.In.Dim), j.rows, c.In.Dim)
		room.Lend(outputs)
		defer room.Lend(nil)
	}
	results := expert.ApplyIn(j.end, s.cfg.Apply, c.In, c.Calls, room)
	for i, r := range results {
		if errors.Is(r.Err, expert.ErrUnknownExpert) {
			return nil, &missingExpert{c.Calls[i].Expert}
		}
		if r.Err != nil {
			return nil, r.Err
		}
	}
	s.finish(&meter, began)
	if c.Sum {
		sum := weightedSum(c, results)
		return wire.AppendSum(s.room(sum.Rows, sum.Dim), j.id, meter, sum)
	}
	return s.reply(b, j, meter, results)
}

// room is memory for a reply of so many rows.
func (s *server) room(rows, dim int) []byte { return s.memory.sized(wire.ReplyRoomSize(rows, dim)) }

// reply encodes the answer to a call, into the memory of b.
func (s *server) reply(b []byte, j *job, meter wire.Meter, results []expert.Result) ([]byte, error) {
	if j.signed {
		if j.call.Half {
			results = wire.Halved(results) // what the asker gets is what is signed
		}
		j.results = results
	}
	if b == nil {
		b = s.room(j.rows, j.call.In.Dim)
	}
	if j.call.Half {
		return wire.AppendHalfReply(b, j.id, meter, results)
	}
	return wire.AppendReply(b, j.id, meter, results)
}

func (s *server) finish(m *wire.Meter, began time.Time) {
	m.Compute = time.Since(began)
	m.Waiting, _ = s.intake.load()
}

// weightedSum adds up results, in the order of the calls, for an applier that
// does not do so itself.
func weightedSum(c wire.Call, results []expert.Result) expert.Batch {
	sum := expert.NewBatch(c.In.Rows, c.In.Dim)
	for i, call := range c.Calls {
		for k, r := range call.Rows {
			to := sum.Row(int(r))
			for d, x := range results[i].Out.Row(k) {
				to[d] += call.Weights[k] * x
			}
		}
	}
	return sum
}

// refuse ends a job that was queued, or was to be, without work on it.
func (s *server) refuse(j *job, err error, detail string) {
	j.stream.turnAway(j.id, fmt.Errorf("%w: %s", err, detail))
	s.drop(j)
}

// drop ends a job: its call id, its memory and its charges are free again.
func (s *server) drop(j *job) {
	s.settle(j)
	s.forget(j)
}

// settle ends a job for its peer: its call id and its charges are free again.
func (s *server) settle(j *job) {
	st := j.stream
	// The asker's time to be idle begins when the work ends: its answer is
	// still to be written, and it has had no reason to send anything.
	st.came.Store(int64(time.Since(st.born)))
	st.mu.Lock()
	if st.mu.jobs[j.id] == j {
		delete(st.mu.jobs, j.id)
	}
	st.mu.Unlock()
	s.intake.release(st.peer, 1, j.charged)
}

// newJob returns a job for a call that began to arrive.
func (s *server) newJob(st *serveStream, h wire.Header, work context.Context) *job {
	j, _ := s.jobs.Get().(*job)
	if j == nil {
		j = &job{end: new(callEnd)}
	}
	j.stream, j.id, j.charged, j.challenge = st, h.ID, int64(h.Len), h.Kind == wire.KindChallenge
	j.end.Context = work
	return j
}

// forget frees a job's memory, for other jobs. Nobody knows the job any more.
func (s *server) forget(j *job) {
	j.call.Forget(buffersKeep)
	if cap(j.body) > buffersKeep {
		j.body = nil
	}
	if j.end.used() {
		j.end.cancel()
		j.end = new(callEnd)
	}
	*j = job{call: j.call, body: j.body[:0], end: j.end}
	s.jobs.Put(j)
}
