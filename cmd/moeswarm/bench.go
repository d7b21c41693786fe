package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"strings"

	"github.com/moeswarm/moeswarm/bench"
	"github.com/moeswarm/moeswarm/expert/synth"
	"github.com/moeswarm/moeswarm/internal/economy"
	"github.com/moeswarm/moeswarm/internal/simswarm"
)

// faultyNode is what "bench" starts where a holder is to misbehave, and nobody
// else: "moeswarm bench faulty-node FAULT FLAGS OF NODE". It is a node like any
// other, but for what it computes with.
const faultyNode = "faulty-node"

func (p program) bench(ctx context.Context, args []string) error {
	if len(args) > 1 && args[0] == faultyNode {
		fault, err := simswarm.ParseFault(args[1])
		if err != nil {
			return usageError{err}
		}
		p.misbehave = fault
		return p.node(ctx, args[2:])
	}
	o := bench.Options{Progress: p.say}
	fs := p.flags("bench", "bench list | bench SCENARIO [FLAGS]", `
  moeswarm bench list
  moeswarm bench local
  moeswarm bench local --synthetic qwen3-30b-a3b --layers 4 --threads 2 --json
  moeswarm bench loopback --nodes 4
  moeswarm bench loopback --nodes 4 --streams 8
  moeswarm bench streams --streams 64 --rtt 30ms
  moeswarm bench drafts --rtt loopback
  moeswarm bench wan --layers 8
  moeswarm bench wan --layers 8 --holder-threads 4
  moeswarm bench failures --json
  moeswarm bench liar --fabric processes
  moeswarm bench economy --scenario crash --years 5 --svg plots
`)
	fs.StringVar(&o.Model, "model", "", "GGUF `file` or \"demo\" (default: demo; in wan the synthetic shape lumabri)")
	fs.StringVar(&o.Synthetic, "synthetic", "", "random-weight model of a named `shape`: "+strings.Join(synth.Names(), ", "))
	fs.IntVar(&o.Layers, "layers", 0, "cut the synthetic model to so many `layers`")
	fs.IntVar(&o.Experts, "experts", 0, "and to so many `experts` of each layer")
	fs.IntVar(&o.Vocab, "vocab", 0, "and to so many `tokens`")
	fs.StringVar(&o.CacheDir, "cache", "", "`directory` to keep synthetic models in (default: moeswarm/synthetic in the user's cache directory)")
	fs.IntVar(&o.Nodes, "nodes", 4, "`processes` that hold experts")
	fs.IntVar(&o.Threads, "threads", 0, "`processors` per process (default: all; the processes of loopback share them)")
	fs.IntVar(&o.HolderThreads, "holder-threads", 0, "`processors` of each holder in wan in memory (default: 1, and at 30 ms also 2 and 4)")
	fs.IntVar(&o.Prompt, "prompt", 0, "`tokens` of prompt (default: 128, in network scenarios 8)")
	fs.IntVar(&o.NewTokens, "tokens", 0, "`tokens` of answer (default: 64); in stale-map calls, in slow-replica rounds, in failures seconds of each configuration")
	fs.IntVar(&o.Streams, "streams", 0, "`prompts` answered at the same time, in local, loopback and streams (default: 1, in streams 1, 4, 8, 16 and 64 in turn)")
	fs.IntVar(&o.Groups, "groups", 0, "in streams, decode in so many `groups` always, 32 at most (default: as many as are best)")
	fs.StringVar(&o.RTT, "rtt", "", "in drafts, streams and ledger, measure this `round trip` alone (streams: beside 1ms), such as 30ms; in drafts also loopback (default: all)")
	fs.Uint64Var(&o.Seed, "seed", 1, "`seed` of prompts and synthetic weights")
	fs.StringVar(&o.Draft, "draft", "", "small model that drafts in drafts: GGUF `file` or \"demo\" (default: drafts are looked up)")
	fs.StringVar(&o.Fabric, "fabric", "", "what carries wan, stale-map, failures, slow-replica and liar: `memory`, or processes, which are real nodes behind relays that delay (default: memory)")
	fs.StringVar(&o.Economy, "scenario", "", "in economy, the `name` of one: "+economyNames()+" (default: all)")
	fs.IntVar(&o.Years, "years", 0, "in economy, `years` to simulate (default: 5)")
	fs.StringVar(&o.SVG, "svg", "", "in economy, `directory` for plots (default: none)")
	fs.BoolVar(&o.Quick, "quick", false, "make network scenarios short: to try them, not for numbers")
	asJSON := fs.Bool("json", false, "print one JSON object")
	verbose := fs.Bool("verbose", false, "show what the processes log")
	ops, err := parse(fs, args, 1, 1)
	if err != nil {
		return err
	}
	if ops[0] == "list" {
		for _, s := range bench.Scenarios() {
			fmt.Fprintf(p.stdout, "%-12s %s\n", s.Name, s.About)
		}
		return nil
	}
	if err := p.checkCPU(); err != nil {
		return err
	}
	if o.Exec, err = os.Executable(); err != nil {
		return err
	}
	if *verbose {
		o.Log = p.stderr
	}
	r, err := bench.Run(ctx, ops[0], o)
	if err != nil {
		return err
	}
	if *asJSON {
		return r.WriteJSON(p.stdout)
	}
	return r.WriteText(p.stdout)
}

// economyNames lists the scenarios of the economy.
func economyNames() string {
	var names []string
	for _, s := range economy.Scenarios() {
		names = append(names, s.Name)
	}
	return strings.Join(names, ", ")
}

func isSet(fs *flag.FlagSet, name string) bool {
	set := false
	fs.Visit(func(f *flag.Flag) { set = set || f.Name == name })
	return set
}
