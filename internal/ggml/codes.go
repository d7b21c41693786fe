package ggml

import "github.com/moeswarm/moeswarm/internal/gguf"

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
	for b, from := 0, r.data; b < r.N*r.Dim/block; b, from = b+1, from[bytes:] {
		to := dst[b*block : (b+1)*block]
		for i, c := range from[first : first+block] {
			to[i] = int8(c)
		}
	}
}

// Same reports whether r and o hold the same bytes.
func (r *Rows) Same(o *Rows) bool {
	return r.N == o.N && r.Dim == o.Dim && r.Type == o.Type && string(r.data) == string(o.data)
}
