package economy

import (
	"context"
	"fmt"
)

// MaxYears bounds a run.
const MaxYears = 20

// Sample is the mean of a week.
type Sample struct {
	Years       float64 // since the start
	Price       float64 // of NEURO, in the outside currency, at its end
	Supply      float64 // NEURO, at its end, as Treasury
	Treasury    float64
	Revenue     float64 // NEURO an hour, paid to gates and holders by clients
	Emission    float64 // NEURO an hour, all of it
	Burned      float64 // NEURO an hour
	IncomeNeuro float64 // of a million rows
	Income      float64 // the same in the outside currency
	Asked       float64 // million tokens an hour
	Served      float64
	Nodes       float64
	Bonds       float64 // NEURO
	Escrow      float64 // NEURO
	Capped      float64 // share of income that bonds did not allow
	WhaleSeats  float64 // share of the committee
}

// Result is a run.
type Result struct {
	Scenario Scenario
	Samples  []Sample
	Sums     map[string]float64 // by names of metrics, see Run
}

// Run simulates a scenario. The sums are named as metrics of a benchmark: what
// was minted, burned and so on in NEURO, shares in percent.
func Run(ctx context.Context, s Scenario, years int, seed uint64) (Result, error) {
	if years < 1 || years > MaxYears {
		return Result{}, fmt.Errorf("%d years: want 1 to %d", years, MaxYears)
	}
	w := newWorld(s, seed)
	res := Result{Scenario: s}
	for w.hour < uint64(years)*year {
		if err := w.step(); err != nil {
			return res, err
		}
		if w.hour%week == 0 {
			if err := ctx.Err(); err != nil {
				return res, err
			}
			res.Samples = append(res.Samples, w.sample())
		}
	}
	res.Sums = w.results(res.Samples)
	return res, nil
}

func (w *world) sample() Sample {
	f := w.sums
	w.sums = flows{}
	hours := float64(f.hours)
	perHour := func(x float64) float64 { return x / 1e9 / hours }
	rows := f.rows / 1e6
	return Sample{
		Years: float64(w.hour) / year, Price: w.price, Supply: float64(w.supply) / 1e9, Treasury: float64(w.treasury) / 1e9,
		Revenue: perHour(float64(f.providers - f.emitted)), Emission: perHour(float64(f.minted)), Burned: perHour(float64(f.burned)),
		IncomeNeuro: float64(f.providers) / 1e9 / rows, Income: f.outside / rows,
		Asked: f.asked / 1e6 / hours, Served: f.served / 1e6 / hours,
		Nodes: f.nodes / hours, Bonds: f.bonds / hours, Escrow: f.esc / hours,
		Capped:     ratio(float64(f.capped), float64(f.providers+f.capped)),
		WhaleSeats: f.seats / hours,
	}
}

func ratio(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a / b
}

// results sums up a run.
func (w *world) results(samples []Sample) map[string]float64 {
	last := samples[len(samples)-1]
	first := samples[min(3, len(samples)-1)]
	a := w.all
	m := map[string]float64{
		"supply_end_neuro":             float64(w.supply) / 1e9,
		"treasury_end_neuro":           float64(w.treasury) / 1e9,
		"minted_neuro":                 float64(a.minted) / 1e9,
		"burned_neuro":                 float64(a.burned) / 1e9,
		"revenue_end_neuro_per_h":      last.Revenue,
		"emission_end_neuro_per_h":     last.Emission,
		"income_start_per_mrow":        first.Income,
		"income_end_per_mrow":          last.Income,
		"income_end_neuro_per_mrow":    last.IncomeNeuro,
		"nodes_end":                    last.Nodes,
		"bonds_end_neuro":              last.Bonds,
		"unserved_pct":                 100 * ratio(a.asked-a.served, a.asked),
		"refused_for_escrow_pct":       100 * ratio(a.unpaid, a.asked),
		"capped_pct":                   100 * ratio(float64(a.capped), float64(a.capped+a.providers)),
		"emission_share_of_income_pct": 100 * ratio(float64(a.emitted), float64(a.providers)),
	}
	low, high, served, whale := samples[0].Nodes, samples[0].Income, 1.0, 0.0
	for _, s := range samples {
		low, high = min(low, s.Nodes), max(high, s.Income)
		whale = max(whale, s.WhaleSeats)
		if s.Years > 1 {
			served = min(served, ratio(s.Served, s.Asked))
		}
	}
	m["nodes_least"], m["income_most_per_mrow"], m["served_worst_week_pct"] = low, high, 100*served
	if w.s.whales != nil {
		m["whale_seats_pct"] = 100 * whale
	}
	if w.s.wash != nil {
		m["wash_turnover_neuro"] = float64(a.washed) / 1e9
		m["wash_lost_neuro"] = float64(a.washPaid) / 1e9
		m["wash_bonus_neuro"] = float64(a.washBack) / 1e9
		m["wash_emission_prevented_neuro"] = float64(a.unminted) / 1e9
	}
	return m
}
