package expert

import (
	"encoding/binary"
	"math"

	"github.com/moeswarm/moeswarm/internal/ggml"
)

// Weights are one expert: y = W2 act(W1 x + B1, W3 x + B3) + B2, where act is
// the [Activation] of the model's architecture.
type Weights struct {
	W1, W2, W3 Tensor // (FF, Dim), (Dim, FF), (FF, Dim)
	B1, B2, B3 Tensor // F32, (FF), (Dim), (FF); all zero where an architecture has none
}

// Tensors lists the tensors that there are, in the order in which they are
// hashed and sent: W1, W2, W3, and then B1, B2, B3 if the expert has biases.
func (w Weights) Tensors() []Tensor {
	if !w.biased() {
		return []Tensor{w.W1, w.W2, w.W3}
	}
	return []Tensor{w.W1, w.W2, w.W3, w.B1, w.B2, w.B3}
}

func (w Weights) biased() bool { return len(w.B1.Data)+len(w.B2.Data)+len(w.B3.Data) > 0 }

// Bytes is the size of all tensors.
func (w Weights) Bytes() int64 {
	var n int64
	for _, t := range w.Tensors() {
		n += int64(len(t.Data))
	}
	return n
}

// Activation is what lies between an expert's two layers.
type Activation = ggml.Activation

// Activation is that of the architecture's experts. It is no part of a file's
// metadata: the architecture's name stands for it.
func (s Shape) Activation() Activation {
	if s.Arch == archGPTOSS {
		return ggml.SwiGLUClamped
	}
	return ggml.SwiGLU
}

// Floats copies the values of an F32 tensor, so that they are aligned
// wherever it lies in the file.
func (t Tensor) Floats() []float32 {
	v := make([]float32, len(t.Data)/4)
	for i := range v {
		v[i] = math.Float32frombits(binary.LittleEndian.Uint32(t.Data[4*i:]))
	}
	return v
}
