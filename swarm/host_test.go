package swarm

import (
	"fmt"
	"testing"

	"github.com/multiformats/go-multiaddr"
)

func TestReachableAddrs(t *testing.T) {
	const id = "/p2p/12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN"
	for _, tt := range []struct{ in, want []string }{
		{nil, nil},
		{[]string{"/ip4/127.0.0.1/tcp/1"}, []string{"/ip4/127.0.0.1/tcp/1"}},
		{[]string{"/ip4/127.0.0.1/tcp/1", "/ip4/10.0.0.1/tcp/1"}, []string{"/ip4/10.0.0.1/tcp/1"}},
		{[]string{"/ip6/::1/udp/1/quic-v1", "/ip6/2001:db8::1/udp/1/quic-v1"}, []string{"/ip6/2001:db8::1/udp/1/quic-v1"}},
		{[]string{"/dns4/example.com/tcp/1", "/dnsaddr/example.com"}, nil},
		{[]string{"/ip4/192.0.2.1/tcp/1" + id + "/p2p-circuit"}, []string{"/ip4/192.0.2.1/tcp/1" + id + "/p2p-circuit"}},
		{[]string{"/dns4/example.com/tcp/1" + id + "/p2p-circuit"}, nil},
		{[]string{"/ip4/192.0.2.1/tcp/1/ws", "/ip4/192.0.2.1/udp/1/quic-v1/webtransport"}, nil},
		{[]string{"/unix/tmp/x", "/ip4/192.0.2.1"}, nil},
	} {
		var in []multiaddr.Multiaddr
		for _, a := range tt.in {
			in = append(in, multiaddr.StringCast(a))
		}
		if got := reachableAddrs(in); fmt.Sprint(got) != fmt.Sprint(tt.want) {
			t.Errorf("%v: got %v, want %v", tt.in, got, tt.want)
		}
	}
}
