package grammar

import (
	"errors"
	"fmt"
)

// op is what an instruction does.
type op uint8

const (
	opByte   op = iota // take a byte of the set, go on at next
	opSplit            // go on at next and at other
	opCall             // go on at other, and when it returns, at next
	opReturn           // return; at the outermost level: the text is complete
	opJump             // go on at next
)

// instruction is one of a program. Programs are graphs: next is explicit.
type instruction struct {
	op          op
	next, other int32
	set         int32 // index into program.sets
}

// set is a set of bytes.
type set [4]uint64

func (s *set) add(low, high byte) {
	for c := int(low); c <= int(high); c++ {
		s[c>>6] |= 1 << (c & 63)
	}
}

func (s *set) has(c byte) bool { return s[c>>6]&(1<<(c&63)) != 0 }

// program is a compiled grammar. It begins at start.
type program struct {
	code  []instruction
	sets  []set
	start int32
}

// maxProgram bounds a program: a schema of 5,000 properties takes so many.
const maxProgram = 1 << 18

// errSize: the schema is refused.
var errSize = errors.New("the schema is too large")

// builder writes a program back to front: each part is given the place to go
// on at and returns the place where it begins.
type builder struct {
	program
	known map[set]int32
	rules map[string]int32 // named rules -> where they begin
	err   error
}

func newBuilder() *builder {
	return &builder{known: map[set]int32{}, rules: map[string]int32{}}
}

func (b *builder) emit(i instruction) int32 {
	if len(b.code) >= maxProgram {
		if b.err == nil {
			b.err = fmt.Errorf("%w: more than %d steps", errSize, maxProgram)
		}
		return 0
	}
	b.code = append(b.code, i)
	return int32(len(b.code) - 1)
}

// bytes takes one byte of the ranges, given as pairs.
func (b *builder) bytes(next int32, ranges ...byte) int32 {
	var s set
	for i := 0; i+1 < len(ranges); i += 2 {
		s.add(ranges[i], ranges[i+1])
	}
	n, ok := b.known[s]
	if !ok {
		n = int32(len(b.sets))
		b.sets = append(b.sets, s)
		b.known[s] = n
	}
	return b.emit(instruction{op: opByte, next: next, set: n})
}

// text takes these bytes.
func (b *builder) text(s string, next int32) int32 {
	for i := len(s) - 1; i >= 0; i-- {
		next = b.bytes(next, s[i], s[i])
	}
	return next
}

// either goes on at any of the places.
func (b *builder) either(places ...int32) int32 {
	at := places[len(places)-1]
	for i := len(places) - 2; i >= 0; i-- {
		at = b.emit(instruction{op: opSplit, next: places[i], other: at})
	}
	return at
}

// optional does part or leaves it out.
func (b *builder) optional(next int32, part func(next int32) int32) int32 {
	return b.either(part(next), next)
}

// star does part any number of times.
func (b *builder) star(next int32, part func(next int32) int32) int32 {
	loop := b.emit(instruction{op: opSplit})
	first := part(loop)
	if b.err == nil {
		b.code[loop] = instruction{op: opSplit, next: first, other: next}
	}
	return loop
}

// repeat does part at least low times and at most high times; a negative high
// means any number.
func (b *builder) repeat(low, high int, next int32, part func(next int32) int32) int32 {
	if high < 0 {
		next = b.star(next, part)
	} else {
		end := next
		for range high - low {
			if b.err != nil {
				return 0
			}
			next = b.either(part(next), end)
		}
	}
	for range low {
		if b.err != nil {
			return 0
		}
		next = part(next)
	}
	return next
}

// call does a named rule, which body writes when it is first wanted. The body
// may call the rule itself.
func (b *builder) call(name string, next int32, body func(next int32) int32) int32 {
	at, ok := b.rules[name]
	if !ok {
		at = b.emit(instruction{op: opJump})
		b.rules[name] = at
		first := body(b.emit(instruction{op: opReturn}))
		if b.err == nil {
			b.code[at].next = first
		}
	}
	return b.emit(instruction{op: opCall, next: next, other: at})
}
