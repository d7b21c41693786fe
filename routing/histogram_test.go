package routing

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// Against sorting.
func TestHistogramQuantiles(t *testing.T) {
	const seed = 3
	source := rand.New(rand.NewPCG(seed, 0))
	for n := 1; n < 5000; n *= 3 {
		var h Histogram
		var all []time.Duration
		for range n {
			d := time.Duration(float64(10*time.Microsecond) * (1 + source.ExpFloat64()*float64(source.IntN(100000))))
			h.Add(d)
			all = append(all, d)
		}
		slices.Sort(all)
		for _, q := range []float64{-1, 0, 0.01, 0.5, 0.9, 0.99, 1, 2} {
			want := all[int(min(max(q, 0), 1)*float64(n-1))]
			if got := h.Quantile(q); !near(got, want, want*65/1000+time.Microsecond) {
				t.Errorf("seed %d, %d durations: quantile %v is %v, want %v within 6.5 %%", seed, n, q, got, want)
			}
		}
	}
}

func TestHistogramEdges(t *testing.T) {
	var h Histogram
	if got := h.Quantile(0.5); got != 0 {
		t.Errorf("empty: %v", got)
	}
	for i := range histogramBuckets {
		if got := bucket(bucketStart(i)); got != i {
			t.Errorf("bucket %d starts at %v, which is in bucket %d", i, bucketStart(i), got)
		}
		if got := bucket(bucketStart(i+1) - 1); got != i {
			t.Errorf("bucket %d ends before %v, which is in bucket %d", i, bucketStart(i+1), got)
		}
	}
	h.Add(-time.Second)
	h.Add(1 << 62)
	before := h
	h.Add(time.Millisecond)
	since := h.Minus(before)
	if h.Count() != 3 || since.Count() != 1 || !near(since.Quantile(0.5), time.Millisecond, 65*time.Microsecond) {
		t.Errorf("%d in all, %d since, median since %v", h.Count(), since.Count(), since.Quantile(0.5))
	}
}
