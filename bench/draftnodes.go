package bench

import (
	"context"
	"errors"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/gating/prompt"
	"github.com/moeswarm/moeswarm/internal/client"
	"github.com/moeswarm/moeswarm/internal/node"
)

// draftLoopback names the row of drafts in which whole nodes talk over libp2p on
// this machine's loopback: the network that is fastest of all real ones.
const draftLoopback = "loopback"

// draftsBetweenNodes measures with nodes in this process of which two gate, one
// without drafts and one as nodes do by default.
func (o Options) draftsBetweenNodes(ctx context.Context, m *expert.Model, threads int, tasks []draftTask, out Metrics) (err error) {
	nodes, stop, err := o.nodesHere(ctx, m, threads, func(i int, cfg *node.Config) {
		switch i {
		case 0:
			cfg.Drafts = -1
		case 1:
			cfg.HTTP, cfg.Models[0].Gate = "127.0.0.1:0", true
		}
	})
	defer func() { err = errors.Join(err, stop()) }()
	if err != nil {
		return err
	}
	var pair [2]*asked
	for i := range pair {
		c, err := client.New(nodes[i].URL())
		if err != nil {
			return err
		}
		pair[i] = &asked{c}
		if _, err := askFirst(ctx, c, m, o); err != nil {
			return err
		}
	}
	for _, kind := range []string{"edit", "nothing"} {
		if err := draftKind(ctx, "loopback_"+kind+"_", kind, pair[0], pair[1], m, tasks, out, o); err != nil {
			return err
		}
	}
	return nil
}

// asked is a node that answers over HTTP.
type asked struct{ client *client.Client }

func (a *asked) answer(ctx context.Context, r prompt.Request) (tokens []int32, run draftRun, err error) {
	got, err := a.client.Complete(ctx, client.Request{
		Prompt: r.Text, MaxTokens: r.MaxTokens, Temperature: float64(r.Sampling.Temperature), Seed: &r.Sampling.Seed,
	}, nil)
	if err != nil {
		return nil, run, err
	}
	run = draftRun{tokens: len(got.Tokens), drafts: prompt.Drafts{Drafted: got.Drafts.Drafted, Accepted: got.Drafts.Accepted}}
	if len(got.Arrived) > 0 {
		run.first, run.last = got.Arrived[0], got.Arrived[len(got.Arrived)-1]
	}
	return got.Tokens, run, nil
}
