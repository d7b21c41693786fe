package bench

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/internal/ggml"
	"github.com/moeswarm/moeswarm/internal/simswarm"
	"github.com/moeswarm/moeswarm/routing"
)

// Every misbehaviour there is costs time and nothing else: the tokens are those
// of one machine, no goroutine is left (the bubble would not end), and at most
// 5 % of the calls are sent twice. One of three holders misbehaves, the nearest;
// every expert has another holder.
func TestMisbehaviours(t *testing.T) {
	m, err := Options{Model: "demo"}.open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	pool := ggml.NewPool(0)
	prompt := randomIDs(1, 8, m.Shape().Vocab)
	const tokens = 48
	want, err := localAnswers(t.Context(), m, pool, [][]int32{prompt}, tokens)
	if err != nil {
		t.Fatal(err)
	}
	type bad struct {
		name  string
		fault simswarm.Fault
		lies  bool
		flood bool
	}
	all := []bad{{name: "none"}, {name: "flooding", flood: true}}
	for _, f := range simswarm.Faults() {
		all = append(all, bad{name: f.Name, fault: f.With(0, 1), lies: f.Lies}, bad{name: f.Name + " seldom", fault: f.With(0.03, 1), lies: f.Lies})
	}
	for _, b := range all {
		t.Run(b.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				got, duplicates := misbehave(t, m, pool, prompt, tokens, b.fault, b.lies, b.flood)
				if !slices.Equal(got, want[0]) {
					t.Errorf("tokens %v, one machine gives %v", got, want[0])
				}
				if duplicates > duplicateBudget {
					t.Errorf("%.1f %% of calls were duplicated", 100*duplicates)
				}
			})
		})
	}
}

// misbehave answers a prompt while a holder misbehaves.
func misbehave(t *testing.T, m *expert.Model, pool *ggml.Pool, prompt []int32, n int, fault simswarm.Fault, lies, flood bool) (tokens []int32, share float64) {
	o := Options{virtual: true}
	cast := simswarm.Cast{Holders: 3, Replicas: 2, Link: simswarm.Link{RTT: 10 * time.Millisecond, Jitter: time.Millisecond}, Liar: 1, LiarLink: simswarm.Link{RTT: 5 * time.Millisecond}}
	s := simswarm.New(simswarm.Config{Seed: 1})
	for i, held := range cast.Shares(m.Manifest().IDs()) {
		set, err := expert.NewSet(m, held, ggml.NewPool(1))
		if err != nil {
			t.Fatal(err)
		}
		link := cast.LinkOf(i)
		h := simswarm.Holder{Name: cast.Name(i), Held: held, Apply: o.work(set, 100*time.Microsecond), Link: &link}
		if i == cast.Liar && fault != nil {
			h.Apply = simswarm.With(h.Apply, fault)
		}
		s.Join(h)
	}
	var c *checker
	if lies {
		var err error
		if c, err = newChecker(m, pool, 1); err != nil {
			t.Fatal(err)
		}
		c.always = true
	}
	a, err := startAsker(askerConfig{swarm: s, model: m, pool: pool, policy: routing.Policy{Seed: 2}, check: c})
	if err != nil {
		t.Fatal(err)
	}
	flooding, calm := context.WithCancel(t.Context())
	over := make(chan struct{})
	go func() {
		defer close(over)
		if flood {
			in := expert.NewBatch(1, m.Dim())
			ask := routing.Ask{In: in, Calls: []expert.Call{{Expert: cast.Shares(m.Manifest().IDs())[cast.Liar][0], Rows: []int32{0}}}}
			simswarm.Flood(flooding, s.From("flooder"), cast.Name(cast.Liar), ask, 400)
		}
	}()
	tokens, _, err = a.answer(t.Context(), prompt, n)
	calm()
	<-over
	if cerr := a.close(); err != nil || cerr != nil {
		t.Fatal(err, cerr)
	}
	sent, _ := a.tally.take()
	return tokens, float64(duplicates(a.router.Totals())) / float64(sent)
}
