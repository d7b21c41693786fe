package wire

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"unicode/utf8"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/gating/prompt"
)

// Flags of a chunk. All but the first name sections that stand before the
// token's bytes, in this order.
const (
	chunkHasToken = 1
	chunkMark     = 2   // length u8, UTF-8
	chunkTools    = 4   // length u8, UTF-8
	chunkLogprobs = 8   // f32 | n u8 | n × (token i32 | f32 | length u16 | bytes)
	chunkThinks   = 128 // nothing more
	chunkWork     = 32  // in a last chunk: cached | rounds | holders | hedges, u32 each

	chunkEmbedding = 64 // n u32 | n × f32

	chunkKnown = chunkDrafts | chunkEmbedding | chunkWork | chunkHasToken | chunkMark | chunkTools | chunkLogprobs | chunkThinks
)

// maxExtra bounds the sections together.
const maxExtra = 4 + 4*MaxDim + 16 + 1 + MaxMark + 1 + maxToolSyntax + 5 + MaxAlternatives*(10+MaxTokenBytes)

// maxToolSyntax bounds the name of a way to write tool calls.
const maxToolSyntax = 32

// appendExtras appends the sections that a chunk has, and tells which.
func appendExtras(b []byte, c prompt.Chunk) (sections []byte, flags uint8, err error) {
	if len(c.Mark) > MaxMark || len(c.Tools) > maxToolSyntax {
		return b, 0, fmt.Errorf("%w: a mark of %d bytes, a tool syntax of %d", ErrFormat, len(c.Mark), len(c.Tools))
	}
	short := func(flag uint8, s string) {
		if s != "" {
			flags |= flag
			b = append(b, uint8(len(s)))
			b = append(b, s...)
		}
	}
	short(chunkMark, c.Mark)
	short(chunkTools, string(c.Tools))
	if c.Thinks {
		flags |= chunkThinks
	}
	if work := workOf(c); c.Finish != prompt.FinishNone && work != ([4]int{}) {
		flags |= chunkWork
		for _, n := range work {
			b = binary.LittleEndian.AppendUint32(b, uint32(min(max(n, 0), math.MaxInt32)))
		}
	}
	if len(c.Embedding) > 0 {
		if len(c.Embedding) > MaxDim || !expert.Finite(c.Embedding) {
			return b, 0, fmt.Errorf("%w: an embedding of %d numbers", ErrFormat, len(c.Embedding))
		}
		flags |= chunkEmbedding
		b = binary.LittleEndian.AppendUint32(b, uint32(len(c.Embedding)))
		b = appendNumbers(b, c.Embedding)
	}
	if c.Logprob == 0 && len(c.Top) == 0 {
		return b, flags, nil
	}
	if len(c.Top) > MaxAlternatives {
		return b, 0, fmt.Errorf("%w: %d alternatives", ErrFormat, len(c.Top))
	}
	b = binary.LittleEndian.AppendUint32(b, math.Float32bits(c.Logprob))
	b = append(b, uint8(len(c.Top)))
	for _, t := range c.Top {
		if t.Token < 0 || len(t.Bytes) > MaxTokenBytes {
			return b, 0, fmt.Errorf("%w: alternative token %d of %d bytes", ErrFormat, t.Token, len(t.Bytes))
		}
		b = binary.LittleEndian.AppendUint32(b, uint32(t.Token))
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(t.Logprob))
		b = binary.LittleEndian.AppendUint16(b, uint16(len(t.Bytes)))
		b = append(b, t.Bytes...)
	}
	return b, flags | chunkLogprobs, nil
}

// parseExtras reads the sections that the flags name. A section that says
// nothing, or is no text, is malformed.
func parseExtras(k *cursor, flags uint8, c *prompt.Chunk) (ok bool) {
	short := func(flag uint8, most int) string {
		if flags&flag == 0 {
			return ""
		}
		s := string(k.take(int(k.u8())))
		if s == "" || len(s) > most || !utf8.ValidString(s) {
			k.short = true
		}
		return s
	}
	c.Mark = short(chunkMark, MaxMark)
	c.Tools = prompt.ToolSyntax(short(chunkTools, maxToolSyntax))
	c.Thinks = flags&chunkThinks != 0
	if flags&chunkWork != 0 {
		parseWork(k, c)
	}
	if flags&chunkEmbedding != 0 {
		n := k.u32()
		if n == 0 || n > MaxDim {
			k.short = true
			return false
		}
		c.Embedding = slices.Clone(numbers[float32](k.take(4 * int(n))))
		if !expert.Finite(c.Embedding) {
			k.short = true
		}
	}
	if flags&chunkLogprobs != 0 {
		parseLogprobs(k, c)
	}
	return !k.short
}

// workOf is what a last chunk tells of the work on its answer.
func workOf(c prompt.Chunk) [4]int {
	return [4]int{c.Cached, c.Work.Rounds, c.Work.Holders, c.Work.Hedges}
}

func parseWork(k *cursor, c *prompt.Chunk) {
	var n [4]int
	for i := range n {
		v := k.u32()
		if v > math.MaxInt32 {
			k.short = true
		}
		n[i] = int(v)
	}
	c.Cached = n[0]
	c.Work = prompt.Work{Rounds: n[1], Holders: n[2], Hedges: n[3]}
}

// parseLogprobs reads log-probabilities, which are never above 0; those of
// alternatives do not rise.
func parseLogprobs(k *cursor, c *prompt.Chunk) {
	c.Logprob = k.f32()
	n := int(k.u8())
	if !(c.Logprob <= 0) || !expert.Finite([]float32{c.Logprob}) || n > MaxAlternatives || c.Logprob == 0 && n == 0 {
		k.short = true
		return
	}
	for range n {
		t := prompt.Candidate{Token: int32(k.u32()), Logprob: k.f32()}
		size := int(k.u16())
		if b := k.take(size); len(b) > 0 {
			t.Bytes = b
		}
		if t.Token < 0 || size > MaxTokenBytes || !(t.Logprob <= 0) || !expert.Finite([]float32{t.Logprob}) {
			k.short = true
			return
		}
		c.Top = append(c.Top, t)
	}
}
