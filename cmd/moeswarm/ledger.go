package main

import (
	"context"
	"crypto/ed25519"
	"errors"
	"flag"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/internal/account"
	"github.com/moeswarm/moeswarm/internal/ledger"
	"github.com/moeswarm/moeswarm/internal/ledger/credit"
	"github.com/moeswarm/moeswarm/internal/ledger/light"
	"github.com/moeswarm/moeswarm/internal/node"
	"github.com/moeswarm/moeswarm/routing"
	"github.com/moeswarm/moeswarm/swarm"
)

// ledgerVariable is the environment variable with the ledger's ticket.
const ledgerVariable = "MOESWARM_LEDGER"

// ledgerFlags is a node's part in the economy.
type ledgerFlags struct {
	ticket     string
	prices     list
	maxSpend   amount
	maxAudits  amount
	free       uint64
	name, team string
	feesFrom   string
}

func (f *ledgerFlags) define(fs *flag.FlagSet) {
	fs.StringVar(&f.ticket, "ledger", "off", "off: every node that gates is a gating node, and nothing is paid; or the `ticket` (led1…) of a ledger, as \"moeswarm-ledger devnet\" prints it")
	fs.Var(&f.prices, "price", "`amount` that a token costs here, prompt and answer, for prompts of other nodes, or MODEL=AMOUNT for one model; a higher one than before holds from the next epoch on; may be repeated; with --ledger and --gate (default: nothing)")
	fs.Var(&f.maxSpend, "max-spend", "`amount` that this node may promise to gating nodes in all, with this data directory; with --ledger (default: nothing; free quotas must do)")
	fs.Var(&f.maxAudits, "max-audit-spend", "`amount` of --max-spend that may go to gating nodes that look at answers which others gave this node, as the ledger's seed draws some (default: a twentieth of --max-spend)")
	fs.Uint64Var(&f.free, "free-tokens", 0, "`tokens` an epoch that clients who pay nothing may have of this gating node, all together (default: 64 times what the ledger gives one)")
	fs.StringVar(&f.feesFrom, "fees-from", "", feesFromUsage)
	fs.StringVar(&f.name, "name", "", "`name` of this node in lists of who did how much")
	fs.StringVar(&f.team, "team", "", "`team` that it is counted for there")
}

// join opens the ledger of a node, if it has one. end closes it.
func (f ledgerFlags) join(cfg *node.Config, data string) (end func() error, err error) {
	none := func() error { return nil }
	if err := credit.CheckNames(f.name, f.team); err != nil {
		return none, usagef("--name and --team: %w", err)
	}
	if f.ticket == "off" {
		if len(f.prices) > 0 || f.maxSpend > 0 || f.maxAudits > 0 || f.free > 0 {
			return none, usagef("--price, --max-spend, --max-audit-spend and --free-tokens need a --ledger")
		}
		if f.feesFrom != "" {
			return none, usagef("--fees-from needs a --ledger: without one there are no fees")
		}
		cfg.Name, cfg.Team = f.name, f.team
		return none, nil
	}
	if f.maxAudits > f.maxSpend {
		return none, usagef("--max-audit-spend %v is a part of --max-spend %v, and cannot be more", ledger.Amount(f.maxAudits), ledger.Amount(f.maxSpend))
	}
	if data == "" {
		return none, usagef("--ledger needs a data directory, where it is kept what was promised; leave --ephemeral out")
	}
	dir := filepath.Join(data, "ledger")
	l, end, err := openLedger(f.ticket, cfg.Key, dir, f.feesFrom)
	if err != nil {
		return none, err
	}
	e := &node.Economy{
		Ledger: l, Chain: l.Chain(), Dir: filepath.Join(dir, l.Chain()), MaxSpend: ledger.Amount(f.maxSpend), MaxAudits: ledger.Amount(f.maxAudits),
		Free: f.free, Name: f.name, Team: f.team,
	}
	if err := f.setPrices(e, cfg.Models); err != nil {
		return none, errors.Join(err, end())
	}
	cfg.Economy = e
	return end, nil
}

// setPrices reads --price.
func (f ledgerFlags) setPrices(e *node.Economy, models []node.Model) error {
	e.Prices = map[expert.ModelID]ledger.Amount{}
	for _, text := range f.prices {
		name, value, one := strings.Cut(text, "=")
		if !one {
			value = text
		}
		n, err := parseAmount(value)
		if err != nil {
			return usagef("--price: %w", err)
		}
		if !one {
			e.Price = n
			continue
		}
		i := slices.IndexFunc(models, func(m node.Model) bool { return m.Name == name || m.Model.ID().String() == name })
		if i < 0 {
			return usagef("--price %s: no --model of that name is given", text)
		}
		e.Prices[models[i].Model.ID()] = n
	}
	return nil
}

// openLedger makes a client of the ledger that a ticket names.
func openLedger(text string, key ed25519.PrivateKey, dir, feesFrom string) (*light.Client, func() error, error) {
	t, err := light.ParseTicket(text)
	if err != nil {
		return nil, nil, usagef("--ledger: %w; \"moeswarm-ledger devnet\" prints one", err)
	}
	cfg := light.Config{Ticket: t, Key: key, Dir: dir}
	if feesFrom != "" {
		a, err := parseAddress(feesFrom)
		if err != nil {
			return nil, nil, err
		}
		cfg.FeesFrom = &a
	}
	out, err := swarm.NewOutside(light.Protocol)
	if err != nil {
		return nil, nil, err
	}
	cfg.Open = out
	l, err := light.New(cfg)
	if err != nil {
		return nil, nil, errors.Join(err, out.Close())
	}
	return l, func() error { return errors.Join(l.Close(), out.Close()) }, nil
}

// clientFlags are what commands take that talk to a ledger.
type clientFlags struct {
	walletFlags
	ticket, feesFrom string
}

const feesFromUsage = "`account` that pays the fees of this one's transactions, as it granted with \"moeswarm wallet grant\" (default: this one)"

func (f *clientFlags) define(fs *flag.FlagSet, p program) {
	f.walletFlags.define(fs)
	fs.StringVar(&f.ticket, "ledger", p.getenv(ledgerVariable), "`ticket` (led1…) of the ledger (default: $"+ledgerVariable+")")
	fs.StringVar(&f.feesFrom, "fees-from", "", feesFromUsage)
}

// open opens the ledger as the account of the node's key.
func (p program) open(f clientFlags) (*light.Client, ledger.Key, func() error, error) {
	var self ledger.Key
	if f.ticket == "" {
		return nil, self, nil, usagef("name the ledger with --ledger led1… or in $%s; \"moeswarm-ledger devnet\" prints a ticket", ledgerVariable)
	}
	key, err := p.load(f.walletFlags, false)
	if err != nil {
		return nil, self, nil, err
	}
	dir, err := p.dataDir(f.data)
	if err != nil {
		return nil, self, nil, err
	}
	l, end, err := openLedger(f.ticket, key, filepath.Join(dir, "ledger"), f.feesFrom)
	return l, ledger.KeyOf(key), end, err
}

// parseAccount reads who somebody is: a public key in hex or a peer id. An
// address does not tell the key, which messages of the ledger name.
func parseAccount(s string) (ledger.Key, error) {
	if k, err := ledger.ParseKey(s); err == nil {
		return k, nil
	}
	if k, err := swarm.KeyOf(routing.Peer(s)); err == nil {
		return k, nil
	}
	if _, err := account.Parse(s); err == nil || strings.HasPrefix(s, account.Prefix+"1") {
		return ledger.Key{}, usagef("%s is an address, from which the key cannot be told: give the peer id or the public key that \"moeswarm wallet address\" shows there", s)
	}
	return ledger.Key{}, usagef("%.80q is no account: give a peer id (12D3KooW…) or a public key in hex; an address (neuro1…) does not tell the key", s)
}

// parseAddress reads the address of an account, or what it follows from: a peer
// id or a public key in hex. A mistyped address is told from a right one.
func parseAddress(s string) (account.Address, error) {
	a, err := account.Parse(s)
	if err == nil {
		return a, nil
	}
	if strings.HasPrefix(strings.ToLower(s), account.Prefix+"1") {
		return a, usageError{err}
	}
	k, err := parseAccount(s)
	if err != nil {
		return a, usagef("%.80q is no account: give an address (neuro1…), a peer id (12D3KooW…) or a public key in hex", s)
	}
	return account.Of(k), nil
}

// parseModel reads a model's id.
func parseModel(s string) (ledger.Hash, error) {
	id, err := expert.ParseModelID(s)
	if err != nil {
		return ledger.Hash{}, usagef("%.80q is no model's id (64 hex digits; \"moeswarm model list\" shows them)", s)
	}
	return ledger.Hash(id), nil
}

// submit sends one message and says that it is in a block.
func (p program) submit(ctx context.Context, f clientFlags, what string, msg func(l *light.Client, self ledger.Key) (ledger.Msg, error)) error {
	return p.execute(ctx, f, what, func(l *light.Client, self ledger.Key) (ledger.TxID, error) {
		m, err := msg(l, self)
		if err != nil {
			return ledger.TxID{}, err
		}
		return l.Submit(ctx, m)
	})
}

// execute has something done on the ledger and says that it is in a block.
func (p program) execute(ctx context.Context, f clientFlags, what string, do func(l *light.Client, self ledger.Key) (ledger.TxID, error)) (err error) {
	l, self, end, err := p.open(f)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, end()) }()
	id, err := do(l, self)
	if err == nil {
		fmt.Fprintf(p.stdout, "%s; transaction %s\n", what, id)
	}
	return err
}
