package jury

// Activation is the function between an expert's two layers. It joins the
// values of W1, g, and of W3, u.
type Activation uint8

const (
	// SwiGLU is silu(g) · u.
	SwiGLU Activation = iota
	// SwiGLUClamped is gpt-oss's: with g at most 7 and u within ±7 it is
	// g · sigmoid(1.702 g) · (u + 1).
	SwiGLUClamped
	activations
)

// The constants of [SwiGLUClamped], from gpt-oss's published code.
const (
	clampAlpha = 1.702
	clampLimit = 7
)

func (a Activation) at(g, u float64) float64 {
	if a == SwiGLUClamped {
		g, u = min(g, clampLimit), max(min(u, clampLimit), -clampLimit)
		s := float64(g / float64(1+exp(-float64(clampAlpha*g))))
		return float64(s * float64(u+1))
	}
	s := float64(g / float64(1+exp(-g)))
	return float64(s * u)
}
