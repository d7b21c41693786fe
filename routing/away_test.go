package routing

import (
	"testing"
	"time"
)

// TestAwayIsKnownAtOnce: the first rounds already say what the network takes, and
// later it follows within some tens of them.
func TestAwayIsKnownAtOnce(t *testing.T) {
	r := new(Router)
	count := func(away time.Duration, rounds int) {
		for range rounds {
			(&round{router: r, away: away}).countAway()
		}
	}
	if r.Away() != 0 {
		t.Errorf("%v before any round", r.Away())
	}
	near := func(want time.Duration) {
		t.Helper()
		if d := r.Away() - want; d < -want/20 || d > want/20 {
			t.Errorf("%v away, want %v", r.Away(), want)
		}
	}
	count(100*time.Millisecond, 1)
	near(100 * time.Millisecond)
	count(100*time.Millisecond, 1000)
	near(100 * time.Millisecond)
	count(10*time.Millisecond, 8*awayRounds)
	near(10 * time.Millisecond)
}
