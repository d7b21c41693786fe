package ledger

import "slices"

// Values of the state that more than the state machine reads. Their keys are in
// keys.go.

// Clock is where the ledger stands. Epochs count blocks, so a ledger that halts
// takes its epochs, caps and deadlines with it.
type Clock struct {
	Height uint64
	Epoch  uint64
	Start  uint64 // height of the epoch's first block
	Blocks uint64 // of this epoch
	Rnd    Hash   // the beacon, over all blocks so far
}

// SeedHeight is the block after which the seed of the next epoch is known: two
// thirds of this one, after bonds were counted for it.
func (k Clock) SeedHeight() uint64 { return k.Start + k.Blocks*2/3 }

// End is the height of the next epoch's first block.
func (k Clock) End() uint64 { return k.Start + k.Blocks }

func (k *Clock) code(c *coder) {
	c.u64(&k.Height)
	c.u64(&k.Epoch)
	c.u64(&k.Start)
	c.u64(&k.Blocks)
	c.hash(&k.Rnd)
}

// Model is a model that may be gated for pay.
type Model struct {
	Active       bool
	Name         string
	Floor        Amount          // least price of a token
	UnitsPerRow  uint64          // sparse layers x experts of each: units of one token row; 0: no unit has a least worth
	UnitWork     uint64          // thousands of multiplications of one unit, by which units of models compare; 0: one
	Tau          [classes]uint32 // tolerance of results per numeric class, in millionths; 0: the usual one
	TauOutput    uint32          // share of an answer's checks that may fail, in millionths; 0: the usual one
	AdmittedFrom uint64          // epoch
	SelfTest     []Mark          // what the public prompt gives, which gates have to show; none: nothing is tested
	TestedFrom   uint64          // epoch whose seats are the first to ask for it
}

// Tolerance is up to what error a ruling acquits.
func (m Model) Tolerance(kind CaseKind, class Class) uint32 {
	tau, usual := m.TauOutput, uint32(50_000)
	if kind == CaseResult {
		tau, usual = m.Tau[class], [classes]uint32{10_000, 30_000, 80_000}[class]
	}
	if tau == 0 {
		return usual
	}
	return tau
}

// MaxName bounds names of models, providers and teams.
const MaxName = 64

func (m *Model) code(c *coder) {
	c.bool(&m.Active)
	c.text(&m.Name, MaxName)
	c.amount(&m.Floor)
	c.u64(&m.UnitsPerRow)
	c.u64(&m.UnitWork)
	for i := range m.Tau {
		c.u32(&m.Tau[i])
	}
	c.u32(&m.TauOutput)
	c.u64(&m.AdmittedFrom)
	marks(c, &m.SelfTest)
	c.u64(&m.TestedFrom)
}

// MaxUnbonding bounds how many parts of a bond may be on their way out at once.
const MaxUnbonding = 16

// MaxGated bounds the models a provider gates.
const MaxGated = 16

// Provider is a gate, a holder or a validator.
type Provider struct {
	Roles     Role
	Class     Class
	Name      string
	Team      string
	VRF       Key    // of a validator's beacon
	VRFSince  uint64 // epoch from which VRF is in force
	Gated     []Hash // models it gates
	Nets      []Net  // public networks it is in, as far as it says
	Bond      Amount
	Unbonding []Unbonding
	Counted   Amount // bond at the start of epoch CountedAt
	CountedAt uint64

	Beat, BeatBefore Beat   // the last two heartbeats
	Tested           []Hash // models whose self-test the last one passed
	Tariffs          []Tariff

	Rep         uint16 // basis points
	Strikes     uint8
	StrikeEpoch uint64 // of the last
	Jailed      uint64 // until this epoch
	OpenCases   uint32

	Served uint64 // units settled, ever
	Passed uint64 // audits passed, ever
	Earned Amount
}

// Unbonding is a part of a bond on its way out; it can still be slashed.
type Unbonding struct {
	Amount Amount
	Epoch  uint64 // in which it leaves
}

// Beat is a heartbeat; Any is false when there was none.
type Beat struct {
	Any   bool
	Epoch uint64
}

func (b *Beat) code(c *coder) { c.bool(&b.Any); c.u64(&b.Epoch) }

func (p *Provider) code(c *coder) {
	c.u8((*uint8)(&p.Roles))
	c.u8((*uint8)(&p.Class))
	if p.Roles&^allRoles != 0 || p.Class >= classes {
		c.fail("roles %#x and class %d", p.Roles, p.Class)
	}
	c.text(&p.Name, MaxName)
	c.text(&p.Team, MaxName)
	c.key(&p.VRF)
	c.u64(&p.VRFSince)
	list(c, &p.Gated, MaxGated, 32, (*coder).hash)
	list(c, &p.Nets, MaxNets, 7, (*coder).net)
	c.amount(&p.Bond)
	list(c, &p.Unbonding, MaxUnbonding, 16, func(c *coder, u *Unbonding) { c.amount(&u.Amount); c.u64(&u.Epoch) })
	c.amount(&p.Counted)
	c.u64(&p.CountedAt)
	p.Beat.code(c)
	p.BeatBefore.code(c)
	list(c, &p.Tested, MaxGated, 32, (*coder).hash)
	tariffs(c, &p.Tariffs)
	c.u16(&p.Rep)
	c.u8(&p.Strikes)
	c.u64(&p.StrikeEpoch)
	c.u64(&p.Jailed)
	c.u32(&p.OpenCases)
	c.u64(&p.Served)
	c.u64(&p.Passed)
	c.amount(&p.Earned)
}

// BondAt is the bond as it was counted when this epoch, the current one, began,
// or what is left of it.
func (p Provider) BondAt(epoch uint64) Amount {
	if p.CountedAt == epoch {
		return min(p.Counted, p.Bond)
	}
	return p.Bond
}

// Stake is all that can be slashed.
func (p Provider) Stake() Amount {
	sum := p.Bond
	for _, u := range p.Unbonding {
		sum += u.Amount
	}
	return sum
}

// BeatIn says whether the provider gave a heartbeat in an epoch, one of the
// last two.
func (p Provider) BeatIn(epoch uint64) bool {
	return p.Beat == Beat{true, epoch} || p.BeatBefore == Beat{true, epoch}
}

// PassedIn says whether the provider's heartbeat in an epoch came with a self-test
// of a model that passed.
func (p Provider) PassedIn(epoch uint64, model Hash) bool {
	return p.Beat == Beat{true, epoch} && slices.Contains(p.Tested, model)
}

// Gates says whether the provider gates a model.
func (p Provider) Gates(model Hash) bool {
	for _, m := range p.Gated {
		if m == model && p.Roles&RoleGate != 0 {
			return true
		}
	}
	return false
}

// Committee is a list of seats as it lies in the state.
type Committee []Seat

func (s *Committee) code(c *coder) {
	list(c, (*[]Seat)(s), 256, 56, func(c *coder, s *Seat) {
		c.key(&s.Peer)
		c.u64(&s.Weight)
		c.u64(&s.Until)
		c.amount(&s.Price)
	})
}

// Word is a hash as it lies in the state: a seed.
type Word struct{ Hash Hash }

func (w *Word) code(c *coder) { c.hash(&w.Hash) }

// Count is a number as it lies in the state.
type Count struct{ N uint64 }

func (n *Count) code(c *coder) { c.u64(&n.N) }

// Work is what a gate settled for one model and epoch.
type Work struct {
	Gross   Amount // paid by vouchers
	Tokens  uint64 // that the vouchers were for
	Closed  bool   // split; no voucher counts any more
	Root    Node   // of the leaves; no units: none
	Pool    Amount // for the holders
	Left    Amount // of the pool, not yet paid
	Claimed uint64 // units
	Until   uint64 // height to which receipts may be disputed
	Burned  Amount
	Lied    bool // was punished for a leaf below a receipt
}

func (w *Work) code(c *coder) {
	c.amount(&w.Gross)
	c.u64(&w.Tokens)
	c.bool(&w.Closed)
	w.Root.code(c)
	c.amount(&w.Pool)
	c.amount(&w.Left)
	c.u64(&w.Claimed)
	c.u64(&w.Until)
	c.amount(&w.Burned)
	c.bool(&w.Lied)
}

// Claimed is what a holder had of a gate's settlement: by its leaf, or by a
// receipt that was not answered.
type Claimed struct {
	Units  uint64
	Amount Amount
}

func (l *Claimed) code(c *coder) { c.u64(&l.Units); c.amount(&l.Amount) }

// Settled is what a session paid a gate so far.
type Settled struct {
	Cum    Amount
	Tokens uint64
}

func (s *Settled) code(c *coder) { c.amount(&s.Cum); c.u64(&s.Tokens) }

// Revenue is the net revenue of providers in the last epochs, the newest first.
type Revenue struct {
	Last [RevenueEpochs]Amount
	Now  Amount // of the epoch that runs
}

func (r *Revenue) code(c *coder) {
	for i := range r.Last {
		c.amount(&r.Last[i])
	}
	c.amount(&r.Now)
}
