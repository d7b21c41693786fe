package simswarm

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/moeswarm/moeswarm/expert"
)

// NamedFault is a misbehaviour that scenarios and processes name. P is the
// share of calls or asks it strikes, for those that do so at random.
type NamedFault struct {
	Name  string
	Lies  bool // its answers are wrong, rather than late or missing
	fault func(p float64, seed uint64) Fault
}

// Faults lists the misbehaviours of holders. (Flooding is one of askers, see
// [Flood].)
func Faults() []NamedFault {
	return []NamedFault{
		{"absent", false, func(float64, uint64) Fault { return Absent() }},
		{"failing", false, Failing},
		{"slow", false, func(float64, uint64) Fault { return Slow(10) }},
		{"slow-after", false, func(float64, uint64) Fault { return SlowAfter(20, 10) }},
		{"slow-seldom", false, func(p float64, seed uint64) Fault { return SlowSeldom(10, p, seed) }},
		{"spells", false, func(_ float64, seed uint64) Fault { return Spells(10, time.Second, 300*time.Millisecond, seed) }},
		{"lying", true, func(p float64, seed uint64) Fault { return LyingSeldom(p, seed, nil) }},
		{"replaying", true, func(float64, uint64) Fault { return Replaying() }},
		{"withholding", false, WithholdingSeldom},
	}
}

// With makes the fault. p is 0 for always.
func (f NamedFault) With(p float64, seed uint64) Fault {
	if p == 0 {
		p = 1
	}
	return f.fault(p, seed)
}

// ParseFault reads faults joined by "+", the first one innermost. Each is "NAME"
// or "NAME:P:SEED", such as "lying" or "lying:0.01:7". "work=1ms" is no fault:
// each call takes so much longer, as if the experts were larger.
func ParseFault(s string) (Fault, error) {
	var all []Fault
	for one := range strings.SplitSeq(s, "+") {
		f, err := parseOne(one)
		if err != nil {
			return nil, err
		}
		all = append(all, f)
	}
	return func(honest expert.Applier) expert.Applier { return With(honest, all...) }, nil
}

func parseOne(s string) (Fault, error) {
	if work, ok := strings.CutPrefix(s, "work="); ok {
		d, err := time.ParseDuration(work)
		if err != nil || d < 0 {
			return nil, fmt.Errorf("fault %.40q: want work=DURATION", s)
		}
		return func(honest expert.Applier) expert.Applier { return Modelled(honest, Work{PerCall: d}) }, nil
	}
	parts := strings.Split(s, ":")
	var p float64
	var seed uint64
	var err error
	if len(parts) == 3 {
		if p, err = strconv.ParseFloat(parts[1], 64); err == nil {
			seed, err = strconv.ParseUint(parts[2], 10, 64)
		}
	}
	if err != nil || len(parts) != 1 && len(parts) != 3 || !(p >= 0 && p <= 1) {
		return nil, fmt.Errorf("fault %.40q: want NAME or NAME:SHARE:SEED", s)
	}
	var names []string
	for _, f := range Faults() {
		if f.Name == parts[0] {
			return f.With(p, seed), nil
		}
		names = append(names, f.Name)
	}
	return nil, fmt.Errorf("no fault %.40q; there are %s", parts[0], strings.Join(names, ", "))
}
