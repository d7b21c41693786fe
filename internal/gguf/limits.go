package gguf

import (
	"errors"
	"fmt"
)

// Limits on what a file may claim. All are far above anything seen in
// published models, and low enough that a hostile file costs little.
const (
	// MaxHeader bounds metadata and tensor table together. The largest
	// vocabularies (262,144 tokens with as many merges) take about 16 MB.
	MaxHeader = 128 << 20
	// MaxKVs: published models have fewer than 100 keys.
	MaxKVs = 1 << 14
	// MaxTensors: the largest models have a few thousand tensors.
	MaxTensors = 1 << 16
	// MaxKey is the longest key, from the GGUF specification.
	MaxKey = 1<<16 - 1
	// MaxName is the longest tensor name. The specification says 64; some
	// converters write a little more.
	MaxName = 256
	// MaxDims is ggml's own limit on dimensions.
	MaxDims = 4
	// MaxDim keeps each dimension, and so each row, within 31 bits, the type
	// of a row length in ggml's kernels.
	MaxDim = 1<<31 - 1
	// MaxAlignment: 32 is usual; a memory page is the most that makes sense,
	// and the largest pages in use for files are 64 KiB.
	MaxAlignment = 64 << 10
	// DefaultAlignment applies when general.alignment is absent.
	DefaultAlignment = 32
)

// Errors of [Parse] that a caller may tell apart. All others mean that the
// file is malformed.
var (
	// ErrNotGGUF: the file does not begin with the letters GGUF.
	ErrNotGGUF = errors.New("not a GGUF file")
	// ErrTruncated: the file is shorter than it says. Usually an
	// interrupted download or copy.
	ErrTruncated = errors.New("truncated")
)

// show renders a name from a file for an error: as it is when plain and
// short, quoted and cut otherwise, so that the error stays one line.
func show(s string) string {
	plain := len(s) > 0 && len(s) <= 80
	for i := 0; i < len(s) && plain; i++ {
		plain = s[i] > ' ' && s[i] < 0x7f
	}
	if plain {
		return s
	}
	return fmt.Sprintf("%.80q", s)
}
