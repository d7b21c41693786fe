package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/internal/client"
	"github.com/moeswarm/moeswarm/internal/node"
	"github.com/moeswarm/moeswarm/internal/ticket"
)

// invite prints a ticket to the swarm of a running node.
func (p program) invite(ctx context.Context, args []string) error {
	fs := p.flags("invite", "invite [--node URL] [MODEL]", `
  moeswarm invite
      one string that lets others join: moeswarm node --ticket moe1…
  moeswarm invite demo
      the same, where the swarm serves several models
`)
	url := fs.String("node", defaultNode, "`URL` of the node that others are to join")
	ops, err := parse(fs, args, 0, 1)
	if err != nil {
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
	want := ""
	if len(ops) == 1 {
		want = ops[0]
	}
	t, err := ticketOf(v, want)
	if err != nil {
		return err
	}
	fmt.Fprintln(p.stdout, t)
	return nil
}

// ticketOf makes the ticket of a swarm as a node sees it. The addresses are its
// own, those that only reach itself last.
func ticketOf(v node.View, want string) (ticket.Ticket, error) {
	var t ticket.Ticket
	var loopback []string
	for _, a := range v.Addrs {
		if strings.HasPrefix(a, "/ip4/127.") || strings.HasPrefix(a, "/ip6/::1/") {
			loopback = append(loopback, a)
		} else {
			t.Addrs = append(t.Addrs, a)
		}
	}
	t.Addrs = append(t.Addrs, loopback...)
	if len(t.Addrs) == 0 {
		return t, fmt.Errorf("the node has no address yet that others could join; try again in a moment")
	}
	var names []string
	for _, m := range v.Models {
		names = append(names, m.Name)
		if want != "" && m.Name != want && !strings.HasPrefix(m.ID, want) || want == "" && len(v.Models) != 1 {
			continue
		}
		id, err := expert.ParseModelID(m.ID)
		t.Model = id
		return t, err
	}
	if want != "" {
		return t, fmt.Errorf("the swarm has no model %.80q; it has: %s", want, strings.Join(names, ", "))
	}
	if len(names) > 1 {
		return t, usagef("the swarm has several models; name one of: %s", strings.Join(names, ", "))
	}
	return t, nil // a swarm without a model can be joined, too
}
