package main

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/moeswarm/moeswarm/internal/account"
	"github.com/moeswarm/moeswarm/internal/keyfile"
	"github.com/moeswarm/moeswarm/internal/ledger"
)

// validatorsKilled: with one validator killed blocks go on; with two there are
// none, and inference goes on as far as the epoch's money reaches; when one is
// back, blocks go on. All are killed at once and come back, and nothing is lost;
// the nodes find them again by themselves.
func (s *stage) validatorsKilled() {
	c := s.clients[0]
	s.validators[3].kill()
	s.blocks(3)
	c.ask(prompts[0], 16, nil)

	s.validators[2].kill()
	c.ask(prompts[1], 24, nil) // by its end, all that was under way has come
	halted := s.clock()
	c.ask(prompts[2], 32, nil) // some seconds, as the slow holder has it
	s.spendAll(s.poor)
	c.ask(prompts[4], 16, nil) // others have money left
	if now := s.clock(); now != halted {
		s.t.Errorf("two of four validators went from block %d to %d", halted.Height, now.Height)
	}

	s.validators[2].begin()
	s.validators[2].readyTicket()
	s.await("blocks after the halt", func() bool { return s.clock().Height > halted.Height+2 })
	s.await("another epoch's money", func() bool { return s.poor.view().Ledger.Epoch > halted.Epoch })
	s.poor.ask(prompts[0], 8, nil)

	s.everybodyKilled()
}

// everybodyKilled: all validators are killed and start again.
func (s *stage) everybodyKilled() {
	// A gating node that has read a client's escrow goes on to answer it while
	// there is no ledger at all to read.
	c := s.clients[0]
	var before books
	s.await("an answer and the books in one epoch", func() bool {
		epoch := c.view().Ledger.Epoch
		c.ask(prompts[0], 4, nil)
		before = s.books()
		return before.clock.Epoch == epoch
	})
	for _, v := range s.validators {
		v.kill()
	}
	c.ask(prompts[3], 24, nil)
	for _, v := range s.validators {
		v.begin()
	}
	for _, v := range s.validators {
		v.readyTicket()
	}
	s.await("blocks after all were killed", func() bool { return s.clock().Height > before.clock.Height+2 })
	if after := s.booksOf(before.clock.Epoch); !slices.Equal(after.committee, before.committee) || after.seed != before.seed ||
		after.balance != before.balance || after.escrow != before.escrow || !slices.Equal(after.bonds, before.bonds) {
		s.t.Errorf("before all validators were killed\n%+v\nafter\n%+v", before, after)
	}
	epoch := s.clock().Epoch
	for _, n := range slices.Concat(s.holders, s.gates, s.clients) {
		s.await(n.name+" to hear of an epoch", func() bool { return n.view().Ledger.Epoch > epoch })
	}
	c.ask(prompts[5], 24, nil)
	s.clients[1].ask(prompts[5], 8, nil)
}

// blocks waits for so many.
func (d *devnet) blocks(n uint64) {
	d.t.Helper()
	before := d.clock().Height
	d.await("blocks", func() bool { return d.clock().Height >= before+n })
}

// spendAll asks for answers until the epoch's money is spent; that the error
// says.
func (s *stage) spendAll(c *devNode) {
	prompt := strings.Repeat("func main() { println(1, 2, 3) }\n", 6)
	want := reference(s.t, prompt, 4)
	for answers := 0; ; answers++ {
		a, err := c.try(prompt, 4, nil)
		if err == nil && answers < 20 {
			sameTokens(s.t, prompt, a.Tokens, want)
			continue
		}
		if answers == 0 || err == nil || !strings.Contains(err.Error(), "over a cap") {
			s.t.Fatalf("after %d answers: %v", answers, err)
		}
		s.t.Logf("after %d answers: %v", answers, err)
		return
	}
}

// books is what the ledger must not lose.
type books struct {
	clock     ledger.Clock
	seed      ledger.Hash
	committee []ledger.Seat
	bonds     []ledger.Amount
	balance   ledger.Amount // of an account that does nothing
	escrow    ledger.Amount // of a client that does nothing
}

func (s *stage) books() books {
	b := s.booksOf(s.clock().Epoch)
	b.clock = s.clock()
	return b
}

// booksOf reads them, proved, with the committee of an epoch.
func (s *stage) booksOf(epoch uint64) (b books) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var errs [5]error
	b.seed, errs[0] = s.reader.Seed(ctx, epoch)
	b.committee, errs[1] = s.reader.Committee(ctx, epoch, s.modelHash())
	b.balance, errs[2] = s.reader.Balance(ctx, s.key(9))
	e, err := s.reader.Escrow(ctx, s.clients[1].key, s.modelHash())
	b.escrow, errs[3] = e.Balance, err
	for _, g := range s.gates {
		p, err := s.reader.Provider(ctx, g.key)
		b.bonds, errs[4] = append(b.bonds, p.Bond), errors.Join(errs[4], err)
	}
	if err := errors.Join(errs[:]...); err != nil {
		s.t.Fatal(err)
	}
	return b
}

// doubleSigner: a second process with a validator's keys signs other blocks
// than the first. The chain takes a twentieth of the stake and the seat.
func (s *stage) doubleSigner() {
	const who = 1
	twin := s.twin(who)
	twin.begin()
	var v validatorRecord
	s.await("the proof of two votes", func() bool { v = s.validator(who); return v.jailed })
	if v.tokens != "950000000000000" { // of a million NEURO
		s.t.Errorf("%s nneuro of stake are left; want 19 of 20 parts of 10^15", v.tokens)
	}
	twin.kill()
	s.blocks(2)
	s.clients[0].ask(prompts[0], 8, nil)
}

// twin makes the folder of a second node with the keys of a validator, as
// somebody does who restores a copy while the first one runs.
func (d *devnet) twin(of int) *daemon {
	d.t.Helper()
	from, to := filepath.Join(d.home, d.validators[of].name), filepath.Join(d.home, "twin")
	err := os.MkdirAll(filepath.Join(to, "data"), 0o700)
	for _, name := range []string{"consensus.key.json", "vrf.key", "genesis.json", "settings.json"} {
		text, e := os.ReadFile(filepath.Join(from, name))
		err = errors.Join(err, e, os.WriteFile(filepath.Join(to, name), text, 0o600))
	}
	err = errors.Join(err, os.WriteFile(filepath.Join(to, "consensus.state.json"), []byte(`{"height":"0","round":0,"step":0}`), 0o600))
	_, e := keyfile.Load(filepath.Join(to, "node.key"), nil)
	key, e2 := keyfile.Read(filepath.Join(from, "node.key"), nil)
	if err := errors.Join(err, e, e2); err != nil {
		d.t.Fatal(err)
	}
	d.settings("twin", func(s map[string]any) {
		s["peers"] = append(s["peers"].([]any), map[string]any{
			"key": base64.StdEncoding.EncodeToString(key.Public().(ed25519.PublicKey)), "host": s["listen"]})
		s["name"], s["listen"], s["light"] = "twin", "127.0.0.1:0", nil
	})
	return d.ledgerNode("twin")
}

// settings changes those of a node of the ledger.
func (d *devnet) settings(folder string, change func(map[string]any)) {
	d.t.Helper()
	path := filepath.Join(d.home, folder, "settings.json")
	var s map[string]any
	text, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(text, &s)
	}
	if err == nil {
		change(s)
		text, err = json.Marshal(s)
	}
	if err := errors.Join(err, os.WriteFile(path, text, 0o600)); err != nil {
		d.t.Fatal(err)
	}
}

// validatorRecord is what the chain has of a validator, in part.
type validatorRecord struct {
	jailed bool
	tokens string // nneuro
}

// validator reads it, proved.
func (d *devnet) validator(i int) (v validatorRecord) {
	d.t.Helper()
	key, err := keyfile.Read(filepath.Join(d.home, d.validators[i].name, "node.key"), nil)
	if err != nil {
		d.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	at := account.Of(ledger.KeyOf(key))
	b, err := d.reader.Record(ctx, "staking", append([]byte{0x21, byte(len(at))}, at[:]...))
	if err != nil || b == nil {
		d.t.Fatalf("validator %d: %d bytes, %v", i, len(b), err)
	}
	for len(b) > 0 {
		n, kind, size := protowire.ConsumeTag(b)
		if size < 0 {
			d.t.Fatal("a validator's record is none")
		}
		b = b[size:]
		switch {
		case n == 3 && kind == protowire.VarintType:
			x, _ := protowire.ConsumeVarint(b)
			v.jailed = x == 1
		case n == 5 && kind == protowire.BytesType:
			x, _ := protowire.ConsumeBytes(b)
			v.tokens = string(x)
		}
		if size = protowire.ConsumeFieldValue(n, kind, b); size < 0 {
			d.t.Fatal("a validator's record is none")
		}
		b = b[size:]
	}
	return v
}
