// Command moeswarm-ledger is a full node of the swarm's ledger, and the tools
// around it. "moeswarm-ledger -h" lists the commands.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"syscall"

	"github.com/moeswarm/moeswarm/internal/flags"
)

// program is what a command may use of the world outside.
type program struct {
	stdin          io.Reader
	stdout, stderr io.Writer
}

// command is one subcommand.
type command struct {
	name, about string
	run         func(p program, ctx context.Context, args []string) error
}

func commands() []command {
	return []command{
		{"devnet", "run a ledger for development on this machine", program.devnet},
		{"init", "make the folder of a node that joins a ledger", program.init},
		{"validate", "make a validator of a node that runs", program.validate},
		{"start", "run the node whose folder was made before", program.start},
		{"status", "show where a ledger stands", program.status},
		{"version", "print the version and how the binary was built", program.version},
	}
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	go func() {
		<-ctx.Done()
		stop() // a second signal ends the process at once
	}()
	err := run(ctx, os.Args[1:], program{stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr})
	var usage usageError
	switch {
	case err == nil || errors.Is(err, flag.ErrHelp):
		return
	case errors.As(err, &usage):
		fmt.Fprintf(os.Stderr, "moeswarm-ledger: %v\n", err)
		os.Exit(2)
	case errors.Is(err, context.Canceled) && ctx.Err() != nil:
		os.Exit(130) // as shells report a command ended by Ctrl-C
	}
	fmt.Fprintf(os.Stderr, "moeswarm-ledger: %v\n", err)
	os.Exit(1)
}

// usageError is a mistake on the command line.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// run does what args say.
func run(ctx context.Context, args []string, p program) error {
	if len(args) == 0 {
		help(p.stderr)
		return usagef("name a command")
	}
	switch args[0] {
	case "-h", "-help", "--help", "help":
		if len(args) == 1 {
			help(p.stdout)
			return nil
		}
		args = []string{args[1], "-h"}
	case "-version", "--version":
		args[0] = "version"
	}
	for _, c := range commands() {
		if c.name == args[0] {
			return c.run(p, ctx, args[1:])
		}
	}
	return usagef("no command %.40q; \"moeswarm-ledger -h\" lists them", args[0])
}

func help(w io.Writer) {
	fmt.Fprint(w, `moeswarm-ledger: full nodes of the ledger of a moeswarm.

Usage: moeswarm-ledger COMMAND [FLAGS]

`)
	for _, c := range commands() {
		fmt.Fprintf(w, "  %-9s %s\n", c.name, c.about)
	}
	fmt.Fprint(w, `
"moeswarm-ledger COMMAND -h" shows every flag, with examples. To begin:

  moeswarm-ledger devnet --validators 4               a ledger of four processes
  moeswarm-ledger init --home DIR --ledger TICKET     a node that joins one
`)
}

// flags makes the flag set of a command, whose help goes to standard output.
func (p program) flags(name, synopsis, examples string) *flag.FlagSet {
	return flags.New("moeswarm-ledger", name, synopsis, examples, p.stdout)
}

// parse parses flags; there are no operands.
func parse(fs *flag.FlagSet, args []string) error {
	if err := flags.Parse(fs, args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return err
		}
		return usagef("%v; \"moeswarm-ledger %s -h\" shows the flags", err, fs.Name())
	}
	if fs.NArg() > 0 {
		return usagef("do not know what to do with %.80q; see \"moeswarm-ledger %s -h\"", fs.Arg(0), fs.Name())
	}
	return nil
}

// release is the version in development or released.
const release = "0.1.0"

func (p program) version(_ context.Context, args []string) error {
	if err := parse(p.flags("version", "version", "\n  moeswarm-ledger version\n"), args); err != nil {
		return err
	}
	v := release
	info, ok := debug.ReadBuildInfo()
	if ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				v += "+" + s.Value[:min(12, len(s.Value))]
			}
		}
		for _, d := range info.Deps {
			if d.Path == "github.com/cometbft/cometbft" || d.Path == "github.com/cosmos/cosmos-sdk" {
				defer fmt.Fprintf(p.stdout, "%s %s\n", d.Path, d.Version)
			}
		}
	}
	_, err := fmt.Fprintf(p.stdout, "moeswarm-ledger %s, %s %s/%s\n", v, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return err
}
