package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/moeswarm/moeswarm/internal/ledger"
	"github.com/moeswarm/moeswarm/internal/ledger/transcript"
	"github.com/moeswarm/moeswarm/internal/toll"
	"github.com/moeswarm/moeswarm/swarm"
)

// Audits of answers: the ledger's seed draws some, their gating nodes show the
// transcripts to the gating nodes that it draws with them, and those run them
// again. What does not hold becomes a case.

const (
	// maxLooks bounds the answers that wait to be looked at.
	maxLooks = 64
	// maxComplaints is how many answers that were not drawn a client may have
	// looked at in an epoch, at this node: it costs what a prompt costs.
	maxComplaints = 8
	// showTries is how often a gating node is asked for a transcript before it is
	// accused of having none, and showPause the first time in between; each is four
	// times the one before, three minutes in all, in which a node can start again.
	showTries = 5
	showPause = 2 * time.Second
	// maxShown bounds the transcripts of open cases that are kept for jurors.
	maxShown = 4
	// rerunTime bounds running one transcript again.
	rerunTime = 10 * time.Minute
)

// errNoTranscript: whoever should show one does not.
var errNoTranscript = errors.New("no transcript is shown")

// outputs is a node's part in audits of answers: as who was answered, as who
// answered, as auditor and as juror.
type outputs struct {
	e      *economy
	proofs *transcript.Proofs
	accuse func(m *ledger.OpenCase, evidence []byte) error
	looks  chan look
	trials chan trial
	wake   chan struct{} // room for one
	rerun  sync.Mutex    // one transcript at a time

	mu         sync.Mutex
	known      map[answerKey]bool      // answers that were looked at, or wait
	waiting    int                     // of these, before looks; at most maxLooks
	complained map[ledger.Key]int      // answers, in the epoch at hand
	epoch      uint64                  // of complained
	shown      []shown                 // of cases, the latest last
	rulings    map[ledger.Hash]*uint32 // by deed, what came of trials; nil: it is under way
	handed     map[ledger.Session]bool // own answers that are done with
	complaints map[ledger.Session]bool // own answers that are to be looked at, drawn or not
	stats      OutputsView
}

// answerKey is one answer of any gating node.
type answerKey struct {
	gate ledger.Key
	name transcript.Name
}

func keyOf(c ledger.Chunk) answerKey {
	return answerKey{c.Gate, transcript.Name{Client: c.Client, Session: c.Session}}
}

// look is an answer to be looked at.
type look struct {
	chunk     ledger.Chunk
	complaint ledger.Complaint
	tokens    uint64 // that the client paid for; 0: it pays nothing
}

// trial is a transcript that a juror runs again.
type trial struct {
	deed  ledger.Hash
	model Model
	t     *transcript.Transcript
}

// maxTrials bounds the cases that this node judges at once.
const maxTrials = 8

// shown is a transcript that a case is about, up to its chunk.
type shown struct {
	deed  ledger.Hash
	bytes []byte
}

// OutputsView is what came of audits of answers since the node began.
type OutputsView struct {
	Looked  int   `json:"answers_run_again"`
	Passed  int   `json:"passed"`
	Failed  int   `json:"failed"`
	Missing int   `json:"not_shown"`
	Short   int   `json:"longer_than_paid_for"`
	Unpaid  int   `json:"asked_for_and_not_paid"`
	Shown   int   `json:"transcripts_shown"`
	Handed  int   `json:"own_answers_handed_in"`
	Bytes   int64 `json:"transcript_bytes"`
	Answers int   `json:"transcripts"`
	// Paid is what this node promised for audits of its answers, ever.
	Paid ledger.Amount `json:"promised_for_audits_nneuro"`
}

func newOutputs(e *economy, proofs *transcript.Proofs) *outputs {
	return &outputs{e: e, proofs: proofs, looks: make(chan look, maxLooks), trials: make(chan trial, maxTrials), rulings: map[ledger.Hash]*uint32{}, wake: make(chan struct{}, 1),
		known: map[answerKey]bool{}, complained: map[ledger.Key]int{}, handed: map[ledger.Session]bool{}, complaints: map[ledger.Session]bool{}}
}

// run hands in answers and looks at those of others until ctx ends.
func (o *outputs) run(ctx context.Context) error {
	var helpers sync.WaitGroup
	defer helpers.Wait()
	helpers.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case l := <-o.looks:
				o.mu.Lock()
				o.waiting--
				o.mu.Unlock()
				o.look(ctx, l)
			}
		}
	})
	helpers.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case x := <-o.trials:
				o.try(ctx, x)
			}
		}
	})
	for {
		o.handIn(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-o.wake:
		}
	}
}

// turn is called at each look at the ledger.
func (o *outputs) turn(epoch uint64) error {
	o.mu.Lock()
	if o.epoch != epoch {
		o.epoch = epoch
		clear(o.complained)
		o.forgetLocked(epoch)
	}
	o.mu.Unlock()
	select {
	case o.wake <- struct{}{}:
	default:
	}
	return errors.Join(o.e.archive.Turn(epoch), o.proofs.Turn(epoch))
}

// forgetLocked forgets own answers that no audit is about any more.
func (o *outputs) forgetLocked(epoch uint64) {
	handed, complaints := map[ledger.Session]bool{}, map[ledger.Session]bool{}
	for back := uint64(0); back < ledger.AuditDelay+ledger.AuditEpochs && back <= epoch; back++ {
		for _, x := range o.proofs.Of(epoch - back) {
			c := x.Chunk
			if o.handed[c.Session] {
				handed[c.Session] = true
			}
			if o.complaints[c.Session] {
				complaints[c.Session] = true
			}
		}
	}
	o.handed, o.complaints = handed, complaints
}

// keep remembers what a gating node signed of an answer to this node, of so many
// tokens.
func (o *outputs) keep(chunks []ledger.Chunk, tokens int) {
	last := chunks[len(chunks)-1]
	if last.Fingerprint == (ledger.Hash{}) {
		return // nothing to check it by
	}
	if err := o.proofs.Keep(transcript.Proof{Chunk: last, Tokens: uint32(tokens)}); err != nil {
		o.e.node.cfg.Log.Warn("what a gating node signed is not kept, so nobody will check it", "err", err)
	}
}

// panel is who may look at an answer.
type panel struct {
	auditors []ledger.Key
	paid     int  // how many of them, the first, are paid for it
	drawn    bool // the ledger wants it looked at
}

func (p panel) has(k ledger.Key) bool { return slices.Contains(p.auditors, k) }

// draw reads who may look at an answer, and whether it is drawn, if its time has
// come, and is not over since so many epochs.
func (o *outputs) draw(ctx context.Context, c ledger.Chunk, late uint64) (p panel, err error) {
	epoch, now := c.Epoch+ledger.AuditDelay, o.e.standing.epoch.Load()
	if now+1 == epoch { // who asks may have heard of it before
		if _, err := o.e.standing.look(ctx); err != nil {
			return p, err
		}
		now = o.e.standing.epoch.Load()
	}
	if now < epoch || now >= epoch+ledger.AuditEpochs+late {
		return p, fmt.Errorf("%w: an answer of epoch %d is looked at in epochs %d to %d, this is %d", ledger.ErrTooEarly, c.Epoch, epoch, epoch+ledger.AuditEpochs-1, now)
	}
	seats, seed, err := o.e.standing.seats(ctx, epoch, c.Model)
	if err != nil {
		return p, err
	}
	bps := o.e.standing.param(func(p *ledger.Params) uint64 { return p.AuditBps }, 0)
	p.drawn = ledger.Audited(seed, c, bps)
	p.auditors, p.paid = ledger.Auditors(seed, c, seats)
	return p, nil
}

// handIn brings the answers to this node that are drawn to who looks at them.
func (o *outputs) handIn(ctx context.Context) {
	now := o.e.standing.epoch.Load()
	for back := uint64(ledger.AuditDelay); back < ledger.AuditDelay+ledger.AuditEpochs && back <= now; back++ {
		for _, x := range o.proofs.Of(now - back) {
			c := x.Chunk
			o.mu.Lock()
			done, complaint := o.handed[c.Session], o.complaints[c.Session]
			o.mu.Unlock()
			if done || ctx.Err() != nil {
				continue
			}
			p, err := o.draw(ctx, c, 0)
			if err != nil {
				o.e.node.cfg.Log.Debug("an answer is not handed in yet", "err", err)
				continue
			}
			done = !p.drawn && !complaint || o.handTo(ctx, p, x, complaint)
			o.mu.Lock()
			o.handed[c.Session] = done
			if done && (p.drawn || complaint) {
				o.stats.Handed++
			}
			o.mu.Unlock()
		}
	}
}

// handTo asks auditors in their order, and reports whether one will look.
func (o *outputs) handTo(ctx context.Context, p panel, x transcript.Proof, complaint bool) bool {
	c := x.Chunk
	ask := ledger.Ask{Kind: ledger.AskLook, Chunk: c, Tokens: uint64(x.Tokens)}
	if complaint {
		ask.Complaint = ledger.Complaint{Client: o.e.self, Chunk: c.ID()}.Sign(o.e.cfg.Chain, o.e.key)
	}
	for i, k := range p.auditors {
		ask.Payment = ledger.Voucher{}
		if i < p.paid {
			v, err := o.e.payer.PayAudit(ctx, k, auditOf(ask))
			if err != nil { // a free quota may do
				o.e.node.cfg.Log.Info("an audit is not paid for", "auditor", k, "err", err)
			}
			ask.Payment = v
		}
		_, err := o.ask(ctx, k, ask)
		if err == nil {
			return true
		}
		o.e.node.cfg.Log.Debug("an auditor does not look at an answer", "auditor", k, "err", err)
	}
	return false
}

// auditOf is what a client asks to be done, in the epoch whose seed says by whom.
func auditOf(a ledger.Ask) toll.Audit {
	return toll.Audit{Chunk: a.Chunk, Epoch: a.Chunk.Epoch + ledger.AuditDelay, Tokens: a.Tokens}
}

// ask sends a request about an answer.
func (o *outputs) ask(ctx context.Context, to ledger.Key, a ledger.Ask) ([]byte, error) {
	p, err := swarm.PeerOf(to)
	if err != nil {
		return nil, err
	}
	return o.e.node.net.AskTranscript(ctx, p, ledger.Encode(&a))
}

// Complain has an answer to this node looked at, drawn or not, as soon as audits
// of it can be.
func (o *outputs) Complain(s ledger.Session) error {
	if _, ok := o.proofs.Find(s); !ok {
		return fmt.Errorf("%w: no answer %x that a gating node signed so that it can be checked", ledger.ErrUnknown, s)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.complaints[s], o.handed[s] = true, false
	select {
	case o.wake <- struct{}{}:
	default:
	}
	return nil
}

// look has a transcript shown, runs it again, and accuses who gave it if it does
// not hold, or who does not show it.
func (o *outputs) look(ctx context.Context, l look) {
	log := o.e.node.cfg.Log.With("gate", l.chunk.Gate)
	m, ok := o.model(l.chunk.Model)
	if !ok {
		return
	}
	var t *transcript.Transcript
	var raw []byte
	err := errNoTranscript
	for try := range showTries {
		if try > 0 && !pause(ctx, o.e.cfg.showPause(try)) {
			return
		}
		raw, err = o.ask(ctx, l.chunk.Gate, ledger.Ask{Kind: ledger.AskShow, Chunk: l.chunk, Complaint: l.complaint})
		if err == nil {
			if t, err = o.read(raw, l.chunk); err == nil {
				break
			}
		}
		log.Info("a transcript is not shown", "err", err)
	}
	if err != nil {
		o.count(func(v *OutputsView) { v.Missing++ })
		if !o.present(ctx, l.chunk.Gate) {
			log.Info("a gating node is gone, and the transcript with it")
			return
		}
		o.open(l.chunk, notShown, nil)
		return
	}
	if n := len(t.Prompt) + len(t.Answer()); l.tokens > 0 && uint64(n) > l.tokens {
		o.count(func(v *OutputsView) { v.Short++ })
		log.Info("an answer is longer than its client paid for", "tokens", n, "paid", l.tokens)
		return
	}
	share, err := o.again(ctx, m, t)
	for try := 1; err != nil; try++ { // a holder went away, say
		log.Warn("a transcript could not be run again", "err", err)
		if try == showTries || !pause(ctx, o.e.cfg.showPause(try)) {
			return
		}
		share, err = o.again(ctx, m, t)
	}
	finding, err := o.find(ctx, l.chunk.Model, share)
	if err != nil {
		log.Warn("what an answer may be off by is not known", "err", err)
		return
	}
	o.count(func(v *OutputsView) { v.Looked++ })
	if finding != ledger.Guilty {
		o.count(func(v *OutputsView) { v.Passed++ })
		log.Debug("an answer holds", "failed_ppm", share)
		return
	}
	o.count(func(v *OutputsView) { v.Failed++ })
	o.e.node.cfg.Say("accusing gating node %.8v before the ledger: %.0f %% of an answer is not the model's", l.chunk.Gate, float64(share)/10_000)
	o.open(l.chunk, fails, raw)
}

func (o *outputs) count(f func(*OutputsView)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	f(&o.stats)
}

// open brings a case to the ledger.
func (o *outputs) open(c ledger.Chunk, what charge, raw []byte) {
	if raw != nil {
		o.remember(c.Deed(), raw)
	}
	x := exhibit{what, c}.encode()
	hash := ledger.Sum(x)
	if err := o.accuse(&ledger.OpenCase{Chunks: []ledger.Chunk{c}, Input: hash, Output: hash}, x); err != nil {
		o.e.node.cfg.Log.Warn("a gating node is not accused before the ledger", "gate", c.Gate, "err", err)
	}
}

// remember keeps a transcript for jurors.
func (o *outputs) remember(deed ledger.Hash, raw []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.shown) >= maxShown {
		o.shown = o.shown[1:]
	}
	o.shown = append(o.shown, shown{deed, raw})
}

func (o *outputs) recall(deed ledger.Hash) []byte {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, s := range o.shown {
		if s.deed == deed {
			return s.bytes
		}
	}
	return nil
}

// read decodes a transcript and checks that it is what a chunk ends.
func (o *outputs) read(raw []byte, c ledger.Chunk) (*transcript.Transcript, error) {
	t, err := transcript.Decode(raw)
	if err != nil {
		return nil, err
	}
	if n := len(t.Parts); uint64(n) != c.Index+1 || t.Parts[n-1].Chunk != c {
		return nil, fmt.Errorf("%w: the transcript of something else", ledger.ErrMalformed)
	}
	return t, t.Verify(o.e.cfg.Chain)
}

// model is one that this node gates.
func (o *outputs) model(id ledger.Hash) (Model, bool) {
	for _, m := range o.e.node.cfg.Models {
		if ledger.Hash(m.Model.ID()) == id && m.mayGate() {
			return m, true
		}
	}
	return Model{}, false
}

// again is which share of a transcript fails, in millionths, when this node
// computes it. A transcript that nothing could compute fails altogether.
func (o *outputs) again(ctx context.Context, m Model, t *transcript.Transcript) (uint32, error) {
	o.rerun.Lock()
	defer o.rerun.Unlock()
	ctx, cancel := context.WithTimeout(ctx, rerunTime)
	defer cancel()
	n := o.e.node
	v, err := transcript.NewVerifier(transcript.Config{Model: m.Model, Applier: n.hots[m.Model.ID()].over(n.demand), Pool: n.pool})
	if err != nil {
		return 0, err
	}
	if same, err := o.asked(ctx, m, t); err != nil || !same {
		return 1_000_000, err
	}
	seen, err := v.Run(ctx, t)
	if errors.Is(err, ledger.ErrMalformed) {
		return 1_000_000, nil
	}
	if err != nil {
		return 0, err
	}
	return transcript.Failed(seen, transcript.DefaultLimits()), nil
}

// find is what a jury would find of an answer of which so much fails.
func (o *outputs) find(ctx context.Context, model ledger.Hash, share uint32) (ledger.Finding, error) {
	m, err := o.e.cfg.Ledger.Model(ctx, model)
	if err != nil {
		return ledger.NoFinding, err
	}
	return ledger.Find(ledger.Ruling{Error: share}, m.Tolerance(ledger.CaseOutput, 0)), nil
}

// present says whether the ledger has lately heard of a node. Who is gone is not
// punished for what it does not show.
func (o *outputs) present(ctx context.Context, k ledger.Key) bool {
	p, err := o.e.cfg.Ledger.Provider(ctx, k)
	now := o.e.standing.epoch.Load()
	return err == nil && (p.BeatIn(now) || now > 0 && p.BeatIn(now-1))
}

func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

func (o *outputs) view() OutputsView {
	o.mu.Lock()
	v := o.stats
	o.mu.Unlock()
	v.Bytes, v.Answers = o.e.archive.Bytes()
	if o.e.purse != nil {
		v.Paid = o.e.purse.Audits()
	}
	return v
}
