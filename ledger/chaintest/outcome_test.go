package chaintest

import (
	"context"
	"errors"
	"testing"

	"github.com/moeswarm/moeswarm/internal/ledger"
	"github.com/moeswarm/moeswarm/internal/ledger/light"
	"github.com/moeswarm/moeswarm/ledger/devnet"
)

// What a node says became of a message is believed as far as it is proved.
func TestOutcomesAreProved(t *testing.T) {
	n := New(t, devnet.Config{Validators: 1, Accounts: 2})
	ctx, cancel := context.WithTimeout(context.Background(), 2*Patience)
	defer cancel()
	open, ticket := n.Dialer(), n.Ticket()
	to := ledger.KeyOf(n.Accounts[1].Key)
	good, bad := &ledger.Send{To: to, Amount: 5}, &ledger.Send{To: to, Amount: 2 * devnet.Funds}
	var other light.Outcome // of another message
	send := func(m ledger.Msg, change func(o *light.Outcome)) error {
		c, err := light.New(light.Config{Ticket: ticket, Key: n.Accounts[0].Key, Open: liar{open, func(ask byte, answer []byte) []byte {
			if ask != light.AskSubmit {
				return answer
			}
			o, err := light.DecodeOutcome(answer)
			if err != nil {
				t.Error(err)
			}
			change(&o)
			return o.Encode()
		}}})
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.Submit(ctx, m)
		return err
	}
	if err := send(good, func(o *light.Outcome) { other = *o }); err != nil {
		t.Fatal(err)
	}
	if err := send(bad, func(*light.Outcome) {}); !errors.Is(err, ledger.ErrFunds) {
		t.Fatalf("more than there is: %v", err)
	}
	for name, tt := range map[string]struct {
		m      ledger.Msg
		change func(o *light.Outcome)
	}{
		"failed, said to have worked": {bad, func(o *light.Outcome) { o.Code = 0 }},
		"worked, said to have failed": {good, func(o *light.Outcome) { o.Code, o.Codespace = 4, light.Codespace }},
		"the result of another":       {bad, func(o *light.Outcome) { o.Code, o.Result, o.InResults = 0, other.Result, other.InResults }},
		"all of another":              {bad, func(o *light.Outcome) { *o = other }},
		"no proof":                    {good, func(o *light.Outcome) { o.InBlock, o.Result, o.InResults = nil, nil, nil }},
		"of another block":            {good, func(o *light.Outcome) { o.Height-- }},
		"of no block, yet it worked":  {good, func(o *light.Outcome) { o.Height = 0 }},
	} {
		if err := send(tt.m, tt.change); !errors.Is(err, light.ErrProof) && !errors.Is(err, light.ErrWire) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
