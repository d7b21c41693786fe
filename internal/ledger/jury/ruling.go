package jury

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"

	"github.com/moeswarm/moeswarm/internal/ledger"
)

const (
	// Unit is a relative error of 1.
	Unit = 1_000_000
	// MaxError stands for errors that are larger or not a number.
	MaxError = math.MaxUint32
	// DefaultTau is the tolerance, in millionths, of every class of holders:
	// 1.5 times the most that honest ones were seen to be off.
	DefaultTau = 6_700
	// leastNorm, per value, keeps the error of an answer of zeros finite: the
	// rounding of a float of 32 bits and a size of 0.01.
	leastNorm = 1e-9
	// The domains begin the hashes, so that they are no hashes of anything else.
	outputDomain = "moeswarm jury output 1\n"
	voidDomain   = "moeswarm jury void 1\n"
)

// Grade applies a tolerance, in millionths, as the ledger does.
func Grade(rel, tau uint32) ledger.Finding {
	switch {
	case rel <= tau:
		return ledger.Innocent
	case uint64(rel) <= 2*uint64(tau) && rel < MaxError:
		return ledger.Inconclusive
	}
	return ledger.Guilty
}

// void is the ruling where nothing can be said, because the input itself is not
// finite, or what it leads to: nobody is to blame for the answer.
func void() ledger.Ruling { return ledger.Ruling{Output: sha256.Sum256([]byte(voidDomain))} }

// Judge rules on the answer y to rows x of an expert, both (rows, Dim): the
// hash of the reference output in the arithmetic nearest to the answer, which
// only who computed it knows, and the error. An error means that there is no
// ruling: the case does not fit the network, or ctx ended.
func Judge(ctx context.Context, n Network, x, y []float32) (ledger.Ruling, error) {
	dim, ff, err := n.sizes()
	if err != nil {
		return ledger.Ruling{}, err
	}
	if len(x) == 0 || len(x)%dim != 0 || len(x)/dim > MaxRows {
		return ledger.Ruling{}, fmt.Errorf("%w: %d values in rows of %d: want 1 to %d rows", ErrBadCase, len(x), dim, MaxRows)
	}
	if !finite(x) {
		return void(), nil
	}
	var best ledger.Ruling
	for how := range arithmetics {
		if dim%how.block() != 0 || ff%how.block() != 0 {
			continue
		}
		want, err := n.Apply(ctx, how, x)
		if err != nil {
			return ledger.Ruling{}, err
		}
		for _, v := range want {
			if math.IsNaN(v) || math.IsInf(v, 0) {
				return void(), nil
			}
		}
		if e := relative(y, want); how == Floats || e < best.Error {
			best = ledger.Ruling{Output: hash(how, want), Error: e}
		}
	}
	return best, nil
}

// hash names an output: the arithmetic and the bits of each value.
func hash(how Arithmetic, y []float64) ledger.Hash {
	b := append([]byte(outputDomain), byte(how))
	for _, v := range y {
		b = binary.BigEndian.AppendUint64(b, math.Float64bits(v))
	}
	return sha256.Sum256(b)
}

// relative is the error of an answer in millionths.
func relative(y []float32, want []float64) uint32 {
	if len(y) != len(want) || !finite(y) {
		return MaxError
	}
	var off, norm float64
	for i, w := range want {
		d := float64(float64(y[i]) - w)
		off += float64(d * d)
		norm += float64(w * w)
	}
	least := float64(leastNorm * math.Sqrt(float64(len(want))))
	rel := math.Ceil(float64(float64(math.Sqrt(off)/max(math.Sqrt(norm), least)) * Unit))
	if !(rel < MaxError) {
		return MaxError
	}
	return uint32(rel)
}

func finite(v []float32) bool {
	for _, f := range v {
		if math.IsNaN(float64(f)) || math.IsInf(float64(f), 0) {
			return false
		}
	}
	return true
}
