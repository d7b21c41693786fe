package routing

import (
	"math/bits"
	"time"
)

// Histogram counts durations in buckets of equal ratio: eight per doubling,
// from a microsecond to five minutes. A quantile is off by 6 % at most, a
// bucket's half. The zero value is ready and copying it makes a snapshot.
type Histogram struct {
	counts [histogramBuckets]uint64
}

const (
	perDoubling = 8 // a power of two
	// 2^28 µs is 268 s, longer than any attempt may take.
	histogramBuckets = (28 - 2) * perDoubling
)

// Add counts one duration.
func (h *Histogram) Add(d time.Duration) { h.counts[bucket(d)]++ }

// Count is the number of durations added.
func (h *Histogram) Count() (n uint64) {
	for _, c := range h.counts {
		n += c
	}
	return n
}

// Minus gives what was added since the snapshot before was taken.
func (h Histogram) Minus(before Histogram) Histogram {
	for i := range h.counts {
		h.counts[i] -= before.counts[i]
	}
	return h
}

// Quantile gives the duration that the share q of all does not exceed, 0 when
// nothing was counted.
func (h *Histogram) Quantile(q float64) time.Duration {
	n := h.Count()
	if n == 0 {
		return 0
	}
	rank := uint64(min(max(q, 0), 1) * float64(n-1))
	for i, c := range h.counts {
		if rank < c {
			low, high := bucketStart(i), bucketStart(i+1)
			return (low + high) / 2
		}
		rank -= c
	}
	return bucketStart(histogramBuckets)
}

// bucket numbers durations by their leading bits, as floating-point numbers
// do: microseconds below 8 exactly, then 8 buckets per doubling.
func bucket(d time.Duration) int {
	us := uint64(max(d, 0) / time.Microsecond)
	if us < perDoubling {
		return int(us)
	}
	shift := bits.Len64(us) - bits.Len64(perDoubling)
	return min((shift+1)*perDoubling+int(us>>shift)-perDoubling, histogramBuckets-1)
}

// bucketStart is the least duration of bucket i.
func bucketStart(i int) time.Duration {
	if i < perDoubling {
		return time.Duration(i) * time.Microsecond
	}
	shift := i/perDoubling - 1
	return time.Duration(uint64(perDoubling+i%perDoubling)<<shift) * time.Microsecond
}
