// Command moeswarm is one node of a peer-to-peer inference swarm for
// Mixture-of-Experts language models, and the tools around it. "moeswarm -h"
// lists the commands.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"

	"github.com/moeswarm/moeswarm/gating/chat"
	"github.com/moeswarm/moeswarm/internal/flags"
	"github.com/moeswarm/moeswarm/internal/ggml"
	"github.com/moeswarm/moeswarm/internal/ledger"
	"github.com/moeswarm/moeswarm/internal/node"
	"github.com/moeswarm/moeswarm/internal/simswarm"
)

// program is what a command may use of the world outside.
type program struct {
	getenv         func(string) string
	stdin          io.Reader
	stdout, stderr io.Writer

	misbehave simswarm.Fault                    // of a node that a benchmark starts; nil: it behaves
	sees      func(ledger.Ledger) ledger.Ledger // what a node sees of its ledger, in tests; nil: all
	cheat     node.Cheat                        // of a gating node, in tests
}

// command is one subcommand.
type command struct {
	name, about string
	run         func(p program, ctx context.Context, args []string) error
}

func commands() []command {
	return []command{
		{"node", "run a node: hold experts, gate models, serve HTTP", program.node},
		{"run", "complete a prompt on a throwaway local swarm, or at a node", program.run},
		{"chat", "talk to a model at the terminal", program.chat},
		{"pause", "leave the machine to its owner for a while", program.pause},
		{"resume", "end a pause", program.resume},
		{"status", "show the swarm as a running node sees it", program.status},
		{"invite", "print a ticket that lets others join", program.invite},
		{"wallet", "the node's account: address, balance, send, bond, export", program.wallet},
		{"gov", "proposals to change the ledger's rules: list, show, propose, vote", program.gov},
		{"model", "import, list, show, verify and remove models", program.model},
		{"bench", "measure", program.bench},
		{"doctor", "look at this machine as a node would use it, and say what to do", program.doctor},
		{"swarm-key", "make a key for a private swarm", program.swarmKey},
		{"version", "print the version and how the binary was built", program.version},
	}
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), signals(os.Args[1:])...)
	defer stop()
	go func() {
		<-ctx.Done()
		stop() // a second signal ends the process at once
	}()
	err := run(ctx, os.Args[1:], os.Getenv, os.Stdin, os.Stdout, os.Stderr)
	if err != nil {
		var usage usageError
		switch {
		case errors.Is(err, flag.ErrHelp):
			os.Exit(0)
		case errors.As(err, &usage):
			fmt.Fprintf(os.Stderr, "moeswarm: %v\n", err)
			os.Exit(2)
		case errors.Is(err, context.Canceled) && ctx.Err() != nil:
			os.Exit(130) // as shells report a command ended by Ctrl-C
		}
		fmt.Fprintf(os.Stderr, "moeswarm: %v\n", err)
		os.Exit(1)
	}
}

// usageError is a mistake on the command line.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// templateWorker is the command, for nodes and not for people, in whose process
// chat templates run.
const templateWorker = "chat-template-worker"

// run does what args say.
func run(ctx context.Context, args []string, getenv func(string) string, stdin io.Reader, stdout, stderr io.Writer) error {
	p := program{getenv: getenv, stdin: stdin, stdout: stdout, stderr: stderr}
	if len(args) == 0 {
		p.help(stderr)
		return usagef("name a command")
	}
	switch args[0] {
	case "-h", "-help", "--help", "help":
		if len(args) > 1 {
			args = []string{args[1], "-h"}
			break
		}
		p.help(stdout)
		return nil
	case "-version", "--version":
		args[0] = "version"
	}
	if args[0] == templateWorker {
		return chat.Serve(stdin, stdout)
	}
	for _, c := range commands() {
		if c.name == args[0] {
			return c.run(p, ctx, args[1:])
		}
	}
	return usagef("no command %.40q; \"moeswarm -h\" lists them", args[0])
}

func (p program) help(w io.Writer) {
	fmt.Fprint(w, `moeswarm: a peer-to-peer inference swarm for Mixture-of-Experts models.

Usage: moeswarm COMMAND [FLAGS]

`)
	for _, c := range commands() {
		fmt.Fprintf(w, "  %-9s %s\n", c.name, c.about)
	}
	fmt.Fprint(w, `
"moeswarm COMMAND -h" shows every flag, with examples. To begin:

  moeswarm run "func main() {"            a local swarm completes a prompt
  moeswarm chat                           a local swarm to talk to
  moeswarm node --model demo --gate       a node that others can join
`)
}

// flags makes the flag set of a command, whose help goes to standard output.
func (p program) flags(name, synopsis, examples string) *flag.FlagSet {
	return flags.New("moeswarm", name, synopsis, examples, p.stdout)
}

// parse parses args, which may have flags before and after the operands, and
// checks the number of operands. A negative most means any number.
func parse(fs *flag.FlagSet, args []string, least, most int) ([]string, error) {
	var operands []string
	for {
		if err := flags.Parse(fs, args); err != nil {
			if errors.Is(err, flag.ErrHelp) {
				return nil, err
			}
			return nil, usagef("%v; \"moeswarm %s -h\" shows the flags", err, fs.Name())
		}
		rest := fs.Args()
		ended := len(rest) < len(args) && args[len(args)-len(rest)-1] == "--"
		if ended || len(rest) == 0 {
			operands = append(operands, rest...)
			break
		}
		operands, args = append(operands, rest[0]), rest[1:]
	}
	switch {
	case len(operands) < least:
		return nil, usagef("something is missing after %q; \"moeswarm %s -h\" shows what", fs.Name(), fs.Name())
	case most >= 0 && len(operands) > most:
		return nil, usagef("do not know what to do with %.80q; quote a text with spaces, and see \"moeswarm %s -h\"", operands[most], fs.Name())
	}
	return operands, nil
}

// list is a flag that may be given several times.
type list []string

func (l *list) String() string     { return strings.Join(*l, ",") }
func (l *list) Set(s string) error { *l = append(*l, s); return nil }

// checkCPU stops a build that would crash on this machine and warns of one
// that is slow on it.
func (p program) checkCPU() error {
	fatal, slow := ggml.Advice(ggml.Features())
	if fatal != "" {
		return errors.New(fatal)
	}
	if slow != "" {
		fmt.Fprintf(p.stderr, "WARNING: %s\n", slow)
	}
	return nil
}
