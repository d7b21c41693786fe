package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"time"

	"github.com/moeswarm/moeswarm/internal/account"
	"github.com/moeswarm/moeswarm/internal/ledger"
	"github.com/moeswarm/moeswarm/internal/ledger/light"
)

// balanceView is what "wallet balance --json" prints. Amounts are in nneuro.
type balanceView struct {
	accountView
	Epoch     uint64                `json:"epoch"`
	Balance   ledger.Amount         `json:"balance_nneuro"`
	Bond      ledger.Amount         `json:"bond_nneuro"`
	Unbonding []ledger.Unbonding    `json:"unbonding,omitempty"`
	Earned    ledger.Amount         `json:"earned_ever_nneuro"`
	Escrows   map[string]escrowView `json:"escrows,omitempty"`
}

// escrowView is what is set aside for one model.
type escrowView struct {
	Balance ledger.Amount `json:"balance_nneuro"`
	Budget  ledger.Amount `json:"budget_of_epoch_nneuro"`
}

func (p program) walletBalance(ctx context.Context, args []string) (err error) {
	var f clientFlags
	fs := p.flags("wallet balance", "wallet balance [FLAGS] [ACCOUNT]", `
  moeswarm wallet balance --ledger led1…
  moeswarm wallet balance --model 3f9c… 12D3KooW…
      what another node has, and what it set aside for a model
  moeswarm wallet balance neuro1…
      of an address alone the ledger tells the balance; bond and escrows go by key
`)
	f.define(fs, p)
	var models list
	fs.Var(&models, "model", "`id` of a model whose escrow to show; may be repeated")
	asJSON := fs.Bool("json", false, "print one JSON object")
	ops, err := parse(fs, args, 0, 1)
	if err != nil {
		return err
	}
	l, k, end, err := p.open(f)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, end()) }()
	if len(ops) == 1 {
		if a, err := account.Parse(ops[0]); err == nil {
			return p.showBalanceOf(ctx, l, a, *asJSON)
		}
		if k, err = parseAccount(ops[0]); err != nil {
			return err
		}
	}
	v, err := balanceOf(ctx, l, k, models)
	if err != nil {
		return err
	}
	if *asJSON {
		return json.NewEncoder(p.stdout).Encode(v)
	}
	fmt.Fprintf(p.stdout, "address  %s\npeer     %s\nepoch    %d\nbalance  %v\nbond     %v\n", v.Address, v.Peer, v.Epoch, v.Balance, v.Bond)
	for _, u := range v.Unbonding {
		fmt.Fprintf(p.stdout, "         %v unbonds in epoch %d\n", u.Amount, u.Epoch)
	}
	if v.Earned > 0 {
		fmt.Fprintf(p.stdout, "earned   %v\n", v.Earned)
	}
	for m, e := range v.Escrows {
		fmt.Fprintf(p.stdout, "escrow   %v for model %.12s, %v of it may be spent in this epoch\n", e.Balance, m, e.Budget)
	}
	return nil
}

// showBalanceOf shows what an address has, all that can be told of one.
func (p program) showBalanceOf(ctx context.Context, l *light.Client, a account.Address, asJSON bool) error {
	n, err := l.BalanceOf(ctx, a)
	if err != nil {
		return err
	}
	if asJSON {
		return json.NewEncoder(p.stdout).Encode(struct {
			Address string        `json:"address"`
			Balance ledger.Amount `json:"balance_nneuro"`
		}{a.String(), n})
	}
	fmt.Fprintf(p.stdout, "address  %s\nbalance  %v\n", a, n)
	return nil
}

func balanceOf(ctx context.Context, l ledger.Ledger, k ledger.Key, models []string) (v balanceView, err error) {
	if v.accountView, err = viewOf(k); err != nil {
		return v, err
	}
	clock, err := l.Clock(ctx)
	if err != nil {
		return v, err
	}
	v.Epoch = clock.Epoch
	if v.Balance, err = l.Balance(ctx, k); err != nil {
		return v, err
	}
	provider, err := l.Provider(ctx, k)
	if err != nil && !errors.Is(err, ledger.ErrUnknown) {
		return v, err
	}
	v.Bond, v.Unbonding, v.Earned = provider.Bond, provider.Unbonding, provider.Earned
	for _, text := range models {
		id, err := parseModel(text)
		if err != nil {
			return v, err
		}
		e, err := l.Escrow(ctx, k, id)
		if err != nil {
			return v, err
		}
		if v.Escrows == nil {
			v.Escrows = map[string]escrowView{}
		}
		budget, _, _ := e.BudgetOf(clock.Epoch)
		v.Escrows[id.String()] = escrowView{e.Balance, budget}
	}
	return v, nil
}

// justAmount reads the operand of a command that takes an amount.
func justAmount(fs *flag.FlagSet, args []string) (ledger.Amount, error) {
	ops, err := parse(fs, args, 1, 1)
	if err != nil {
		return 0, err
	}
	n, err := parseAmount(ops[0])
	if err != nil {
		return 0, usageError{err}
	}
	return n, nil
}

// withAmount reads the operands of a command that takes something and an amount.
func withAmount(fs *flag.FlagSet, args []string) (what string, n ledger.Amount, err error) {
	ops, err := parse(fs, args, 2, 2)
	if err != nil {
		return "", 0, err
	}
	if n, err = parseAmount(ops[1]); err != nil {
		return "", 0, usageError{err}
	}
	return ops[0], n, nil
}

func (p program) walletSend(ctx context.Context, args []string) error {
	var f clientFlags
	fs := p.flags("wallet send", "wallet send [FLAGS] ACCOUNT AMOUNT", `
  moeswarm wallet send 12D3KooW… 2.5
      2.5 NEURO to another node, by its peer id
  moeswarm wallet send neuro1… 2500nneuro
      to an address; one that is mistyped is refused
`)
	f.define(fs, p)
	who, n, err := withAmount(fs, args)
	if err != nil {
		return err
	}
	to, err := parseAddress(who)
	if err != nil {
		return err
	}
	return p.execute(ctx, f, fmt.Sprintf("sent %v to %s", n, who), func(l *light.Client, self ledger.Key) (ledger.TxID, error) {
		if k, err := parseAccount(who); err == nil {
			return l.Submit(ctx, &ledger.Send{To: k, Amount: n})
		}
		return l.Execute(ctx, light.Transfer(account.Of(self), to, n))
	})
}

func (p program) walletGrant(ctx context.Context, args []string) error {
	var f clientFlags
	fs := p.flags("wallet grant", "wallet grant [FLAGS] ACCOUNT AMOUNT", `
  moeswarm wallet grant 12D3KooW… 0.5
      somebody without money may send transactions, of which this account pays the fees, 0.5 NEURO at most;
      there: moeswarm wallet bond --fees-from ACCOUNT …, moeswarm node --fees-from ACCOUNT …
  moeswarm wallet grant --for 720h neuro1… 0.5
      for a month
  moeswarm wallet grant 12D3KooW… 0
      no more
`)
	f.define(fs, p)
	long := fs.Duration("for", 0, "how `long` it may be used (default: until it is spent)")
	who, n, err := withAmount(fs, args)
	if err != nil {
		return err
	}
	to, err := parseAddress(who)
	if err != nil {
		return err
	}
	if *long < 0 {
		return usagef("--for %v: want a time, such as 720h", *long)
	}
	a := light.Allowance{Left: n}
	if *long > 0 {
		a.Until = time.Now().Add(*long)
	}
	what := fmt.Sprintf("pays fees of %s, up to %v", who, n)
	if n == 0 {
		what = fmt.Sprintf("pays no fees of %s any more", who)
	}
	return p.execute(ctx, f, what, func(l *light.Client, self ledger.Key) (ledger.TxID, error) {
		switch {
		case to == account.Of(self):
			return ledger.TxID{}, usagef("%s is this account itself, which pays its own fees", who)
		case n == 0:
			return l.RevokeFees(ctx, to)
		}
		return l.GrantFees(ctx, to, a)
	})
}

func (p program) walletBond(ctx context.Context, args []string) error {
	var f clientFlags
	fs := p.flags("wallet bond", "wallet bond [FLAGS] AMOUNT", `
  moeswarm wallet bond 100
      a bond may lose what its node signs falsely, and bounds what it can earn in an epoch
  moeswarm wallet bond --role holder 10
`)
	f.define(fs, p)
	role := fs.String("role", "gate", "what the account does, if the ledger does not know it yet: gate or `holder`; a running node says it better")
	n, err := justAmount(fs, args)
	if err != nil {
		return err
	}
	roles := map[string]ledger.Role{"gate": ledger.RoleGate, "holder": ledger.RoleHolder}[*role]
	if roles == 0 {
		return usagef("--role %.20q: want gate or holder", *role)
	}
	return p.submit(ctx, f, fmt.Sprintf("bonded %v", n), func(l *light.Client, self ledger.Key) (ledger.Msg, error) {
		_, err := l.Provider(ctx, self)
		if errors.Is(err, ledger.ErrUnknown) {
			_, err = l.Submit(ctx, &ledger.RegisterProvider{Roles: roles})
		}
		return &ledger.Bond{Amount: n}, err
	})
}

func (p program) walletUnbond(ctx context.Context, args []string) error {
	var f clientFlags
	fs := p.flags("wallet unbond", "wallet unbond [FLAGS] AMOUNT", `
  moeswarm wallet unbond 50
      the money comes back after the unbonding time (168 epochs, unless governance changed it), and can be lost until then
`)
	f.define(fs, p)
	n, err := justAmount(fs, args)
	if err != nil {
		return err
	}
	return p.submit(ctx, f, fmt.Sprintf("%v unbonds", n), func(*light.Client, ledger.Key) (ledger.Msg, error) { return &ledger.Unbond{Amount: n}, nil })
}

func (p program) walletDeposit(ctx context.Context, args []string) error {
	return p.walletEscrow(ctx, args, "wallet deposit", `
  moeswarm wallet deposit 3f9c… 40
      a quarter of it may be spent in an epoch, from the next one on; then run the node with --max-spend
`, "deposited %v, which counts from the next epoch on", func(m ledger.Hash, n ledger.Amount) ledger.Msg {
		return &ledger.Deposit{Model: m, Amount: n}
	})
}

func (p program) walletWithdraw(ctx context.Context, args []string) error {
	return p.walletEscrow(ctx, args, "wallet withdraw", `
  moeswarm wallet withdraw 3f9c… 40
      it comes back when no gating node can have a claim on it any more, three epochs later
`, "%v comes back, as far as gating nodes have no claim on it, in some epochs", func(m ledger.Hash, n ledger.Amount) ledger.Msg {
		return &ledger.RequestWithdraw{Model: m, Amount: n}
	})
}

func (p program) walletEscrow(ctx context.Context, args []string, name, examples, done string, msg func(ledger.Hash, ledger.Amount) ledger.Msg) error {
	var f clientFlags
	fs := p.flags(name, name+" [FLAGS] MODEL AMOUNT", examples)
	f.define(fs, p)
	id, n, err := withAmount(fs, args)
	if err != nil {
		return err
	}
	model, err := parseModel(id)
	if err != nil {
		return err
	}
	return p.submit(ctx, f, fmt.Sprintf(done, n), func(*light.Client, ledger.Key) (ledger.Msg, error) { return msg(model, n), nil })
}
