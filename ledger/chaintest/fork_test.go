package chaintest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sync"
	"testing"
	"time"

	cmtproto "github.com/cometbft/cometbft/proto/tendermint/types"
	cmttypes "github.com/cometbft/cometbft/types"
	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/moeswarm/moeswarm/internal/ledger"
	"github.com/moeswarm/moeswarm/internal/ledger/light"
	"github.com/moeswarm/moeswarm/ledger/devnet"
)

// one changes what one node answers.
type one struct {
	light.Opener
	addr   string
	change func(ask byte, answer []byte) []byte
}

func (o one) Open(ctx context.Context, addr string) (io.ReadWriteCloser, error) {
	s, err := o.Opener.Open(ctx, addr)
	if err != nil || addr != o.addr {
		return s, err
	}
	return &lyingStream{ReadWriteCloser: s, change: o.change}, nil
}

// Two of four validators sign another block for a client alone. The client
// compares, stops, and reports them; the chain takes a twentieth of their stakes
// and their seats.
func TestForkIsReported(t *testing.T) {
	n := New(t, devnet.Config{})
	n.WaitHeight(0, 3)
	ticket := n.Ticket()
	n.WaitHeight(0, int64(ticket.Height)+6)
	ctx, cancel := context.WithTimeout(context.Background(), 2*Patience)
	defer cancel()
	liars := []int{2, 3}
	open := one{n.Dialer(), ticket.Addrs[0], func(ask byte, answer []byte) []byte {
		if ask != light.AskBlock {
			return answer
		}
		return n.forge(answer, int64(ticket.Height)+1, liars)
	}}
	c, err := light.New(light.Config{Ticket: ticket, Open: open})
	if err != nil {
		t.Fatal(err)
	}
	if k, err := c.Clock(ctx); !errors.Is(err, light.ErrFork) {
		t.Fatalf("clock %+v, %v; want that there are two chains", k, err)
	}
	for _, i := range liars {
		address := sdk.ConsAddress(n.Homes[i].Signer().Key.Address)
		n.Eventually(func() bool {
			ctx, err := n.Nodes[0].App().CreateQueryContext(0, false)
			if err != nil {
				return false
			}
			v, err := n.Nodes[0].App().Staking.GetValidatorByConsAddr(ctx, address)
			if err != nil || !v.IsJailed() {
				return false
			}
			if have, want := v.GetTokens().Uint64(), uint64(devnet.Stake/20*19); have != want {
				t.Errorf("validator %d has a stake of %d after the slash; want %d", i, have, want)
			}
			return true
		})
	}
	n.Agree()
}

// forge makes of a block after a height one that says another state, which the
// liars sign as if they were all validators.
func (n *Network) forge(answer []byte, after int64, liars []int) []byte {
	var p cmtproto.LightBlock
	if err := p.Unmarshal(answer); err != nil {
		n.T.Error(err)
	}
	b, err := cmttypes.LightBlockFromProto(&p)
	if err != nil {
		n.T.Error(err)
		return answer
	}
	if b.Height <= after {
		return answer
	}
	var all []*cmttypes.Validator
	for _, i := range liars {
		_, v := b.ValidatorSet.GetByAddress(n.Homes[i].Signer().Key.Address)
		all = append(all, cmttypes.NewValidator(v.PubKey, v.VotingPower))
	}
	b.ValidatorSet = cmttypes.NewValidatorSet(all)
	b.Header.AppHash = bytes.Repeat([]byte{7}, 32)
	b.Header.ValidatorsHash = b.ValidatorSet.Hash()
	b.Header.ProposerAddress = b.ValidatorSet.Validators[0].Address
	id := cmttypes.BlockID{Hash: b.Header.Hash(), PartSetHeader: cmttypes.PartSetHeader{Total: 1, Hash: bytes.Repeat([]byte{8}, 32)}}
	commit := &cmttypes.Commit{Height: b.Height, BlockID: id}
	for at, v := range b.ValidatorSet.Validators {
		vote := cmttypes.Vote{Type: cmtproto.PrecommitType, Height: b.Height, BlockID: id, Timestamp: b.Time.Add(time.Millisecond),
			ValidatorAddress: v.Address, ValidatorIndex: int32(at)}
		for _, i := range liars {
			key := n.Homes[i].Signer().Key
			if bytes.Equal(key.Address, v.Address) {
				if vote.Signature, err = key.PrivKey.Sign(cmttypes.VoteSignBytes(b.ChainID, vote.ToProto())); err != nil {
					n.T.Error(err)
				}
			}
		}
		commit.Signatures = append(commit.Signatures, vote.CommitSig())
	}
	b.Commit = commit
	forged, err := b.ToProto()
	if err != nil {
		n.T.Error(err)
		return answer
	}
	text, err := forged.Marshal()
	if err != nil {
		n.T.Error(err)
	}
	return text
}

// A client whose clock is behind refuses blocks of the future, and says why; a
// node that hides the newest blocks is left for one that shows them.
func TestClocksAndHiddenBlocks(t *testing.T) {
	n := New(t, devnet.Config{Validators: 2})
	n.WaitHeight(0, 5)
	ctx, cancel := context.WithTimeout(context.Background(), 2*Patience)
	defer cancel()
	ticket := n.Ticket()
	n.WaitHeight(0, int64(ticket.Height)+3) // the ticket's own block is believed as it is
	slow, err := light.New(light.Config{Ticket: ticket, Open: n.Dialer(), Now: func() time.Time { return time.Now().Add(-5 * time.Minute) }})
	if err != nil {
		t.Fatal(err)
	}
	if k, err := slow.Clock(ctx); !errors.Is(err, light.ErrClock) {
		t.Errorf("with a clock that is behind: %+v, %v", k, err)
	}
	var mu sync.Mutex
	var first []byte
	open := one{n.Dialer(), ticket.Addrs[0], func(ask byte, answer []byte) []byte {
		mu.Lock()
		defer mu.Unlock()
		if ask != light.AskRecord {
			return answer
		}
		if first == nil {
			first = answer
		}
		return first
	}}
	// By this client's clock the ledger is quiet.
	c, err := light.New(light.Config{Ticket: ticket, Open: open, Now: func() time.Time { return time.Now().Add(5 * time.Minute) }})
	if err != nil {
		t.Fatal(err)
	}
	record, err := c.Get(ctx, ledger.KeyClock())
	if err != nil {
		t.Fatal(err)
	}
	var before, after ledger.Clock
	if err := ledger.Decode(record, &before); err != nil {
		t.Fatal(err)
	}
	n.WaitHeight(0, int64(before.Height)+25)
	// The other node has three seconds to say that there is more, which may not do on
	// a busy machine; a client that begins anew asks again.
	n.Eventually(func() bool {
		late, err := light.New(light.Config{Ticket: ticket, Open: open, Now: func() time.Time { return time.Now().Add(5 * time.Minute) }})
		if err != nil {
			t.Fatal(err)
		}
		after, err = late.Clock(ctx)
		return err == nil && after.Height >= before.Height+16
	})
}
