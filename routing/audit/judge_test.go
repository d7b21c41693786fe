package audit

import (
	"errors"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/moeswarm/moeswarm/expert"
)

func TestRate(t *testing.T) {
	for passes, want := range map[int]float64{0: 1, 9: 1, 10: 0.1, 11: 1. / 11, 50: 0.02, 100: 0.01, 101: 0.01, 1 << 30: 0.01} {
		if got := Rate(passes); got != want {
			t.Errorf("after %d passes: %v, want %v", passes, got, want)
		}
		if trusted(passes) != (want < 1) {
			t.Errorf("after %d passes trusted: %v", passes, trusted(passes))
		}
	}
}

// TestRateCosts plays the rule: what honest peers cost, and how soon one is
// found that lies with a share of its answers from some answer on. The bounds
// are those that the package doc states.
func TestRateCosts(t *testing.T) {
	const peers = 300
	r := rand.New(rand.NewPCG(1, 7))
	for _, n := range []int{100, 1000, 10000} {
		audits := 0
		for range peers {
			passes := 0
			for range n {
				if r.Float64() < Rate(passes) {
					audits++
					passes++
				}
			}
		}
		share := float64(audits) / float64(n*peers)
		t.Logf("honest: %.2f %% of the first %d answers audited", 100*share, n)
		if most := map[int]float64{100: 0.4, 1000: 0.10, 10000: 0.025}[n]; share > most {
			t.Errorf("%.3f of the first %d answers are audited, want at most %.3f", share, n, most)
		}
	}
	for _, lies := range []struct {
		veteran int
		share   float64
	}{{0, 1}, {0, 0.01}, {10000, 1}, {10000, 0.1}, {10000, 0.01}} {
		wrong, until := 0, 0
		for range peers {
			passes := 0
			for n := 0; ; n++ {
				lie := n >= lies.veteran && r.Float64() < lies.share
				audit := r.Float64() < Rate(passes)
				if lie && audit {
					until += n - lies.veteran + 1
					break
				}
				if lie {
					wrong++
				}
				if audit {
					passes++
				}
			}
		}
		mean := float64(wrong) / peers
		t.Logf("lies in %g %% after %d answers: found after %.0f, %.1f wrong ones used", 100*lies.share, lies.veteran, float64(until)/peers, mean)
		if mean > 130 || lies.veteran == 0 && lies.share == 1 && wrong > 0 {
			t.Errorf("%.1f wrong answers used", mean)
		}
	}
}

func TestWeigh(t *testing.T) {
	p, f, i := Pass, Fail, Inconclusive
	for _, c := range []struct {
		grades []Grade
		more   bool
		want   Outcome
	}{
		{nil, true, Open}, {nil, false, Undecided},
		{[]Grade{p}, true, Cleared}, {[]Grade{p}, false, Cleared},
		{[]Grade{f}, true, Open}, {[]Grade{f}, false, Unproven},
		{[]Grade{i}, true, Open}, {[]Grade{i}, false, Undecided},
		{[]Grade{i, p}, true, Cleared}, {[]Grade{i, i}, false, Undecided},
		{[]Grade{i, f}, true, Open}, {[]Grade{i, f}, false, Unproven},
		{[]Grade{f, f}, true, Guilty}, {[]Grade{f, i}, false, Unproven}, {[]Grade{f, i, f}, true, Guilty},
		{[]Grade{f, p}, true, Open}, {[]Grade{f, p}, false, Undecided},
		{[]Grade{f, p, p}, true, Cleared}, {[]Grade{f, p, f}, true, Guilty},
	} {
		if got := weigh(c.grades, c.more); got != c.want {
			t.Errorf("%v, more %v: %v, want %v", c.grades, c.more, got, c.want)
		}
	}
}

func TestGrade(t *testing.T) {
	tol := DefaultTolerances()
	tau := tol[expert.Blocks32].Tau
	for rel, want := range map[float64]Grade{0: Pass, tau: Pass, 1.01 * tau: Inconclusive, 2 * tau: Inconclusive, 2.01 * tau: Fail, math.Inf(1): Fail} {
		if got := (Finding{Worst: rel, Class: expert.Blocks32}).Grade(tol); got != want {
			t.Errorf("%v: %v, want %v", rel, got, want)
		}
	}
	if got := (Finding{Worst: math.NaN()}).Grade(tol); got != Fail {
		t.Errorf("not a number: %v", got)
	}
	if got := (Finding{Worst: 3 * tau, Class: expert.Blocks32, Pair: true}).Grade(tol); got != Pass {
		t.Errorf("two arithmetics apart: %v", got)
	}
}

// TestTolerancesRefuseOverlap: an auditor does not start with a tolerance that
// cheats can hide in.
func TestTolerancesRefuseOverlap(t *testing.T) {
	if err := DefaultTolerances().check(); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Tolerance){
		"cheats near":   func(t *Tolerance) { t.Cheat = 1.9 * t.Tau },
		"honest beyond": func(t *Tolerance) { t.Honest = 1.1 * t.Tau },
		"zero":          func(t *Tolerance) { t.Tau, t.Honest = 0, 0 },
		"not a number":  func(t *Tolerance) { t.Tau = math.NaN() },
		"no apart":      func(t *Tolerance) { t.Apart = 0 },
	} {
		tol := DefaultTolerances()
		change(&tol[expert.Blocks32])
		_, err := New(Config{Weights: func(expert.ModelID) *expert.Set { return nil },
			Piece: func(expert.ID) (expert.Piece, bool) { return expert.Piece{}, false }, Tolerances: tol})
		if !errors.Is(err, ErrOverlap) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Derive(0.02, 0.05, 0.1); !errors.Is(err, ErrOverlap) {
		t.Errorf("derived from 0.02 and 0.05: %v", err)
	}
	if got, err := Derive(0.02, 0.06, 0.1); err != nil || got.Tau != 0.03 {
		t.Errorf("derived from 0.02 and 0.06: %+v, %v", got, err)
	}
	if _, err := New(Config{}); err == nil {
		t.Error("an inspector with nothing to compare with")
	}
}

// TestHalf compares the rounding with the numbers of the format.
func TestHalf(t *testing.T) {
	for v, want := range map[float32]float32{1: 1, 1 + 0x1p-11: 1, 1 + 3*0x1p-11: 1 + 0x1p-9, -0.1: -0.0999755859375, 65504: 65504, 0x1p-24: 0x1p-24, 0x1p-26: 0, 3e-6: 2.9802322e-06} {
		if got := half(v); got != want {
			t.Errorf("%v: %v, want %v", v, got, want)
		}
	}
}

// The cheaper audit is chosen, by what was measured.
func TestCheaperAudit(t *testing.T) {
	const ms, us = time.Millisecond, time.Microsecond
	quick := workCost{}.after("recompute", Finding{Rows: 10, Work: 10 * 20 * us}) // of small experts
	for _, tt := range []struct {
		name          string
		cost          workCost
		rows, undrawn int
		each          time.Duration
		want          bool
	}{
		{"nothing measured, one row, no secret", workCost{}, 1, 1, 0, false},
		{"nothing measured, a long prompt", workCost{}, 120, 1, 0, true},
		{"one row, and the secret is there, but a token would wait for the peer", workCost{}, 1, 0, 6 * ms, false},
		{"a prompt, the secret is there, and the peer is far", workCost{wait: 30 * ms}, 60, 0, 6 * ms, false},
		{"a prompt, the secret is there, and the peer is near", workCost{wait: ms}, 60, 0, 6 * ms, true},
		{"small experts", quick, 4, 0, ms, false},
		{"small experts, many rows", quick, 2000, 0, ms, true},
		{"many secrets", workCost{}, 40, 8, 6 * ms, false},
	} {
		if got := tt.cost.projects(tt.rows, tt.undrawn, tt.each); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
	if c := quick.after("second", Finding{Rows: 1, Work: ms}); c != quick {
		t.Errorf("another auditor's time was taken in: %+v", c)
	}
}
