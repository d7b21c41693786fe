package audit

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/moeswarm/moeswarm/routing"
)

// TestStandingsOverRestart: a peer that was trusted is trusted after a
// restart, one whose last audit is long ago is new again.
func TestStandingsOverRestart(t *testing.T) {
	now := testClock()
	started := func() *Inspector {
		i, err := New(Config{auditors: []Auditor{says("a", 0)}, Seed: [32]byte{7}, now: func() time.Time { return now }})
		if err != nil {
			t.Fatal(err)
		}
		return i
	}
	before := started()
	for range trustAfter {
		if err := before.Check(t.Context(), small("p")); err != nil {
			t.Fatal(err)
		}
	}
	var file bytes.Buffer
	if err := before.SaveStandings(&file); err != nil {
		t.Fatal(err)
	}
	kept := file.String()
	for _, tt := range []struct {
		later   time.Duration
		peer    routing.Peer
		trusted bool
	}{{time.Hour, "p", true}, {time.Hour, "q", false}, {standingLasts + time.Hour, "p", false}} {
		now = testClock().Add(tt.later)
		after := started()
		if err := after.LoadStandings(strings.NewReader(kept)); err != nil {
			t.Fatal(err)
		}
		a := small(tt.peer)
		if got := after.draw(&a).trust; got != tt.trusted {
			t.Errorf("%s after %v: trusted %v", tt.peer, tt.later, got)
		}
	}
	for _, bad := range []string{"", "{}", strings.Replace(kept, "10", "0", 1), strings.Replace(kept, `"p"`, `""`, 1), strings.Replace(kept, `"version": 1`, `"version": 2`, 1)} {
		if err := started().LoadStandings(strings.NewReader(bad)); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

func FuzzReadStandings(f *testing.F) {
	f.Add([]byte(`{"version": 1, "standings": [{"peer": "p", "model": "` + strings.Repeat("00", 32) + `", "passes": 3, "at": "2026-01-02T03:04:05Z"}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		all, err := readStandings(bytes.NewReader(b))
		if err != nil {
			return
		}
		for who, s := range all {
			if who.peer == "" || s.passes <= 0 || s.passes > mostPasses {
				t.Errorf("%+v: %+v", who, s)
			}
		}
	})
}
