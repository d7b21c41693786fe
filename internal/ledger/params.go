package ledger

import "fmt"

// Params are what governance may change, each within its bounds. Amounts are in
// nneuro, shares in basis points (Bps), times in blocks or epochs.
type Params struct {
	EpochBlocks    uint64 // an hour of blocks of 5 s
	Seats          uint64 // of a model's committee
	TermEpochs     uint64 // of a seat; a part of the seats ends in each epoch
	MinGateBond    uint64
	MinHolderBond  uint64
	WeightMedians  uint64 // a bond weighs at most so many median bonds
	StartRep       uint64 // Bps, reputation of a new provider
	FeeBps         uint64 // of a gross payment
	BurnBps        uint64 // of the fee
	GateBps        uint64 // of what the fee leaves
	IncomeDiv      uint64 // income of an epoch is at most bond/IncomeDiv
	UnitSlackBps   uint64 // units that a pool pays for, of tokens paid x the model's units per token; more are the gate's expense
	UnbondEpochs   uint64
	WithdrawEpochs uint64
	ClaimEpochs    uint64 // in which holders may claim, after settlement ends
	DisputeBlocks  uint64 // in which a gate answers a receipt that it did not settle
	VoucherTokens  uint64 // tokens from one voucher to the next
	FreeTokens     uint64 // of an epoch, that gates give a client without escrow

	EmissionStart   uint64 // of the first epoch
	HalvingEpochs   uint64
	EmissionTarget  uint64 // income of all providers in an epoch that emission fills up to
	SupplyCap       uint64
	EmissionBondBps uint64 // audited work, weighed by reputation, that a bond lets count, of what half of all bonds have at least for their size
	ValidatorBps    uint64 // of emission, to the chain's validators
	BonusBps        uint64 // of the burn that a provider's paid work caused, given back to it
	MinReports      uint64 // tallies that move a reputation
	RepDecayBps     uint64 // that a reputation loses in an epoch without them
	EquivocationBps uint64 // of the bond
	UnderreportBps  uint64 // of the bond
	StrikeBps1      uint64
	StrikeBps2      uint64
	StrikeBps3      uint64
	StrikeEpochs    uint64 // after which strikes are forgotten
	SlashBurnBps    uint64
	SlashRewardBps  uint64 // of a slash as high as a first strike, to who found it; the rest goes to the treasury
	JurorAgainstBps uint64 // of a juror's bond, for a ruling that an appeal overturned
	JurorAbsentBps  uint64
	FalseCaseBps    uint64 // of a provider's bond that opened a case in error
	JurySize        uint64
	JuryQuorum      uint64
	AppealSize      uint64
	AppealQuorum    uint64
	CommitBlocks    uint64
	RevealBlocks    uint64
	AppealBlocks    uint64
	JuryFee         uint64
	AppealFee       uint64
	AuditBps        uint64 // of answers, whose gate has to show their transcript
}

// ParamSpec is one parameter: its name in proposals, bounds, and default.
type ParamSpec struct {
	Name              string
	Least, Most, Init uint64
	at                func(*Params) *uint64
}

// ParamSpecs lists all parameters in the order of their encoding.
func ParamSpecs() []ParamSpec {
	const n, year = uint64(Neuro), 8760
	return []ParamSpec{
		{"epoch_blocks", 6, 100_000, 720, func(p *Params) *uint64 { return &p.EpochBlocks }},
		{"seats", 1, 256, 16, func(p *Params) *uint64 { return &p.Seats }},
		{"term_epochs", 1, 64, 4, func(p *Params) *uint64 { return &p.TermEpochs }},
		{"min_gate_bond", 1, 1_000_000 * n, 100 * n, func(p *Params) *uint64 { return &p.MinGateBond }},
		{"min_holder_bond", 1, 1_000_000 * n, 10 * n, func(p *Params) *uint64 { return &p.MinHolderBond }},
		{"weight_medians", 1, 100, 4, func(p *Params) *uint64 { return &p.WeightMedians }},
		{"start_rep", 1, BpsOne, 5_000, func(p *Params) *uint64 { return &p.StartRep }},
		{"fee_bps", 500, 1_000, 700, func(p *Params) *uint64 { return &p.FeeBps }},
		{"burn_bps", 0, BpsOne, 2_000, func(p *Params) *uint64 { return &p.BurnBps }},
		{"gate_bps", 0, 5_000, 2_500, func(p *Params) *uint64 { return &p.GateBps }},
		{"income_div", 10, 1_000, 20, func(p *Params) *uint64 { return &p.IncomeDiv }},
		{"unit_slack_bps", BpsOne, 100 * BpsOne, BpsOne * 5 / 4, func(p *Params) *uint64 { return &p.UnitSlackBps }},
		{"unbond_epochs", 1, year, 168, func(p *Params) *uint64 { return &p.UnbondEpochs }},
		{"withdraw_epochs", BudgetEpochs, year, BudgetEpochs, func(p *Params) *uint64 { return &p.WithdrawEpochs }},
		{"claim_epochs", 1, year, 168, func(p *Params) *uint64 { return &p.ClaimEpochs }},
		{"dispute_blocks", 1, 100_000, 720, func(p *Params) *uint64 { return &p.DisputeBlocks }},
		{"voucher_tokens", 1, 4_096, 16, func(p *Params) *uint64 { return &p.VoucherTokens }},
		{"free_tokens", 0, 1_000_000, 2_000, func(p *Params) *uint64 { return &p.FreeTokens }},
		{"emission_start", 0, 1_000_000 * n, 800 * n, func(p *Params) *uint64 { return &p.EmissionStart }},
		{"halving_epochs", 1, 100 * year, 2 * year, func(p *Params) *uint64 { return &p.HalvingEpochs }},
		{"emission_target", 0, 1_000_000_000 * n, 10_000 * n, func(p *Params) *uint64 { return &p.EmissionTarget }},
		{"supply_cap", 0, uint64(MaxSupply), uint64(MaxSupply), func(p *Params) *uint64 { return &p.SupplyCap }},
		{"emission_bond_bps", 1_000, 10 * BpsOne, BpsOne, func(p *Params) *uint64 { return &p.EmissionBondBps }},
		{"validator_bps", 0, 5_000, 1_000, func(p *Params) *uint64 { return &p.ValidatorBps }},
		{"bonus_bps", 0, BpsOne, 5_000, func(p *Params) *uint64 { return &p.BonusBps }},
		{"min_reports", 1, 100, 3, func(p *Params) *uint64 { return &p.MinReports }},
		{"rep_decay_bps", 0, 1_000, 100, func(p *Params) *uint64 { return &p.RepDecayBps }},
		{"equivocation_bps", 100, BpsOne, 1_000, func(p *Params) *uint64 { return &p.EquivocationBps }},
		{"underreport_bps", 0, BpsOne, 1_000, func(p *Params) *uint64 { return &p.UnderreportBps }},
		{"strike_bps_1", 100, BpsOne, 1_000, func(p *Params) *uint64 { return &p.StrikeBps1 }},
		{"strike_bps_2", 100, BpsOne, 5_000, func(p *Params) *uint64 { return &p.StrikeBps2 }},
		{"strike_bps_3", 100, BpsOne, BpsOne, func(p *Params) *uint64 { return &p.StrikeBps3 }},
		{"strike_epochs", 1, 10 * year, 180 * 24, func(p *Params) *uint64 { return &p.StrikeEpochs }},
		{"slash_burn_bps", 1_000, BpsOne, 5_000, func(p *Params) *uint64 { return &p.SlashBurnBps }},
		{"slash_reward_bps", 0, 5_000, 4_000, func(p *Params) *uint64 { return &p.SlashRewardBps }},
		{"juror_against_bps", 0, 1_000, 100, func(p *Params) *uint64 { return &p.JurorAgainstBps }},
		{"juror_absent_bps", 0, 1_000, 20, func(p *Params) *uint64 { return &p.JurorAbsentBps }},
		{"false_case_bps", 0, 1_000, 100, func(p *Params) *uint64 { return &p.FalseCaseBps }},
		{"jury_size", 1, 63, 7, func(p *Params) *uint64 { return &p.JurySize }},
		{"jury_quorum", 1, 63, 5, func(p *Params) *uint64 { return &p.JuryQuorum }},
		{"appeal_size", 1, 63, 21, func(p *Params) *uint64 { return &p.AppealSize }},
		{"appeal_quorum", 1, 63, 14, func(p *Params) *uint64 { return &p.AppealQuorum }},
		{"commit_blocks", 2, 100_000, 360, func(p *Params) *uint64 { return &p.CommitBlocks }},
		{"reveal_blocks", 2, 100_000, 360, func(p *Params) *uint64 { return &p.RevealBlocks }},
		{"appeal_blocks", 2, 100_000, 720, func(p *Params) *uint64 { return &p.AppealBlocks }},
		{"jury_fee", 0, 1_000 * n, 1 * n, func(p *Params) *uint64 { return &p.JuryFee }},
		{"appeal_fee", 0, 1_000 * n, 3 * n, func(p *Params) *uint64 { return &p.AppealFee }},
		{"audit_bps", 0, BpsOne, 100, func(p *Params) *uint64 { return &p.AuditBps }},
	}
}

// DefaultParams is what a chain starts with.
func DefaultParams() Params {
	var p Params
	for _, s := range ParamSpecs() {
		*s.at(&p) = s.Init
	}
	return p
}

// Check says which parameter is out of its bounds.
func (p Params) Check() error {
	for _, s := range ParamSpecs() {
		if v := *s.at(&p); v < s.Least || v > s.Most {
			return fmt.Errorf("%w: parameter %s is %d, want %d to %d", ErrMalformed, s.Name, v, s.Least, s.Most)
		}
	}
	switch {
	case p.SlashBurnBps+p.SlashRewardBps > BpsOne:
		return fmt.Errorf("%w: more than all of a slash is given away", ErrMalformed)
	case 2*p.JuryQuorum <= p.JurySize || p.JuryQuorum > p.JurySize:
		return fmt.Errorf("%w: a quorum of %d of %d jurors is no majority of them", ErrMalformed, p.JuryQuorum, p.JurySize)
	case 2*p.AppealQuorum <= p.AppealSize || p.AppealQuorum > p.AppealSize:
		return fmt.Errorf("%w: a quorum of %d of %d jurors of appeal is no majority of them", ErrMalformed, p.AppealQuorum, p.AppealSize)
	}
	return nil
}

// Set changes one parameter by its name; Check says whether the whole stands.
func (p *Params) Set(name string, v uint64) error {
	for _, s := range ParamSpecs() {
		if s.Name == name {
			*s.at(p) = v
			return nil
		}
	}
	return fmt.Errorf("%w: no parameter %q", ErrMalformed, name)
}

// Value is one parameter by its name.
func (p Params) Value(name string) (uint64, bool) {
	for _, s := range ParamSpecs() {
		if s.Name == name {
			return *s.at(&p), true
		}
	}
	return 0, false
}

func (p *Params) code(c *coder) {
	for _, s := range ParamSpecs() {
		c.u64(s.at(p))
	}
}
