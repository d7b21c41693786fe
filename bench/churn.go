package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/moeswarm/moeswarm/internal/client"
	"github.com/moeswarm/moeswarm/internal/localswarm"
	"github.com/moeswarm/moeswarm/internal/node"
)

// Sizes of the churn scenario.
const (
	churnJoiners = 7  // that spread the model
	churnShare   = 5  // each gives room for one part in so many
	churnMost    = 14 // nodes that choose their experts, at a time, while nodes come and go
	churnLeast   = 11
	churnGates   = 3 // of them that gate, at least two always
	churnPrompts = 4 // different ones that are asked for all the time
)

// churn seeds a swarm of real processes from one that has the model, kills
// that one when the others hold all of it, and then lets nodes join and die
// while prompts are answered.
func churn(ctx context.Context, o Options) (_ Metrics, err error) {
	c, err := newChurnSwarm(ctx, o)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	out := Metrics{"joiners": churnJoiners, "budget_mb": float64(c.budget) / 1e6, "model_experts_mb": float64(c.size) / 1e6}
	if out["spread_s"], err = c.spread(ctx); err != nil {
		return nil, err
	}
	o.Progress("every expert has two holders after %.1f s; the seeder is killed", out["spread_s"])
	c.seeder.Kill()
	if err := c.answers(ctx, 2*churnPrompts); err != nil {
		return nil, err
	}
	out["answers_without_seeder"] = float64(c.right)
	o.Progress("%d answers without it are those of one machine", c.right)
	if err := c.storm(ctx, out); err != nil {
		return nil, err
	}
	return out, nil
}

// churnSwarm is the processes of the scenario.
type churnSwarm struct {
	o      Options
	random *rand.Rand
	dir    string
	args   []string // of nodes that join
	budget int64
	size   int64 // of all experts

	prompts []string
	want    [][]int32

	seeder *localswarm.Node
	entry  *localswarm.Node
	ask    *client.Client

	mu    sync.Mutex
	nodes []*churnNode // that run
	free  []string     // data directories of nodes that are away
	made  int

	right, wrong, lost int
}

type churnNode struct {
	*localswarm.Node
	data string
	gate bool
}

func newChurnSwarm(ctx context.Context, o Options) (c *churnSwarm, err error) {
	m, err := o.open(ctx)
	if err != nil {
		return nil, err
	}
	defer m.Close()
	if _, err := m.Identify(ctx, nil); err != nil {
		return nil, err
	}
	path, err := o.modelPath(ctx)
	if err != nil {
		return nil, err
	}
	c = &churnSwarm{o: o, random: rand.New(rand.NewPCG(o.Seed, 7))}
	for _, p := range m.Manifest().Experts {
		c.size += p.Size
	}
	c.budget = c.size/churnShare + 1
	for i := range churnPrompts {
		text, _, err := promptFor(m, o.Prompt, o.Seed+uint64(i))
		if err != nil {
			return nil, err
		}
		want, err := localText(ctx, m, text, o)
		if err != nil {
			return nil, err
		}
		c.prompts, c.want = append(c.prompts, text), append(c.want, want)
	}
	if c.dir, err = os.MkdirTemp("", "moeswarm-churn-"); err != nil {
		return nil, err
	}
	if c.seeder, err = c.launch(ctx, "--data", c.newDir(), "--model", path, "--gate"); err != nil {
		return nil, errors.Join(err, c.close())
	}
	c.args = []string{"--model", m.ID().String(), "--experts", "auto", "--memory", fmt.Sprint(c.budget)}
	return c, nil
}

// launch starts a node that leaves the choice of its state to nobody.
func (c *churnSwarm) launch(ctx context.Context, args ...string) (*localswarm.Node, error) {
	a := []string{"--yield", "off", "--nice", "0", "--threads", fmt.Sprint(max(1, c.o.Threads))}
	c.mu.Lock()
	for _, n := range c.nodes[max(0, len(c.nodes)-3):] {
		a = append(a, "--join", n.Addrs[0])
	}
	c.mu.Unlock()
	if c.seeder != nil && alive(c.seeder) {
		a = append(a, "--join", c.seeder.Addrs[0])
	}
	return localswarm.Launch(ctx, localswarm.Config{Exec: c.o.Exec, Log: c.o.Log}, append(a, args...)...)
}

func alive(n *localswarm.Node) bool {
	select {
	case <-n.Done():
		return false
	default:
		return true
	}
}

func (c *churnSwarm) newDir() string {
	c.made++
	return filepath.Join(c.dir, fmt.Sprint(c.made))
}

// join starts a node that chooses its experts: one that was here before, if
// there is one, with what it has on disk.
func (c *churnSwarm) join(ctx context.Context) error {
	c.mu.Lock()
	gates := 0
	for _, n := range c.nodes {
		if n.gate {
			gates++
		}
	}
	n := &churnNode{gate: gates < churnGates}
	if len(c.free) > 0 {
		n.data, c.free = c.free[0], c.free[1:]
	} else {
		n.data = c.newDir()
	}
	c.mu.Unlock()
	args := append([]string{"--data", n.data}, c.args...)
	if n.gate {
		args = append(args, "--gate")
	}
	var err error
	if n.Node, err = c.launch(ctx, args...); err != nil {
		return err
	}
	c.mu.Lock()
	c.nodes = append(c.nodes, n)
	c.mu.Unlock()
	return nil
}

// spread starts the nodes and waits until every expert has two holders and
// every gating node of the joiners gates.
func (c *churnSwarm) spread(ctx context.Context) (seconds float64, err error) {
	began := time.Now()
	for range churnJoiners {
		if err := c.join(ctx); err != nil {
			return 0, err
		}
	}
	if c.entry, err = c.launch(ctx, "--ephemeral"); err != nil {
		return 0, err
	}
	if c.ask, err = client.New(c.entry.URL); err != nil {
		return 0, err
	}
	err = c.await(ctx, 5*time.Minute, "two holders of every expert", func(m node.ModelView) bool {
		return m.Complete && m.Single == 0 && m.GatingNodes > churnGates
	})
	return time.Since(began).Seconds(), err
}

// state is the model as the entry sees it.
func (c *churnSwarm) state(ctx context.Context) (m node.ModelView, err error) {
	var v node.View
	if err := c.ask.Get(ctx, "/v1/swarm", &v); err != nil {
		return m, err
	}
	if len(v.Models) == 0 {
		return m, nil
	}
	return v.Models[0], nil
}

// await polls until the model is as it should be.
func (c *churnSwarm) await(ctx context.Context, most time.Duration, what string, good func(node.ModelView) bool) error {
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	var last node.ModelView
	for {
		m, err := c.state(ctx)
		if err == nil && good(m) {
			return nil
		}
		if err == nil {
			last = m
		}
		if !sleep(ctx, 100*time.Millisecond) {
			return fmt.Errorf("waited %v for %s: %d of %d experts have a holder, %d only one, %d nodes gate", most, what, last.Held, last.Experts, last.Single, last.GatingNodes)
		}
	}
}

func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// answers asks for so many and compares each with that of one machine.
func (c *churnSwarm) answers(ctx context.Context, n int) error {
	for i := range n {
		p := i % churnPrompts
		a, err := askFor(ctx, c.ask, c.prompts[p], c.o.NewTokens, c.o.Seed, nil)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			c.lost++
			c.o.Progress("an answer was lost: %v", err)
		case !slices.Equal(a.Tokens, c.want[p][:min(len(c.want[p]), len(a.Tokens))]):
			c.wrong++
		default:
			c.right++
		}
	}
	if c.lost+c.wrong > 0 {
		return fmt.Errorf("%d answers right, %d wrong, %d lost", c.right, c.wrong, c.lost)
	}
	return nil
}

// storm lets a node join or die every five seconds while prompts are answered.
func (c *churnSwarm) storm(ctx context.Context, out Metrics) error {
	for len(c.nodes) < churnMost {
		if err := c.join(ctx); err != nil {
			return err
		}
	}
	two := func(m node.ModelView) bool { return m.Complete && m.Single == 0 }
	if err := c.await(ctx, 2*time.Minute, "two holders of every expert without the seeder", two); err != nil {
		return err
	}
	length := time.Duration(quickly(&c.o, 20, 180)) * time.Second
	c.o.Progress("a node joins or is killed every 5 s, for %v", length)
	asking, stop := context.WithCancel(ctx)
	defer stop()
	var asked sync.WaitGroup
	var failed error
	asked.Go(func() {
		for asking.Err() == nil {
			if err := c.answers(asking, 1); err != nil && failed == nil {
				failed = err
			}
		}
	})
	var restored []time.Duration
	joins, kills, postponed := 0, 0, 0
	var hole time.Time // since when an expert lacks a second holder
	next := time.Now()
	for end := time.Now().Add(length); time.Now().Before(end); {
		m, err := c.state(ctx)
		if err != nil {
			return err
		}
		switch {
		case !two(m) && hole.IsZero():
			hole = time.Now()
		case two(m) && !hole.IsZero():
			restored = append(restored, time.Since(hole))
			hole = time.Time{}
		}
		if !time.Now().Before(next) {
			next = next.Add(5 * time.Second)
			wantsKill := len(c.nodes) >= churnMost || len(c.nodes) > churnLeast && c.random.IntN(2) == 0
			switch {
			case wantsKill && !two(m): // a kill now could take the last copy: no swarm survives that
				postponed++
			case wantsKill:
				kills++
				c.kill()
			default:
				joins++
				if err := c.join(ctx); err != nil {
					return err
				}
			}
		}
		if !sleep(ctx, 100*time.Millisecond) {
			return ctx.Err()
		}
	}
	if err := c.await(ctx, 2*time.Minute, "two holders of every expert in the end", two); err != nil {
		return err
	}
	if !hole.IsZero() {
		restored = append(restored, time.Since(hole))
	}
	stop()
	asked.Wait()
	out["answers"], out["answers_wrong"], out["answers_lost"] = float64(c.right), float64(c.wrong), float64(c.lost)
	out["joins"], out["kills"], out["kills_postponed"] = float64(joins), float64(kills), float64(postponed)
	out["restores"], out["restore_p50_s"], out["restore_max_s"] = float64(len(restored)), quantile(restored, 0.5)/1000, quantile(restored, 1)/1000
	return failed
}

// kill ends a node as a crash would: any, but one of the last two that gate.
func (c *churnSwarm) kill() {
	c.mu.Lock()
	gates := 0
	for _, n := range c.nodes {
		if n.gate {
			gates++
		}
	}
	var victim *churnNode
	for victim == nil || victim.gate && gates <= 2 {
		victim = c.nodes[c.random.IntN(len(c.nodes))]
	}
	c.nodes = slices.DeleteFunc(c.nodes, func(n *churnNode) bool { return n == victim })
	c.free = append(c.free, victim.data)
	c.mu.Unlock()
	victim.Kill()
}

func (c *churnSwarm) close() error {
	c.mu.Lock()
	all := []*localswarm.Node{c.entry, c.seeder}
	for _, n := range c.nodes {
		all = append(all, n.Node)
	}
	c.mu.Unlock()
	var ended sync.WaitGroup
	for _, n := range all {
		if n != nil && alive(n) {
			ended.Go(n.Kill)
		}
	}
	ended.Wait()
	return os.RemoveAll(c.dir)
}
