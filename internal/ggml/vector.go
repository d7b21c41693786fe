package ggml

// #include "kernels.h"
import "C"

import "unsafe"

// Stored is where the keys and values of one head lie: vectors of floats, each
// so many floats behind the one before.
type Stored struct {
	Keys, Values           []float32
	KeyStride, ValueStride int
}

// Attend computes one query head over n positions: out = Σ softmax(scale·q·k) v.
// sink is a score without a value that takes part in the softmax, -Inf: none.
// Keys have the length of q, values that of out.
func Attend(s *Scratch, q []float32, kv Stored, n int, scale, sink float32, out []float32) {
	_, _ = kv.Keys[(n-1)*kv.KeyStride+len(q)-1], kv.Values[(n-1)*kv.ValueStride+len(out)-1]
	s.scores = grow(s.scores, n)
	C.ms_attend((*C.float)(&q[0]), (*C.float)(&kv.Keys[0]), (*C.float)(&kv.Values[0]), C.int(n), C.int(kv.KeyStride), C.int(kv.ValueStride),
		C.int(len(q)), C.int(len(out)), C.float(scale), C.float(sink), (*C.float)(&s.scores[0]), (*C.float)(&out[0]))
}

// RMSNorm sets y = x / sqrt(mean(x²) + eps) · w. y may be x.
func RMSNorm(x, w, y []float32, eps float32) {
	_, _ = w[len(x)-1], y[len(x)-1]
	C.ms_rms_norm((*C.float)(&x[0]), (*C.float)(&w[0]), (*C.float)(&y[0]), C.int(len(x)), C.float(eps))
}

// AddScaled sets y += a·x.
func AddScaled(a float32, x, y []float32) {
	_ = y[len(x)-1]
	C.ms_axpy(C.float(a), (*C.float)(&x[0]), (*C.float)(&y[0]), C.int(len(x)))
}

// Dots sets out[i] to the product of row i of a with x: len(out) rows of len(x)
// values each. It adds up in single precision, in lanes.
func Dots(a, x, out []float32) {
	if len(out) == 0 || len(x) == 0 {
		clear(out)
		return
	}
	_ = a[len(x)*len(out)-1]
	C.ms_dots((*C.float)(&a[0]), (*C.float)(&x[0]), C.int(len(x)), C.int(len(out)), (*C.float)(&out[0]))
}

// Read adds the words of b up, as fast as memory gives them: what reading
// weights takes, without any work on them.
func Read(b []byte) uint64 {
	if len(b) == 0 {
		return 0
	}
	return uint64(C.ms_read(unsafe.Pointer(&b[0]), C.size_t(len(b))))
}
