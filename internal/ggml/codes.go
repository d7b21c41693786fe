package ggml

// #include "codes.h"
import "C"

import (
	"unsafe"

	"github.com/moeswarm/moeswarm/internal/gguf"
)

// codeLayout says where the codes stand in a block of an 8-bit activation
// format, as ggml-common.h has it: a half-precision scale before them in Q8_0,
// two such numbers in Q8_1, a float in Q8_K and 16 sums behind.
func codeLayout(t gguf.Type) (block, first, bytes int, ok bool) {
	switch t {
	case gguf.Q8_0:
		return 32, 2, 34, true
	case gguf.Q8_1:
		return 32, 4, 36, true
	case gguf.Q8_K:
		return 256, 4, 292, true
	}
	return 0, 0, 0, false
}

// CodeBlock is how many values of a row share a scale in an 8-bit activation
// format; 0 for other formats.
func CodeBlock(t gguf.Type) int {
	block, _, _, _ := codeLayout(t)
	return block
}

// Codes copies the 8-bit codes of all rows, (N, Dim), to dst. The format must
// be one that has a [CodeBlock].
func (r *Rows) Codes(dst []int8) {
	block, first, bytes, _ := codeLayout(r.Type)
	_ = dst[r.N*r.Dim-1]
	to := unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(dst))), len(dst))
	for b, from := 0, r.data; b < r.N*r.Dim/block; b, from = b+1, from[bytes:] {
		copy(to[b*block:], from[first:first+block])
	}
}

// BadCodes is the first of the blocks of codes that no quantiser gives, of which
// each has an extreme, from least to most or 0; -1: there is none.
func BadCodes(codes []int8, extremes []float32, block int, least, most float32) int {
	if len(extremes) == 0 {
		return -1
	}
	_ = codes[len(extremes)*block-1]
	return int(C.ms_codes_bad((*C.int8_t)(&codes[0]), (*C.float)(&extremes[0]), C.int(len(extremes)), C.int(block), C.float(least), C.float(most)))
}

// WidenCodes writes the floats that good codes stand for: a quantiser takes them
// back to the same codes and scales.
func WidenCodes(codes []int8, extremes []float32, block int, dst []float32) {
	if len(extremes) == 0 {
		return
	}
	_, _ = codes[len(extremes)*block-1], dst[len(extremes)*block-1]
	C.ms_codes_floats((*C.int8_t)(&codes[0]), (*C.float)(&extremes[0]), C.int(len(extremes)), C.int(block), (*C.float)(&dst[0]))
}

// Same reports whether r and o hold the same bytes.
func (r *Rows) Same(o *Rows) bool {
	return r.N == o.N && r.Dim == o.Dim && r.Type == o.Type && string(r.data) == string(o.data)
}
