package placement

// Trunk is what a node knows when it decides whether to gate a model.
type Trunk struct {
	Bytes    int64
	Gates    float64 // others that gate, each counted by its standing
	Above    int     // of those, how many rank above this node
	Intended int     // others that are about to, and rank above this node
	Held     bool    // this node gates
	Holders  int     // nodes that hold experts, for which gating nodes work
	// Waiting is the mean number of prompts that wait at a gating node.
	Waiting float64
	Budget  int64   // bytes that the node gives to the model in all
	Speed   float64 // computing speed, a typical node's being 1; 0: not known
	Takers  int     // other nodes that could
	Seed    uint64
}

// Verdict is what to do about a trunk.
type Verdict uint8

// Verdicts.
const (
	Stay   Verdict = iota // as it is
	Take                  // fetch it and gate
	LetGo                 // stop gating
	GiveUp                // stop gating once another does: the budget has no room
)

// Gates that a swarm wants: at least as many as an expert has holders, and one
// for every holdersPerGate: a gating node keeps so many busy with a few answers
// at a time. A queue at the gates asks for one more each queuePerGate prompts.
const (
	holdersPerGate = 16
	queuePerGate   = 4
	// trunkShare is the part of a budget that a trunk may take; the rest is
	// for experts, which are what the swarm is short of.
	trunkShare = 0.5
	// slowest is the speed below which a node does not offer itself, unless
	// nobody gates: each token waits for its gating node.
	slowest = 0.5
)

// WantGates is how many gating nodes a swarm should have.
func WantGates(holders int, gates, waiting float64, p Policy) int {
	want := max(p.Want, (holders+holdersPerGate-1)/holdersPerGate)
	return want + int(waiting*max(gates, 1)/queuePerGate)
}

// DecideTrunk says whether the node should begin or cease to gate.
func DecideTrunk(t Trunk, p Policy) Verdict {
	want := WantGates(t.Holders, t.Gates, t.Waiting, p)
	if t.Held {
		switch {
		case t.Bytes > t.Budget && t.Above >= p.Want:
			return LetGo
		case t.Bytes > t.Budget:
			return GiveUp
		// One more than wanted is no reason: demand goes up and down.
		case t.Above > want && t.Gates > float64(want+1):
			return LetGo
		}
		return Stay
	}
	have := t.Gates + float64(t.Intended)
	switch {
	case have >= float64(want), t.Bytes > t.Budget:
		return Stay
	case have >= 1 && (float64(t.Bytes) > trunkShare*float64(t.Budget) || t.Speed > 0 && t.Speed < slowest):
		return Stay
	case uniform(t.Seed, 0)*float64(t.Takers+1) >= p.Volunteers*(float64(want)-have):
		return Stay
	}
	return Take
}

// ConfirmTrunk reports whether gating is still wanted now that others'
// intentions are known.
func ConfirmTrunk(t Trunk, p Policy) bool {
	return !t.Held && t.Gates+float64(t.Intended) < float64(WantGates(t.Holders, t.Gates, t.Waiting, p))
}
