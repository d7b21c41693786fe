package light

import (
	"slices"
	"testing"
)

func TestWitnessesAreOfOtherNetworks(t *testing.T) {
	for name, tt := range map[string]struct {
		addrs []string
		first int
		want  []int
	}{
		"alone":         {[]string{"/ip4/192.0.2.1/tcp/1/p2p/A"}, 3, []int{0}},
		"one network":   {[]string{"/ip4/192.0.2.1/tcp/1", "/ip4/192.0.9.1/tcp/1", "/ip4/192.0.2.3/tcp/1"}, 1, []int{2, 0}},
		"others first":  {[]string{"/ip4/192.0.2.1/tcp/1", "/ip4/192.0.2.2/tcp/1", "/ip4/192.0.2.3/tcp/1", "/ip4/198.51.100.1/tcp/1", "/ip6/2001:db8::1/tcp/1"}, 0, []int{3, 4, 1}},
		"IPv6 in parts": {[]string{"/ip6/2001:db8::1/tcp/1", "/ip6/2001:db8:ffff::1/udp/1", "/ip6/2001:db9::1/tcp/1"}, 0, []int{2, 1}},
		"mapped":        {[]string{"/ip4/192.0.2.1/tcp/1", "/ip6/::ffff:192.0.3.1/tcp/1", "/ip4/203.0.113.1/tcp/1"}, 0, []int{2, 1}},
		"names":         {[]string{"/dns4/a.example.org/tcp/1", "/dns4/B.Example.org./tcp/1", "/dns/a.example.net/tcp/1"}, 0, []int{2, 1}},
		"no address":    {[]string{"x", "y", "x"}, 0, []int{1, 2}},
	} {
		if got := witnesses(tt.addrs, tt.first); !slices.Equal(got, tt.want) {
			t.Errorf("%s: witnesses %v, want %v", name, got, tt.want)
		}
	}
}
