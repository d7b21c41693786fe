package audit

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/routing"
)

const (
	// maxKnown bounds the peers whose record is kept, by model. A peer that
	// was forgotten is new again.
	maxKnown = 4096
	// maxQueued bounds the audits that wait for a worker. Each holds a copy
	// of its answer; past it the layer waits for its own audit.
	maxQueued = 64
	// auditTimeout bounds one audit in the background, second opinions and
	// all, because a token may wait for it.
	auditTimeout = 20 * time.Second
	// maxCosts bounds the models whose audits' costs are kept.
	maxCosts = 64
	// keptRows is how many single rows of answers not audited are kept of each
	// peer for projections: as many as those need besides one of the answer.
	keptRows = leastRows - 1
	// ahead is how many answers ahead it is drawn which are audited: a row is kept
	// of those alone that an audit will soon come after.
	ahead = keptRows
)

// Inspector audits the answers of peers. Its methods may be used by several
// goroutines at once.
type Inspector struct {
	cfg                 Config
	waiting, background panel
	projection          *Projection                // among them; nil: there is none
	evidence            *store                     // nil: none
	queue               chan func()                // audits that tokens may wait for
	errands             chan func()                // work that nobody waits for
	vouching            chan func(context.Context) // waits for what peers sign of answers that were right
	stats               *stats

	mu struct {
		sync.Mutex
		draws   *rand.Rand
		known   map[subject]*standing
		pending map[expert.ModelID]*pending
		cost    map[expert.ModelID]workCost
	}
}

// subject is a peer in its dealings with one model.
type subject struct {
	peer  routing.Peer
	model expert.ModelID
}

// standing is what is remembered of a subject.
type standing struct {
	passes int            // in a row
	at     time.Time      // of the last audit
	rows   []*Case        // single rows of its latest answers that were not audited
	coming [ahead]float64 // what the next answers have drawn, of [0, 1): an answer below the rate is audited
}

// next is what an answer has drawn. Nobody but this node knows those behind it.
func (s *standing) next(draws *rand.Rand) float64 {
	drawn := s.coming[0]
	copy(s.coming[:], s.coming[1:])
	s.coming[ahead-1] = draws.Float64()
	return drawn
}

// soon says whether one of the next answers will be audited, should the rate not
// grow until then: where it does, the rows are thrown away.
func (s *standing) soon(rate float64) bool { return slices.Min(s.coming[:]) < rate }

// pending is the audits under way that a barrier waits for, and their failures
// since it was last passed.
type pending struct {
	open    int
	failed  []error
	changed chan struct{} // closed when an audit ends
}

// New checks the configuration and starts nothing.
func New(cfg Config) (*Inspector, error) {
	cfg, err := cfg.validate()
	if err != nil {
		return nil, err
	}
	i := &Inspector{cfg: cfg, queue: make(chan func(), maxQueued), errands: make(chan func(), maxQueued), vouching: make(chan func(context.Context), maxQueued), stats: newStats()}
	i.waiting, i.background = cfg.panels()
	for _, a := range i.background {
		if p, ok := a.(*Projection); ok {
			i.projection = p
		}
	}
	if cfg.Evidence != "" {
		if i.evidence, err = openStore(cfg.Evidence); err != nil {
			return nil, err
		}
	}
	// Another stream than that of the secrets.
	seed := cfg.Seed
	seed[31] ^= 0xff
	i.mu.draws = rand.New(rand.NewChaCha8(seed))
	i.mu.known = map[subject]*standing{}
	i.mu.pending = map[expert.ModelID]*pending{}
	i.mu.cost = map[expert.ModelID]workCost{}
	return i, nil
}

// Run audits in the background until ctx ends.
func (i *Inspector) Run(ctx context.Context) error {
	var all sync.WaitGroup
	work := func(from <-chan func()) {
		for {
			select {
			case f := <-from:
				f()
			case <-ctx.Done():
				return
			}
		}
	}
	for range i.cfg.Workers {
		all.Go(func() { work(i.queue) })
	}
	all.Go(func() { work(i.errands) })
	all.Go(func() { i.vouchAll(ctx) })
	all.Wait()
	return nil
}

// Check looks at an answer, and waits for what is to be waited for. An error means
// that the answer must not be used.
func (i *Inspector) Check(ctx context.Context, a routing.Checked) error {
	if check := i.Look(ctx, a); check != nil {
		return check()
	}
	return nil
}

// Look implements a router's check; see [routing.Config]. Most answers are not
// drawn, and then there is nothing to wait for, and nothing is copied.
func (i *Inspector) Look(ctx context.Context, a routing.Checked) (check func() error) {
	if len(a.Calls) == 0 || !someAnswered(&a) {
		return nil
	}
	fate := i.draw(&a)
	i.stats.saw(fate.audited)
	switch {
	case fate.audited:
		return i.look(ctx, &Case{Checked: a, At: i.cfg.now(), Class: i.cfg.classOf(a.Calls), Earlier: fate.earlier}, fate.trust)
	case fate.kept:
		i.keepRow(&Case{Checked: a, At: i.cfg.now()})
	}
	return nil
}

// look audits an answer that was drawn, or has it audited.
func (i *Inspector) look(ctx context.Context, c *Case, trust bool) (check func() error) {
	if !trust {
		return func() error { return i.audit(ctx, c, i.waiting) }
	}
	own := c.keep()
	waiting := i.begin(ctx, own.model())
	job := func() {
		ctx, cancel := quiet(auditTimeout)
		defer cancel()
		i.end(waiting, i.audit(ctx, own, i.panel(own)))
	}
	select {
	case i.queue <- job:
		return nil
	default: // too much is waiting: this layer waits for itself
		return func() error {
			err := i.audit(ctx, own, i.panel(own))
			i.end(waiting, nil)
			return err
		}
	}
}

// panel chooses the order of auditors for a case of a trusted peer: what looks
// at it first is what costs this node less, as measured.
func (i *Inspector) panel(c *Case) panel {
	if len(i.waiting) == 0 || i.projection == nil {
		return i.background
	}
	i.mu.Lock()
	cost := i.mu.cost[c.model()]
	i.mu.Unlock()
	undrawn, each := i.projection.secrets.lacking(c.Calls)
	if cost.projects(len(c.allPicks()), undrawn, each) {
		return i.background
	}
	return i.waiting
}

// fate is what was drawn for an answer.
type fate struct {
	audited, trust bool    // trust: its peer is trusted
	earlier        []*Case // of one that is audited
	kept           bool    // it is not audited, but a row of it is kept
}

// draw decides whether an answer is audited, and whether its peer is trusted.
func (i *Inspector) draw(a *routing.Checked) (f fate) {
	i.mu.Lock()
	defer i.mu.Unlock()
	s := i.knownLocked(subject{a.Peer, a.Calls[0].Expert.Model})
	f.trust = trusted(s.passes)
	rate := Rate(s.passes)
	if i.cfg.Always {
		rate = 1
	}
	if f.audited = s.next(i.mu.draws) < rate; f.audited {
		f.earlier = slices.Clone(s.rows)
		return f
	}
	f.kept = i.cfg.Challenger != nil && s.soon(rate)
	return f
}

// keepRow keeps a row of an answer that has few and is not audited itself.
func (i *Inspector) keepRow(c *Case) {
	row := c.oneOfFew()
	if row == nil {
		return
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	s := i.knownLocked(subject{c.Peer, c.model()})
	s.rows = append(s.rows, row)
	if len(s.rows) > keptRows {
		s.rows = slices.Delete(s.rows, 0, 1)
	}
}

func (i *Inspector) knownLocked(who subject) *standing {
	s := i.mu.known[who]
	if s != nil {
		return s
	}
	if len(i.mu.known) >= maxKnown { // names cost nothing: the least known makes room
		var least subject
		passes := -1
		for k, v := range i.mu.known {
			if passes < 0 || v.passes < passes {
				least, passes = k, v.passes
			}
		}
		delete(i.mu.known, least)
	}
	s = &standing{}
	for k := range s.coming {
		s.coming[k] = i.mu.draws.Float64()
	}
	i.mu.known[who] = s
	return s
}

// Inspect audits an answer whatever is known of its peer, draws the consequences,
// and tells how that ended.
func (i *Inspector) Inspect(ctx context.Context, a routing.Checked) Outcome {
	if len(a.Calls) == 0 || !someAnswered(&a) {
		return Undecided
	}
	c := &Case{Checked: a, At: i.cfg.now(), Class: i.cfg.classOf(a.Calls)}
	i.stats.saw(true)
	v := i.verdict(c)
	if !i.vouch(ctx, c, &v) {
		_ = i.conclude(c, v)
		return v.Outcome
	}
	o, _ := i.try(ctx, c, i.waiting, true)
	return o
}

// audit has the auditors of a panel look at a case. An error means that the
// answer must not be used.
func (i *Inspector) audit(ctx context.Context, c *Case, p panel) error {
	_, err := i.try(ctx, c, p, i.cfg.Vouch == nil || len(c.Signed) == 0)
	return err
}

// verdict is that of a case before anybody looked at it.
func (i *Inspector) verdict(c *Case) Verdict {
	return Verdict{Peer: c.Peer, Model: c.model(), Layer: int(c.Calls[0].Expert.Layer), At: c.At, Class: c.Class, Outcome: Undecided}
}

// vouch waits for what the peer signs of a case and looks at it. Where that is
// something else the verdict says so.
func (i *Inspector) vouch(ctx context.Context, c *Case, v *Verdict) bool {
	if i.cfg.Vouch == nil {
		return true
	}
	err := i.cfg.Vouch(ctx, c.Checked)
	if err != nil {
		v.Outcome = Unproven
		v.Steps = append(v.Steps, Step{Auditor: "signature", Grade: Fail.String(), Why: err.Error()})
	}
	return err == nil
}

// vouchLater does so where the answer was found right, so that it may be used.
func (i *Inspector) vouchLater(c *Case) {
	own := c.keep()
	select {
	case i.vouching <- func(ctx context.Context) {
		if v := i.verdict(own); !i.vouch(ctx, own, &v) {
			_ = i.conclude(own, v)
		}
	}:
	default: // too many at once; others will be looked at
	}
}

// vouchAll does what vouchLater puts off, until ctx ends; some at once, so that a
// peer that signs late keeps no others waiting.
func (i *Inspector) vouchAll(ctx context.Context) {
	var all sync.WaitGroup
	defer all.Wait()
	room := make(chan struct{}, maxQueued)
	for {
		select {
		case f := <-i.vouching:
			room <- struct{}{}
			all.Go(func() {
				f(ctx)
				<-room
			})
		case <-ctx.Done():
			return
		}
	}
}

// try asks the auditors of a panel, one after the other, until the case is
// decided, and draws the consequences. The peer must have signed before it can see
// that it is audited, or else a liar would sign what is not: unless that was looked
// at, its word is waited for before others are asked, and before anything follows
// from a failure. An answer that this node finds right by itself waits for nothing.
func (i *Inspector) try(ctx context.Context, c *Case, p panel, vouched bool) (Outcome, error) {
	v := i.verdict(c)
	var grades []Grade
	good := true // what the peer signed, as far as it was looked at
	for k, a := range p {
		if !vouched && !a.Quiet() {
			if vouched, good = true, i.vouch(ctx, c, &v); !good {
				return v.Outcome, i.conclude(c, v)
			}
		}
		began := i.cfg.now()
		f, err := a.Audit(ctx, c)
		step := Step{Auditor: a.Name(), Error: f.Worst, Rows: f.Rows, Where: f.Where, Took: i.cfg.now().Sub(began)}
		if err != nil {
			step.Why = err.Error()
		} else {
			g := f.Grade(i.cfg.Tolerances)
			step.Grade = g.String()
			grades = append(grades, g)
			i.worked(c.model(), a.Name(), f)
		}
		i.stats.asked(a.Name(), step.Took, f, err)
		v.Steps = append(v.Steps, step)
		if step.Grade == Fail.String() && !vouched {
			vouched, good = true, i.vouch(ctx, c, &v)
		}
		if v.Outcome = weigh(grades, k+1 < len(p) && ctx.Err() == nil); v.Outcome != Open {
			break
		}
	}
	if len(grades) == 0 {
		if ctx.Err() != nil {
			return Undecided, ctx.Err()
		}
		i.stats.unable()
		i.cfg.Log.Debug("an answer could not be audited", "peer", c.Peer, "verdict", v)
		return Undecided, nil
	}
	switch {
	case v.Outcome == Cleared && !vouched:
		i.vouchLater(c)
	case v.Outcome == Cleared && !good:
		v.Outcome = Unproven
	}
	return v.Outcome, i.conclude(c, v)
}

// worked takes in what an audit cost.
func (i *Inspector) worked(model expert.ModelID, auditor string, f Finding) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if _, known := i.mu.cost[model]; known || len(i.mu.cost) < maxCosts {
		i.mu.cost[model] = i.mu.cost[model].after(auditor, f)
	}
}

// errWrong: the peer's answer is wrong. It wraps expert.ErrBadResult, by which
// routing knows whom to blame.
func errWrong(v Verdict) error {
	return fmt.Errorf("%w: audit: %v", expert.ErrBadResult, v)
}

// conclude draws the consequences of a verdict.
func (i *Inspector) conclude(c *Case, v Verdict) error {
	who := subject{v.Peer, v.Model}
	i.mu.Lock()
	s := i.knownLocked(who)
	switch v.Outcome {
	case Cleared:
		s.passes++
	case Guilty, Unproven:
		s.passes, s.rows = 0, nil
	}
	s.at = i.cfg.now()
	i.mu.Unlock()
	i.stats.concluded(v)
	defer i.cfg.Verdict(v)
	switch v.Outcome {
	case Cleared:
		i.cfg.Passed(v.Peer)
		if len(v.Steps) > 1 && v.Steps[0].Grade == Fail.String() {
			i.cfg.Log.Warn("auditors disagree about a result; it is used", "verdict", v)
		}
		return nil
	case Guilty:
		i.cfg.Condemn(v.Peer, v.String())
		i.cfg.Log.Warn("a peer lies; it is asked no more", "peer", v.Peer, "verdict", v)
		i.record(c, v)
		i.accuse(c)
		return errWrong(v)
	case Unproven:
		i.cfg.Log.Warn("a result is wrong, but nobody can confirm it; it is not used", "peer", v.Peer, "verdict", v)
		return errWrong(v)
	}
	i.cfg.Log.Debug("an audit came to no conclusion", "peer", v.Peer, "verdict", v)
	return nil
}
