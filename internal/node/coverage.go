package node

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/gating/prompt"
	"github.com/moeswarm/moeswarm/swarm"
)

// coverageEvery is how often a gating node looks whether experts are missing.
// Gossip brings news within some seconds; a person starting nodes by hand
// looks at the screen as often.
const coverageEvery = 2 * time.Second

// patience is how long experts may be missing before a word is said: nodes
// that start together need a moment to hear of each other.
const patience = 3 * time.Second

// watchCoverage says, for each model gated here, which experts nobody holds,
// whenever that changes, and when nothing is missing any more.
func (n *Node) watchCoverage(ctx context.Context) {
	if !slices.ContainsFunc(n.cfg.Models, Model.mayGate) {
		return
	}
	last := map[expert.ModelID]string{}
	tick := time.NewTimer(patience)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			tick.Reset(coverageEvery)
		}
		for _, m := range n.cfg.Models {
			id := m.Model.ID()
			if !m.Gate && !n.gates.has(id) {
				delete(last, id)
				continue
			}
			said, known := last[id]
			now := strings.Join(n.missing(m, n.net.Coverage(id)), "\n")
			last[id] = now
			switch {
			case now == said && known:
			case now != "":
				n.cfg.Say("model %s cannot answer yet:\n%s\n  %s", m.Name, now, advice(n.shortfall(m.Model.Manifest(), id, n.net.Coverage(id))))
			case known:
				n.cfg.Say("model %s: every expert has a holder", m.Name)
			default:
				n.cfg.Say("model %s: every expert has a holder; ready for prompts", m.Name)
			}
		}
	}
}

// covered reports whether every expert of a model has a holder. The error
// wraps prompt.ErrMissingExperts and says which have none. It does not wait:
// the entry does, and may know another gating node meanwhile.
func (n *Node) covered(model expert.ModelID) error {
	c := n.net.Coverage(model)
	if c.Complete() {
		return nil
	}
	var lines []string
	for _, m := range n.cfg.Models {
		if m.Model.ID() == model {
			lines = n.missing(m, c)
		}
	}
	return fmt.Errorf("%w: %s", prompt.ErrMissingExperts, strings.TrimSpace(strings.Join(lines, "; ")))
}

// missing says in lines which experts have no holder and how much memory
// would mend it.
func (n *Node) missing(m Model, c swarm.Coverage) []string {
	manifest := m.Model.Manifest()
	var lines []string
	for _, line := range missingLines(c) {
		var bytes int64
		for _, s := range line.slots {
			if p, ok := manifest.Piece(s.Layer, s.Index); ok {
				bytes += p.Size
			}
		}
		verb := "have"
		if len(line.slots) == 1 {
			verb = "has"
		}
		lines = append(lines, fmt.Sprintf("  %s %s no holder; a node with %s to spare fixes it", line.text, verb, size(bytes)))
	}
	return lines
}

// missingLine is experts that are told of in one line.
type missingLine struct {
	text  string
	slots []expert.Slot
}

// missingLines groups layers that miss the same experts.
func missingLines(c swarm.Coverage) []missingLine {
	var order []string
	groups := map[string][]expert.Slot{}
	for _, l := range c.Missing {
		key := fmt.Sprint(l.Experts)
		if groups[key] == nil {
			order = append(order, key)
		}
		for _, x := range l.Experts {
			groups[key] = append(groups[key], expert.Slot{Layer: l.Layer, Index: x})
		}
	}
	lines := make([]missingLine, len(order))
	for i, key := range order {
		lines[i] = missingLine{strings.Join(expert.Describe(groups[key]), ", "), groups[key]}
	}
	return lines
}

// shortfall is what a model lacks in a swarm.
type shortfall struct {
	experts       int   // of the model
	missing, lone int   // experts with no holder, with one only
	missingBytes  int64 // 0: sizes are not known here
	loneBytes     int64
	spare         int64 // what a typical node of this swarm gives; 0: not known
}

// typicalSpare is what a node gives where no node says.
const typicalSpare = 2 << 30

// advice says in one line, for people, what a model lacks and what would mend
// it, in experts, bytes and nodes; empty when each expert has two holders.
func advice(s shortfall) string {
	if s.spare <= 0 {
		s.spare = typicalSpare
	}
	switch {
	case s.missing > 0:
		text := fmt.Sprintf("%d of %d experts have no holder", s.missing, s.experts)
		if s.missing == 1 {
			text = fmt.Sprintf("1 of %d experts has no holder", s.experts)
		}
		return text + mend(s.missingBytes, s.spare, "to answer")
	case s.lone > 0:
		text := fmt.Sprintf("%d of %d experts have one holder only", s.lone, s.experts)
		if s.lone == 1 {
			text = fmt.Sprintf("1 of %d experts has one holder only", s.experts)
		}
		return text + mend(s.loneBytes, s.spare, "for any one node to be free to go")
	}
	return ""
}

// mend says how many nodes bring so many bytes.
func mend(bytes, spare int64, goal string) string {
	if bytes <= 0 {
		return ""
	}
	nodes := (bytes + spare - 1) / spare
	if nodes == 1 {
		return fmt.Sprintf("; %s: one more node with %s to spare", goal, size(bytes))
	}
	return fmt.Sprintf("; %s: %s more, such as %d nodes with %s each", goal, size(bytes), nodes, size(spare))
}

// shortfall adds up what a model of this node lacks.
func (n *Node) shortfall(m *expert.Manifest, id expert.ModelID, c swarm.Coverage) shortfall {
	s := shortfall{experts: c.Experts}
	add := func(layers []swarm.LayerExperts) (count int, bytes int64) {
		for _, l := range layers {
			for _, x := range l.Experts {
				count++
				if m == nil {
					continue
				}
				if p, ok := m.Piece(l.Layer, x); ok {
					bytes += p.Size
				}
			}
		}
		return count, bytes
	}
	s.missing, s.missingBytes = add(c.Missing)
	s.lone, s.loneBytes = add(c.Single)
	var spares []int64
	for _, peer := range n.net.Claims(id) {
		if peer.Memory > 0 && peer.Usable {
			spares = append(spares, peer.Memory)
		}
	}
	if slices.Sort(spares); len(spares) > 0 {
		s.spare = spares[len(spares)/2]
	}
	return s
}

// size writes a number of bytes for people, rounded up.
func size(n int64) string {
	switch {
	case n < 1<<20:
		return fmt.Sprintf("%d kB", (n+999)/1000)
	case n < 2_000_000_000:
		return fmt.Sprintf("%d MB", (n+999_999)/1_000_000)
	}
	return fmt.Sprintf("%g GB", math.Ceil(float64(n)/1e8)/10)
}
