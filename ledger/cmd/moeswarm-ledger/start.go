package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/moeswarm/moeswarm/ledger/devnet"
	"github.com/moeswarm/moeswarm/ledger/fullnode"
	"github.com/moeswarm/moeswarm/ledger/home"
)

func (p program) start(ctx context.Context, args []string) error {
	fs := p.flags("start", "start --home DIR", `
  moeswarm-ledger start --home ~/ledger
      run the node until Ctrl-C; the first line on standard output has the
      ticket by which others use its ledger
`)
	dir := fs.String("home", "", "the node's folder")
	whileStdin := fs.Bool("while-stdin", false, "stop when standard input ends, for programs that start nodes")
	if err := parse(fs, args); err != nil {
		return err
	}
	if *dir == "" {
		return usagef("say where the node's folder is: --home DIR")
	}
	h, err := home.Open(*dir)
	if err != nil {
		return err
	}
	n, err := fullnode.New(fullnode.Config{Home: h, Log: p.stderr})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if *whileStdin {
		go func() {
			io.Copy(io.Discard, p.stdin)
			cancel()
		}()
	}
	err = n.Run(ctx, func() {
		t, err := n.Ticket(ctx)
		if err != nil {
			return // it is being stopped
		}
		fmt.Fprintf(p.stdout, "%s%s\n", devnet.Ready, t)
	})
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}
