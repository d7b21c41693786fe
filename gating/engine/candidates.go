package engine

import (
	"cmp"
	"slices"
)

// candidate is a token that may be drawn.
type candidate struct {
	logit float32
	id    int32
}

// byQuality orders candidates: higher logit first, lower id among equals.
func byQuality(a, b candidate) int {
	if a.logit != b.logit {
		return cmp.Compare(b.logit, a.logit)
	}
	return cmp.Compare(a.id, b.id)
}

// Buckets of candidates by how far their logit is below the best one. With
// 1/8 they are fine enough that few candidates share one where it matters,
// and 32 below the best nothing matters: e^-32 is 1e-14.
const (
	bucketsPerUnit = 8
	buckets        = 32*bucketsPerUnit + 1 // the last one is for all the rest
)

func bucketOf(top, logit float32) int {
	below := (top - logit) * bucketsPerUnit
	if below < buckets-1 {
		return int(below)
	}
	return buckets - 1 // also for a logit of minus infinity
}

// all makes candidates of the logits that are not below floor.
func (s *sampler) all(logits []float32, floor float32) []candidate {
	s.cands = s.cands[:0]
	for i, x := range logits {
		if x >= floor {
			s.cands = append(s.cands, candidate{x, int32(i)})
		}
	}
	return s.cands
}

// topK makes candidates of the k best logits; k is less than there are.
//
// Sorting a whole vocabulary would take tens of milliseconds. So topK and topP
// count the candidates by buckets first; only those of one bucket, in which
// the last to be kept lies, are sorted.
func (s *sampler) topK(logits []float32, top float32, k int) []candidate {
	var count [buckets]int
	for _, x := range logits {
		count[bucketOf(top, x)]++
	}
	border := 0
	for n := count[0]; n < k; n += count[border] {
		border++
	}
	s.cands, s.border = s.cands[:0], s.border[:0]
	for i, x := range logits {
		switch b := bucketOf(top, x); {
		case b < border:
			s.cands = append(s.cands, candidate{x, int32(i)})
		case b == border:
			s.border = append(s.border, candidate{x, int32(i)})
		}
	}
	slices.SortFunc(s.border, byQuality)
	s.cands = append(s.cands, s.border[:k-len(s.cands)]...)
	return s.cands
}

// topP keeps the fewest candidates that have the given share of the
// probability of all: the best ones, and at least one. It changes cands and
// returns a part of it.
func (s *sampler) topP(cands []candidate, top float32, share float32) []candidate {
	var mass [buckets]float64
	for _, c := range cands {
		mass[bucketOf(top, c.logit)] += exp(float64(c.logit - top))
	}
	wanted := 0.0
	for _, m := range mass {
		wanted += m
	}
	wanted *= float64(share)
	border, sum := 0, 0.0 // the mass of the buckets before the border
	for border < buckets-1 && sum+mass[border] < wanted {
		sum += mass[border]
		border++
	}
	left := cands[:0]
	s.border = s.border[:0]
	for _, c := range cands {
		switch b := bucketOf(top, c.logit); {
		case b < border:
			left = append(left, c)
		case b == border:
			s.border = append(s.border, c)
		}
	}
	slices.SortFunc(s.border, byQuality)
	for _, c := range s.border {
		left = append(left, c)
		if sum += exp(float64(c.logit - top)); sum >= wanted {
			break
		}
	}
	return left
}
