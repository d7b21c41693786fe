package ledger

// CaseKind is what somebody is accused of.
type CaseKind uint8

// The kinds of cases.
const (
	CaseResult CaseKind = iota + 1 // a holder's result is wrong
	CaseOutput                     // a gate's answer is not of the model or route it claims
)

// Phase is where a case stands.
type Phase uint8

// The phases, in order. An appeal goes back to PhaseDraw once.
const (
	PhaseDraw   Phase = iota // waits for a seed that nobody knew when it was opened
	PhaseCommit              // jurors commit to their rulings
	PhaseReveal              // and reveal them
	PhaseAppeal              // the ruling may be appealed
	PhaseFinal
)

// Finding is what a ruling says.
type Finding uint8

// The findings.
const (
	NoFinding    Finding = iota // no quorum
	Innocent                    // within the tolerance
	Inconclusive                // up to twice the tolerance: no penalty
	Guilty
)

// Ruling is a juror's: what the reference kernel made of the evidence. Honest
// jurors find the same bits; the tolerance is applied by the ledger, once.
type Ruling struct {
	Output Hash   // of the reference output
	Error  uint32 // relative error, in millionths, rounded up; a share of failed checks for outputs
}

func (r *Ruling) code(c *coder) { c.hash(&r.Output); c.u32(&r.Error) }

// Commitment is what a juror commits to: the ruling with the salt.
func (r Ruling) Commitment(id Hash, appeal bool, juror Key, salt Hash) Hash {
	c := coder{buf: []byte("ruling")}
	c.hash(&id)
	c.bool(&appeal)
	c.key(&juror)
	r.code(&c)
	c.hash(&salt)
	return Sum(c.buf)
}

// JurorState is how far a juror came.
type JurorState uint8

// The states of a juror.
const (
	JurorDrawn JurorState = iota
	JurorCommitted
	JurorRevealed
)

// Juror is a member of a jury.
type Juror struct {
	Peer   Key
	State  JurorState
	Commit Hash
	Ruling Ruling
}

func (j *Juror) code(c *coder) {
	c.key(&j.Peer)
	c.u8((*uint8)(&j.State))
	if j.State > JurorRevealed {
		c.fail("a juror in state %d", j.State)
	}
	c.hash(&j.Commit)
	j.Ruling.code(c)
}

// MaxJurors bounds a jury.
const MaxJurors = 63

// Panel is a jury and what came of it.
type Panel struct {
	Jurors  []Juror
	Finding Finding
	Ruling  Ruling
}

func (p *Panel) code(c *coder) {
	list(c, &p.Jurors, MaxJurors, 101, func(c *coder, j *Juror) { j.code(c) })
	c.u8((*uint8)(&p.Finding))
	if p.Finding > Guilty {
		c.fail("finding %d", p.Finding)
	}
	p.Ruling.code(c)
}

// Case is one accusation. Evidence that is large lies elsewhere, by its hashes.
type Case struct {
	Kind       CaseKind
	Accused    Key
	Challenger Key
	Model      Hash
	Class      Class
	Evidence   Hash // of the signed header; the blobs are named in it
	Input      Hash // blob
	Output     Hash // blob
	Opened     uint64
	Epoch      uint64
	Phase      Phase
	Deadline   uint64 // height at which the phase ends
	Bond       Amount // of the challenger
	First      Panel
	Appealed   bool
	Appellant  Key
	AppealBond Amount
	Second     Panel
}

func (k *Case) code(c *coder) {
	c.u8((*uint8)(&k.Kind))
	c.key(&k.Accused)
	c.key(&k.Challenger)
	c.hash(&k.Model)
	c.u8((*uint8)(&k.Class))
	c.hash(&k.Evidence)
	c.hash(&k.Input)
	c.hash(&k.Output)
	c.u64(&k.Opened)
	c.u64(&k.Epoch)
	c.u8((*uint8)(&k.Phase))
	c.u64(&k.Deadline)
	c.amount(&k.Bond)
	k.First.code(c)
	c.bool(&k.Appealed)
	c.key(&k.Appellant)
	c.amount(&k.AppealBond)
	k.Second.code(c)
	if k.Kind < CaseResult || k.Kind > CaseOutput || k.Class >= classes || k.Phase > PhaseFinal {
		c.fail("a case of kind %d, class %d, phase %d", k.Kind, k.Class, k.Phase)
	}
}

// ID names the case.
func (k *Case) ID() Hash { return CaseID(k.Evidence, k.Opened) }

// CaseID names the case that was opened about a deed at a height.
func CaseID(evidence Hash, height uint64) Hash {
	return Sum([]byte("case"), evidence[:], Encode(&Count{N: height}))
}

// MaxDuties bounds the open cases of one account that the ledger lists for it.
const MaxDuties = 32

// Duties are the open cases in which somebody sits, accuses or is accused.
type Duties struct{ Cases []Hash }

func (d *Duties) code(c *coder) { list(c, &d.Cases, MaxDuties, 32, (*coder).hash) }

// Panel is the jury that sits now: the second after an appeal.
func (k *Case) Panel() *Panel {
	if k.Appealed {
		return &k.Second
	}
	return &k.First
}

// Find applies a tolerance: to twice of it nobody is punished.
func Find(r Ruling, tolerance uint32) Finding {
	switch {
	case r.Error <= tolerance:
		return Innocent
	case uint64(r.Error) <= 2*uint64(tolerance):
		return Inconclusive
	}
	return Guilty
}

// String is the phase's name.
func (p Phase) String() string {
	return [...]string{"draw", "commit", "reveal", "appeal", "final"}[min(p, PhaseFinal)]
}

// String is the finding in a word.
func (f Finding) String() string {
	return [...]string{"none", "innocent", "inconclusive", "guilty"}[min(f, Guilty)]
}
