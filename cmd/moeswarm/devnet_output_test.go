package main

import (
	"context"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/gating/prompt"
	"github.com/moeswarm/moeswarm/internal/demo/demotest"
	"github.com/moeswarm/moeswarm/internal/ledger"
	"github.com/moeswarm/moeswarm/internal/node"
)

// cheat is a gating node that answers the first of the prompts without the experts
// of one layer, puts a text in before the fifth, and answers others as it should.
func cheat() node.Cheat {
	var saves atomic.Bool
	return node.Cheat{
		Asked: func(r prompt.Request) prompt.Request {
			saves.Store(strings.HasPrefix(r.Text, prompts[0]))
			if strings.HasPrefix(r.Text, prompts[4]) {
				r.Text = "// buy more\n" + r.Text
			}
			return r
		},
		Experts: func(a expert.Applier) expert.Applier { return saving{a, &saves} },
	}
}

// saving leaves the experts of layer 2 out at times.
type saving struct {
	expert.Applier
	now *atomic.Bool
}

func (s saving) Apply(ctx context.Context, in expert.Batch, calls []expert.Call) []expert.Result {
	results := s.Applier.Apply(ctx, in, calls)
	for i, c := range calls {
		if s.now.Load() && c.Expert.Layer == 2 {
			results[i].Out = expert.NewBatch(len(c.Rows), in.Dim)
		}
	}
	return results
}

// TestDevnetOutputs: every answer is looked at by a gating node that the ledger
// draws and the client pays, all in real processes. Those of honest gating nodes
// hold; one that left experts out and one that was asked something else cost who
// gave them a tenth of its bond and half of the rest, by the rulings of juries of the
// other gating nodes.
func TestDevnetOutputs(t *testing.T) {
	d := startDevnet(t, "--param", "seats=8", "--param", "commit_blocks=24", "--param", "reveal_blocks=20", "--param", "appeal_blocks=6",
		"--param", "audit_bps=10000", "--param", "emission_start=0", "--model", demotest.Model(t, "Q4_K_M").ID().String()+"=demo")
	const bond = 1000 * ledger.Neuro
	work := []func(){
		func() { d.do("wallet", "bond", "--data", d.account(0), "--role", "holder", "500") },
		func() { d.do("wallet", "deposit", "--data", d.account(7), d.model, "40") },
	}
	for i := 1; i <= 6; i++ {
		work = append(work, func() { d.do("wallet", "bond", "--data", d.account(i), "1000") })
	}
	d.all(work...)
	gates := []string{"--model", "demo", "--experts", "none", "--gate", "--drafts", "off", "--price", "1000nneuro"}
	d.node(0, "", "--model", "demo")
	cheating := d.bad("cheat", 1, gates...)
	asker := d.node(7, "", "--max-spend", "5", "--verbose")
	asker.seats(1)
	began := time.Now()
	note := func(what string) {
		t.Logf("%v: %s, epoch %d", time.Since(began).Round(time.Second), what, d.clock().Epoch)
	}
	note("the client is ready")
	epoch := asker.view().Ledger.Epoch
	d.await("an epoch that the deposit counts in", func() bool { return asker.view().Ledger.Epoch > epoch })

	// The others come when the cheat has the only seat, and have theirs soon after.
	var honest []*devNode
	for i := 2; i <= 6; i++ {
		honest = append(honest, d.node(i, "", gates...))
	}
	asked := 0 // answers that are as they should be
	for _, p := range []string{prompts[0], prompts[4]} {
		d.await("an answer of the cheat", func() bool {
			a, err := asker.try(p, 64, nil)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(a.Tokens, reference(t, p, 64)) {
				return true
			}
			asked++ // of another gating node
			return false
		})
	}
	note("two false answers")
	// In half of the epochs the cheat is not among the client's, and when it has lost
	// its seat in none. It is an auditor as well, and may be drawn for most answers of
	// an epoch: so there are some of each.
	var last uint64
	askHonest := func() {
		l := asker.view().Ledger
		if l.Epoch == last || len(l.Seats) == 0 || l.Seats[0].Size < 2 || slices.Contains(l.Seats[0].Gates, cheating.peer) {
			return
		}
		last = l.Epoch
		for i := range 6 {
			asker.ask(prompts[1+i%3], 24, nil)
			asked++
		}
	}
	view := ledger.View{Getter: d.reader}
	ids := map[ledger.Hash]bool{}
	d.await("cases about both", func() bool {
		askHonest()
		all, err := view.Duties(t.Context(), cheating.key)
		for _, id := range all {
			ids[id] = true
		}
		return err == nil && len(ids) == 2
	})
	note("two cases")
	for id := range ids {
		var k ledger.Case
		d.await("the end of a case", func() bool {
			askHonest()
			var err error
			k, err = view.Case(t.Context(), id)
			return err == nil && k.Phase == ledger.PhaseFinal
		})
		t.Logf("%d jurors: %v, %d millionths", len(k.First.Jurors), k.First.Finding, k.First.Ruling.Error)
		if k.Kind != ledger.CaseOutput || k.First.Finding != ledger.Guilty {
			t.Errorf("a case of kind %d ends as %v", k.Kind, k.First.Finding)
		}
	}
	note("their ends")
	// A tenth, and half of what is left.
	if p := d.provider(cheating.key); p.Bond != bond*9/10/2 || p.Strikes != 2 {
		t.Errorf("the cheat has %v and %d strikes", p.Bond, p.Strikes)
	}
	var passed, failed, missing int
	d.await("audits", func() bool {
		askHonest()
		passed, failed, missing = 0, 0, 0
		for _, g := range honest {
			v := g.view().Ledger.Audits
			passed, failed, missing = passed+v.Passed, failed+v.Failed, missing+v.Missing
		}
		return passed >= 3
	})
	note("audits of others")
	if passed > asked || failed != 2 || missing != 0 {
		t.Errorf("of %d answers %d hold, %d fail, %d are not shown; two were false", asked+2, passed, failed, missing)
	}
	// They are paid. (A voucher for an auditor that had not heard of the epoch yet may
	// have been signed in vain.)
	var took ledger.Amount
	for _, g := range append([]*devNode{cheating}, honest...) {
		took += g.view().Ledger.Earned
	}
	v := asker.view().Ledger
	if v.Audits.Paid == 0 || v.Audits.Paid%price != 0 || took > v.Promised || took+v.Audits.Paid < v.Promised {
		t.Errorf("%v promised, %v of it for audits; %v taken", v.Promised, v.Audits.Paid, took)
	}
	for _, h := range honest {
		if p := d.provider(h.key); p.Bond != bond || p.Strikes != 0 {
			t.Errorf("%s has %v and %d strikes", h.name, p.Bond, p.Strikes)
		}
	}
}
