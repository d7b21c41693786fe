package node

import (
	"testing"

	"github.com/moeswarm/moeswarm/routing"
	"github.com/moeswarm/moeswarm/swarm"
)

func TestNeighbours(t *testing.T) {
	known := []swarm.PeerView{
		{Peer: "a", Addrs: []string{"/ip4/192.168.1.4/tcp/1", "/ip4/203.0.113.7/tcp/1"}},
		{Peer: "b", Addrs: []string{"/ip4/203.0.113.200/udp/1/quic-v1"}},
		{Peer: "c", Addrs: []string{"/ip4/192.168.1.5/tcp/1", "/ip6/2a00:1:2:3::1/tcp/1"}},
		{Peer: "d", Addrs: []string{"/ip6/2a00:1:2:ffff::9/tcp/1"}},
		{Peer: "e"},
	}
	for _, c := range []struct {
		a, b string
		want bool
	}{{"a", "b", true}, {"a", "c", false}, {"c", "d", true}, {"b", "d", false}, {"a", "e", false}, {"a", "nobody", false}} {
		if got := neighbours(known, routing.Peer(c.a))[routing.Peer(c.b)]; got != c.want {
			t.Errorf("%s and %s: %v, want %v", c.a, c.b, got, c.want)
		}
	}
}
