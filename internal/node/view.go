package node

import (
	"time"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/internal/entry"
	"github.com/moeswarm/moeswarm/routing"
	"github.com/moeswarm/moeswarm/swarm"
)

// View is what /v1/swarm shows of the swarm as this node sees it. Times are in
// the unit that the name says.
type View struct {
	Peer    string    `json:"peer"`
	Version string    `json:"version"`
	Addrs   []string  `json:"addrs"`
	UptimeS float64   `json:"uptime_s"`
	Reach   ReachView `json:"reach"`

	Owner   OwnerView   `json:"owner"` // how much this node does now, and why
	Models  []ModelView `json:"models"`
	Peers   []PeerView  `json:"peers"`
	Routing RoutingView `json:"routing"` // expert calls this node has asked for
	Served  ServedView  `json:"served"`  // expert calls this node has answered
	// PartsSent is how many bytes of parts of models this node sent to peers.
	PartsSent int64       `json:"parts_sent_bytes"`
	Answers   entry.Stats `json:"answers"`          // prompts that entered here
	Gating    *GatingView `json:"gating,omitempty"` // answers worked out here; absent where none are
	Audit     *AuditView  `json:"audit,omitempty"`  // checks of what peers answered; absent where none are made
	// Ledger is this node's part in the economy; absent without a ledger.
	Ledger *EconomyView `json:"ledger,omitempty"`
}

// ReachView is how this node can be reached from outside.
type ReachView struct {
	Reachable     string     `json:"reachable"` // public, private or unknown
	Private       bool       `json:"private_swarm"`
	Traverses     bool       `json:"nat_traversal"`
	Router        bool       `json:"router_opens_ports"` // by UPnP or NAT-PMP
	Relaying      bool       `json:"relays_for_others"`
	HolesPunched  int        `json:"holes_punched"`
	PunchesFailed int        `json:"hole_punches_failed"`
	Addrs         []AddrView `json:"addrs"`
}

// AddrView is one address of this node and what peers found out about it:
// reachable, unreachable, untested, or relay where it leads through one.
type AddrView struct {
	Addr  string `json:"addr"`
	State string `json:"state"`
}

// ModelView is one model in the swarm.
type ModelView struct {
	ID           string   `json:"id"`
	Name         string   `json:"name"`
	GatingNodes  int      `json:"gating_nodes"`
	HoldingNodes int      `json:"holding_nodes"`
	Experts      int      `json:"experts"`
	Held         int      `json:"experts_with_holder"`
	Complete     bool     `json:"complete"`
	Missing      []string `json:"missing"` // what has no holder, for people
	Single       int      `json:"experts_with_one_holder"`
	Advice       string   `json:"advice,omitempty"` // what would mend it, in experts, bytes and nodes
	GatedHere    bool     `json:"gated_here"`
	HeldHere     string   `json:"held_here"` // as --experts takes it
	// Hot is what is kept for this node's own answers; absent without a budget.
	Hot *HotView `json:"hot,omitempty"`
	// Fetch is how far the fetching of the model's parts is; absent where the
	// model is one file.
	Fetch *FetchView `json:"fetch,omitempty"`
}

// PeerView is one other node.
type PeerView struct {
	Peer      string          `json:"peer"`
	Addrs     []string        `json:"addrs"`
	Connected bool            `json:"connected"`
	Usable    bool            `json:"usable"`
	Way       string          `json:"way"` // direct, relay, or empty while it is not connected
	RTTms     float64         `json:"rtt_ms"`
	Models    []PeerModelView `json:"models"`
	Calls     *CallsView      `json:"calls,omitempty"` // what this node asked of it
}

// PeerModelView is what a peer serves of a model.
type PeerModelView struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	Gates   bool   `json:"gates"`
	Experts string `json:"experts"` // as --experts takes it
	Count   int    `json:"count"`
	Waiting int    `json:"waiting"`
	Paused  bool   `json:"paused,omitempty"`       // computes nothing for others now
	Memory  int64  `json:"memory_bytes,omitempty"` // that it gives to experts it chooses itself
	Price   uint64 `json:"price_nneuro,omitempty"` // of a token that it gates
}

// CallsView is what this node asked of one peer, and how it expects it to do.
type CallsView struct {
	ExpectedMs float64        `json:"expected_ms"`
	RTTms      float64        `json:"rtt_ms"`
	Attempts   int            `json:"attempts"`
	Calls      int            `json:"calls"`
	Rows       int            `json:"rows"`
	BytesOut   int64          `json:"bytes_out"`
	BytesIn    int64          `json:"bytes_in"`
	P50ms      float64        `json:"p50_ms"`
	P95ms      float64        `json:"p95_ms"`
	Breaker    string         `json:"breaker"`            // closed, half-open or open
	Score      float64        `json:"score"`              // reputation, 0 to 1
	Correct    float64        `json:"correctness"`        // its lower bound
	Excluded   string         `json:"excluded,omitempty"` // why it is asked nothing any more
	Failures   map[string]int `json:"failures,omitempty"`
	Speeds     []SpeedView    `json:"speeds,omitempty"` // its compute, by format of weights
}

// SpeedView is how long a peer computes on a call of one kind.
type SpeedView struct {
	Weights string  `json:"weights"` // formats of W1 and W3, and of W2
	MiB     float64 `json:"mib"`     // of weights read by a call
	CallMs  float64 `json:"call_ms"`
	RowMs   float64 `json:"row_ms"` // more for each row
}

// RoutingView sums up the expert calls this node has asked for.
type RoutingView struct {
	Rounds      int     `json:"rounds"`
	LocalRounds int     `json:"local_rounds"`
	RoundP50ms  float64 `json:"round_p50_ms"`
	RoundP99ms  float64 `json:"round_p99_ms"`
	LocalCalls  int     `json:"local_calls"`
	RemoteCalls int     `json:"remote_calls"`
	Failovers   int     `json:"failovers"`
	Missing     int     `json:"missing"`
	Hedges      int     `json:"hedges"`
	HedgedCalls int     `json:"hedged_calls"`
	HedgesWon   int     `json:"hedges_won"`
	WastedRows  int     `json:"wasted_rows"`
	Dropped     int     `json:"dropped_calls"`
	DroppedMass float64 `json:"dropped_gate_mass"`
	Openings    int     `json:"breaker_openings"`
	BytesOut    int64   `json:"bytes_out"`
	BytesIn     int64   `json:"bytes_in"`
	HalfAnswers int     `json:"answers_f16"` // that came in half precision, as --answers-f16 allows
}

// GatingView sums up the answers this node has worked out, of all models.
type GatingView struct {
	Running   int    `json:"running"`
	Waiting   int    `json:"waiting"`
	Prefilled uint64 `json:"prompt_tokens"`
	Decoded   uint64 `json:"tokens"`
	Steps     uint64 `json:"steps"`
	Drafted   uint64 `json:"drafted_tokens"`  // tried ahead of their time
	Accepted  uint64 `json:"accepted_tokens"` // how many of them were right
}

func (g *gates) view() *GatingView {
	engines := g.all()
	if len(engines) == 0 {
		return nil
	}
	v := &GatingView{}
	for _, e := range engines {
		s := e.Stats()
		v.Running, v.Waiting = v.Running+s.Running, v.Waiting+s.Waiting
		v.Prefilled, v.Decoded, v.Steps = v.Prefilled+s.Prefilled, v.Decoded+s.Decoded, v.Steps+s.Steps
		v.Drafted, v.Accepted = v.Drafted+s.Drafted, v.Accepted+s.Accepted
	}
	return v
}

// ServedView sums up the expert calls this node has answered for others.
type ServedView struct {
	Calls  int64 `json:"calls"`
	Rows   int64 `json:"rows"`
	Frames int64 `json:"frames"`
}

// View describes the swarm as this node sees it now.
func (n *Node) View() View {
	v := View{
		Peer: n.ID(), Version: n.cfg.Version, Addrs: n.Addrs(), UptimeS: time.Since(n.began).Seconds(),
		Reach: reachView(n.net.Reach()), Owner: n.keeper.view(), Models: []ModelView{}, Peers: []PeerView{}, Answers: n.entry.Stats(),
	}
	shapes := map[expert.ModelID]swarm.Coverage{}
	for _, m := range n.net.Models() {
		m.Coverage = n.net.Coverage(m.Model) // whoever asks for a model's coverage hears of it from then on
		shapes[m.Model] = m.Coverage
		v.Models = append(v.Models, n.modelView(m))
	}
	calls := map[routing.Peer]*CallsView{}
	for _, p := range n.router.Peers() {
		calls[p.Peer] = callsView(p)
	}
	for _, p := range n.net.Peers() {
		v.Peers = append(v.Peers, peerView(p, calls[p.Peer]))
	}
	t := n.router.Totals()
	v.Routing = RoutingView{
		Rounds: t.Rounds, LocalRounds: t.LocalRounds,
		RoundP50ms: ms(t.Round.Quantile(0.5)), RoundP99ms: ms(t.Round.Quantile(0.99)),
		LocalCalls: t.LocalCalls, RemoteCalls: t.RemoteCalls, Failovers: t.Failovers, Missing: t.Missing,
		Hedges: t.Hedges, HedgedCalls: t.HedgedCalls, HedgesWon: t.HedgesWon, WastedRows: t.WastedRows,
		Dropped: t.Dropped, DroppedMass: t.DroppedMass, Openings: t.Openings,
		BytesOut: t.BytesOut, BytesIn: t.BytesIn, HalfAnswers: t.HalfAnswers,
	}
	v.Audit, v.Gating = n.auditView(), n.gates.view()
	v.Ledger = n.economy.view()
	v.PartsSent = n.net.BlobsSent()
	for _, s := range n.net.Served() {
		v.Served.Calls += int64(s.Calls)
		v.Served.Rows += int64(s.Rows)
		v.Served.Frames += int64(s.Frames)
	}
	return v
}

func reachView(r swarm.ReachView) ReachView {
	v := ReachView{
		Reachable: r.Reachable, Private: r.Private, Traverses: r.Traverses, Router: r.Router, Relaying: r.Relaying,
		HolesPunched: r.Punched, PunchesFailed: r.PunchesFailed, Addrs: []AddrView{},
	}
	for _, a := range r.Addrs {
		v.Addrs = append(v.Addrs, AddrView(a))
	}
	return v
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func (n *Node) modelView(m swarm.ModelView) ModelView {
	v := ModelView{
		ID: m.Model.String(), Name: m.Name, GatingNodes: m.Gates, HoldingNodes: m.Holders,
		Experts: m.Experts, Held: m.Held, Complete: m.Complete(),
		Missing: []string{}, GatedHere: n.gates.has(m.Model), HeldHere: "none",
	}
	for _, line := range missingLines(m.Coverage) {
		v.Missing = append(v.Missing, line.text)
	}
	var manifest *expert.Manifest
	for _, own := range n.cfg.Models {
		if own.Model.ID() == m.Model {
			s := own.Model.Shape()
			v.HeldHere = expert.FormatSpec(n.offered(m.Model), s.SparseLayers, s.Experts)
			if h := n.hots[m.Model]; h != nil {
				v.Hot = h.view()
			}
			manifest = own.Model.Manifest()
			if h := n.parts[m.Model]; h != nil {
				v.Fetch = h.view()
			}
			if lines := n.missing(own, m.Coverage); len(lines) > 0 {
				v.Missing = lines
			}
		}
	}
	lacks := n.shortfall(manifest, m.Model, m.Coverage)
	v.Single, v.Advice = lacks.lone, advice(lacks)
	return v
}

// offered lists the experts of a model that this node serves to others.
func (n *Node) offered(id expert.ModelID) []expert.Slot {
	for _, o := range n.net.Offers() {
		if o.Model == id {
			return expert.SlotsOf(o.Held)
		}
	}
	return nil
}

func peerView(p swarm.PeerView, calls *CallsView) PeerView {
	v := PeerView{
		Peer: string(p.Peer), Addrs: p.Addrs, Connected: p.Connected, Usable: p.Usable,
		Way: string(p.Way), RTTms: ms(p.RTT), Models: []PeerModelView{}, Calls: calls,
	}
	for _, m := range p.Models {
		pm := PeerModelView{ID: m.Model.String(), Name: m.Name, Gates: m.Gates, Waiting: m.Waiting, Paused: m.Paused, Memory: m.Memory, Price: m.Price}
		var slots []expert.Slot
		for _, l := range m.Held {
			for _, x := range l.Experts {
				slots = append(slots, expert.Slot{Layer: l.Layer, Index: x})
			}
		}
		pm.Count = len(slots)
		pm.Experts = expert.FormatSpec(slots, nil, 0)
		v.Models = append(v.Models, pm)
	}
	return v
}

func callsView(p routing.PeerStats) *CallsView {
	v := &CallsView{
		ExpectedMs: ms(p.Expected), RTTms: ms(p.RTT), Attempts: p.Attempts, Calls: p.Calls, Rows: p.Rows,
		BytesOut: p.BytesOut, BytesIn: p.BytesIn,
		P50ms: ms(p.P50), P95ms: ms(p.P95), Breaker: p.Breaker.String(),
		Score: p.Reputation.Score(), Correct: p.Reputation.Correctness(), Excluded: p.Excluded,
	}
	for _, s := range p.Speeds {
		v.Speeds = append(v.Speeds, SpeedView{formatsOf(s.Kind), float64(s.Kind.KiB) / 1024, ms(s.PerCall), ms(s.PerRow)})
	}
	for kind, count := range p.Failures {
		if count > 0 {
			if v.Failures == nil {
				v.Failures = map[string]int{}
			}
			v.Failures[routing.Failure(kind).String()] = count
		}
	}
	return v
}
