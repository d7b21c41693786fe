package swarm

import (
	"context"
	"crypto/ed25519"
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/libp2p/go-libp2p/core/crypto"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/routing"
	"github.com/moeswarm/moeswarm/swarm/wire"
)

// opener is scale with an inner layer of twice the width: the rows times two
// and times three.
type opener struct{ scale }

func (o opener) Inner(_ context.Context, in expert.Batch, calls []expert.Call) []expert.Inner {
	out := make([]expert.Inner, len(calls))
	for i, c := range calls {
		out[i].Gate, out[i].Up = expert.NewBatch(len(c.Rows), 2*in.Dim), expert.NewBatch(len(c.Rows), 2*in.Dim)
		for k, r := range c.Rows {
			for d, x := range in.Row(int(r)) {
				out[i].Gate.Row(k)[d], out[i].Up.Row(k)[d] = 2*x, 3*x
			}
		}
	}
	return out
}

// startChallengePair gives a pair whose holder signs with its host's key.
func startChallengePair(t *testing.T, a expert.Applier) *pair {
	p := startPair(t, "tcp", serverConfig{Apply: a})
	raw, err := p.holder.Peerstore().PrivKey(p.holder.ID()).Raw()
	if err != nil {
		t.Fatal(err)
	}
	p.server.cfg.Sign = func(b []byte) []byte { return ed25519.Sign(raw, b) }
	return p
}

func challengeAsk() (expert.Batch, []expert.Call) {
	in := expert.NewBatch(4, 3)
	for i := range in.Data {
		in.Data[i] = float32(i)
	}
	return in, []expert.Call{
		{Expert: expert.ID{Layer: 2, Index: 5}, Rows: []int32{3, 1}},
		{Expert: expert.ID{Layer: 2, Index: 0}, Rows: []int32{1}},
	}
}

// TestChallenge: what comes back is the holder's inner layer, and a receipt
// for what it answers, signed by it.
func TestChallenge(t *testing.T) {
	p := startChallengePair(t, opener{})
	in, calls := challengeAsk()
	got, err := p.caller.Challenge(testContext(t), p.to, in, calls)
	if err != nil {
		t.Fatal(err)
	}
	want := opener{}.Inner(t.Context(), in, calls)
	for i := range want {
		if !equalBatches(got.Inner[i].Gate, want[i].Gate) || !equalBatches(got.Inner[i].Up, want[i].Up) {
			t.Errorf("call %d: another inner layer", i)
		}
	}
	r := got.Receipt
	if r.Peer != p.to || r.Call != routing.HashCalls(in, calls) || r.Result != routing.HashResults(scale{}.Apply(t.Context(), in, calls)) {
		t.Errorf("receipt for something else: %+v", r)
	}
	if err := VerifyReceipt(r); err != nil {
		t.Error(err)
	}
	r.Result[0] ^= 1
	if err := VerifyReceipt(r); !errors.Is(err, expert.ErrBadResult) {
		t.Errorf("a changed receipt: %v", err)
	}
	// Calls go on over the same stream.
	a := routing.Ask{In: in, Calls: calls}
	answer, err := p.caller.Call(testContext(t), p.to, a)
	if err == nil {
		err = checkAnswer(a, answer)
	}
	if err != nil {
		t.Error(err)
	}
}

// TestChallengeRefused: a holder that cannot open its work says so, without
// blame, and one that lacks the expert names it.
func TestChallengeRefused(t *testing.T) {
	in, calls := challengeAsk()
	t.Run("no opener", func(t *testing.T) {
		p := startChallengePair(t, scale{})
		if _, err := p.caller.Challenge(testContext(t), p.to, in, calls); !errors.Is(err, expert.ErrOverloaded) {
			t.Error(err)
		}
	})
	t.Run("unknown expert", func(t *testing.T) {
		p := startChallengePair(t, opener{scale{known: 3}})
		if _, err := p.caller.Challenge(testContext(t), p.to, in, calls); !errors.Is(err, expert.ErrUnknownExpert) {
			t.Error(err)
		}
	})
	t.Run("too many rows", func(t *testing.T) {
		p := startChallengePair(t, opener{})
		wide := expert.NewBatch(wire.MaxChallengeRows+1, 1)
		many := []expert.Call{{Rows: make([]int32, wide.Rows)}}
		for i := range many[0].Rows {
			many[0].Rows[i] = int32(i)
		}
		if _, err := p.caller.Challenge(testContext(t), p.to, wide, many); !errors.Is(err, expert.ErrBadCall) {
			t.Error(err)
		}
	})
}

// TestChallengeFlood: past its pace a peer's challenges are refused at once,
// and its calls are still answered.
func TestChallengeFlood(t *testing.T) {
	p := startChallengePair(t, opener{})
	in, calls := challengeAsk()
	var mu sync.Mutex
	var refused, answered int
	var all sync.WaitGroup
	for range 3 * int(challengePace.burst) {
		all.Go(func() {
			_, err := p.caller.Challenge(testContext(t), p.to, in, calls)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				answered++
			case errors.Is(err, expert.ErrOverloaded):
				refused++
			default:
				t.Error(err)
			}
		})
	}
	all.Wait()
	if refused < int(challengePace.burst) || answered < 1 {
		t.Errorf("%d answered, %d refused", answered, refused)
	}
	a := routing.Ask{In: in, Calls: calls}
	if _, err := p.caller.Call(testContext(t), p.to, a); err != nil {
		t.Errorf("a call after the flood: %v", err)
	}
}

// TestForgedReceipts: a reply signed by another key, or for other calls, is a
// bad result.
func TestForgedReceipts(t *testing.T) {
	in, calls := challengeAsk()
	p := startChallengePair(t, opener{})
	_, other, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	p.server.cfg.Sign = func(b []byte) []byte { return ed25519.Sign(other, b) }
	if _, err := p.caller.Challenge(testContext(t), p.to, in, calls); !errors.Is(err, expert.ErrBadResult) {
		t.Errorf("signed by a stranger: %v", err)
	}
	o := wire.Opening{Gate: expert.NewBatch(3, 1), Up: expert.NewBatch(3, 1)}
	b, err := wire.AppendOpening(nil, 0, o)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := toOpening(p.to, in, calls, b[wire.HeaderLen:]); !errors.Is(err, expert.ErrBadResult) {
		t.Errorf("for other calls: %v", err)
	}
	if _, err := toOpening(p.to, in, calls[:1], b[wire.HeaderLen:]); !errors.Is(err, expert.ErrBadResult) {
		t.Errorf("too many rows: %v", err)
	}
}

// BenchmarkReceipt is what a challenge costs a holder beside the computing, and
// what signing every reply would cost: hashes of 3 calls of a row of 2048 in and
// out, and the signature.
func BenchmarkReceipt(b *testing.B) {
	in := expert.NewBatch(1, 2048)
	calls := slices.Repeat([]expert.Call{{Rows: []int32{0}}}, 3)
	results := slices.Repeat([]expert.Result{{Out: expert.NewBatch(1, 2048)}}, 3)
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		b.Fatal(err)
	}
	pub, err := crypto.UnmarshalEd25519PublicKey(key.Public().(ed25519.PublicKey))
	if err != nil {
		b.Fatal(err)
	}
	r := routing.Receipt{Call: routing.HashCalls(in, calls), Result: routing.HashResults(results)}
	b.Run("hash", func(b *testing.B) {
		for b.Loop() {
			routing.HashCalls(in, calls)
			routing.HashResults(results)
		}
	})
	b.Run("sign", func(b *testing.B) {
		for b.Loop() {
			r.Sig = ed25519.Sign(key, r.Signed())
		}
	})
	b.Run("verify", func(b *testing.B) {
		r.Sig = ed25519.Sign(key, r.Signed())
		for b.Loop() {
			if ok, err := pub.Verify(r.Signed(), r.Sig); !ok || err != nil {
				b.Fatal(err)
			}
		}
	})
}
