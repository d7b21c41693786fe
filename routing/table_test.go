package routing

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/moeswarm/moeswarm/expert"
)

func names(t *table, numbers []int32) []Peer {
	var out []Peer
	for _, n := range numbers {
		out = append(out, t.estimates[n].Peer)
	}
	return out
}

func learn(t *table, id expert.ID, now time.Time, listed ...Peer) []Peer {
	t.learnAll([]expert.Call{{Expert: id}}, []int{0}, [][]Peer{listed}, now)
	return names(t, t.holders(id, now))
}

func TestHoldersFollowTheDirectory(t *testing.T) {
	tab := newTable(testPolicy(t))
	id := testIDs[0]
	for _, listed := range [][]Peer{{"a", "b"}, {"b"}, nil, {"c", "b", "a"}, {"c", "b", "d"}} {
		if got := learn(&tab, id, epoch, listed...); !slices.Equal(got, listed) {
			t.Errorf("holders %v, want %v", got, listed)
		}
	}
	// A directory that changes its slice in place is seen through.
	shared := []Peer{"x", "y"}
	learn(&tab, id, epoch, shared...)
	shared[1] = "z"
	if got := learn(&tab, id, epoch, shared...); !slices.Equal(got, shared) {
		t.Errorf("holders %v, want %v", got, shared)
	}
}

func TestDenialsExpire(t *testing.T) {
	tab := newTable(testPolicy(t))
	id := testIDs[0]
	learn(&tab, id, epoch, "a", "b")
	tab.deny(id, "a", epoch)
	tab.deny(id, "a", epoch)
	if got := learn(&tab, id, epoch, "a", "b"); !slices.Equal(got, []Peer{"b"}) {
		t.Errorf("holders %v after a's denial", got)
	}
	if got := learn(&tab, id, epoch, "c", "a"); !slices.Equal(got, []Peer{"c"}) {
		t.Errorf("holders %v: the denial holds whatever the directory says", got)
	}
	if got := learn(&tab, testIDs[1], epoch, "a"); !slices.Equal(got, []Peer{"a"}) {
		t.Errorf("holders %v of another expert", got)
	}
	if got := learn(&tab, id, epoch.Add(unknownExpertBackoff), "c", "a"); len(got) != 2 {
		t.Errorf("holders %v after the denial expired", got)
	}
}

// A flood of names neither grows the table nor pushes out peers in use.
func TestTableIsBounded(t *testing.T) {
	tab := newTable(testPolicy(t))
	now := epoch
	known := learn(&tab, testIDs[0], now, "known", "also known")
	tab.estimates[0].flying.Calls = 1
	flood := func(from int) (listed []Peer) {
		for i := range 2 * maxPeers {
			listed = append(listed, Peer(fmt.Sprint("flood", from+i)))
		}
		return listed
	}
	if got := learn(&tab, testIDs[1], now, flood(0)...); len(got) != maxPeers-2 || len(tab.estimates) != maxPeers {
		t.Errorf("%d holders, %d peers, want %d", len(got), len(tab.estimates), maxPeers)
	}
	if got := learn(&tab, testIDs[0], now, known...); !slices.Equal(got, known) {
		t.Errorf("holders %v, want %v", got, known)
	}
	// Once the flood is old, new names find a place, and the peers in use
	// keep theirs although their numbers change.
	now = now.Add(forgetPeerAfter + time.Second)
	learn(&tab, testIDs[0], now, known...)
	if got := learn(&tab, testIDs[2], now, "new", "also known"); !slices.Equal(got, []Peer{"new", "also known"}) {
		t.Errorf("holders %v", got)
	}
	if got := learn(&tab, testIDs[0], now, known...); !slices.Equal(got, known) {
		t.Errorf("holders %v, want %v", got, known)
	}
	if len(tab.estimates) > 3 {
		t.Errorf("%d peers remembered", len(tab.estimates))
	}
	if e, _ := tab.find("known"); e == nil || e.flying.Calls != 1 {
		t.Error("a peer with attempts under way was forgotten")
	}
}

func TestHoldingsAreBounded(t *testing.T) {
	tab := newTable(testPolicy(t))
	for i := range maxHoldings + 10 {
		learn(&tab, expert.ID{Layer: uint16(i >> 8), Index: uint16(i)}, epoch, "a")
	}
	if n := len(tab.holdings); n > maxHoldings {
		t.Errorf("%d holdings remembered", n)
	}
}
