package engine

import (
	"time"

	"github.com/moeswarm/moeswarm/gating/groups"
)

// stall bounds what reading a prompt adds to the time between two tokens of an
// answer.
const stall = 0.2 // seconds

// chunk is how many rows of prompts a step has beside so many sequences that
// decode: at most so many that answers are not held up for longer than stall,
// or half the time that their own steps take anyhow.
func chunk(c *groups.Times, most, decode int, away time.Duration) int {
	const least = 16
	if decode == 0 {
		return most
	}
	compute, experts, ok := c.Of(float64(decode))
	if !ok {
		return most
	}
	allowed := max(stall, (compute+experts+away.Seconds())/2)
	for rows := most; rows > least; rows /= 2 {
		if compute, experts, _ := c.Of(float64(rows)); compute+experts <= allowed {
			return rows
		}
	}
	return min(least, most)
}

// waves is in how many waves a step goes that reads so many rows of prompts, where
// it waits for the network for so long. Waves hide that, and cost some work: weights
// are read once for each.
func waves(c *groups.Times, rows int, away time.Duration) int {
	const (
		most  = 4
		least = 32     // rows of a wave
		worth = 1. / 4 // of what the step takes else
	)
	compute, experts, ok := c.Of(float64(rows))
	if !ok || away.Seconds() < worth*(compute+experts) {
		return 1
	}
	return max(min(most, rows/least), 1)
}
