package node

import (
	"context"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/internal/ggml"
	"github.com/moeswarm/moeswarm/routing"
	"github.com/moeswarm/moeswarm/routing/audit"
)

// newAudit makes the inspector of what peers answer to the models gated here,
// nil when there are none or it is off. A gating node with a model's whole file
// can judge every expert, whatever it serves; one that has the model in parts
// judges what it holds, and asks a second holder of the rest.
func (n *Node) newAudit(pool *ggml.Pool) (*audit.Inspector, error) {
	all := expert.Sets{}
	manifests := map[expert.ModelID]*expert.Manifest{}
	for _, m := range n.cfg.Models {
		if !m.mayGate() {
			continue
		}
		set := n.sets[m.Model.ID()] // of a model in parts it has what there is
		if m.Model.Whole() {
			var err error
			if set, err = expert.NewSet(m.Model, m.Model.Manifest().IDs(), pool); err != nil {
				return nil, err
			}
		}
		all[m.Model.ID()], manifests[m.Model.ID()] = set, m.Model.Manifest()
	}
	if len(all) == 0 || n.cfg.Audit == "off" {
		return nil, nil
	}
	cfg := audit.Config{
		Weights: func(m expert.ModelID) *expert.Set { return all[m] },
		Piece: func(id expert.ID) (expert.Piece, bool) {
			if m := manifests[id.Model]; m != nil {
				return m.Piece(int(id.Layer), int(id.Index))
			}
			return expert.Piece{}, false
		},
		Challenger: n.net, Directory: n.net, Caller: n.net, Kin: n.kin,
		Passed:   func(p routing.Peer) { n.router.Passed(p) },
		Condemn:  n.condemn,
		Always:   n.cfg.Audit == "always",
		Evidence: n.cfg.Evidence, Log: n.cfg.Log,
	}
	if e := n.economy; e != nil {
		cfg.Vouch, cfg.Accuse, cfg.Verdict = e.vouch, e.accuse, e.audited
	}
	return audit.New(cfg)
}

// check is what the router has answers checked with, nil without audits.
func (n *Node) check() func(context.Context, routing.Checked) func() error {
	if n.audit == nil {
		return nil
	}
	return n.audit.Look
}

// watcher prepares a step and gives its barrier; see [audit.Inspector.Watch].
type watcher func(context.Context) (context.Context, func(context.Context) error)

// watchSteps is how engines have the steps they run watched, nil without audits.
func (n *Node) watchSteps() watcher {
	if n.audit == nil {
		return nil
	}
	return n.audit.Watch
}

// AuditView sums up the checks of what peers answered.
type AuditView struct {
	Answers   int                   `json:"answers"` // seen
	Audited   int                   `json:"audited"`
	Cleared   int                   `json:"cleared"`
	Guilty    int                   `json:"guilty"`
	Unproven  int                   `json:"unproven"`
	Undecided int                   `json:"undecided"`
	Unable    int                   `json:"unable"` // nobody could say
	Identical int                   `json:"identical"`
	Methods   map[string]MethodView `json:"methods"`
	Liars     []audit.Liar          `json:"liars,omitempty"`
}

// MethodView is what one way of checking cost.
type MethodView struct {
	Audits int     `json:"audits"`
	Unable int     `json:"unable"`
	Rows   int     `json:"rows"`
	Bytes  int64   `json:"bytes"`
	Ms     float64 `json:"ms"`
}

func (n *Node) auditView() *AuditView {
	if n.audit == nil {
		return nil
	}
	s := n.audit.Stats()
	v := &AuditView{
		Answers: s.Answers, Audited: s.Drawn, Cleared: s.Cleared, Guilty: s.Guilty, Unproven: s.Unproven,
		Undecided: s.Undecided, Unable: s.Unable, Identical: s.Identical, Methods: map[string]MethodView{}, Liars: s.Liars,
	}
	for name, m := range s.Methods {
		v.Methods[name] = MethodView{Audits: m.Audits, Unable: m.Unable, Rows: m.Rows, Bytes: m.Bytes, Ms: ms(m.Took)}
	}
	return v
}
