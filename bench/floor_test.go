package bench

import (
	"testing"
	"time"

	"github.com/moeswarm/moeswarm/internal/simswarm"
)

// The floor at 30 ± 5 ms: two holders, of whose two jitters the median of the
// larger is 2.07 ms, and four calls each; where calls take no time, too.
func TestRoundFloor(t *testing.T) {
	l := simswarm.Link{RTT: 30 * time.Millisecond, Jitter: 5 * time.Millisecond, Loss: 0.5}
	for _, tt := range []struct{ perCall, want time.Duration }{
		{450 * time.Microsecond, 33870 * time.Microsecond},
		{0, 32070 * time.Microsecond},
		{2 * time.Millisecond, 38360 * time.Microsecond}, // three holders are better: 3, 3 and 2 calls, and the latest of three
	} {
		if got := roundFloor(l, 8, 3, tt.perCall, 1); got < tt.want-150*time.Microsecond || got > tt.want+150*time.Microsecond {
			t.Errorf("%v a call: %v, want %v", tt.perCall, got, tt.want)
		}
	}
	if got := roundFloor(simswarm.Link{}, 8, 3, time.Millisecond, 1); got != 3*time.Millisecond {
		t.Errorf("without delay: %v, want three calls", got)
	}
}
