package ledger

// Send moves money of the signer.
type Send struct {
	To     Key
	Amount Amount
}

// RegisterProvider says what the signer does, or says it anew.
type RegisterProvider struct {
	Roles Role
	Class Class
	Name  string
	Team  string
	VRF   Key    // of a validator; zero: none
	Gated []Hash // models it gates
	Nets  []Net  // its public networks, as far as it says
}

// Heartbeat says that the signer is there in this epoch, that it runs the models
// that it gates as others do, and what it takes for them at most.
type Heartbeat struct {
	Epoch   uint64
	Tests   []SelfTest // of models that have one
	Tariffs []Tariff   // of models that it gates
}

// Bond adds to the signer's bond.
type Bond struct{ Amount Amount }

// Unbond takes from the signer's bond; it leaves UnbondEpochs later.
type Unbond struct{ Amount Amount }

// Deposit adds to the signer's escrow for a model. It counts from the next
// epoch on.
type Deposit struct {
	Model  Hash
	Amount Amount
}

// RequestWithdraw asks for escrow back, WithdrawEpochs later. It replaces an
// earlier request; an amount of 0 withdraws that.
type RequestWithdraw struct {
	Model  Hash
	Amount Amount
}

// Ticket is a voucher inside a SettleEpoch, which names gate, model and epoch.
type Ticket struct {
	Client  Key
	Session Session
	Tokens  uint64
	Cum     Amount
	Sig     Sig
}

// SettleEpoch brings vouchers of an epoch that is over. Anybody may; only the
// gate may close, which names the tree of its leaves and splits what came in.
// The leaves ride along if they are few.
type SettleEpoch struct {
	Gate    Key
	Model   Hash
	Epoch   uint64
	Tickets []Ticket
	Close   bool
	Root    Node
	Leaves  []Leaf
}

// Voucher is a ticket in full.
func (m *SettleEpoch) Voucher(t Ticket) Voucher {
	return Voucher{t.Client, m.Gate, m.Model, m.Epoch, t.Session, t.Tokens, t.Cum, t.Sig}
}

// TicketOf is a voucher without what its SettleEpoch says.
func TicketOf(v Voucher) Ticket { return Ticket{v.Client, v.Session, v.Tokens, v.Cum, v.Sig} }

// Claim pays a holder its leaf. Anybody may bring it.
type Claim struct {
	Gate  Key
	Model Hash
	Epoch uint64
	Leaf  Leaf
	Proof Proof
}

// DisputeReceipt shows a receipt of an epoch that is over. If the holder's leaf
// is smaller, the gate's bond pays. Anybody may bring it.
type DisputeReceipt struct{ Receipt Receipt }

// Equivocation shows two signed statements that cannot both be true: two
// results of one frame, or two chunks at one place.
type Equivocation struct {
	Results []Result // two, or none
	Chunks  []Chunk  // two, or none
}

// OpenCase accuses a holder of a wrong result, or a gate of a wrong output: its
// signed header, and the names of the blobs that jurors fetch. The signer
// deposits the fees of jury and appeal.
type OpenCase struct {
	Results []Result // one, or none
	Chunks  []Chunk  // one, or none
	Input   Hash     // blob of the rows, or of the transcript
	Output  Hash     // blob of the answer
}

// CommitVerdict binds a juror to its ruling before others know it.
type CommitVerdict struct {
	Case   Hash
	Commit Hash // Ruling.Commitment
}

// RevealVerdict is the ruling behind a commitment.
type RevealVerdict struct {
	Case   Hash
	Ruling Ruling
	Salt   Hash
}

// AppealCase asks for a second, larger jury; accused and challenger may.
type AppealCase struct{ Case Hash }

// Change is a new value of a parameter.
type Change struct {
	Name  string
	Value uint64
}

// UpdateParams changes parameters from the next block on; governance only.
type UpdateParams struct{ Changes []Change }

// SetModel admits a model, changes it or retires it; governance only.
type SetModel struct {
	ID    Hash
	Model Model
}

// Kind and code of each message.

func (*Send) Kind() Kind             { return KindSend }
func (*RegisterProvider) Kind() Kind { return KindRegisterProvider }
func (*Heartbeat) Kind() Kind        { return KindHeartbeat }
func (*Bond) Kind() Kind             { return KindBond }
func (*Unbond) Kind() Kind           { return KindUnbond }
func (*Deposit) Kind() Kind          { return KindDeposit }
func (*RequestWithdraw) Kind() Kind  { return KindRequestWithdraw }
func (*SettleEpoch) Kind() Kind      { return KindSettleEpoch }
func (*Claim) Kind() Kind            { return KindClaim }
func (*DisputeReceipt) Kind() Kind   { return KindDisputeReceipt }
func (*Equivocation) Kind() Kind     { return KindEquivocation }
func (*OpenCase) Kind() Kind         { return KindOpenCase }
func (*CommitVerdict) Kind() Kind    { return KindCommitVerdict }
func (*RevealVerdict) Kind() Kind    { return KindRevealVerdict }
func (*AppealCase) Kind() Kind       { return KindAppealCase }
func (*CommitTally) Kind() Kind      { return KindCommitTally }
func (*UpdateParams) Kind() Kind     { return KindUpdateParams }
func (*SetModel) Kind() Kind         { return KindSetModel }

func (m *Send) code(c *coder) { c.key(&m.To); c.amount(&m.Amount) }

func (m *RegisterProvider) code(c *coder) {
	c.u8((*uint8)(&m.Roles))
	c.u8((*uint8)(&m.Class))
	if m.Roles&^allRoles != 0 || m.Class >= classes {
		c.fail("roles %#x and class %d", m.Roles, m.Class)
	}
	c.text(&m.Name, MaxName)
	c.text(&m.Team, MaxName)
	c.key(&m.VRF)
	list(c, &m.Gated, MaxGated, 32, (*coder).hash)
	list(c, &m.Nets, MaxNets, 7, (*coder).net)
}

func (m *Heartbeat) code(c *coder) {
	c.u64(&m.Epoch)
	list(c, &m.Tests, MaxGated, 36, func(c *coder, t *SelfTest) { t.code(c) })
	tariffs(c, &m.Tariffs)
}

func (m *Bond) code(c *coder)            { c.amount(&m.Amount) }
func (m *Unbond) code(c *coder)          { c.amount(&m.Amount) }
func (m *Deposit) code(c *coder)         { c.hash(&m.Model); c.amount(&m.Amount) }
func (m *RequestWithdraw) code(c *coder) { c.hash(&m.Model); c.amount(&m.Amount) }

func (t *Ticket) code(c *coder) {
	c.key(&t.Client)
	c.session(&t.Session)
	c.u64(&t.Tokens)
	c.amount(&t.Cum)
	c.sig(&t.Sig)
}

func (m *SettleEpoch) code(c *coder) {
	c.key(&m.Gate)
	c.hash(&m.Model)
	c.u64(&m.Epoch)
	list(c, &m.Tickets, MaxTickets, 128, func(c *coder, t *Ticket) { t.code(c) })
	c.bool(&m.Close)
	m.Root.code(c)
	list(c, &m.Leaves, MaxLeaves, 48, func(c *coder, l *Leaf) { l.code(c) })
}

func (m *Claim) code(c *coder) {
	c.key(&m.Gate)
	c.hash(&m.Model)
	c.u64(&m.Epoch)
	m.Leaf.code(c)
	m.Proof.code(c)
}

func (m *DisputeReceipt) code(c *coder) { m.Receipt.code(c) }

func resultsAndChunks(c *coder, results *[]Result, chunks *[]Chunk, n int) {
	list(c, results, n, 296, func(c *coder, r *Result) { r.code(c) })
	list(c, chunks, n, 320, func(c *coder, k *Chunk) { k.code(c) })
	if len(*results)+len(*chunks) != n {
		c.fail("%d results and %d chunks, want %d of one kind", len(*results), len(*chunks), n)
	}
}

func (m *Equivocation) code(c *coder) {
	resultsAndChunks(c, &m.Results, &m.Chunks, 2)
	if len(m.Results) == 1 {
		c.fail("a result and a chunk contradict nothing")
	}
}

func (m *OpenCase) code(c *coder) {
	resultsAndChunks(c, &m.Results, &m.Chunks, 1)
	c.hash(&m.Input)
	c.hash(&m.Output)
}

func (m *CommitVerdict) code(c *coder) { c.hash(&m.Case); c.hash(&m.Commit) }
func (m *RevealVerdict) code(c *coder) { c.hash(&m.Case); m.Ruling.code(c); c.hash(&m.Salt) }
func (m *AppealCase) code(c *coder)    { c.hash(&m.Case) }

func (m *UpdateParams) code(c *coder) {
	list(c, &m.Changes, MaxChanges, 12, func(c *coder, ch *Change) { c.text(&ch.Name, MaxName); c.u64(&ch.Value) })
}

func (m *SetModel) code(c *coder) { c.hash(&m.ID); m.Model.code(c) }
