package wire

import (
	"encoding/binary"
	"fmt"
	"math"
	"time"

	"github.com/moeswarm/moeswarm/gating/prompt"
)

const (
	chunkFixed     = 20
	promptEndFixed = 5
)

// AppendChunk appends a chunk frame. It fails on a chunk that the format
// cannot hold, which no completer gives.
func AppendChunk(b []byte, c prompt.Chunk) ([]byte, error) {
	finish, known := finishCode(c.Finish)
	if !known || len(c.Bytes) > MaxTokenBytes || c.Token < 0 || c.PromptTokens < 0 || c.PromptTokens > math.MaxInt32 ||
		!validDropped(c.Dropped) || !validDrafts(c.Drafts) {
		return b, fmt.Errorf("%w: chunk with finish %q, token %d of %d bytes, %d prompt tokens", ErrFormat, c.Finish, c.Token, len(c.Bytes), c.PromptTokens)
	}
	extras, flags, err := appendExtras(nil, c)
	if err != nil {
		return b, err
	}
	if c.HasToken {
		flags |= chunkHasToken
	}
	drafts := appendDrafts(nil, c.Drafts)
	if len(drafts) > 0 {
		flags |= chunkDrafts
	}
	b = appendHeader(b, KindChunk, 0, chunkFixed+len(drafts)+len(extras)+len(c.Bytes))
	b = binary.LittleEndian.AppendUint32(b, uint32(c.PromptTokens))
	b = append(b, flags, finish, 0, 0)
	b = binary.LittleEndian.AppendUint32(b, uint32(c.Token))
	b = binary.LittleEndian.AppendUint32(b, uint32(c.Dropped.Calls))
	b = binary.LittleEndian.AppendUint32(b, math.Float32bits(float32(c.Dropped.Mass)))
	b = append(b, drafts...)
	b = append(b, extras...)
	return append(b, c.Bytes...), nil
}

// validDropped: the mass left out is a sum of weights, each at most 1.
func validDropped(d prompt.Dropped) bool {
	return d.Calls >= 0 && d.Calls <= math.MaxInt32 && d.Mass >= 0 && d.Mass <= float64(d.Calls)
}

// ParseChunk reads a chunk frame's body. The bytes are a view into it. An
// error wraps [ErrFormat].
func ParseChunk(body []byte) (prompt.Chunk, error) {
	k := cursor{b: body}
	promptTokens, flags, finish := k.u32(), k.u8(), k.u8()
	reserved, token := k.u16(), int32(k.u32())
	dropped := prompt.Dropped{Calls: int(k.u32()), Mass: float64(k.f32())}
	drafts, ok := parseDrafts(&k, flags)
	var c prompt.Chunk
	if k.short || !ok || flags&^chunkKnown != 0 || !parseExtras(&k, flags, &c) || reserved != 0 || token < 0 ||
		promptTokens > math.MaxInt32 || len(k.b) > MaxTokenBytes || !validDropped(dropped) {
		return prompt.Chunk{}, fmt.Errorf("%w: chunk of %d bytes", ErrFormat, len(body))
	}
	c.PromptTokens, c.HasToken, c.Token = int(promptTokens), flags&chunkHasToken != 0, token
	c.Finish, c.Dropped, c.Drafts = finishOf(finish), dropped, drafts
	if len(k.b) > 0 {
		c.Bytes = k.b
	}
	return c, nil
}

func finishCode(f prompt.Finish) (code uint8, known bool) {
	switch f {
	case prompt.FinishNone:
		return 0, true
	case prompt.FinishStop:
		return 1, true
	case prompt.FinishLength:
		return 2, true
	}
	return 0, false
}

// finishOf takes a reason that it does not know for a stop: the answer has
// ended, and for whatever reason there is nothing to replay.
func finishOf(code uint8) prompt.Finish {
	switch code {
	case 0:
		return prompt.FinishNone
	case 2:
		return prompt.FinishLength
	}
	return prompt.FinishStop
}

// PromptEnd is the last frame of an answer.
type PromptEnd struct {
	Code   Code
	Wait   time.Duration // of a busy node: until an answer would begin; 0: not said
	Detail string        // for people; cut to [MaxDetail] bytes
}

// AppendPromptEnd appends a prompt-end frame.
func AppendPromptEnd(b []byte, e PromptEnd) []byte {
	detail := clip(e.Detail)
	b = appendHeader(b, KindPromptEnd, 0, promptEndFixed+len(detail))
	b = append(b, uint8(e.Code))
	b = binary.LittleEndian.AppendUint32(b, micros(e.Wait))
	return append(b, detail...)
}

// ParsePromptEnd reads a prompt-end frame's body. An error wraps [ErrFormat].
func ParsePromptEnd(body []byte) (PromptEnd, error) {
	k := cursor{b: body}
	e := PromptEnd{Code: Code(k.u8()), Wait: fromMicros(k.u32())}
	if k.short || len(k.b) > MaxDetail {
		return PromptEnd{}, fmt.Errorf("%w: prompt end of %d bytes", ErrFormat, len(body))
	}
	e.Detail = clip(string(k.b))
	return e, nil
}
