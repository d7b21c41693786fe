package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"testing"
	"time"

	"github.com/moeswarm/moeswarm/internal/ledger"
	"github.com/moeswarm/moeswarm/internal/ledger/light"
	"github.com/moeswarm/moeswarm/ledger/devnet"
	"github.com/moeswarm/moeswarm/ledger/home"
	"github.com/moeswarm/moeswarm/ledger/lightserve"
)

// asProgram makes this test binary the program, for the processes it starts.
const asProgram = "MOESWARM_LEDGER_TEST_RUN"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) == "" {
		os.Exit(m.Run())
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], program{stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr}); err != nil {
		os.Stderr.WriteString(err.Error() + "\n")
		os.Exit(1)
	}
}

// Four processes are killed at once and start again: nothing is lost.
func TestKilledProcessesLoseNothing(t *testing.T) {
	t.Setenv(asProgram, "1")
	params := ledger.DefaultParams()
	params.EpochBlocks = 12
	c := devnet.Config{Dir: t.TempDir(), Validators: 4, Accounts: 2, Transport: home.TCP, Params: params}
	l, err := devnet.Create(c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	nodes, err := devnet.Start(ctx, os.Args[0], l.Homes, os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	open, err := lightserve.NewDialer()
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	client, err := light.New(light.Config{Ticket: nodes.Ticket, Open: open, Key: l.Accounts[0].Key})
	if err != nil {
		t.Fatal(err)
	}
	to := ledger.KeyOf(l.Accounts[1].Key)
	for range 3 {
		if _, err := client.Submit(ctx, &ledger.Send{To: to, Amount: 7 * ledger.Neuro}); err != nil {
			t.Fatal(err)
		}
	}
	before, err := client.Clock(ctx)
	if err != nil {
		t.Fatal(err)
	}
	nodes.Kill()

	// What is on disk opens as the same ledger.
	if l, err = devnet.Create(c); err != nil {
		t.Fatal(err)
	}
	nodes, err = devnet.Start(ctx, os.Args[0], l.Homes, os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	after, err := client.Clock(ctx)
	if err != nil || after.Height < before.Height {
		t.Errorf("at block %d after %d, %v", after.Height, before.Height, err)
	}
	if have, err := client.Balance(ctx, to); err != nil || have != devnet.Funds+21*ledger.Neuro {
		t.Errorf("the receiver has %v, %v", have, err)
	}
	if err := nodes.Stop(); err != nil {
		t.Errorf("stopping: %v", err)
	}
}

func TestHelpShowsEveryCommand(t *testing.T) {
	for _, c := range commands() {
		var out, errs buffer
		if err := run(context.Background(), []string{c.name, "-h"}, program{stdout: &out, stderr: &errs}); err == nil || len(out) == 0 {
			t.Errorf("%s -h: %v, %d bytes", c.name, err, len(out))
		}
	}
}

type buffer []byte

func (b *buffer) Write(p []byte) (int, error) { *b = append(*b, p...); return len(p), nil }
