package chaintest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"

	ics23 "github.com/cosmos/ics23/go"

	"github.com/moeswarm/moeswarm/internal/ledger"
	"github.com/moeswarm/moeswarm/internal/ledger/light"
	"github.com/moeswarm/moeswarm/ledger/devnet"
)

// liar changes what nodes answer.
type liar struct {
	light.Opener
	change func(ask byte, answer []byte) []byte
}

func (l liar) Open(ctx context.Context, addr string) (io.ReadWriteCloser, error) {
	s, err := l.Opener.Open(ctx, addr)
	return &lyingStream{ReadWriteCloser: s, change: l.change}, err
}

type lyingStream struct {
	io.ReadWriteCloser
	change func(ask byte, answer []byte) []byte
	ask    byte
	answer *bytes.Reader
}

func (s *lyingStream) Write(b []byte) (int, error) {
	if s.ask == 0 {
		s.ask = b[0]
	}
	return s.ReadWriteCloser.Write(b)
}

func (s *lyingStream) Read(b []byte) (int, error) {
	if s.answer == nil {
		kind, body, err := light.ReadFrame(s.ReadWriteCloser, light.MaxAnswer)
		if err != nil {
			return 0, err
		}
		var changed bytes.Buffer
		light.WriteFrame(&changed, kind, s.change(s.ask, body))
		s.answer = bytes.NewReader(changed.Bytes())
	}
	return s.answer.Read(b)
}

// Nodes that lie about records or blocks are not believed.
func TestLightClientRefusesLies(t *testing.T) {
	n := New(t, devnet.Config{Validators: 1})
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	open, ticket := n.Dialer(), n.Ticket()
	record := func(change func(r *light.Record)) func(byte, []byte) []byte {
		return func(ask byte, answer []byte) []byte {
			if ask != light.AskRecord {
				return answer
			}
			r, err := light.DecodeRecord(answer)
			if err != nil {
				t.Error(err)
			}
			change(&r)
			return r.Encode()
		}
	}
	// What another record's proof would prove.
	var other light.Record
	honest, err := light.New(light.Config{Ticket: ticket, Open: liar{open, record(func(r *light.Record) { other = *r })}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := honest.Clock(ctx); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(ask byte, answer []byte) []byte{
		"another value": record(func(r *light.Record) { r.Value = bytes.Clone(r.Value); r.Value[len(r.Value)-1] ^= 1 }),
		"a value cut":   record(func(r *light.Record) { r.Value = r.Value[:len(r.Value)-1] }),
		"no value":      record(func(r *light.Record) { r.Value = nil }),
		"of another":    record(func(r *light.Record) { *r = other }),
		"an empty store": record(func(r *light.Record) {
			nothing := ics23.CommitmentProof{Proof: &ics23.CommitmentProof_Nonexist{Nonexist: &ics23.NonExistenceProof{Key: []byte("params")}}}
			r.Value = nil
			r.InStore, _ = nothing.Marshal()
		}),
		"no proof":                record(func(r *light.Record) { r.InStore, r.InState = nil, nil }),
		"proofs turned":           record(func(r *light.Record) { r.InStore, r.InState = r.InState, r.InStore }),
		"of a block that is none": record(func(r *light.Record) { r.Height = 1 << 40 }),
		"another block": func(ask byte, answer []byte) []byte {
			if ask == light.AskBlock {
				answer = bytes.Clone(answer)
				answer[len(answer)/2] ^= 1
			}
			return answer
		},
		"nothing": func(byte, []byte) []byte { return nil },
	} {
		c, err := light.New(light.Config{Ticket: ticket, Open: liar{open, change}})
		if err != nil {
			t.Fatal(err)
		}
		if p, err := c.Params(ctx); err == nil {
			t.Errorf("%s: the client believes %+v", name, p)
		} else if errors.Is(err, ledger.ErrUnknown) {
			t.Errorf("%s: the client believes that there is none", name)
		}
	}
}
