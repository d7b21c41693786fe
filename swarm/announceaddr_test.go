package swarm

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/internal/delayrelay"
	"github.com/moeswarm/moeswarm/internal/simswarm"
	"github.com/moeswarm/moeswarm/routing"
)

// A node behind a relay is known by the relay's address alone, and calls pass
// it: they take its round trip.
func TestAnnounce(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	target := ln.Addr().String()
	ln.Close()
	relay, err := delayrelay.Listen(delayrelay.Config{Target: target, Link: simswarm.Link{RTT: 40 * time.Millisecond}})
	if err != nil {
		t.Fatal(err)
	}
	startRun(t, relay.Run)
	multi := func(hostport string) string {
		h, p, _ := net.SplitHostPort(hostport)
		return "/ip4/" + h + "/tcp/" + p
	}
	holder := startNode(t, Config{Listen: []string{multi(target)}, Announce: []string{multi(relay.Addr())}, Offers: []Offer{holds(0)}})
	if addrs := holder.Addrs(); len(addrs) != 1 || !strings.HasPrefix(addrs[0], multi(relay.Addr())+"/p2p/") {
		t.Fatalf("addresses %v, want only that of the relay, %s", addrs, relay.Addr())
	}
	gate := startNode(t, Config{Join: holder.Addrs(), Offers: []Offer{gates()}})
	id := experts(0)[0]
	eventually(t, "the holder", func() bool { return len(gate.Holders(id)) == 1 })
	ctx, cancel := context.WithTimeout(t.Context(), testPatience)
	defer cancel()
	ask := routing.Ask{In: expert.NewBatch(1, 8), Calls: []expert.Call{{Expert: id, Rows: []int32{0}}}}
	for range 2 { // the first opens the stream
		began := time.Now()
		if _, err := gate.Call(ctx, holder.ID(), ask); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took < 40*time.Millisecond {
			t.Errorf("a call took %v, less than the relay's round trip", took)
		}
	}
	for _, p := range gate.Peers() {
		for _, a := range p.Addrs {
			if strings.Contains(a, multi(target)+"/") {
				t.Errorf("%s is known by the address it listens on: %v", p.Peer, p.Addrs)
			}
		}
	}
}

func TestBadAnnounce(t *testing.T) {
	for _, a := range []string{"nonsense", "/dns4/example.org/tcp/4160", ""} {
		if _, err := New(Config{Announce: []string{a}}); err == nil || !strings.Contains(err.Error(), "announce") {
			t.Errorf("%q: %v", a, err)
		}
	}
}
