package node

import (
	"errors"
	"testing"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/internal/ledger"
	"github.com/moeswarm/moeswarm/routing"
	"github.com/moeswarm/moeswarm/swarm"
)

// TestWhatCountsAsSigned: an answer counts if the holder signed for this gating node,
// in one session, for the call that was made and as many rows; one that does not fit
// spoils no other under the same signature, but a bad signature all.
func TestWhatCountsAsSigned(t *testing.T) {
	p := newPaid(t, 1, nil)
	e := p.gates[0].economy
	from := routing.Peer(p.holder.net.ID())
	about := func() (all []swarm.Heard) {
		for i := range 3 {
			all = append(all, swarm.Heard{Place: i, Seq: uint64(10 + i), Model: p.model.ID(), Layer: 2, Rows: 5})
		}
		return all
	}
	good := func() *ledger.Bundle {
		b := &ledger.Bundle{Holder: ledger.KeyOf(actor(50)), Gate: e.self, Session: ledger.Session{7}}
		for _, h := range about() {
			b.Said = append(b.Said, ledger.Said{Model: ledger.Hash(h.Model), Epoch: e.standing.epoch.Load(), Seq: h.Seq, Layer: h.Layer, Rows: uint32(h.Rows)})
		}
		return b
	}
	signed := func(b *ledger.Bundle, chain string, by byte) []byte {
		b.Sign(chain, actor(by))
		return ledger.Encode(b)
	}
	chain := p.ledger.Chain()
	for name, c := range map[string]struct {
		change func(*ledger.Bundle)
		bad    []int
	}{
		"good":            {func(*ledger.Bundle) {}, nil},
		"another holder":  {func(b *ledger.Bundle) { b.Holder[3]++ }, []int{0, 1, 2}},
		"another gate":    {func(b *ledger.Bundle) { b.Gate[3]++ }, []int{0, 1, 2}},
		"another session": {func(b *ledger.Bundle) { b.Session[3]++ }, []int{0, 1, 2}},
		"another call":    {func(b *ledger.Bundle) { b.Said[1].Seq++ }, []int{1}},
		"fewer rows":      {func(b *ledger.Bundle) { b.Said[0].Rows-- }, []int{0}},
		"more rows":       {func(b *ledger.Bundle) { b.Said[0].Rows++ }, []int{0}},
		"another layer":   {func(b *ledger.Bundle) { b.Said[2].Layer++ }, []int{2}},
		"another model":   {func(b *ledger.Bundle) { b.Said[2].Model[0]++ }, []int{2}},
		"a far epoch":     {func(b *ledger.Bundle) { b.Said[2].Epoch += wordLag + 1 }, []int{2}},
		"too short":       {func(b *ledger.Bundle) { b.Said = b.Said[:2] }, []int{2}},
	} {
		r := e.listener(from)
		if errs := r.Hear(signed(good(), chain, 50), about()); errors.Join(errs...) != nil {
			t.Fatal(errs)
		}
		b := good()
		c.change(b)
		var bad []int
		for i, err := range r.Hear(signed(b, chain, 50), about()) {
			if err != nil {
				bad = append(bad, i)
			}
		}
		if len(bad) != len(c.bad) || len(bad) > 0 && bad[0] != c.bad[0] {
			t.Errorf("%s: bad are %v, want %v", name, bad, c.bad)
		}
	}
	r := e.listener(from)
	for name, statement := range map[string][]byte{
		"nothing": nil, "of another chain": signed(good(), "another", 50), "signed by another": signed(good(), chain, 51), "cut": signed(good(), chain, 50)[:100],
	} {
		for i, err := range r.Hear(statement, about()) {
			if err == nil {
				t.Errorf("%s: answer %d counts", name, i)
			}
		}
	}

	// What the holder's own node signs counts, and is proof of that very frame.
	in := expert.NewBatch(2, 3)
	calls := []expert.Call{{Expert: expert.ID{Model: p.model.ID(), Layer: 2, Index: 1}, Rows: []int32{0, 1}}, {Expert: expert.ID{Model: p.model.ID(), Layer: 2, Index: 4}, Rows: []int32{1}}}
	results := []expert.Result{{Out: expert.NewBatch(2, 3)}, {Out: expert.NewBatch(1, 3)}}
	results[1].Out.Data[0] = 1
	work := swarm.Work{Asker: routing.Peer(p.gates[0].net.ID()), Seq: 10, In: in, Calls: calls, Results: results}
	note := p.holder.economy.Note(work)
	results[1].Out.Data[0] = 2
	another := p.holder.economy.Note(work)
	one := p.holder.economy.Sign(work.Asker, swarm.SessionName{7}, [][]byte{note})
	two := p.holder.economy.Sign(work.Asker, swarm.SessionName{7}, [][]byte{note, another})
	heard := swarm.Heard{Seq: 10, Model: p.model.ID(), Layer: 2, Rows: 3}
	r = e.listener(from)
	if errs := r.Hear(one, []swarm.Heard{heard}); errs[0] != nil {
		t.Fatal(errs[0])
	}
	checked := func(y float32) routing.Checked {
		results[1].Out.Data[0] = y
		w := new(routing.Word)
		w.Come(routing.Said{Statement: one}, nil)
		return routing.Checked{Peer: from, In: in, Calls: calls, Results: results, Signed: []routing.Signed{{Calls: 2, Word: w}}}
	}
	if err := e.vouch(t.Context(), checked(1)); err != nil {
		t.Errorf("what was signed: %v", err)
	}
	if err := e.vouch(t.Context(), checked(2)); !errors.Is(err, ledger.ErrMalformed) {
		t.Errorf("another answer than was signed: %v", err)
	}

	// Two things about one call are shown to the ledger, and cost a bond.
	before, err := p.gates[0].cfg.Economy.Ledger.Provider(t.Context(), ledger.KeyOf(actor(50)))
	if err != nil {
		t.Fatal(err)
	}
	r.Twice(10, routing.Said{Statement: one}, routing.Said{Statement: two, Place: 0}) // the same
	r.Twice(10, routing.Said{Statement: one}, routing.Said{Statement: two, Place: 9})
	r.Twice(10, routing.Said{Statement: nil}, routing.Said{Statement: two, Place: 1})
	if n := p.gates[0].economy.clerk.Stats(); n.Waiting+n.Opened > 0 {
		t.Errorf("shown for nothing: %+v", n)
	}
	r.Twice(10, routing.Said{Statement: one}, routing.Said{Statement: two, Place: 1})
	p.until("the bond to be cut", func() bool {
		v, err := p.gates[0].cfg.Economy.Ledger.Provider(t.Context(), ledger.KeyOf(actor(50)))
		return err == nil && v.Bond == before.Bond-before.Bond/10
	})
}
