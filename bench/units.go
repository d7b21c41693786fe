package bench

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/internal/client"
	"github.com/moeswarm/moeswarm/internal/localswarm"
	"github.com/moeswarm/moeswarm/internal/node"
)

// unitPrompts is how many prompts of each kind are asked.
const unitPrompts = 4

// unitTask is a kind of prompt, of which %d makes one that no cache knows.
type unitTask struct {
	kind, text  string
	tokens      int
	temperature float64
}

func unitTasks(o Options) []unitTask {
	code := editing()[0]
	return []unitTask{
		{"prefill", "%d\n" + strings.Repeat(code, 2), 1, 0},
		{"edit", "// %d\n" + code, o.NewTokens, 0},
		{"text", "Once upon a time %d there was", o.NewTokens, 0},
		{"noise", "Once %d upon a time there was", o.NewTokens, 1},
	}
}

// unitsPerToken counts rows through experts at holders for each that a token needs
// at the least: what drafts, duplicated calls and audits add. Real processes: a
// gating node that holds nothing and two holders of everything; without drafts,
// and as nodes do by default.
func unitsPerToken(ctx context.Context, o Options) (Metrics, error) {
	path, err := o.modelPath(ctx)
	if err != nil {
		return nil, err
	}
	m, err := o.open(ctx)
	if err != nil {
		return nil, err
	}
	defer m.Close()
	metrics := Metrics{}
	for _, drafts := range []string{"off", "auto"} {
		if err := o.countUnits(ctx, path, m, drafts, metrics); err != nil {
			return nil, fmt.Errorf("drafts %s: %w", drafts, err)
		}
	}
	return metrics, nil
}

func (o Options) countUnits(ctx context.Context, path string, m *expert.Model, drafts string, metrics Metrics) (err error) {
	s, err := localswarm.Start(ctx, localswarm.Config{Exec: o.Exec, Model: path, Threads: o.Threads, Hold: []string{"all", "all"}, Bare: 1, Log: o.Log,
		Progress: func(s string) { o.Progress("drafts %s: %s", drafts, s) }, Args: []string{"--drafts", drafts}})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	gate, err := client.New(s.Nodes[2].URL)
	if err != nil {
		return err
	}
	if _, err := askFirst(ctx, gate, m, o); err != nil {
		return err
	}
	shape := m.Shape()
	need := len(shape.SparseLayers) * shape.TopK
	prompts := unitPrompts
	if o.Quick {
		prompts = 1
	}
	for _, task := range unitTasks(o) {
		before, err := servedRows(ctx, s.Nodes[:2])
		if err != nil {
			return err
		}
		tokens := 0
		for i := range prompts {
			seed := o.Seed + uint64(i)
			a, err := gate.Complete(ctx, client.Request{Prompt: fmt.Sprintf(task.text, i), MaxTokens: task.tokens, Temperature: task.temperature, Seed: &seed}, nil)
			if err != nil {
				return err
			}
			tokens += a.PromptTokens + len(a.Tokens) - 1 // the last one goes through nothing
		}
		after, err := servedRows(ctx, s.Nodes[:2])
		if err != nil {
			return err
		}
		metrics[fmt.Sprintf("%s_drafts_%s_units_per_needed", task.kind, drafts)] = float64(after-before) / float64(tokens*need)
	}
	return nil
}

// servedRows is how many rows holders computed for others.
func servedRows(ctx context.Context, holders []*localswarm.Node) (rows int64, err error) {
	for _, h := range holders {
		c, err := client.New(h.URL)
		if err != nil {
			return 0, err
		}
		var v node.View
		if err := c.Get(ctx, "/v1/swarm", &v); err != nil {
			return 0, err
		}
		rows += v.Served.Rows
	}
	return rows, nil
}
