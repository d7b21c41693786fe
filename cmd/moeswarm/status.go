package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/moeswarm/moeswarm/internal/client"
	"github.com/moeswarm/moeswarm/internal/node"
	"github.com/moeswarm/moeswarm/routing"
)

const defaultNode = "http://127.0.0.1:4180"

func (p program) status(ctx context.Context, args []string) error {
	fs := p.flags("status", "status [--node URL] [--json]", `
  moeswarm status
  moeswarm status --node http://127.0.0.1:4181
  moeswarm status --json
`)
	url := fs.String("node", defaultNode, "`URL` of the node to ask")
	asJSON := fs.Bool("json", false, "print what /v1/swarm says")
	if _, err := parse(fs, args, 0, 0); err != nil {
		return err
	}
	c, err := client.New(*url)
	if err != nil {
		return usageError{err}
	}
	c = c.WithKey(p.getenv("MOESWARM_API_KEY"))
	var v node.View
	if err := c.Get(ctx, "/v1/swarm", &v); err != nil {
		return err
	}
	if *asJSON {
		return json.NewEncoder(p.stdout).Encode(v)
	}
	p.showStatus(v)
	return nil
}

func (p program) showStatus(v node.View) {
	out := p.stdout
	fmt.Fprintf(out, "node %s, moeswarm %s, up %.0f s\n", v.Peer, v.Version, v.UptimeS)
	for _, a := range v.Reach.Addrs {
		fmt.Fprintf(out, "  %s (%s)\n", a.Addr, a.State)
	}
	fmt.Fprintln(out, reachLine(v.Reach))
	if v.Owner.State != "" && v.Owner.State != "active" {
		fmt.Fprintf(out, "%s for %.0f s: %s\n", v.Owner.State, v.Owner.SinceS, v.Owner.Reason)
	}
	if len(v.Models) == 0 {
		fmt.Fprintf(out, "\nno model is known in this swarm yet; a node started with \"--model demo --gate\" brings one\n")
	}
	for _, m := range v.Models {
		fmt.Fprintf(out, "\nmodel %s (%.12s): %d of %d experts have a holder; %d nodes hold, %d gate; here: experts %s%s\n",
			m.Name, m.ID, m.Held, m.Experts, m.HoldingNodes, m.GatingNodes, m.HeldHere, map[bool]string{true: ", gated"}[m.GatedHere])
		if h := m.Hot; h != nil {
			fmt.Fprintf(out, "  kept for own answers: %d experts, %.1f of %.1f MB (%s)\n", h.Count, float64(h.Bytes)/1e6, float64(h.Budget)/1e6, h.Experts)
		}
		if f := m.Fetch; f != nil && f.Done < f.Total {
			fmt.Fprintf(out, "  fetching: %.1f of %.1f MB, %.1f MB/s from %d peers, %.0f s left\n", float64(f.Done)/1e6, float64(f.Total)/1e6, f.MBps, len(f.Sources), f.LeftS)
		}
		if f := m.Fetch; f != nil {
			for peer, why := range f.CutOff {
				fmt.Fprintf(out, "  asked for no more parts: %s (%s)\n", peer, why)
			}
		}
		for _, line := range m.Missing {
			fmt.Fprintf(out, "  missing: %s\n", strings.TrimSpace(line))
		}
		if m.Advice != "" {
			fmt.Fprintf(out, "  %s\n", m.Advice)
		}
	}
	if len(v.Peers) > 0 {
		fmt.Fprintln(out)
		w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "PEER\tSTATE\tRTT ms\tEXPECTED ms\tP95 ms\tCALLS\tFAILED\tSCORE\tSERVES")
		for _, peer := range v.Peers {
			fmt.Fprintln(w, peerRow(peer))
		}
		w.Flush()
	}
	r := v.Routing
	fmt.Fprintf(out, "\nasked of peers: %d rounds (p50 %.2f ms, p99 %.2f ms), %d calls, %d failovers, %.1f MB out, %.1f MB in; computed here: %d calls\n",
		r.Rounds, r.RoundP50ms, r.RoundP99ms, r.RemoteCalls, r.Failovers, float64(r.BytesOut)/1e6, float64(r.BytesIn)/1e6, r.LocalCalls)
	if r.HalfAnswers > 0 {
		fmt.Fprintf(out, "  %d of the peers' answers came in half precision (--answers-f16): tokens may differ from a single machine's\n", r.HalfAnswers)
	}
	if a := v.Audit; a != nil {
		fmt.Fprintf(out, "checked: %d of %d answers of peers; %d right, %d wrong, %d open\n", a.Audited, a.Answers, a.Cleared, a.Guilty+a.Unproven, a.Undecided+a.Unable)
		for _, l := range a.Liars {
			fmt.Fprintf(out, "  excluded for lying: %s (%s)\n", l.Peer, l.Why)
		}
	}
	fmt.Fprintf(out, "duplicated: %d calls, %d of %d duplicates were first, %d rows for nothing; left out: %d calls, gate mass %.3f\n",
		r.HedgedCalls, r.HedgesWon, r.Hedges, r.WastedRows, r.Dropped, r.DroppedMass)
	if g := v.Gating; g != nil {
		fmt.Fprintf(out, "worked out here: %d tokens in %d steps, %d of prompts; %d tried ahead of time, %d of them right; %d answers run, %d wait\n",
			g.Decoded, g.Steps, g.Prefilled, g.Drafted, g.Accepted, g.Running, g.Waiting)
	}
	fmt.Fprintf(out, "served to peers: %d calls, %d rows\n", v.Served.Calls, v.Served.Rows)
	p.showLedger(v.Ledger)
	fmt.Fprintf(out, "prompts entered here: %d answered, %d failed, %d tokens, %d failovers\n",
		v.Answers.Answers, v.Answers.Errors, v.Answers.Tokens, v.Answers.Failovers)
}

// showLedger says what a node's part in the economy is.
func (p program) showLedger(l *node.EconomyView) {
	if l == nil {
		return
	}
	fmt.Fprintf(p.stdout, "\nledger %s, epoch %d: account %s has %v, bond %v", l.Chain, l.Epoch, l.Account, l.Balance, l.Bond)
	if l.Income > 0 {
		fmt.Fprintf(p.stdout, ", earned %v so far", l.Income)
	}
	fmt.Fprintf(p.stdout, "\n  promised for answers: %v for %d tokens; taken for gating: %v for %d tokens\n", l.Promised, l.Bought, l.Earned, l.Sold)
	for _, s := range l.Seats {
		ours := "no seat here"
		if s.Ours {
			ours = fmt.Sprintf("a seat here until epoch %d", s.Until)
		}
		fmt.Fprintf(p.stdout, "  model %s: %d gating nodes, %s; for this node: %s\n", s.Model, s.Size, ours, strings.Join(s.Gates, ", "))
	}
	if l.Trouble != "" {
		fmt.Fprintf(p.stdout, "  trouble: %s\n", l.Trouble)
	}
}

// reachLine says how this node stands to the world outside.
func reachLine(r node.ReachView) string {
	line := map[string]string{
		"public":  "reachable from outside",
		"private": "not reachable from outside; peers come through relays or punched holes",
		"unknown": "whether it can be reached from outside is not known yet",
	}[r.Reachable]
	if !r.Traverses {
		line = "no ways through routers are sought (--nat=false, or loopback only)"
	}
	if r.Private {
		line += "; private swarm"
	}
	if r.Router {
		line += "; the router opens ports"
	}
	if r.Relaying {
		line += "; relays for others"
	}
	if r.HolesPunched+r.PunchesFailed > 0 {
		line += fmt.Sprintf("; holes punched: %d of %d", r.HolesPunched, r.HolesPunched+r.PunchesFailed)
	}
	return line
}

func peerRow(p node.PeerView) string {
	state := "known"
	switch {
	case !p.Usable:
		state = "lost"
	case slices.ContainsFunc(p.Models, func(m node.PeerModelView) bool { return m.Paused }):
		state = "paused"
	case p.Way == "relay":
		state = "relayed"
	case p.Connected:
		state = "connected"
	}
	expected, p95, score, calls, failed := "-", "-", "-", 0, 0
	if c := p.Calls; c != nil {
		expected, p95, calls = fmt.Sprintf("%.2f", c.ExpectedMs), fmt.Sprintf("%.2f", c.P95ms), c.Calls
		score = fmt.Sprintf("%.2f", c.Score)
		switch {
		case c.Excluded != "":
			state = "excluded"
		case c.Breaker != routing.Closed.String():
			state += ", " + c.Breaker
		}
		for kind, n := range c.Failures {
			if kind != routing.Cancelled.String() { // by us
				failed += n
			}
		}
	}
	var serves []string
	for _, m := range p.Models {
		s := fmt.Sprintf("%s: %d experts", m.Name, m.Count)
		if m.Gates {
			s += ", gates"
		}
		serves = append(serves, s)
	}
	return fmt.Sprintf("%s\t%s\t%.2f\t%s\t%s\t%d\t%d\t%s\t%s", p.Peer, state, p.RTTms, expected, p95, calls, failed, score, strings.Join(serves, "; "))
}
