// Package jury decides whether the answer of an expert was honest, with the
// same bits on every machine.
//
// Holders compute with whatever kernels their processor has, so two honest
// answers differ in their last bits. Who takes somebody's bond needs one
// answer. This package computes an expert, y = W2 act(W1 x + B1, W3 x + B3) +
// B2, in float64: weights as their format defines them, sums in a fixed order,
// every product rounded on its own, because a Go compiler may otherwise fuse
// x*y+z where the processor can, and an exponential of its own, because
// math.Exp is assembly on some machines. It imports no C.
//
// A [Network] is an expert's weights: [Open] takes them from the blob that the
// manifest names by hash. [Judge] computes what the answer should have been, in
// each [Arithmetic] that honest holders use, and gives a [ledger.Ruling]: the error, and
// the hash of the reference output. Jurors who judge the same case find equal
// rulings, bit for bit, commit to them and vote for them.
//
// The relative error of an answer y against the reference z, over all rows of
// the case, is |y-z| / max(|z|, leastNorm per value), the least of the
// arithmetics. It is a whole number of millionths, to which the
// ledger applies the tolerance, once; nothing on the chain is a float.
//
// # The tolerance
//
// [DefaultTau] and what lies below and above it are measured by
// TestHonestAndCheats with the demo model and by bench tolerance with the
// project's kernels on five types of weights: honest holders, bfloat16
// included, are at most 0.0044 away from the nearest arithmetic, cheats that
// save themselves work (weights in 6 bits or fewer, a quarter of the hidden
// units left out, stale or other input) at least 0.0173. Between the tolerance and
// twice of it nobody is condemned.
//
// # Cross-check
//
// The golden hash of the tests was computed on amd64; it is the same on arm64,
// where the compiler does fuse:
//
//	GOARCH=arm64 CGO_ENABLED=0 go test -c -o jury.arm64 ./internal/ledger/jury
//	qemu-aarch64-static ./jury.arm64 -test.short
//
// (Debian's qemu-user-static.) Nothing here starts a goroutine, reads a clock
// or keeps state between calls.
package jury
