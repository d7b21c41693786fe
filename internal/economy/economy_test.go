package economy

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"reflect"
	"testing"

	"github.com/moeswarm/moeswarm/internal/ledger"
)

// TestScenarios runs each scenario for three years; money is conserved in every
// epoch, or step fails.
func TestScenarios(t *testing.T) {
	for _, s := range Scenarios() {
		t.Run(s.Name, func(t *testing.T) {
			t.Parallel()
			r, err := Run(t.Context(), s, 3, 1)
			if err != nil {
				t.Fatal(err)
			}
			if len(r.Samples) != 3*year/week {
				t.Fatalf("%d samples", len(r.Samples))
			}
			for _, x := range r.Samples {
				v := reflect.ValueOf(x)
				for i := range v.NumField() {
					if f := v.Field(i).Float(); math.IsNaN(f) || math.IsInf(f, 0) || f < 0 {
						t.Fatalf("year %.2f: %s is %v", x.Years, v.Type().Field(i).Name, f)
					}
				}
			}
			minted, burned := r.Sums["minted_neuro"], r.Sums["burned_neuro"]
			if got := r.Sums["supply_end_neuro"]; math.Abs(got-(genesis+minted-burned)) > 1 {
				t.Errorf("supply %f after %f minted and %f burned", got, minted, burned)
			}
			for k, v := range r.Sums {
				t.Logf("%-32s %.6g", k, v)
			}
		})
	}
}

func TestSeedsDecide(t *testing.T) {
	s, err := Find("slow")
	if err != nil {
		t.Fatal(err)
	}
	run := func(seed uint64) map[string]float64 {
		r, err := Run(t.Context(), s, 1, seed)
		if err != nil {
			t.Fatal(err)
		}
		return r.Sums
	}
	if !reflect.DeepEqual(run(5), run(5)) {
		t.Error("two runs of one seed differ")
	}
	if reflect.DeepEqual(run(5), run(6)) {
		t.Error("two seeds give one run")
	}
}

// TestLostMoneyIsSeen: the check of every epoch finds a single nneuro.
func TestLostMoneyIsSeen(t *testing.T) {
	for _, s := range Scenarios() {
		w := newWorld(s, 1)
		if err := w.step(); err != nil {
			t.Fatal(err)
		}
		w.cohorts[1].liquid++
		if err := w.step(); err == nil {
			t.Errorf("%s: a coin from nowhere goes unseen", s.Name)
		}
	}
}

// TestEmissionEnds: with revenue above the target nothing is minted.
func TestEmissionEnds(t *testing.T) {
	w := newWorld(Scenarios()[0], 1)
	for i := range w.revenue {
		w.revenue[i] = ledger.Amount(w.p.EmissionTarget)
	}
	supply := w.supply
	w.emit(0)
	if w.supply != supply {
		t.Errorf("%d minted", w.supply-supply)
	}
}

// TestWashLoses: the coalition ends with less than it began with.
func TestWashLoses(t *testing.T) {
	s, err := Find("wash")
	if err != nil {
		t.Fatal(err)
	}
	r, err := Run(t.Context(), s, 2, 3)
	if err != nil {
		t.Fatal(err)
	}
	lost, back := r.Sums["wash_lost_neuro"], r.Sums["wash_bonus_neuro"]
	if turn := r.Sums["wash_turnover_neuro"]; turn == 0 || lost < 0.069*turn || back > 0.2*lost {
		t.Errorf("of %f turned over %f are lost and %f come back", turn, lost, back)
	}
}

func TestBadRuns(t *testing.T) {
	if _, err := Find("boom"); err == nil {
		t.Error("an unknown scenario")
	}
	for _, years := range []int{0, -1, MaxYears + 1} {
		if _, err := Run(t.Context(), Scenarios()[0], years, 1); err == nil {
			t.Errorf("%d years", years)
		}
	}
}

func TestPlotIsXML(t *testing.T) {
	r, err := Run(t.Context(), Scenarios()[1], 1, 1)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := r.SVG(&out); err != nil {
		t.Fatal(err)
	}
	lines := 0
	for d := xml.NewDecoder(&out); ; {
		tok, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if e, ok := tok.(xml.StartElement); ok && e.Name.Local == "polyline" {
			lines++
		}
	}
	if lines < 10 {
		t.Errorf("%d lines", lines)
	}
}
