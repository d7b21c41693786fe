package main

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/moeswarm/moeswarm/internal/account"
	"github.com/moeswarm/moeswarm/internal/ledger"
	"github.com/moeswarm/moeswarm/internal/ledger/light"
	"github.com/moeswarm/moeswarm/ledger/home"
	"github.com/moeswarm/moeswarm/ledger/join"
	"github.com/moeswarm/moeswarm/ledger/lightserve"
)

func (p program) init(ctx context.Context, args []string) error {
	fs := p.flags("init", "init --home DIR --ledger TICKET", `
  moeswarm-ledger init --home ~/ledger --ledger led1…
  moeswarm-ledger start --home ~/ledger
      join the ledger of a ticket as a full node: it checks every block, and
      serves light clients
  moeswarm-ledger init --home ~/ledger --ledger led1… --from-snapshot --keep 1000
      the same from now on: without all the blocks before
`)
	s := home.Settings{}
	dir := fs.String("home", "", "folder to make")
	ticket := fs.String("ledger", "", "ticket of the ledger")
	fs.StringVar(&s.Name, "name", "node", "what others see the node as")
	fs.StringVar(&s.Listen, "listen", "0.0.0.0:4100", "host:port where other full nodes meet this one")
	serve := fs.String("light", "/ip4/0.0.0.0/tcp/4101", "multiaddr where light clients are served; empty: nowhere")
	fs.StringVar(&s.Transport, "transport", "", "between full nodes: tcp or lp2p; default: as the ledger's nodes")
	fs.DurationVar((*time.Duration)(&s.BlockTime), "block-time", 5*time.Second, "from one block to the next, about; the same on all nodes")
	fs.Uint64Var(&s.GasPrice, "gas-price", 1, "least fee of a transaction that the node passes on, in nneuro for 1000 units of gas")
	fs.Uint64Var(&s.Keep, "keep", 0, fmt.Sprintf("how many past states to keep, at least %d, and blocks, which stay for 7 days in any case; 0: all; while no node keeps all, others join with --from-snapshot", home.MinKeep))
	fs.Uint64Var(&s.Snapshots, "snapshots", 0, "blocks from one snapshot of the state, for nodes that join, to the next, a multiple of 10, say 1000; 0: none")
	snapshot := fs.Bool("from-snapshot", false, "begin from the newest snapshot of the others, verified by what validators signed, instead of replaying all blocks")
	if err := parse(fs, args); err != nil {
		return err
	}
	if *dir == "" || *ticket == "" {
		return usagef("say where and what to join: --home DIR --ledger TICKET")
	}
	t, err := light.ParseTicket(*ticket)
	if err != nil {
		return usageError{err}
	}
	if *serve != "" {
		s.Light = []string{*serve}
	}
	open, err := lightserve.NewDialer()
	if err != nil {
		return err
	}
	defer open.Close()
	h, err := join.Init(ctx, *dir, s, t, open, *snapshot)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(p.stdout, "%s is a node of ledger %s; its account is %s\nnext: moeswarm-ledger start --home %s\n",
		h.Dir, t.Chain, account.Of(ledger.KeyOf(h.Key)), h.Dir)
	return err
}

func (p program) validate(ctx context.Context, args []string) error {
	fs := p.flags("validate", "validate --home DIR --ledger TICKET --stake NEURO", `
  moeswarm-ledger validate --home ~/ledger --ledger led1… --stake 1000
      stake 1000 NEURO of the node's account; the node, which must run and have
      all blocks, signs blocks from then on
`)
	dir := fs.String("home", "", "the node's folder")
	ticket := fs.String("ledger", "", "ticket of the ledger")
	stake := fs.String("stake", "", "`NEURO` to stake, without decimals")
	if err := parse(fs, args); err != nil {
		return err
	}
	n, err := strconv.ParseUint(*stake, 10, 30)
	if *dir == "" || err != nil || n == 0 {
		return usagef("say which node and how much to stake: --home DIR --ledger TICKET --stake NEURO")
	}
	t, err := light.ParseTicket(*ticket)
	if err != nil {
		return usageError{err}
	}
	h, err := home.Open(*dir)
	if err != nil {
		return err
	}
	open, err := lightserve.NewDialer()
	if err != nil {
		return err
	}
	defer open.Close()
	c, err := light.New(light.Config{Ticket: t, Open: open, Key: h.Key})
	if err != nil {
		return err
	}
	defer c.Close()
	if err := join.Validate(ctx, h, c, ledger.Amount(n)*ledger.Neuro); err != nil {
		return err
	}
	_, err = fmt.Fprintf(p.stdout, "%s validates with %d NEURO\n", h.Settings.Name, n)
	return err
}
