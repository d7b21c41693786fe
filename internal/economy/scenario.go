package economy

import (
	"fmt"
	"math"
	"strings"
)

// Hours.
const (
	day  = 24
	week = 7 * day
	year = 8760
)

// Scenario says what people do. Times are hours from the start, money is in an
// outside currency.
type Scenario struct {
	Name  string
	About string

	// Demand is how many tokens an hour are asked for, at the market's price.
	Demand func(hour float64) float64
	// Price is what one NEURO costs, before noise.
	Price func(hour float64) float64
	// Noise is the spread of the price around that, as a share of it.
	Noise float64

	whales *whales
	exodus *exodus
	wash   *wash
}

// whales are a few who own much: they bond it as gates and sell it all one day.
type whales struct {
	count int
	bond  float64 // NEURO, each
	sell  float64 // hour at which one of them unbonds everything
}

// exodus is when a share of all holders leaves within a week.
type exodus struct{ hour, share float64 }

// wash is a coalition that pays itself so much that no emission is left.
type wash struct{ from, to float64 }

// logistic grows from almost nothing to top, with half of it at an hour.
func logistic(first, top, half, width float64) func(float64) float64 {
	return func(h float64) float64 { return first + (top-first)/(1+math.Exp(-(h-half)/width)) }
}

func steady(p float64) func(float64) float64 { return func(float64) float64 { return p } }

// Scenarios lists those of the issue of money: slow and fast adoption, a price
// that falls by 90 %, whales, half the stake leaving, wash trading.
func Scenarios() []Scenario {
	const startPrice = 0.10
	middling := logistic(2e6, 6e8, 2*year, year/3)
	return []Scenario{
		{Name: "slow", About: "adoption is slow: 60 million tokens an hour after five years, the price halves",
			Demand: logistic(2e6, 6e7, 3*year, 0.7*year), Price: func(h float64) float64 { return startPrice * math.Exp2(-h/(5*year)) }, Noise: 0.15},
		{Name: "fast", About: "adoption is fast: 6 billion tokens an hour, half of it after 18 months, the price rises tenfold",
			Demand: logistic(2e6, 6e9, 1.5*year, year/5), Price: func(h float64) float64 { return startPrice * math.Pow(10, h/(5*year)) }, Noise: 0.15},
		{Name: "crash", About: "the price falls by 90 % within two months after two years",
			Demand: middling, Price: func(h float64) float64 {
				return startPrice * math.Pow(10, -math.Min(math.Max((h-2*year)/(60*day), 0), 1))
			}, Noise: 0.10},
		{Name: "whales", About: "three bond 10 million NEURO each as gates; after three years one of them leaves and the price halves",
			Demand: middling, Price: func(h float64) float64 {
				return startPrice * math.Exp2(-math.Min(math.Max((h-3*year)/(14*day), 0), 1))
			}, Noise: 0.10, whales: &whales{count: 3, bond: 10e6, sell: 3 * year}},
		{Name: "exodus", About: "half of all bonds and machines leave within a week after two years",
			Demand: middling, Price: steady(startPrice), Noise: 0.10, exodus: &exodus{hour: 2 * year, share: 0.5}},
		{Name: "wash", About: "a coalition pays itself up to the emission's target for a year, after one year",
			Demand: logistic(2e6, 6e7, 3*year, 0.7*year), Price: steady(startPrice), Noise: 0.10, wash: &wash{from: year, to: 2 * year}},
	}
}

// Find is the scenario of a name.
func Find(name string) (Scenario, error) {
	var names []string
	for _, s := range Scenarios() {
		if s.Name == name {
			return s, nil
		}
		names = append(names, s.Name)
	}
	return Scenario{}, fmt.Errorf("no economy scenario %.40q; there are %s", name, strings.Join(names, ", "))
}

// Assumptions about machines and the market that all scenarios share.
const (
	marketStart  = 0.50        // outside, of a million tokens
	marketYearly = 0.75        // what is left of that price after a year
	elasticity   = 1.5         // of demand: who pays more than elsewhere goes elsewhere
	unitsPerRow  = 128         // 16 sparse layers of 8 experts
	genesis      = 100_000_000 // NEURO
	genesisDAO   = 20_000_000  // of these, in the treasury
	electricity  = 0.10        // outside, of a million tokens' experts
	powerYearly  = 0.85        // what is left of that after a year, as machines get better
	idleCost     = 0.004       // outside, an hour of a machine that waits
	uptime       = 0.95
	auditShare   = 100 // one of so many units of capacity is audited by schedule
	repBps       = 9_000
	grantsDaily  = 1_000 // the treasury spends one part in so many a day
	washBonds    = 5_000_000
)
