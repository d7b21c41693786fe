package light

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/moeswarm/moeswarm/internal/account"
	"github.com/moeswarm/moeswarm/internal/ledger"
)

// Vote is how an account votes on a proposal.
type Vote uint8

// The votes, as x/gov numbers them.
const (
	VoteYes Vote = iota + 1
	VoteAbstain
	VoteNo
	VoteVeto
)

// MaxProposals bounds a list of proposals.
const MaxProposals = 100

// Proposal is a proposal to those who have stake.
type Proposal struct {
	ID             uint64
	Title, Summary string
	Proposer       string // address
	Status         string
	Messages       []Message
	Tally          [4]uint64 // final, in units of stake: yes, abstain, no, veto
	VotingEnds     time.Time // zero while it lacks deposit
	FailedReason   string
}

// Proposals lists the newest proposals, the newest first, proved one by one.
func (c *Client) Proposals(ctx context.Context) (all []Proposal, err error) {
	next, err := c.Record(ctx, "gov", []byte{3})
	if err != nil || len(next) != 8 {
		return nil, err
	}
	for id := be64(next); id > 1 && len(all) < MaxProposals; {
		id--
		p, err := c.Proposal(ctx, id)
		if err != nil {
			continue // one that failed for lack of deposit is gone
		}
		all = append(all, p)
	}
	return all, ctx.Err()
}

func be64(b []byte) (n uint64) {
	for _, c := range b {
		n = n<<8 | uint64(c)
	}
	return n
}

// Proposal is one proposal, proved.
func (c *Client) Proposal(ctx context.Context, id uint64) (Proposal, error) {
	value, err := c.Record(ctx, "gov", append([]byte{0}, u64(id)...))
	if err != nil {
		return Proposal{}, err
	}
	if value == nil {
		return Proposal{}, fmt.Errorf("%w: proposal %d", ledger.ErrUnknown, id)
	}
	p, ok := parseProposal(value)
	if !ok {
		return Proposal{}, fmt.Errorf("proposal %d is of a kind that is not known", id)
	}
	return p, nil
}

func parseProposal(b []byte) (p Proposal, ok bool) {
	ok = true
	read := func(b []byte, f func(n fieldNumber, v uint64, b []byte)) { ok = ok && fields(b, f) }
	read(b, func(n fieldNumber, v uint64, b []byte) {
		switch n {
		case 1:
			p.ID = v
		case 2:
			var m Message
			read(b, func(n fieldNumber, _ uint64, b []byte) {
				switch n {
				case 1:
					m.Type = string(b)
				case 2:
					m.Value = b
				}
			})
			p.Messages = append(p.Messages, m)
		case 3:
			p.Status = status(v)
		case 4:
			read(b, func(n fieldNumber, _ uint64, b []byte) {
				if votes, err := strconv.ParseUint(string(b), 10, 64); err == nil && n >= 1 && n <= 4 {
					p.Tally[n-1] = votes
				}
			})
		case 9:
			read(b, func(n fieldNumber, v uint64, _ []byte) {
				if n == 1 {
					p.VotingEnds = time.Unix(int64(v), 0).UTC()
				}
			})
		case 11:
			p.Title = string(b)
		case 12:
			p.Summary = string(b)
		case 13:
			p.Proposer = string(b)
		case 15:
			p.FailedReason = string(b)
		}
	})
	return p, ok
}

func status(v uint64) string {
	names := []string{"", "deposit", "voting", "passed", "rejected", "failed"}
	if v < uint64(len(names)) {
		return names[v]
	}
	return strconv.FormatUint(v, 10)
}

// Governed is the ledger message that a proposal carries, if m is one.
func Governed(m Message) (ledger.Msg, bool) {
	if m.Type != "/neuro.v1.MsgGovern" {
		return nil, false
	}
	var body []byte
	if !fields(m.Value, func(n fieldNumber, _ uint64, b []byte) {
		if n == 2 {
			body = b
		}
	}) {
		return nil, false
	}
	msg, err := ledger.DecodeMsg(body)
	return msg, err == nil
}

// ByGovernance is a message of the ledger for a proposal: UpdateParams or
// SetModel.
func ByGovernance(m ledger.Msg) (Message, error) { return govern(m) }

// Grant is a message for a proposal: money from the treasury.
func Grant(to account.Address, amount ledger.Amount) Message {
	b := field(1, []byte(Governance()), nil)
	b = field(2, []byte(to.String()), b)
	return Message{"/cosmos.distribution.v1beta1.MsgCommunityPoolSpend", field(3, coin(uint64(amount)), b)}
}

// Propose proposes messages, with a deposit that the account gets back unless
// the proposal is vetoed. The chain numbers proposals; Proposals lists them.
func (c *Client) Propose(ctx context.Context, title, summary string, deposit ledger.Amount, messages ...Message) (ledger.TxID, error) {
	if c.cfg.Key == nil {
		return ledger.TxID{}, ErrReadOnly
	}
	var b []byte
	for _, m := range messages {
		b = field(1, m.any(), b)
	}
	b = field(2, coin(uint64(deposit)), b)
	b = field(3, []byte(c.address()), b)
	b = field(6, []byte(summary), field(5, []byte(title), b))
	return c.Execute(ctx, Message{"/cosmos.gov.v1.MsgSubmitProposal", b})
}

// Vote votes on a proposal, with the stake that the account delegated.
func (c *Client) Vote(ctx context.Context, id uint64, v Vote) (ledger.TxID, error) {
	if c.cfg.Key == nil {
		return ledger.TxID{}, ErrReadOnly
	}
	b := number(3, uint64(v), field(2, []byte(c.address()), number(1, id, nil)))
	return c.Execute(ctx, Message{"/cosmos.gov.v1.MsgVote", b})
}

func (c *Client) address() string { return account.Of(ledger.KeyOf(c.cfg.Key)).String() }

// Donate is a message that gives money of an account to the treasury.
func Donate(from account.Address, amount ledger.Amount) Message {
	b := field(2, []byte(from.String()), field(1, coin(uint64(amount)), nil))
	return Message{"/cosmos.distribution.v1beta1.MsgFundCommunityPool", b}
}
