package engine

import (
	"cmp"
	"slices"
)

// schedule shares out the rows of the next step. pending says how many tokens
// of each sequence the trunk has not seen, oldest sequence first; the result
// says how many of them it sees next.
//
// A sequence with one token left decodes and always gets its row; there are
// fewer than maxRows of these. What remains, up to chunk rows, goes to
// prompts, in equal shares: what a short one leaves, longer ones get, so that
// a short prompt does not wait behind a long one. When there are fewer rows
// than prompts, the oldest get one each, so that each is done some time.
func schedule(pending []int, chunk, maxRows int) []int {
	rows := make([]int, len(pending))
	left := maxRows
	var prompts []int
	for i, n := range pending {
		if n > 1 {
			prompts = append(prompts, i)
		} else if n == 1 && left > 0 {
			rows[i] = 1
			left--
		}
	}
	left = min(left, chunk)
	if left < len(prompts) {
		prompts = prompts[:left]
	}
	slices.SortStableFunc(prompts, func(a, b int) int { return cmp.Compare(pending[a], pending[b]) })
	for done, i := range prompts {
		among := len(prompts) - done
		rows[i] = min(pending[i], (left+among-1)/among)
		left -= rows[i]
	}
	return rows
}
