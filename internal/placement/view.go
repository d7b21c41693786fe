package placement

import (
	"fmt"
	"time"
)

// Expert is what a node knows of one expert of a model when it decides.
type Expert struct {
	Bytes int64 // what holding it costs
	// Replicas is how many others hold it, each counted by its standing, 0 to
	// 1. One that leaves, pauses or hands the expert over counts nothing.
	Replicas float64
	// Above is how many of those others rank above this node; see [Rank].
	Above int
	// Intended is how many others announced that they fetch it now and rank
	// above this node; those below give way.
	Intended int
	// Demand is how often it is asked for, the average expert being 1.
	Demand float64
	// Held: this node has it.
	Held bool
	// Lost: no source for it is known, or those known failed just now.
	Lost bool
}

// View is what a node decides from.
type View struct {
	Experts []Expert // in any fixed order
	Budget  int64    // bytes that the node gives to experts
	// Rate is the bytes a second that the node can fetch; 0: not known.
	Rate float64
	// Speed is the node's computing speed, a typical node's being 1; 0: not
	// known. Slow nodes take what is seldom asked for.
	Speed float64
	// Takers is how many other nodes choose what they hold; it thins volunteers.
	Takers int
	Seed   uint64 // of this decision
}

// Why says what a fetch is for.
type Why uint8

// Reasons, in order of urgency.
const (
	Missing Why = iota // nobody holds it
	Scarce             // fewer than Policy.Want hold it
	Spare              // there is room, and it is worth the most
	Better             // worth more than something held
)

func (w Why) String() string {
	return [...]string{"missing", "scarce", "spare room", "worth more"}[w]
}

// Fetch is one expert to fetch.
type Fetch struct {
	Expert int // index into View.Experts
	Why    Why
}

// Decision says what a node should change. Indices are into View.Experts.
type Decision struct {
	Fetch []Fetch // most urgent first
	// Drop are held experts to let go, to make room or because the budget
	// shrank. They are safe to let go at once.
	Drop []int
	// HandOver are held experts that do not fit the budget but that too few
	// others hold: to be offered to others, and kept until they have them.
	HandOver []int
}

// Policy holds the numbers that decisions depend on; zero fields mean their
// defaults.
type Policy struct {
	// Want is how many holders every expert should have before any gets more.
	// Default 2: one may go.
	Want int
	// Hysteresis is how many times more another expert must be worth for an
	// exchange. Default 2: with ten copies each, demand must differ by two.
	Hysteresis float64
	// Volunteers is how many nodes should volunteer for a copy that is missing,
	// on average, in one round of decisions. Default 4: with 2 %, nobody does.
	Volunteers float64
	// BatchTime bounds what one decision fetches, at the node's rate. Default
	// 20 s: an intention is not announced much longer ahead than it is kept.
	BatchTime time.Duration
	// MaxMove bounds what one decision exchanges, as a share of the budget.
	// Default 0.05.
	MaxMove float64
	// Floor is the demand, as a share of the average, that an expert counts
	// with at least: what nobody asked for today may be asked for tomorrow.
	// Default 0.25.
	Floor float64
}

// Validate fills in defaults and refuses what cannot work.
func (p Policy) Validate() (Policy, error) {
	switch {
	case p.Want < 0 || p.Hysteresis < 0 || p.Volunteers < 0 || p.BatchTime < 0 || p.MaxMove < 0 || p.Floor < 0:
		return p, fmt.Errorf("placement: %+v: want no negative numbers", p)
	case p.Hysteresis != 0 && p.Hysteresis < 1:
		return p, fmt.Errorf("placement: hysteresis %v: want at least 1, or copies go back and forth", p.Hysteresis)
	}
	p.Want = orDefault(p.Want, 2)
	p.Hysteresis = orDefault(p.Hysteresis, 2)
	p.Volunteers = orDefault(p.Volunteers, 4)
	p.BatchTime = orDefault(p.BatchTime, 20*time.Second)
	p.MaxMove = orDefault(p.MaxMove, 0.05)
	p.Floor = orDefault(p.Floor, 0.25)
	return p, nil
}

func orDefault[T int | float64 | time.Duration](v, byDefault T) T {
	if v == 0 {
		return byDefault
	}
	return v
}
