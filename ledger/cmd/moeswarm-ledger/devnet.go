package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/moeswarm/moeswarm/internal/ledger"
	"github.com/moeswarm/moeswarm/ledger/app"
	"github.com/moeswarm/moeswarm/ledger/devnet"
	"github.com/moeswarm/moeswarm/ledger/home"
)

func (p program) devnet(ctx context.Context, args []string) error {
	fs := p.flags("devnet", "devnet [--validators N]", `
  moeswarm-ledger devnet --validators 4
      four validators as four processes, forgotten when they end
  moeswarm-ledger devnet --home ~/devnet
      the same, kept in a folder: stop it and start it again
  moeswarm-ledger devnet --block-time 200ms --epoch-blocks 30 --param seats=3
      quick epochs, and committees of three
  moeswarm-ledger devnet --home ~/devnet --no-start
  moeswarm-ledger start --home ~/devnet/validator0
      each validator by hand, to stop one and see what becomes of the others
  moeswarm-ledger devnet --validators 1 --home ~/ledger --host 192.168.1.7
      a ledger for friends, kept by one machine that all of them trust with it
`)
	c := devnet.Config{Params: ledger.DefaultParams(), Models: map[ledger.Hash]ledger.Model{}}
	fs.StringVar(&c.Dir, "home", "", "folder to keep the ledger in; default: a temporary one, removed at the end")
	fs.IntVar(&c.Validators, "validators", 4, "how many nodes make blocks")
	fs.IntVar(&c.Accounts, "accounts", 10, "how many further accounts have money")
	fs.StringVar(&c.Host, "host", "127.0.0.1", "IP address of this machine at which nodes reach the ledger; ports are free ones, and stay with --home")
	fs.StringVar(&c.Transport, "transport", home.TCP, "between validators: tcp, or lp2p (libp2p over QUIC, experimental)")
	fs.DurationVar(&c.BlockTime, "block-time", time.Second, "from one block to the next, about")
	fs.DurationVar(&c.Voting, "voting-period", time.Minute, "how long a proposal is voted on")
	fs.Uint64Var(&c.Keep, "keep", 0, fmt.Sprintf("how many past states to keep, at least %d, and blocks, which stay for 7 days in any case; 0: all; while no node keeps all, others join with --from-snapshot", home.MinKeep))
	fs.Uint64Var(&c.Snapshots, "snapshots", 0, "blocks from one snapshot of the state, for nodes that join, to the next, a multiple of 10, say 1000; 0: none")
	fs.Uint64Var(&c.GasPrice, "gas-price", 1, "least fee of a transaction, in nneuro for 1000 units of gas")
	fs.Func("model", "`ID` or ID=NAME of a model that may be gated for pay from the start; may be given several times", func(s string) error {
		id, name, _ := strings.Cut(s, "=")
		key, err := ledger.ParseKey(id)
		if err != nil {
			return fmt.Errorf("%q is no id of a model: want 64 hex digits", id)
		}
		c.Models[ledger.Hash(key)] = ledger.Model{Active: true, Name: cmp.Or(name, id[:12]), Floor: 1}
		return nil
	})
	fs.Uint64Var(&c.Params.EpochBlocks, "epoch-blocks", 60, "blocks of an epoch")
	fs.Func("param", "`NAME=VALUE` of a parameter of the economy, as \"moeswarm gov propose\" names it; may be given several times", func(s string) error {
		name, text, _ := strings.Cut(s, "=")
		v, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			return fmt.Errorf("%q: want NAME=VALUE, a whole number", s)
		}
		return c.Params.Set(name, v)
	})
	still := fs.Bool("no-start", false, "make the ledger in --home and start nothing")
	if err := parse(fs, args); err != nil {
		return err
	}
	if err := c.Params.Check(); err != nil {
		return usageError{err}
	}
	if *still {
		if c.Dir == "" {
			return usagef("say where to make the ledger: --no-start wants --home DIR")
		}
		return p.createDevnet(c)
	}
	if c.Dir == "" {
		dir, err := os.MkdirTemp("", "moeswarm-devnet-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		c.Dir = dir
	}
	return p.runDevnet(ctx, c)
}

// createDevnet makes the folders of a ledger and says what to do with them.
func (p program) createDevnet(c devnet.Config) error {
	l, err := devnet.Create(c)
	if err != nil {
		return err
	}
	p.accounts(l, l.Homes[0].Genesis.ChainID)
	fmt.Fprintf(p.stdout, "\nstart each of the validators, which prints a ticket for \"moeswarm node --ledger\":\n\n")
	for _, h := range l.Homes {
		fmt.Fprintf(p.stdout, "  moeswarm-ledger start --home %s\n", h.Dir)
	}
	return nil
}

// accounts lists who has money.
func (p program) accounts(l *devnet.Ledger, chain string) {
	fmt.Fprintf(p.stdout, "chain %s\n\naccounts with %d NEURO each:\n", chain, devnet.Funds/app.NEURO)
	for _, a := range l.Accounts {
		fmt.Fprintf(p.stdout, "  %s  %s\n", a.Address(), filepath.Join(a.Dir, "key"))
	}
}

func (p program) runDevnet(ctx context.Context, c devnet.Config) error {
	binary, err := os.Executable()
	if err != nil {
		return err
	}
	l, err := devnet.Create(c)
	if err != nil {
		return err
	}
	fmt.Fprintf(p.stderr, "starting %d validators in %s\n", len(l.Homes), c.Dir)
	nodes, err := devnet.Start(ctx, binary, l.Homes, p.stderr)
	if err != nil {
		return err
	}
	p.accounts(l, nodes.Ticket.Chain)
	fmt.Fprintf(p.stdout, "\nnodes use this ledger with:\n\n  moeswarm node --ledger %s\n\nrunning; Ctrl-C stops it\n", nodes.Ticket)
	err = nodes.Wait(ctx)
	if stopped := nodes.Stop(); err == nil {
		err = stopped
	}
	return err
}
