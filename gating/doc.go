// Package gating chooses the top-k experts of each row and mixes their
// answers.
//
// [TopK] turns gate scores into [Pick]s: an expert, the rows that chose it and
// the weight each row gives it. [Calls] makes expert calls of them, [Combine]
// adds the results up. A [Layer] does the three for the sparse layers of one
// model over an [expert.Applier].
//
// Rows are always summed in the order of their experts' indices, never in the
// order of arrival, so that the same prompt gives the same bits wherever the
// experts are.
//
// Every expert counts, unless a step's context carries a [BestEffort]: its rows
// may then do without their lightest experts, up to a share of their gate mass
// each, if those are late. Rows without a share stay exact to the last bit.
//
// A [Merger] over the applier makes one of the calls of several steps that come
// to a layer together.
//
// The package starts no goroutine and keeps no state between calls, but for a
// Merger's steps under way. It does
// not know who holds an expert; that is package routing's business.
package gating
