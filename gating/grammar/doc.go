// Package grammar makes a model say JSON that a schema allows: it turns the
// schema into an automaton over bytes and tells which tokens may come next.
//
// [Compile] makes a [Grammar] of a schema, [NewVocabulary] a tree of the bytes
// of a model's tokens. A [Matcher] follows one answer: [Matcher.Mask] rules out
// tokens, [Matcher.Accept] moves on by one. Where it stands depends on the
// tokens accepted alone, so an answer that moves to another node is followed
// there by accepting what was said so far.
//
// The automaton has a stack, because JSON nests: instructions call rules as a
// program calls functions. It may stand at several places at once where a
// schema leaves a choice open. Such sets of places are numbered as they are
// met and their transitions remembered, so that walking over a vocabulary of
// 150,000 tokens takes 11 ms the first time that a place is met (a Xeon's core,
// go test -run '^$' -bench Mask ./gating/grammar), and nothing afterwards.
//
// Control tokens take part by their text ([Mark]), and an answer may begin with
// free reasoning ([Thinking]): tool calls are bound so in the way in which each
// model writes them ([Framed], [Pairs]).
//
// # Schemas
//
// Supported: type (also a list of types), properties, required, items,
// minItems, maxItems, enum, const, anyOf, oneOf (where at most one can hold),
// allOf of one, $ref to $defs, definitions or #, minLength, maxLength,
// minimum, maximum, exclusiveMinimum and exclusiveMaximum of integers, format
// date, time, date-time and uuid, additionalProperties, true and {}. Titles,
// descriptions, defaults, examples and the like are ignored. Every other
// keyword is refused by its name.
//
// What is said is sometimes less than a schema allows: properties come in the
// order of the schema; properties that it does not name are said only where it
// names none; white space is at most one blank, or a line feed with up to 20
// blanks; objects and lists nest 64 deep.
package grammar
