package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/gating/groups"
	"github.com/moeswarm/moeswarm/gating/prompt"
	"github.com/moeswarm/moeswarm/gating/trunk"
)

// loop is what Run's goroutine alone may touch.
type loop struct {
	*Engine
	active  []*sequence // oldest first
	memory  memory
	sampler sampler
	drafts  *drafter
	choice  groups.Choice
	meter   groups.Meter
	groups  int
	grouped int  // sequences that groups was chosen for
	regroup bool // groups are to be chosen anew: more is known
	starved bool // a sequence lacks memory for its next step: nobody joins

	idle, flying      []*lane
	decoding, reading int // lanes under way
	landed            chan *lane
	flights           sync.WaitGroup
}

func newLoop(e *Engine) *loop {
	return &loop{
		Engine: e, drafts: newDrafter(e.cfg), groups: 1,
		memory: memory{slots: e.cfg.Slots, budget: e.cfg.Memory},
		landed: make(chan *lane, groups.Most+mostReading),
	}
}

// turn does all that can be done now, and waits until there is more.
func (l *loop) turn(ctx context.Context) {
	l.leave()
	l.join()
	l.launch(ctx)
	select {
	case n := <-l.landed:
		l.land(ctx, n)
	case <-l.queue.wake:
	case <-ctx.Done():
		return
	}
	for { // what has landed together may go on together
		select {
		case n := <-l.landed:
			l.land(ctx, n)
		default:
			return
		}
	}
}

// join lets waiting sequences in while there are places and memory.
func (l *loop) join() {
	for len(l.active) < l.cfg.MaxRunning && !l.starved {
		s := l.queue.first()
		if s == nil {
			return
		}
		if s.ctx.Err() != nil {
			if l.queue.remove(s) {
				s.end("", context.Cause(s.ctx))
			}
			continue
		}
		if !l.memory.admit(s) {
			return // those that run will make room
		}
		if !l.queue.remove(s) { // its reader has just left
			l.memory.end(s)
			continue
		}
		s.joined = time.Now()
		l.reused.Add(uint64(s.cached))
		l.active = append(l.active, s)
		l.running.Add(1)
	}
}

// leave lets go of the sequences whose reader is gone, unless a step has them.
func (l *loop) leave() {
	for _, s := range slices.Clone(l.active) {
		if s.ctx.Err() != nil && !s.flying {
			l.end(s, "", context.Cause(s.ctx))
		}
	}
}

// stop ends all that run or wait. The context of the steps under way has ended.
func (l *loop) stop() {
	l.flights.Wait()
	for _, s := range slices.Clone(l.active) {
		l.end(s, "", errStopping())
	}
	for _, s := range l.queue.close() {
		s.end("", errStopping())
	}
	l.memory.clear()
}

// end ends a running sequence and frees its slot.
func (l *loop) end(s *sequence, f prompt.Finish, err error) {
	i := slices.Index(l.active, s)
	l.active = slices.Delete(l.active, i, i+1)
	l.running.Add(-1)
	l.memory.end(s)
	l.drafts.end(s)
	l.pace.note(time.Since(s.joined))
	s.end(f, err)
}

// launch begins all steps that can be.
func (l *loop) launch(ctx context.Context) {
	for {
		ready, rows := l.choose()
		if rows == nil {
			return
		}
		l.fly(ctx, l.members(ctx, ready, rows))
	}
}

// choose says which sequences the next step has, and how many rows of each.
func (l *loop) choose() (ready []*sequence, rows []int) {
	away := l.cfg.Away()
	l.starved = false
	o := outlook{decoding: l.decoding, reading: l.reading, maxRows: l.cfg.MaxRows}
	users := map[string]int{}
	for _, s := range slices.Clone(l.active) {
		if s.pending() == 1 {
			o.decode++
		}
		if s.flying || !l.provide(s) {
			continue
		}
		if _, ok := users[s.user]; !ok {
			users[s.user] = len(users)
		}
		ready = append(ready, s)
		o.pending, o.users = append(o.pending, s.pending()), append(o.users, users[s.user])
	}
	if o.decode != l.grouped || l.regroup {
		l.groups, l.grouped, l.regroup = l.choice.Groups(o.decode, l.groups, away), o.decode, false
	}
	if l.cfg.Groups > 0 {
		l.groups = min(l.cfg.Groups, groups.Most)
	}
	o.groups, o.chunk = l.groups, chunk(&l.choice.Times, l.cfg.PrefillChunk, o.decode, away)
	return ready, o.next()
}

// provide gives a sequence memory for its next step, if need be that of the
// youngest. It reports false when the sequence has to wait.
func (l *loop) provide(s *sequence) bool {
	for !l.memory.grow(s) {
		l.starved = true
		at := len(l.active) - 1
		for at >= 0 && (l.active[at].flying || l.active[at].bytes == 0) {
			at--
		}
		if at < 0 || at <= slices.Index(l.active, s) {
			return false
		}
		l.memory.suspend(l.active[at])
		l.suspended.Add(1)
	}
	return true
}

// fly begins a step on a lane of its own.
func (l *loop) fly(ctx context.Context, in []member) {
	var n *lane
	if last := len(l.idle) - 1; last >= 0 {
		n, l.idle = l.idle[last], l.idle[:last]
	} else {
		n = &lane{forwarder: l.cfg.NewLane(), cfg: l.cfg}
	}
	n.in, n.step, n.effort, n.decode = in, batch(in), bestEffort(in), false
	l.crowd(n)
	n.traceFor(in)
	readers := make([]context.Context, len(in))
	for i, m := range in {
		m.flying = true
		n.decode = n.decode || m.pending() == 1
		readers[i] = m.ctx
	}
	if !n.decode && n.effort == nil {
		n.step.Waves = waves(&l.choice.Times, n.step.Rows(), l.cfg.Away())
	}
	if n.decode {
		l.decoding++
	} else {
		l.reading++
	}
	l.flights.Go(func() {
		n.run(ctx, readers)
		l.landed <- n
	})
}

// land takes in a step that is over: sample, and let go of the lane.
func (l *loop) land(ctx context.Context, n *lane) {
	l.steps.Add(1)
	l.flying = slices.DeleteFunc(l.flying, func(f *lane) bool { return f == n })
	if n.decode {
		l.decoding--
	} else {
		l.reading--
	}
	for _, m := range n.in {
		m.flying = false
	}
	if n.err != nil {
		l.fail(ctx, n.in, n.err)
	} else {
		if n.step.Waves <= 1 { // one in waves does not tell what one at once would take
			compute, experts := n.forwarder.Spent()
			l.drafts.took(n.step.Rows(), n.took, compute+max(experts-l.cfg.Away(), 0))
			l.measure(n, groups.Step{Rows: n.step.Rows(), Compute: compute, Experts: experts, Away: l.cfg.Away(), Alone: n.alone})
		}
		l.advance(n)
	}
	n.in, n.logits = nil, expert.Batch{}
	l.idle = append(l.idle, n)
}

// crowd puts a lane among those under way, none of which is alone then.
func (l *loop) crowd(n *lane) {
	n.alone = len(l.flying) == 0
	for _, f := range l.flying {
		f.alone = false
	}
	l.flying = append(l.flying, n)
}

// measure learns of a step what groups are chosen by.
func (l *loop) measure(n *lane, s groups.Step) {
	l.choice.Times.Note(s)
	if !n.decode {
		return
	}
	sequences := 0
	for _, m := range n.in {
		if m.pending() == 1 {
			sequences++
		}
	}
	r, over, ok := l.meter.Landed(groups.Landing{
		At: time.Now(), Groups: l.groups, Streams: l.grouped, Sequences: sequences, Rows: s.Rows, Reading: l.reading > 0 || sequences < len(n.in),
	})
	if ok {
		l.choice.Saw(r, s.Away)
	}
	l.regroup = l.regroup || over
}

// advance draws the tokens of a step.
func (l *loop) advance(n *lane) {
	for _, m := range n.in {
		if m.drawn == 0 {
			l.prefilled.Add(uint64(m.rows))
		}
		l.queue.charge(m.user, m.rows+len(m.draft))
		m.note(n.trace, 0, m.rows)
		m.fed += m.rows
		noteDropped(m, n.effort, 0, m.rows)
		if m.pool != nil {
			l.embed(m, n)
		} else if m.pending() == 0 {
			l.verify(m, n)
		}
	}
}

// member is a sequence in a step.
type member struct {
	*sequence
	rows       int // how many of its next tokens are in the step, its draft aside
	row, logit int // its first row, and its first row of logits
	hidden     int // its first hidden state
}

// members are the sequences that have rows in the step, with their drafts.
func (l *loop) members(ctx context.Context, ready []*sequence, rows []int) (in []member) {
	var decode []*sequence
	total := 0
	for i, s := range ready {
		s.draft = nil
		if rows[i] == 0 {
			continue
		}
		in = append(in, member{sequence: s, rows: rows[i]})
		total += rows[i]
		if s.pending() == 1 {
			decode = append(decode, s)
		}
	}
	if err := l.drafts.propose(ctx, decode, total, l.cfg.MaxRows-total, l.groups); err != nil && ctx.Err() == nil {
		l.cfg.Log.Warn("the small model failed and drafts no more", "err", err)
		l.drafts.small.broken = true
	}
	return in
}

// batch builds the step in which each sequence has as many rows as it was
// given, and its draft after them, and tells each where its rows are.
func batch(in []member) (step trunk.Step) {
	for i, m := range in {
		first := len(step.Tokens)
		in[i].row, in[i].logit, in[i].hidden = first, len(step.Logits), len(step.Hidden)
		add := func(id int32, pos int) {
			step.Tokens = append(step.Tokens, id)
			step.Positions = append(step.Positions, pos)
			step.Slots = append(step.Slots, m.slot)
		}
		for pos := m.fed; pos < m.fed+m.rows; pos++ {
			add(m.ids[pos], pos)
		}
		if m.pool != nil {
			for i := range m.rows {
				step.Hidden = append(step.Hidden, first+i)
			}
			continue
		}
		if m.fed+m.rows < len(m.ids) {
			continue
		}
		last := len(step.Logits)
		step.Logits = append(step.Logits, len(step.Tokens)-1)
		for i, id := range m.draft {
			add(id, len(m.ids)+i)
			step.Logits = append(step.Logits, len(step.Tokens)-1)
		}
		if m.trace != nil {
			step.Hidden = append(step.Hidden, step.Logits[last:]...)
		}
	}
	return step
}

// fail ends the sequences of a step that failed. When it failed because Run is
// to end, stop does that.
func (l *loop) fail(ctx context.Context, in []member, err error) {
	if ctx.Err() != nil {
		return
	}
	for _, m := range in {
		switch {
		case m.ctx.Err() != nil:
			l.end(m.sequence, "", context.Cause(m.ctx))
		case errors.Is(err, expert.ErrNoHolder):
			l.end(m.sequence, "", fmt.Errorf("%w: %w", prompt.ErrMissingExperts, err))
		default:
			l.end(m.sequence, "", fmt.Errorf("%w: step failed: %w", prompt.ErrLost, err))
		}
	}
	l.cfg.Log.Warn("step failed", "sequences", len(in), "err", err)
}

// verify draws a sequence's next token, and as long as it is what the draft
// said, the one after it: the logits of the draft's row are then those that
// the next step would have given. What the trunk keeps of the rest is written
// over by the next step.
func (l *loop) verify(m member, n *lane) {
	before := len(m.ids)
	m.drafts.Drafted += len(m.draft)
	l.drafted.Add(uint64(len(m.draft)))
	for i := 0; ; i++ {
		expected := int32(-1)
		if i < len(m.draft) {
			expected = m.draft[i]
		}
		trace, err := m.traced(n, i)
		if err != nil {
			l.end(m.sequence, "", err)
			break
		}
		if !l.draw(m.sequence, n.logits.Row(m.logit+i), trace, expected) {
			break
		}
		m.fed++
		noteDropped(m, n.effort, m.rows+i, m.rows+i+1)
	}
	l.drafts.came(m.sequence, m.ids[before:])
}

// draw draws the next token of a sequence and sends it to its reader. It
// reports whether the answer goes on with the token expected.
func (l *loop) draw(s *sequence, logits []float32, trace *prompt.Trace, expected int32) bool {
	recent := s.ids[max(0, len(s.ids)-recentTokens):]
	pick, err := l.sampler.draw(logits, recent, s.drawing)
	if err == nil {
		err = s.drawing.accept(pick.id)
	}
	if err != nil {
		if !errors.Is(err, prompt.ErrBadRequest) { // a schema that cannot be followed is no better elsewhere
			err = fmt.Errorf("%w: %w", prompt.ErrLost, err)
		}
		l.end(s, "", err)
		return false
	}
	id := pick.id
	if id == expected {
		s.drafts.Accepted++
		l.accepted.Add(1)
	}
	s.ids = append(s.ids, id)
	s.drawn++
	s.tokens <- drawn{pick: pick, dropped: s.dropped, drafts: s.drafts, cached: s.cached, trace: trace}
	s.dropped = prompt.Dropped{}
	l.decoded.Add(1)
	switch {
	case l.cfg.Tokenizer.EndsText(id):
		l.end(s, prompt.FinishStop, nil)
	case len(s.ids) == s.limit:
		l.end(s, prompt.FinishLength, nil)
	default:
		return id == expected
	}
	return false
}
