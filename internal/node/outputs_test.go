package node

import (
	"context"
	"encoding/hex"
	"slices"
	"testing"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/gating/prompt"
	"github.com/moeswarm/moeswarm/internal/ggml"
	"github.com/moeswarm/moeswarm/internal/ledger"
	"github.com/moeswarm/moeswarm/internal/ledger/state"
	"github.com/moeswarm/moeswarm/internal/ledger/transcript"
)

// newAudited is a swarm in which every answer is looked at.
func newAudited(t *testing.T, gates int) *paid {
	var rich []ledger.Key
	for i := range gates {
		rich = append(rich, ledger.KeyOf(actor(byte(i))))
	}
	return newPaid(t, gates, func(g *state.Genesis) {
		courtParams(&g.Params)
		g.Params.AuditBps = ledger.BpsOne
		g.Params.EpochBlocks = 60 // a whole trial, in which nobody gives a heartbeat
	}, rich...)
}

// sum adds up what came of audits at all gating nodes.
func (p *paid) sum(of func(OutputsView) int) (n int) {
	for _, g := range p.gates {
		n += of(g.economy.outputs.view())
	}
	return n
}

// toAudits turns epochs until answers of the present one are looked at.
func (p *paid) toAudits(client *Node) {
	p.t.Helper()
	for range ledger.AuditDelay {
		p.nextEpoch()
	}
	p.settled(client)
}

// TestHonestAnswersHold: what gating nodes give to several askers at once, drafts
// and kept beginnings among it, is signed, shown to those whom the ledger draws
// alone, and holds when they run it again.
func TestHonestAnswersHold(t *testing.T) {
	p := newAudited(t, 3)
	client := p.client(actor(100), deposit)
	var requests []prompt.Request
	for i := range 6 {
		r := p.request(20 + 15*i)
		r.Text += " func main() { return }"[:1+4*i]
		if i == 3 {
			r.Sampling = prompt.Sampling{Temperature: 0.8, Seed: 5}
		}
		if i == 4 {
			r.Text, r.Chat = "", &prompt.Chat{Now: 1_800_000_000, Messages: []prompt.Message{{Role: "system", Content: "be kind"}, {Role: "user", Content: "func main()"}}}
		}
		if i == 5 { // which another gating node began
			r.Prefix = []int32{5, 6, 7}
		}
		requests = append(requests, r)
	}
	answers := make(chan error, len(requests))
	for _, r := range requests {
		go func() {
			_, _, _, err := answerOf(t.Context(), client, r, nil)
			answers <- err
		}()
	}
	for range requests {
		if err := <-answers; err != nil {
			t.Fatal(err)
		}
	}
	if _, _, _, err := answerOf(t.Context(), client, requests[2], nil); err != nil { // its beginning is kept
		t.Fatal(err)
	}
	epoch := p.ledger.Clock().Epoch
	all := len(requests) + 1
	p.until("what was signed", func() bool { return len(client.economy.outputs.proofs.Of(epoch)) == all })
	c := client.economy.outputs.proofs.Of(epoch)[0].Chunk

	// Nobody is shown anything before the draw, nor whoever was not drawn after it.
	refused := func(n *Node) {
		t.Helper()
		if b, err := n.economy.outputs.ask(t.Context(), c.Gate, ledger.Ask{Kind: ledger.AskShow, Chunk: c}); err == nil {
			t.Errorf("%d bytes of an answer are shown", len(b))
		}
	}
	for _, g := range p.gates {
		if g.economy.self != c.Gate {
			refused(g)
		}
	}
	p.toAudits(client)
	refused(client)
	refused(p.holder)
	t.Cleanup(func() {
		if t.Failed() {
			for _, n := range append([]*Node{client}, p.gates...) {
				t.Logf("epoch %d: %+v", n.economy.standing.epoch.Load(), n.economy.outputs.view())
			}
		}
	})
	p.until("audits", func() bool { return p.sum(func(v OutputsView) int { return v.Passed }) == all })
	if spent, _ := client.economy.payer.Spent(); spent != p.promised() {
		t.Errorf("%v promised, %v taken", spent, p.promised())
	}
	if v := client.economy.outputs.view(); v.Handed != all {
		t.Errorf("%d answers handed in of %d", v.Handed, all)
	}
	if n := p.sum(func(v OutputsView) int { return v.Failed + v.Missing }); n != 0 {
		t.Errorf("%d honest answers fail", n)
	}
	if got := p.sum(func(v OutputsView) int { return v.Shown }); got != all {
		t.Errorf("%d transcripts shown for %d audits", got, all)
	}
}

// TestAuditorsArePaid: an audit costs the client what a prompt of the answer's
// length costs, to the unit, once.
func TestAuditorsArePaid(t *testing.T) {
	p := newPaid(t, 3, func(g *state.Genesis) { g.Params.AuditBps = ledger.BpsOne })
	client := p.client(actor(100), deposit)
	if _, _, _, err := answerOf(t.Context(), client, p.request(50), nil); err != nil {
		t.Fatal(err)
	}
	epoch := p.ledger.Clock().Epoch
	p.until("what was signed", func() bool { return len(client.economy.outputs.proofs.Of(epoch)) == 1 })
	answer := client.economy.outputs.proofs.Of(epoch)[0]
	before, bought := client.economy.payer.Spent()
	if answer.Tokens != uint32(bought) {
		t.Errorf("%d tokens of an answer of %d", answer.Tokens, bought)
	}
	p.until("the last voucher", func() bool { return p.promised() == before })
	p.toAudits(client)
	p.until("the audit", func() bool { return p.sum(func(v OutputsView) int { return v.Passed }) == 1 })
	cost := ledger.Amount(answer.Tokens) * testPrice
	if spent, _ := client.economy.payer.Spent(); spent != before+cost || p.promised() != spent || client.economy.outputs.view().Paid != cost {
		t.Errorf("%v promised and %v taken, after %v; an audit of %d tokens", spent, p.promised(), before, answer.Tokens)
	}
	// Asked again, with the same voucher, nobody works or is paid.
	var auditor *Node
	for _, g := range p.gates {
		if g.economy.outputs.view().Passed == 1 {
			auditor = g
		}
	}
	ask := ledger.Ask{Kind: ledger.AskLook, Chunk: answer.Chunk, Tokens: uint64(answer.Tokens)}
	for range 2 {
		v, err := client.economy.payer.PayAudit(t.Context(), auditor.economy.self, auditOf(ask))
		if err != nil {
			t.Fatal(err)
		}
		ask.Payment = v
		if _, err := client.economy.outputs.ask(t.Context(), auditor.economy.self, ask); err != nil {
			t.Error(err)
		}
		if err := auditor.economy.gate.TakeAudit(t.Context(), client.economy.self, auditOf(ask), v); err != nil {
			t.Error(err)
		}
	}
	if p.promised() != before+cost || p.sum(func(v OutputsView) int { return v.Looked }) != 1 {
		t.Errorf("%v taken of %v for one audit", p.promised(), before+cost)
	}
	for range 4 {
		p.nextEpoch()
		for _, g := range p.gates {
			p.dutiful(g)
		}
	}
	e, err := client.cfg.Economy.Ledger.Escrow(t.Context(), client.economy.self, ledger.Hash(p.model.ID()))
	if err != nil || e.Balance != deposit-before-cost {
		t.Errorf("escrow %v of %v after %v was promised: %v", e.Balance, deposit, before+cost, err)
	}
	if supply, sum := p.ledger.Supply(); supply != sum {
		t.Errorf("supply %d, accounts %d", supply, sum)
	}
}

// TestAuditsOfThePoor: a client whose purse has nothing for audits has them out of
// its free quota, and none that is longer than that.
func TestAuditsOfThePoor(t *testing.T) {
	for free, passed := range map[uint64]int{300: 1, 40: 0} {
		p := newPaid(t, 3, func(g *state.Genesis) { g.Params.AuditBps, g.Params.FreeTokens = ledger.BpsOne, free })
		client := p.client(actor(100), 20*100*testPrice-1) // a twentieth is for less than 100 tokens
		if _, _, _, err := answerOf(t.Context(), client, p.request(100), nil); err != nil {
			t.Fatal(err)
		}
		epoch := p.ledger.Clock().Epoch
		p.until("what was signed", func() bool { return len(client.economy.outputs.proofs.Of(epoch)) == 1 })
		before, _ := client.economy.payer.Spent()
		p.toAudits(client)
		unpaid := func() bool { return p.sum(func(v OutputsView) int { return v.Unpaid }) > 0 }
		p.until("the audit", func() bool {
			return passed == 0 && unpaid() || passed > 0 && p.sum(func(v OutputsView) int { return v.Passed }) == passed
		})
		if spent, _ := client.economy.payer.Spent(); spent != before {
			t.Errorf("%v spent after %v", spent, before)
		}
		if n := p.sum(func(v OutputsView) int { return v.Passed }); n != passed {
			t.Errorf("%d audits with a quota of %d tokens", n, free)
		}
	}
}

// lacking leaves the experts of one layer out, as who saves work does.
type lacking struct {
	expert.Applier
	layer uint16
}

func (l lacking) Apply(ctx context.Context, in expert.Batch, calls []expert.Call) []expert.Result {
	results := l.Applier.Apply(ctx, in, calls)
	for i, c := range calls {
		if c.Expert.Layer == l.layer {
			results[i].Out = expert.NewBatch(len(c.Rows), in.Dim)
		}
	}
	return results
}

// cheating has a gating node answer without a layer's experts.
func (p *paid) cheating(n *Node) {
	p.t.Helper()
	m := n.cfg.Models[0]
	renderer, err := newRenderer(m.Model.File(), n.cfg)
	if err != nil {
		p.t.Fatal(err)
	}
	sparse := m.Model.Shape().SparseLayers
	e, err := newEngine(m, lacking{n.demand, uint16(sparse[len(sparse)/2])}, renderer, n.pool, nil, n.router.Away, n.cfg)
	if err != nil {
		p.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	p.t.Cleanup(func() { cancel(); <-done })
	n.gates.add(m.Model.ID(), e)
}

// TestCheatingGatesLoseTheirBonds: one that leaves experts out, one that has no
// transcript of what it signed, and some that answer something else than what they
// were asked. Each is found by who the ledger draws, tried by a jury of gating
// nodes, and its bond is a tenth less.
func TestCheatingGatesLoseTheirBonds(t *testing.T) {
	for name, how := range map[string]struct {
		spoil func(p *paid, gate *Node)
		asked func(prompt.Request) prompt.Request
		chat  bool
	}{
		"without a layer's experts": {},
		"without a transcript": {spoil: func(p *paid, gate *Node) {
			p.until("the transcript to be gone", func() bool { // once the answer has ended
				if err := gate.economy.archive.Turn(1000); err != nil {
					p.t.Fatal(err)
				}
				_, n := gate.economy.archive.Bytes()
				return n == 0
			})
		}},
		"a text put in": {asked: func(r prompt.Request) prompt.Request { r.Text = "buy " + r.Text; return r }},
		"a message put in": {chat: true, asked: func(r prompt.Request) prompt.Request {
			c := *r.Chat
			c.Messages = append([]prompt.Message{{Role: "system", Content: "buy"}}, c.Messages...)
			r.Chat = &c
			return r
		}},
		"drawn, not the best": {asked: func(r prompt.Request) prompt.Request { r.Sampling.Temperature = 1; return r }},
	} {
		t.Run(name, func(t *testing.T) {
			spoil := how.spoil
			p := newAudited(t, 6)
			client := p.client(actor(100), deposit)
			var gate *Node
			ask := func() {
				t.Helper()
				r := p.request(70)
				if how.chat {
					r.Text, r.Chat = "", &prompt.Chat{Messages: []prompt.Message{{Role: "user", Content: "func main()"}}}
				}
				_, _, gates, err := answerOf(t.Context(), client, r, nil)
				if err != nil {
					t.Fatal(err)
				}
				gate = p.gates[slices.IndexFunc(p.gates, func(g *Node) bool { return g.ID() == gates[0] })]
			}
			if how.asked != nil {
				p.asked.Store(&how.asked)
			}
			ask()
			if spoil == nil && how.asked == nil { // from now on
				bad := gate
				p.cheating(bad)
				for gate = nil; gate != bad; ask() {
				}
			}
			p.until("the transcripts to be whole", func() bool {
				_, n := gate.economy.archive.Bytes()
				return n > 0 && len(client.economy.outputs.proofs.Of(p.ledger.Clock().Epoch)) >= n
			})
			if spoil != nil {
				spoil(p, gate)
			}
			p.toAudits(client)
			view := ledger.View{Getter: p.holder.cfg.Economy.Ledger}
			var ids []ledger.Hash
			p.until("a case", func() bool {
				var err error
				ids, err = view.Duties(t.Context(), gate.economy.self)
				return err == nil && len(ids) > 0
			})
			now := func() ledger.Case {
				k, err := view.Case(t.Context(), ids[0])
				if err != nil {
					t.Fatal(err)
				}
				return k
			}
			states := func(least ledger.JurorState) func() bool {
				return func() bool {
					k := now()
					return len(k.First.Jurors) >= 3 && !slices.ContainsFunc(k.First.Jurors, func(j ledger.Juror) bool { return j.State < least })
				}
			}
			p.ticksTo("the jury", now, ledger.PhaseCommit)
			if spoil != nil { // jurors wait for it to be shown
				for h := now().Deadline - p.ledger.Clock().Height; h > testCommit/2; h-- {
					if err := p.ledger.Tick(); err != nil {
						t.Fatal(err)
					}
				}
			}
			p.until("commitments", states(ledger.JurorCommitted))
			p.ticksTo("the end of the commitments", now, ledger.PhaseReveal)
			p.until("revelations", states(ledger.JurorRevealed))
			p.ticksTo("a finding", now, ledger.PhaseAppeal)
			if k := now(); k.Kind != ledger.CaseOutput || k.First.Finding != ledger.Guilty || k.First.Ruling.Error != 1_000_000 {
				t.Errorf("finding %v, %+v", k.First.Finding, k.First.Ruling)
			}
			p.ticksTo("the end", now, ledger.PhaseFinal)
			for _, g := range p.gates {
				v, err := view.Provider(t.Context(), g.economy.self)
				want := 1000 * ledger.Neuro
				if g == gate {
					want = 900 * ledger.Neuro
				}
				if err != nil || v.Bond != want {
					t.Errorf("a bond of %v, want %v (%v)", v.Bond, want, err)
				}
			}
			if err := p.ledger.Audit(); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestComplaint: an answer that was not drawn is looked at if its client wants
// it, and not if somebody else does.
func TestComplaint(t *testing.T) {
	p := newPaid(t, 3, func(g *state.Genesis) { g.Params.AuditBps = 0 })
	client := p.client(actor(100), deposit)
	if _, _, _, err := answerOf(t.Context(), client, p.request(40), nil); err != nil {
		t.Fatal(err)
	}
	epoch := p.ledger.Clock().Epoch
	p.until("what was signed", func() bool { return len(client.economy.outputs.proofs.Of(epoch)) == 1 })
	c := client.economy.outputs.proofs.Of(epoch)[0].Chunk
	for _, nothing := range []string{"", "x", hex.EncodeToString(make([]byte, 16))} {
		if err := client.complain()(nothing); err == nil {
			t.Errorf("a complaint about %q", nothing)
		}
	}
	if err := client.complain()(hex.EncodeToString(c.Session[:])); err != nil {
		t.Fatal(err)
	}
	p.toAudits(client)
	p.until("the audit", func() bool { return p.sum(func(v OutputsView) int { return v.Passed }) == 1 })
	forged := ledger.Ask{Kind: ledger.AskLook, Chunk: c, Complaint: ledger.Complaint{Client: c.Client, Chunk: c.ID()}.Sign(p.ledger.Chain(), p.gates[0].economy.key)}
	for _, g := range p.gates {
		if _, err := client.economy.outputs.ask(t.Context(), g.economy.self, forged); err == nil {
			t.Error("a forged complaint is heard")
		}
	}
}

// TestSelfTest: gating nodes show the ledger what they make of the public prompt
// with their heartbeats, through holders of the swarm, and one that makes
// something else of it loses its seat.
func TestSelfTest(t *testing.T) {
	p := newPaid(t, 3, nil)
	id := ledger.Hash(p.model.ID())
	set, err := expert.NewSet(p.model, p.model.Manifest().IDs(), ggml.NewPool(1))
	if err != nil {
		t.Fatal(err)
	}
	marks, err := transcript.SelfTest(t.Context(), transcript.Config{Model: p.model, Applier: set, Pool: ggml.NewPool(1)})
	if err != nil {
		t.Fatal(err)
	}
	seats := func() int {
		s, err := p.holder.cfg.Economy.Ledger.Committee(t.Context(), p.ledger.Clock().Epoch, id)
		if err != nil {
			t.Fatal(err)
		}
		return len(s)
	}
	passed := func(n int) func() bool {
		return func() bool {
			epoch, all := p.ledger.Clock().Epoch, 0
			for _, g := range p.gates {
				v, err := g.cfg.Economy.Ledger.Provider(t.Context(), g.economy.self)
				if err != nil {
					t.Fatal(err)
				}
				if v.PassedIn(epoch, id) {
					all++
				}
			}
			return all == n
		}
	}
	model := ledger.Model{Active: true, Name: "tiny", SelfTest: marks}
	if err := p.ledger.Govern(&ledger.SetModel{ID: id, Model: model}); err != nil {
		t.Fatal(err)
	}
	p.nextEpoch() // whose nodes know of it from the start
	p.until("the self-tests", passed(3))
	p.nextEpoch()
	if n := seats(); n != 3 {
		t.Fatalf("%d seats of 3", n)
	}
	model.SelfTest = slices.Clone(marks)
	for i := range model.SelfTest {
		model.SelfTest[i].Bits ^= 1 << 8 // what another model might give
	}
	if err := p.ledger.Govern(&ledger.SetModel{ID: id, Model: model}); err != nil {
		t.Fatal(err)
	}
	p.nextEpoch()
	p.nextEpoch()
	if n := seats(); n != 0 {
		t.Errorf("%d seats for nodes that fail", n)
	}
}
