package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/internal/client"
	"github.com/moeswarm/moeswarm/internal/demo"
	"github.com/moeswarm/moeswarm/internal/localswarm"
	"github.com/moeswarm/moeswarm/internal/node"
)

// runFlags is the command line of "moeswarm run".
type runFlags struct {
	nodes, tokens, threads int
	temperature            float64
	seed                   uint64
	seeded                 bool
	model, node            string
	bestEffort             float64
	json, verbose          bool
}

func (p program) run(ctx context.Context, args []string) error {
	var f runFlags
	fs := p.flags("run", "run [FLAGS] \"PROMPT\"", `
  moeswarm run "func main() {"
      four processes on this machine share out the demo model's experts
  moeswarm run --nodes 8 -n 200 --temperature 0.7 --seed 3 "// Package strings implements"
  moeswarm run --node http://127.0.0.1:4180 "func main() {"
      ask a running node instead
`)
	fs.IntVar(&f.nodes, "nodes", 4, "`processes` that share out the experts; one more takes the prompt and holds nothing")
	fs.IntVar(&f.tokens, "n", 64, "`tokens` of answer at most")
	fs.Float64Var(&f.temperature, "temperature", 0, "`T` above 0 samples; 0 takes the likeliest token")
	fs.Uint64Var(&f.seed, "seed", 0, "`seed` of sampling (default: random)")
	fs.StringVar(&f.model, "model", "", "GGUF `file` or \"demo\"; with --node, the name of a model that the swarm serves (default: demo; with --node, the only one served)")
	fs.StringVar(&f.node, "node", "", "`URL` of a node to ask, instead of a throwaway swarm")
	fs.IntVar(&f.threads, "threads", 0, "`processors` each process computes with (default: all)")
	fs.Float64Var(&f.bestEffort, "best-effort", 0, "`share` of a token's gate mass that may be left out when experts are late, 0 to 1; 0 is exact")
	fs.BoolVar(&f.json, "json", false, "print one JSON object")
	fs.BoolVar(&f.verbose, "verbose", false, "show what the processes log")
	ops, err := parse(fs, args, 1, 1)
	if err != nil {
		return err
	}
	f.seeded = isSet(fs, "seed")
	if f.node != "" && isSet(fs, "nodes") {
		return usagef("--nodes is for a throwaway swarm; leave it out with --node")
	}
	if err := p.checkCPU(); err != nil {
		return err
	}
	if f.node != "" {
		return p.ask(ctx, f, f.node, ops[0], nil)
	}
	return p.runLocal(ctx, f, ops[0])
}

// runLocal starts a swarm, asks it and stops it.
func (p program) runLocal(ctx context.Context, f runFlags, prompt string) (err error) {
	if f.nodes < 1 || f.nodes > localswarm.MaxNodes {
		return usagef("--nodes %d: want 1 to %d", f.nodes, localswarm.MaxNodes)
	}
	if f.model == "" {
		f.model = demo.Name
	}
	cfg, err := p.localConfig(ctx, f.model, f.nodes)
	if err != nil {
		return err
	}
	cfg.Threads = f.threads
	if f.verbose {
		cfg.Log, cfg.Args = p.stderr, []string{"--verbose"}
	}
	s, err := localswarm.Start(ctx, cfg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	return p.ask(ctx, f, s.Entry.URL, prompt, s)
}

// localConfig shares a model's experts out over n nodes.
func (p program) localConfig(ctx context.Context, model string, n int) (localswarm.Config, error) {
	exec, err := os.Executable()
	if err != nil {
		return localswarm.Config{}, err
	}
	m, err := p.openModel(ctx, nil, model)
	if err != nil {
		return localswarm.Config{}, err
	}
	defer m.Model.Close()
	cfg := localswarm.Config{Exec: exec, Model: model, Progress: func(s string) { p.say("%s", s) }}
	shape := m.Model.Shape()
	for _, share := range m.Model.Manifest().Shares(n) {
		cfg.Hold = append(cfg.Hold, expert.FormatSpec(share, shape.SparseLayers, shape.Experts))
	}
	return cfg, nil
}

// summary is what "run --json" prints.
type summary struct {
	Text         string          `json:"text"`
	Tokens       []int32         `json:"tokens"`
	PromptTokens int             `json:"prompt_tokens"`
	Finish       string          `json:"finish_reason"`
	FirstTokenMs float64         `json:"first_token_ms"`
	TotalMs      float64         `json:"total_ms"`
	TokensPerS   float64         `json:"tokens_per_s"`
	Nodes        []nodeSummary   `json:"nodes,omitempty"`
	Failovers    uint64          `json:"failovers"`
	Dropped      *client.Dropped `json:"dropped,omitempty"` // of a best-effort answer
	Drafts       client.Drafts   `json:"drafts"`            // tokens tried ahead of their time
	BytesOut     int64           `json:"bytes_out"`
	BytesIn      int64           `json:"bytes_in"`
}

// nodeSummary is one process of the throwaway swarm.
type nodeSummary struct {
	Peer    string `json:"peer"`
	Gates   bool   `json:"gates"`
	Experts string `json:"experts"`
	Calls   int64  `json:"expert_calls"`
}

// ask sends the prompt to the node at url and shows the answer. s is the
// throwaway swarm, or nil.
func (p program) ask(ctx context.Context, f runFlags, url, prompt string, s *localswarm.Swarm) error {
	c, err := client.New(url)
	if err != nil {
		return usageError{err}
	}
	c = c.WithKey(p.getenv("MOESWARM_API_KEY"))
	req := client.Request{Prompt: prompt, MaxTokens: f.tokens, Temperature: f.temperature, BestEffort: f.bestEffort}
	if s == nil {
		req.Model = f.model
	}
	if f.seeded {
		req.Seed = &f.seed
	}
	show := func(piece string) { fmt.Fprint(p.stdout, piece) }
	if f.json {
		show = nil
	} else {
		fmt.Fprint(p.stdout, prompt)
	}
	a, err := c.Complete(ctx, req, show)
	if !f.json {
		fmt.Fprintln(p.stdout)
	}
	if err != nil {
		return err
	}
	sum, err := summarise(ctx, c, a, s)
	if err != nil {
		return err
	}
	if f.bestEffort > 0 {
		sum.Dropped = &a.Dropped
	}
	if f.json {
		return json.NewEncoder(p.stdout).Encode(sum)
	}
	p.showSummary(sum, s != nil)
	return nil
}

// summarise adds what the nodes say about the answer.
func summarise(ctx context.Context, entry *client.Client, a client.Answer, s *localswarm.Swarm) (summary, error) {
	sum := summary{
		Text: a.Text, Tokens: a.Tokens, PromptTokens: a.PromptTokens, Finish: a.Finish,
		FirstTokenMs: float64(a.FirstToken.Microseconds()) / 1000,
		TotalMs:      float64(a.Total.Microseconds()) / 1000,
		TokensPerS:   a.DecodeRate(),
		Drafts:       a.Drafts,
	}
	if s == nil {
		return sum, nil
	}
	var v node.View
	if err := entry.Get(ctx, "/v1/swarm", &v); err != nil {
		return sum, err
	}
	sum.Failovers = v.Answers.Failovers
	for _, n := range s.Nodes {
		c, err := client.New(n.URL)
		if err != nil {
			return sum, err
		}
		if err := c.Get(ctx, "/v1/swarm", &v); err != nil {
			return sum, err
		}
		sum.Nodes = append(sum.Nodes, nodeSummary{
			Peer: n.Peer, Gates: n.Gates, Experts: n.Hold, Calls: v.Served.Calls + int64(v.Routing.LocalCalls),
		})
		sum.Failovers += uint64(v.Routing.Failovers)
		sum.BytesOut += v.Routing.BytesOut
		sum.BytesIn += v.Routing.BytesIn
	}
	return sum, nil
}

func (p program) showSummary(s summary, local bool) {
	var b strings.Builder
	fmt.Fprintf(&b, "\n%d tokens after %d of prompt, %.1f tokens/s, first after %.0f ms", len(s.Tokens), s.PromptTokens, s.TokensPerS, s.FirstTokenMs)
	if d := s.Drafts; d.Drafted > 0 {
		fmt.Fprintf(&b, "; %d of %d drafted tokens right", d.Accepted, d.Drafted)
	}
	if s.Dropped != nil {
		fmt.Fprintf(&b, "; best effort: %d expert calls left out, gate mass %.3f", s.Dropped.Calls, s.Dropped.Mass)
	}
	if local {
		fmt.Fprintf(&b, "; %d nodes, %.1f MB between them, %d failovers\n", len(s.Nodes)+1, float64(s.BytesOut+s.BytesIn)/1e6, s.Failovers)
		for _, n := range s.Nodes {
			role := ""
			if n.Gates {
				role = ", gating"
			}
			fmt.Fprintf(&b, "  %s  experts %s: %d calls%s\n", n.Peer, n.Experts, n.Calls, role)
		}
		fmt.Fprint(&b, "  (the prompt entered at one more node, which holds nothing)")
	}
	p.say("%s", b.String())
}
