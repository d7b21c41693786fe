package fullnode

import (
	"testing"
	"time"

	cmtproto "github.com/cometbft/cometbft/proto/tendermint/types"
	cmttypes "github.com/cometbft/cometbft/types"
)

// FuzzEvidence: what strangers report never stops a node, and what is taken for
// evidence has what is looked at next.
func FuzzEvidence(f *testing.F) {
	for _, p := range []*cmtproto.Evidence{
		{},
		{Sum: &cmtproto.Evidence_DuplicateVoteEvidence{DuplicateVoteEvidence: &cmtproto.DuplicateVoteEvidence{VoteA: &cmtproto.Vote{Height: 3}, VoteB: &cmtproto.Vote{}}}},
		{Sum: &cmtproto.Evidence_LightClientAttackEvidence{LightClientAttackEvidence: &cmtproto.LightClientAttackEvidence{}}},
		{Sum: &cmtproto.Evidence_LightClientAttackEvidence{LightClientAttackEvidence: &cmtproto.LightClientAttackEvidence{
			ConflictingBlock: &cmtproto.LightBlock{
				SignedHeader: &cmtproto.SignedHeader{Header: &cmtproto.Header{ChainID: "c", Height: 4, Time: time.Unix(1, 0)}, Commit: &cmtproto.Commit{Height: 4}},
				ValidatorSet: &cmtproto.ValidatorSet{Validators: []*cmtproto.Validator{{VotingPower: 1}}},
			}, CommonHeight: 2, TotalVotingPower: 1}}},
	} {
		b, err := p.Marshal()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := evidenceOf(b)
		if err != nil {
			return
		}
		if attack, ok := e.(*cmttypes.LightClientAttackEvidence); ok && attack.ConflictingBlock.Height < 1 {
			t.Errorf("a block of height %d", attack.ConflictingBlock.Height)
		}
	})
}
