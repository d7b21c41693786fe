package main

import (
	"context"
	"fmt"

	"github.com/moeswarm/moeswarm/internal/ledger/light"
	"github.com/moeswarm/moeswarm/ledger/lightserve"
)

func (p program) status(ctx context.Context, args []string) error {
	fs := p.flags("status", "status --ledger TICKET", `
  moeswarm-ledger status --ledger led1…
      where the ledger stands, proved
`)
	ticket := fs.String("ledger", "", "ticket of the ledger")
	if err := parse(fs, args); err != nil {
		return err
	}
	t, err := light.ParseTicket(*ticket)
	if err != nil {
		return usageError{err}
	}
	open, err := lightserve.NewDialer()
	if err != nil {
		return err
	}
	defer open.Close()
	c, err := light.New(light.Config{Ticket: t, Open: open})
	if err != nil {
		return err
	}
	k, err := c.Clock(ctx)
	if err != nil {
		return err
	}
	params, err := c.Params(ctx)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(p.stdout, "chain %s\nblock %d\nepoch %d, blocks %d to %d\nfee %d bp, of which %d bp burn\n",
		t.Chain, k.Height, k.Epoch, k.Start, k.End()-1, params.FeeBps, params.BurnBps)
	return err
}
