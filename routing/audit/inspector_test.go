package audit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/internal/demo/demotest"
	"github.com/moeswarm/moeswarm/routing"
)

func testClock() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC) }

// scripted is an auditor that says what it is told to.
type scripted struct {
	name string
	say  func() (Finding, error)
	loud bool
}

func (s scripted) Name() string { return s.name }
func (s scripted) Quiet() bool  { return !s.loud }

func (s scripted) Audit(context.Context, *Case) (Finding, error) { return s.say() }

func says(name string, rel float64) scripted {
	return scripted{name: name, say: func() (Finding, error) { return Finding{Worst: rel, Rows: 1, Class: expert.Blocks256}, nil }}
}

// small is an answer about one row.
func small(p routing.Peer) routing.Checked {
	return routing.Checked{
		Peer: p, In: expert.NewBatch(1, 4), Calls: []expert.Call{{Rows: []int32{0}, Weights: []float32{1}}},
		Results: []expert.Result{{Out: expert.NewBatch(1, 4)}},
	}
}

// TestConsequences: what follows from what auditors say.
func TestConsequences(t *testing.T) {
	cannot := scripted{name: "cannot", say: func() (Finding, error) { return Finding{}, ErrUnable }}
	right, wrong, between := says("right", 0), says("wrong", 1), says("between", 0.01)
	for _, c := range []struct {
		name      string
		panel     []Auditor
		refused   bool
		condemned bool
		passed    bool
	}{
		{"right", []Auditor{right, wrong}, false, false, true},
		{"wrong twice", []Auditor{wrong, wrong}, true, true, false},
		{"wrong once", []Auditor{wrong}, true, false, false},
		{"wrong, others cannot tell", []Auditor{wrong, cannot, cannot}, true, false, false},
		{"wrong after some who cannot tell", []Auditor{cannot, wrong, cannot, wrong}, true, true, false},
		{"nobody can tell", []Auditor{cannot, cannot}, false, false, false},
		{"too close to call", []Auditor{between, between}, false, false, false},
		{"close, then right", []Auditor{between, right}, false, false, true},
		{"disputed", []Auditor{wrong, right}, false, false, false},
		{"disputed and cleared", []Auditor{wrong, right, right}, false, false, true},
		{"disputed and convicted", []Auditor{wrong, right, wrong}, true, true, false},
	} {
		var passed, condemned []routing.Peer
		i, err := New(Config{
			auditors: c.panel,
			Passed:   func(p routing.Peer) { passed = append(passed, p) },
			Condemn:  func(p routing.Peer, why string) { condemned = append(condemned, p) },
		})
		if err != nil {
			t.Fatal(err)
		}
		err = i.Check(t.Context(), small("p"))
		if (err != nil) != c.refused || err != nil && !errors.Is(err, expert.ErrBadResult) {
			t.Errorf("%s: %v", c.name, err)
		}
		if (len(condemned) > 0) != c.condemned || (len(passed) > 0) != c.passed {
			t.Errorf("%s: condemned %q, passed %q", c.name, condemned, passed)
		}
	}
}

// TestWarmUp: ten answers are audited before they are used, then a tenth, in
// the background; a failure begins it all again.
func TestWarmUp(t *testing.T) {
	bad := false
	var audits int
	a := scripted{name: "a", say: func() (Finding, error) {
		audits++
		if bad {
			return Finding{Worst: 1}, nil
		}
		return Finding{}, nil
	}}
	i, err := New(Config{auditors: []Auditor{a, a}, Seed: [32]byte{7}})
	if err != nil {
		t.Fatal(err)
	}
	check := func() error { return i.Check(t.Context(), small("p")) }
	for n := range trustAfter {
		if err := check(); err != nil || audits != n+1 {
			t.Fatalf("answer %d: %d audits, %v", n, audits, err)
		}
	}
	for range 60 {
		if err := check(); err != nil {
			t.Fatal(err)
		}
	}
	if audits != trustAfter {
		t.Errorf("%d audits before Settle", audits)
	}
	if err := i.Settle(t.Context(), expert.ModelID{}); err != nil {
		t.Error(err)
	}
	if audits < trustAfter+2 || audits > trustAfter+20 {
		t.Errorf("%d audits of 60 answers of a trusted peer", audits-trustAfter)
	}
	bad = true
	for range 300 {
		if err := check(); err != nil {
			t.Fatalf("a trusted peer's answer waited for its audit: %v", err)
		}
	}
	if err := i.Settle(t.Context(), expert.ModelID{}); !errors.Is(err, expert.ErrBadResult) {
		t.Errorf("Settle after lies: %v", err)
	}
	if err := i.Settle(t.Context(), expert.ModelID{}); err != nil {
		t.Errorf("Settle tells twice: %v", err)
	}
	if err := check(); !errors.Is(err, expert.ErrBadResult) {
		t.Errorf("after a lie the next answer is not audited at once: %v", err)
	}
	if err := i.Settle(t.Context(), expert.ModelID{1}); err != nil {
		t.Errorf("another model: %v", err)
	}
}

// TestFullQueue: when too many audits wait, answers wait for their own.
func TestFullQueue(t *testing.T) {
	var mu sync.Mutex
	n := 0
	a := scripted{name: "a", say: func() (Finding, error) { mu.Lock(); defer mu.Unlock(); n++; return Finding{}, nil }}
	i, err := New(Config{auditors: []Auditor{a}, Always: true})
	if err != nil {
		t.Fatal(err)
	}
	for range trustAfter + maxQueued + 5 {
		if err := i.Check(t.Context(), small("p")); err != nil {
			t.Fatal(err)
		}
	}
	if n != trustAfter+5 {
		t.Errorf("%d audits done, want %d", n, trustAfter+5)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := i.Settle(ctx, expert.ModelID{}); err != nil && !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if err := i.Settle(t.Context(), expert.ModelID{}); err != nil || n != trustAfter+maxQueued+5 {
		t.Errorf("%d audits after Settle, %v", n, err)
	}
}

// TestStrangersAreForgotten: names cost nothing, memory does.
func TestStrangersAreForgotten(t *testing.T) {
	i, err := New(Config{auditors: []Auditor{says("right", 0)}})
	if err != nil {
		t.Fatal(err)
	}
	for range trustAfter {
		_ = i.Check(t.Context(), small("known well"))
	}
	for n := range maxKnown + 10 {
		_ = i.Check(t.Context(), small(routing.Peer(fmt.Sprint(n))))
	}
	if len(i.mu.known) > maxKnown {
		t.Errorf("%d peers known", len(i.mu.known))
	}
	if i.mu.known[subject{peer: "known well"}] == nil {
		t.Error("a trusted peer gave its place to strangers")
	}
}

// TestCasesAreCopied: what is audited later must not share memory with what
// was handed on, and says the same.
func TestCasesAreCopied(t *testing.T) {
	m := demotest.Model(t, "Q8_0")
	set := openSet(t, m)
	for _, sum := range []bool{false, true} {
		c := testCase(t, set, m, 3, 6, sum, set.Apply)
		own := c.keep()
		few := c.only(c.allPicks()[:3])
		clear(c.In.Data)
		if sum {
			clear(c.Sum.Data)
		} else {
			for _, r := range c.Results {
				clear(r.Out.Data)
			}
		}
		for _, k := range []*Case{own, few} {
			f, err := (Recompute{func(expert.ModelID) *expert.Set { return set }, DefaultTolerances()}).Audit(t.Context(), k)
			if err != nil || !f.Same {
				t.Errorf("sum %v: %+v, %v", sum, f, err)
			}
		}
		if n := len(few.allPicks()); n != 3 {
			t.Errorf("sum %v: %d rows of 3", sum, n)
		}
	}
}

// TestWeightsMustBeThose: no secret is drawn from a file that has changed.
func TestWeightsMustBeThose(t *testing.T) {
	m := demotest.Model(t, "Q8_0")
	set := openSet(t, m)
	s := newSecrets([32]byte{1}, func(expert.ModelID) *expert.Set { return set },
		func(expert.ID) (expert.Piece, bool) { return expert.Piece{}, true }, testClock)
	if _, err := s.of([]expert.Call{{Expert: m.Manifest().IDs()[0]}}); !errors.Is(err, ErrUnable) {
		t.Error(err)
	}
}

// TestSecretsChange: every epoch has its own, and they are the same within
// one.
func TestSecretsChange(t *testing.T) {
	m := demotest.Model(t, "Q8_0")
	set := openSet(t, m)
	now := testClock()
	s := newSecrets([32]byte{1}, func(expert.ModelID) *expert.Set { return set }, pieceOf(m), func() time.Time { return now })
	ids := m.Manifest().IDs()
	get := func() []*secret {
		x, err := s.of([]expert.Call{{Expert: ids[0]}, {Expert: ids[1]}})
		if err != nil {
			t.Fatal(err)
		}
		return x
	}
	first := get()
	if !slices.Equal(first[0].rd.Data, first[1].rd.Data) || slices.Equal(first[0].rg.Data, first[1].rg.Data) {
		t.Error("rows for outputs are a layer's, those for inner layers an expert's")
	}
	if again := get(); again[0] != first[0] {
		t.Error("drawn again within the epoch")
	}
	now = now.Add(epoch)
	if next := get(); slices.Equal(next[0].rd.Data, first[0].rd.Data) {
		t.Error("the next epoch has the same secrets")
	}
}

func sampleEvidence(t testing.TB) Evidence {
	c := &Case{Checked: small("12D3KooWliar"), At: testClock()}
	v := Verdict{Peer: c.Peer, At: c.At, Outcome: Guilty, Class: expert.Blocks32, Steps: []Step{{Auditor: "recompute", Grade: "fail", Error: 1}}}
	return newEvidence(c, v, DefaultTolerances())
}

func TestEvidence(t *testing.T) {
	dir := t.TempDir()
	s, err := openStore(dir)
	if err != nil {
		t.Fatal(err)
	}
	e := sampleEvidence(t)
	r := routing.Receipt{Call: routing.HashCalls(small("").In, small("").Calls), Result: routing.HashResults(small("").Results), At: e.At, Sig: []byte{1}}
	path, err := s.add(e)
	if err != nil {
		t.Fatal(err)
	}
	if e.Confesses() {
		t.Error("confesses without a receipt")
	}
	e.sign(r)
	if err := s.replace(path, e); err != nil {
		t.Fatal(err)
	}
	got, err := LoadEvidence(dir)
	if err != nil || len(got) != 1 || !got[0].Confesses() || got[0].Peer != "12D3KooWliar" || !got[0].At.Equal(e.At) {
		t.Fatalf("%+v, %v", got, err)
	}
	if err := os.WriteFile(filepath.Join(dir, "bad"+evidenceExt), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := LoadEvidence(dir); err == nil || len(got) != 1 {
		t.Errorf("a damaged file: %d read, %v", len(got), err)
	}
	for n := range maxEvidenceFiles + 3 {
		e.At = e.At.Add(time.Duration(n) * time.Millisecond)
		if _, err := s.add(e); err != nil {
			t.Fatal(err)
		}
	}
	if names, err := s.files(); err != nil || len(names) > maxEvidenceFiles {
		t.Errorf("%d files, %v", len(names), err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*.tmp")); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

func FuzzParseEvidence(f *testing.F) {
	b, err := json.Marshal(sampleEvidence(f))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(strings.Replace(string(b), `"rows":[1]`, `"rows":[70000]`, 1)))
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := ParseEvidence(b)
		if err != nil {
			return
		}
		again, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ParseEvidence(again); err != nil && len(again) <= maxEvidence {
			t.Fatalf("second round: %v", err)
		}
	})
}
