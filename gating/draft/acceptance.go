package draft

// Class says how a proposed token came about, as far as that tells how likely
// it is to be right.
type Class uint8

const (
	// Classes of lookups: the length of the match before the token.
	match1 Class = iota
	match2
	match3
	match4
	match6
	match9
	match15
	matchLong
	// Classes of a draft model: the probability it gave the token.
	confident0 // below 1/8, and so on
	confident7 = confident0 + 7

	classes = confident7 + 1
)

// matchClass is the class of a token that followed a match of so many tokens,
// those of the draft before it included.
func matchClass(length int) Class {
	switch {
	case length <= 4:
		return match1 + Class(max(length, 1)-1)
	case length <= 6:
		return match6
	case length <= 9:
		return match9
	case length <= 15:
		return match15
	}
	return matchLong
}

// ConfidenceClass is the class of a token that a draft model drew with this
// probability.
func ConfidenceClass(p float64) Class {
	return confident0 + Class(min(max(int(p*8), 0), 7))
}

// priorRate is how often tokens of a class are right before any was seen:
// about what source code and prose give at temperature 0. Being wrong here
// costs a few rounds, because priorWeight is small.
func priorRate(c Class) float64 {
	if c >= confident0 {
		return (float64(c-confident0) + 0.5) / 8 // as if both models agreed
	}
	return [...]float64{0.15, 0.3, 0.45, 0.55, 0.65, 0.75, 0.85, 0.95}[c]
}

// priorWeight is the number of observations that what is known beforehand
// counts for.
const priorWeight = 4

// Acceptance learns how often proposed tokens of each class were right.
type Acceptance struct {
	wider *Acceptance // what is known beforehand; nil: priorRate
	keep  float64     // share of the old counts left after an observation
	right [classes]float64
	seen  [classes]float64
}

// NewAcceptance returns one that covers many sequences: it remembers some
// thousand tokens of each class.
func NewAcceptance() *Acceptance { return &Acceptance{keep: 1 - 1./1024} }

// Narrow returns one for a single sequence. It begins with what a knows and
// remembers some fifty tokens of each class, because an answer may quote in
// one paragraph and invent in the next. What it learns, a learns too.
func (a *Acceptance) Narrow() *Acceptance { return &Acceptance{wider: a, keep: 1 - 1./48} }

// Rate is the probability that a token of a class is right, given that those
// before it in the draft were.
func (a *Acceptance) Rate(c Class) float64 {
	prior := 0.0
	if a.wider != nil {
		prior = a.wider.Rate(c)
	} else {
		prior = priorRate(c)
	}
	return (a.right[c] + priorWeight*prior) / (a.seen[c] + priorWeight)
}

// Observe compares a proposal with the tokens that came: all up to the first
// wrong one count, whether they were sent or not.
func (a *Acceptance) Observe(p *Proposal, came []int32) {
	for i := range min(len(p.Tokens), len(came)) {
		right := p.Tokens[i] == came[i]
		a.note(p.Classes[i], right)
		if !right {
			return
		}
	}
}

func (a *Acceptance) note(c Class, right bool) {
	a.right[c] *= a.keep
	a.seen[c] = a.seen[c]*a.keep + 1
	if right {
		a.right[c]++
	}
	if a.wider != nil {
		a.wider.note(c, right)
	}
}

// Chances appends, for each token of a proposal, the probability that it and
// all before it are right.
func (a *Acceptance) Chances(p *Proposal, out []float64) []float64 {
	all := 1.0
	for _, c := range p.Classes {
		all *= a.Rate(c)
		out = append(out, all)
	}
	return out
}
