package draft

// margin is by how much drafts must raise the expected rate. Estimates are
// never that exact, and a draft that brings less is not worth the holders'
// work.
const margin = 1.08

// Share says how many tokens of each sequence's draft go into a step, so that
// the expected tokens per time are most. chances has for each sequence what
// Acceptance.Chances gives; the step has base rows already, of which each
// sequence gets one token for certain, and room for some more. costs is
// Costs.Curve and covers base rows and as many more as there is room for.
//
// The rows that are likeliest to be right come first, whoever they belong to:
// a sequence's chances never rise, so each draft is used from its beginning.
func Share(base, room int, chances [][]float64, costs []float64) []int {
	out := make([]int, len(chances))
	room = min(room, len(costs)-1-base)
	if base < 1 || room < 1 || len(chances) == 0 {
		return out
	}
	tokens := float64(len(chances))
	best, target := 0, margin*tokens/costs[base]
	taken := make([]int, len(chances))
	order := make([]int, 0, room) // the sequence of each row in turn
	for rows := base + 1; rows <= base+room; rows++ {
		next := -1
		for i, c := range chances {
			if taken[i] < len(c) && (next < 0 || c[taken[i]] > chances[next][taken[next]]) {
				next = i
			}
		}
		if next < 0 {
			break
		}
		tokens += chances[next][taken[next]]
		taken[next]++
		order = append(order, next)
		if rate := tokens / costs[rows]; rate > target {
			best, target = len(order), rate
		}
	}
	for _, i := range order[:best] {
		out[i]++
	}
	return out
}
