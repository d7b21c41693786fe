package gguf

import "fmt"

// Type is how a tensor stores its values. The numbers are ggml's.
type Type uint32

// The types of current ggml. The gaps are types that were withdrawn.
const (
	F32    Type = 0
	F16    Type = 1
	Q4_0   Type = 2
	Q4_1   Type = 3
	Q5_0   Type = 6
	Q5_1   Type = 7
	Q8_0   Type = 8
	Q8_1   Type = 9
	Q2_K   Type = 10
	Q3_K   Type = 11
	Q4_K   Type = 12
	Q5_K   Type = 13
	Q6_K   Type = 14
	Q8_K   Type = 15
	IQ2XXS Type = 16
	IQ2XS  Type = 17
	IQ3XXS Type = 18
	IQ1S   Type = 19
	IQ4NL  Type = 20
	IQ3S   Type = 21
	IQ2S   Type = 22
	IQ4XS  Type = 23
	I8     Type = 24
	I16    Type = 25
	I32    Type = 26
	I64    Type = 27
	F64    Type = 28
	IQ1M   Type = 29
	BF16   Type = 30
	TQ1_0  Type = 34
	TQ2_0  Type = 35
	MXFP4  Type = 39
)

// superBlock is the number of values in a block of the K and IQ types.
const superBlock = 256

// layout gives a type's name, the values in one block and the block's bytes.
// An unknown type has no name.
func (t Type) layout() (name string, values, bytes int) {
	switch t {
	case F32:
		return "F32", 1, 4
	case F16:
		return "F16", 1, 2
	case BF16:
		return "BF16", 1, 2
	case F64:
		return "F64", 1, 8
	case I8:
		return "I8", 1, 1
	case I16:
		return "I16", 1, 2
	case I32:
		return "I32", 1, 4
	case I64:
		return "I64", 1, 8
	case Q4_0:
		return "Q4_0", 32, 2 + 16
	case Q4_1:
		return "Q4_1", 32, 4 + 16
	case Q5_0:
		return "Q5_0", 32, 2 + 4 + 16
	case Q5_1:
		return "Q5_1", 32, 4 + 4 + 16
	case Q8_0:
		return "Q8_0", 32, 2 + 32
	case Q8_1:
		return "Q8_1", 32, 4 + 32
	case IQ4NL:
		return "IQ4_NL", 32, 2 + 16
	case MXFP4:
		return "MXFP4", 32, 1 + 16
	}
	return t.superLayout()
}

// superLayout is layout for the types with blocks of 256 values.
func (t Type) superLayout() (name string, values, bytes int) {
	switch t {
	case Q2_K:
		return "Q2_K", superBlock, 16 + 64 + 4
	case Q3_K:
		return "Q3_K", superBlock, 32 + 64 + 12 + 2
	case Q4_K:
		return "Q4_K", superBlock, 4 + 12 + 128
	case Q5_K:
		return "Q5_K", superBlock, 4 + 12 + 32 + 128
	case Q6_K:
		return "Q6_K", superBlock, 128 + 64 + 16 + 2
	case Q8_K:
		return "Q8_K", superBlock, 4 + 256 + 32
	case IQ1S:
		return "IQ1_S", superBlock, 2 + 32 + 16
	case IQ1M:
		return "IQ1_M", superBlock, 32 + 16 + 8
	case IQ2XXS:
		return "IQ2_XXS", superBlock, 2 + 64
	case IQ2XS:
		return "IQ2_XS", superBlock, 2 + 64 + 8
	case IQ2S:
		return "IQ2_S", superBlock, 2 + 64 + 8 + 8
	case IQ3XXS:
		return "IQ3_XXS", superBlock, 2 + 96
	case IQ3S:
		return "IQ3_S", superBlock, 2 + 64 + 8 + 32 + 4
	case IQ4XS:
		return "IQ4_XS", superBlock, 2 + 2 + 4 + 128
	case TQ1_0:
		return "TQ1_0", superBlock, 48 + 4 + 2
	case TQ2_0:
		return "TQ2_0", superBlock, 64 + 2
	}
	return "", 0, 0
}

// String gives the name people use, such as "Q4_K".
func (t Type) String() string {
	if name, _, _ := t.layout(); name != "" {
		return name
	}
	return fmt.Sprintf("type %d", uint32(t))
}

// Known reports whether t is a type of current ggml.
func (t Type) Known() bool { return t.BlockSize() > 0 }

// BlockSize is the number of values in one block: 1 for plain types, 0 for an
// unknown type.
func (t Type) BlockSize() int {
	_, values, _ := t.layout()
	return values
}

// TypeSize is the number of bytes of one block, 0 for an unknown type.
func (t Type) TypeSize() int {
	_, _, bytes := t.layout()
	return bytes
}

// RowBytes is the number of bytes of a row of n values. n must be a multiple
// of the block size and the type known; otherwise it is 0.
func (t Type) RowBytes(n int) int {
	_, values, bytes := t.layout()
	if values == 0 || n%values != 0 {
		return 0
	}
	return n / values * bytes
}
