package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/moeswarm/moeswarm/internal/client"
	"github.com/moeswarm/moeswarm/internal/node"
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
	for _, a := range v.Addrs {
		fmt.Fprintf(out, "  %s\n", a)
	}
	if len(v.Models) == 0 {
		fmt.Fprintf(out, "\nno model is known in this swarm yet; a node started with \"--model demo --gate\" brings one\n")
	}
	for _, m := range v.Models {
		fmt.Fprintf(out, "\nmodel %s (%.12s): %d of %d experts have a holder; %d nodes hold, %d gate; here: experts %s%s\n",
			m.Name, m.ID, m.Held, m.Experts, m.HoldingNodes, m.GatingNodes, m.HeldHere, map[bool]string{true: ", gated"}[m.GatedHere])
		for _, line := range m.Missing {
			fmt.Fprintf(out, "  missing: %s\n", strings.TrimSpace(line))
		}
	}
	if len(v.Peers) > 0 {
		fmt.Fprintln(out)
		w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "PEER\tSTATE\tRTT ms\tEXPECTED ms\tCALLS\tFAILED\tSERVES")
		for _, peer := range v.Peers {
			fmt.Fprintln(w, peerRow(peer))
		}
		w.Flush()
	}
	r := v.Routing
	fmt.Fprintf(out, "\nasked of peers: %d rounds (p50 %.2f ms, p99 %.2f ms), %d calls, %d failovers, %.1f MB out, %.1f MB in; computed here: %d calls\n",
		r.Rounds, r.RoundP50ms, r.RoundP99ms, r.RemoteCalls, r.Failovers, float64(r.BytesOut)/1e6, float64(r.BytesIn)/1e6, r.LocalCalls)
	fmt.Fprintf(out, "served to peers: %d calls, %d rows\n", v.Served.Calls, v.Served.Rows)
	if a := v.Audit; a != nil {
		fmt.Fprintf(out, "checked: %d of %d answers of peers; %d right, %d wrong, %d open\n", a.Audited, a.Answers, a.Cleared, a.Guilty+a.Unproven, a.Undecided+a.Unable)
		for _, l := range a.Liars {
			fmt.Fprintf(out, "  excluded for lying: %s (%s)\n", l.Peer, l.Why)
		}
	}
	fmt.Fprintf(out, "prompts entered here: %d answered, %d failed, %d tokens, %d failovers\n",
		v.Answers.Answers, v.Answers.Errors, v.Answers.Tokens, v.Answers.Failovers)
}

func peerRow(p node.PeerView) string {
	state := "known"
	switch {
	case !p.Usable:
		state = "lost"
	case p.Connected:
		state = "connected"
	}
	expected, calls, failed := "-", 0, 0
	if p.Calls != nil {
		expected, calls = fmt.Sprintf("%.2f", p.Calls.ExpectedMs), p.Calls.Calls
		for _, n := range p.Calls.Failures {
			failed += n
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
	return fmt.Sprintf("%s\t%s\t%.2f\t%s\t%d\t%d\t%s", p.Peer, state, p.RTTms, expected, calls, failed, strings.Join(serves, "; "))
}
