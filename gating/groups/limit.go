package groups

import "time"

// Work is what a step of so many rows takes without any network: took from end to
// end when it is alone, and busy, which is no longer, of whatever steps share and
// do one at a time. Where the trunk and the holders share processors that is
// what these work for it; where they do not, the longer part of the two.
type Work func(rows int) (took, busy time.Duration)

// Possible is the most tokens per second that n sequences can have in any
// groups, when the network takes away of each step, and the rows of the largest
// group then.
//
// No schedule beats it: a sequence's token takes no less than a step of its group
// from end to end, and all groups' steps no less than what they share is busy
// for them. Where weights are read once for all rows of a step, the fewest groups
// below some size share most: all of that size, and one of what remains.
func Possible(n int, away time.Duration, work Work) (rate float64, rows int) {
	for size := 1; size <= n; size++ {
		took, busy := work(size)
		busy *= time.Duration(n / size)
		if rest := n % size; rest > 0 {
			_, more := work(rest)
			busy += more
		}
		if r := float64(n) / max(took+away, busy).Seconds(); r > rate {
			rate, rows = r, size
		}
	}
	return rate, rows
}
