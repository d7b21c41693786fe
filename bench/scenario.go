package bench

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// Scenario is something that can be measured by name.
type Scenario struct {
	Name  string
	About string // one line for "bench list"
	run   func(context.Context, Options) (Metrics, error)
}

// Scenarios lists all of them, in the order people read them.
func Scenarios() []Scenario {
	return []Scenario{
		{"local", "one process with all experts: prefill, decode, layer rounds", local},
		{"loopback", "real processes on loopback that share out the experts, asked over HTTP", loopback},
		{"profile", "one decode step, in one process and over libp2p on loopback: where each microsecond goes", profile},
		{"wan", "one gating node, three holders, two replicas: networks from 0 to 30 ms", wan},
		{"streams", "1 to 64 answers at once at one gating node, at RTTs of 1 to 100 ms", streams},
		{"stale-map", "two replicas, near and far, swapped while in use: calls until it shows", staleMap},
		{"failures", "calls that fail and holders that die: what is left of the rate", failures},
		{"slow-replica", "one of three replicas ten times slower at random moments", slowReplica},
		{"drafts", "a lone stream with drafts and without: code being edited, nothing to look up", drafts},
		{"liar", "one of eight holders lies, always or seldom: when it is caught", liar},
		{"plan", "the decision for one layer among a thousand holders: time, memory", plan},
		{"churn", "real processes: one seeds, seven choose what to hold, it dies, and nodes come and go", churn},
		{"dht", "the real hash table among a thousand peers in memory: stores and look-ups", dhtTable},
		{"placement", "10,000 modelled nodes that come and go spread 94 layers of 128 experts", placementAtScale},
		{"hot-experts", "the most used experts kept at the gating node: rounds a token and rate by memory", hotExperts},
		{"transfer", "parts of a model from one and three nodes on loopback into a store, next to a bare stream", transferring},
		{"tolerance", "how far honest results and cheats differ, and what auditors tolerate", tolerance},
		{"ledger", "answers with a ledger and without, in turns: what paying adds to a token", ledgerCost},
		{"units", "rows at holders for each that a token needs: what drafts, hedges and audits add", unitsPerToken},
		{"economy", "years of the ledger's economy under six sets of assumptions, with plots", economies},
		{"attacks", "attacks on the ledger's money: what each gains, what it may gain, what it costs", attacking},
	}
}

// Options say what to measure with. The zero value of a number means its
// default.
type Options struct {
	Model     string // a GGUF file or "demo"; empty with Synthetic
	Synthetic string // a shape that expert/synth names
	Layers    int    // cut the synthetic model to so many layers
	Experts   int    // and to so many experts of each
	Vocab     int    // and to so many tokens
	CacheDir  string // where synthetic models are kept

	Nodes   int // processes of a loopback swarm that hold experts; default 4
	Threads int // per process; default: all processors
	// HolderThreads is how many cores each holder has in wan in memory; 0: one,
	// and on the farthest network also two and four.
	HolderThreads int
	Prompt        int // tokens of prompt; default 128
	NewTokens     int // tokens of answer; default 64
	Streams       int // prompts answered at the same time; default 1, in streams 1 to 64
	Groups        int // in streams, groups in which they always decode; 0: the engine chooses
	Seed          uint64
	// Draft is a small model that drafts in the drafts scenario: a GGUF file or
	// "demo"; empty: none.
	Draft string

	// Economy names a scenario of package economy; empty: all of them.
	Economy string
	Years   int    // that an economy is simulated; default 5
	SVG     string // directory for plots; empty: none

	// RTT leaves one of the round trips of drafts, streams and ledger, by its name in their
	// output, such as "30ms" or "loopback"; empty: all.
	RTT string

	// Fabric is what carries a network scenario that has a choice: "memory",
	// the default, or "processes".
	Fabric string
	// Quick makes network scenarios short: for tests, not for numbers.
	Quick bool
	// virtual is set in a synctest bubble: time is the bubble's, computing
	// takes none of it, so the work of holders is modelled.
	virtual bool
	// counts are the numbers of streams of streams; nil: all that it has.
	counts []int

	Exec     string                                  // the moeswarm binary, for scenarios with processes
	Progress func(format string, args ...any)        // a line for people; nil: nobody reads
	Log      interface{ Write([]byte) (int, error) } // what processes print; nil: dropped
}

func (o Options) withDefaults() (Options, error) {
	for _, n := range []struct {
		name  string
		value *int
		def   int
	}{{"nodes", &o.Nodes, 4}, {"prompt", &o.Prompt, 128}, {"tokens", &o.NewTokens, 64}, {"streams", &o.Streams, 1}, {"threads", &o.Threads, 0},
		{"layers", &o.Layers, 0}, {"holder-threads", &o.HolderThreads, 0}, {"experts", &o.Experts, 0}, {"vocab", &o.Vocab, 0}, {"years", &o.Years, 0}, {"groups", &o.Groups, 0}} {
		if *n.value < 0 {
			return o, fmt.Errorf("--%s %d: want a positive number", n.name, *n.value)
		}
		if *n.value == 0 {
			*n.value = n.def
		}
	}
	if o.Model != "" && o.Synthetic != "" {
		return o, fmt.Errorf("--model and --synthetic exclude each other")
	}
	if o.Model == "" && o.Synthetic == "" {
		o.Model = "demo"
	}
	if o.Layers+o.Experts+o.Vocab != 0 && o.Synthetic == "" {
		return o, fmt.Errorf("--layers, --experts and --vocab cut a synthetic model; name one with --synthetic")
	}
	if o.NewTokens < 2 {
		return o, fmt.Errorf("--tokens %d: decoding is timed from the first token on, so at least 2", o.NewTokens)
	}
	if o.Fabric != "" && o.Fabric != fabricMemory && o.Fabric != fabricProcesses {
		return o, fmt.Errorf("--fabric %.40q: want %s or %s", o.Fabric, fabricMemory, fabricProcesses)
	}
	if o.Progress == nil {
		o.Progress = func(string, ...any) {}
	}
	return o, nil
}

// Run measures one scenario.
func Run(ctx context.Context, name string, o Options) (Report, error) {
	var names []string
	for _, s := range Scenarios() {
		if s.Name == name {
			if defaults := networkDefaults()[name]; defaults != nil {
				defaults(&o)
			}
			o, err := o.withDefaults()
			if err != nil {
				return Report{}, err
			}
			if o.Fabric == fabricProcesses && !slices.Contains(onProcesses(), name) {
				return Report{}, fmt.Errorf("scenario %s has no --fabric %s; those that do: %s", name, o.Fabric, strings.Join(onProcesses(), ", "))
			}
			m, err := s.run(ctx, o)
			return Report{Scenario: name, Commit: commit(), Machine: machine(), Seed: o.Seed, Metrics: m}, err
		}
		names = append(names, s.Name)
	}
	return Report{}, fmt.Errorf("no scenario %.40q; there are %s", name, strings.Join(names, ", "))
}

// orDefault is v, or byDefault if v is zero.
func orDefault(v, byDefault int) int {
	if v == 0 {
		return byDefault
	}
	return v
}

// quickly is the number of a quick run, or that of a real one.
func quickly(o *Options, quick, real int) int {
	if o.Quick {
		return quick
	}
	return real
}
