package swarm

import (
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/time/rate"
)

// TestAnnouncerRest: what changes is told at once, some changes in a row as
// well; newcomers wait until a crowd of them has come; and all hear again of what
// does not change.
func TestAnnouncerRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAnnouncer(nil, nil, nil)
		news := rate.NewLimiter(rate.Every(kickPause), newsBurst)
		rest := func() time.Duration {
			t.Helper()
			begun := time.Now()
			if !a.rest(t.Context(), news) {
				t.Fatal("it ends")
			}
			return time.Since(begun)
		}
		for i := range newsBurst {
			a.changed()
			if took := rest(); took != 0 {
				t.Errorf("change %d waits for %v", i, took)
			}
		}
		a.changed()
		if took := rest(); took != kickPause {
			t.Errorf("a change after many waits for %v, want %v", took, kickPause)
		}
		for range 3 {
			a.kick()
		}
		if took := rest(); took != kickPause {
			t.Errorf("newcomers wait for %v, want %v", took, kickPause)
		}
		if took := rest(); took < announceEvery*4/5 || took > announceEvery*6/5 {
			t.Errorf("%v between two rounds without news, want about %v", took, announceEvery)
		}
	})
}
