package ggml

import "math"

// Activation is the function between the two layers of an [FFN]. It joins the
// values of W1, g, and of W3, u.
type Activation uint8

const (
	// SwiGLU is silu(g) · u.
	SwiGLU Activation = iota
	// SwiGLUClamped is gpt-oss's: with g at most 7 and u within ±7 it is
	// g · sigmoid(1.702 g) · (u + 1).
	SwiGLUClamped
)

// The constants of [SwiGLUClamped], from gpt-oss's published code.
const (
	clampAlpha = 1.702
	clampLimit = 7
)

// At computes one value in 64 bits, as a reference for the kernels.
func (a Activation) At(g, u float64) float64 {
	if a == SwiGLUClamped {
		g, u = min(g, clampLimit), max(min(u, clampLimit), -clampLimit)
		return g / (1 + math.Exp(-clampAlpha*g)) * (u + 1)
	}
	return g / (1 + math.Exp(-g)) * u
}
