package light

import (
	"errors"
	"reflect"
	"strings"
	"testing"
)

func TestTicketRoundTrip(t *testing.T) {
	for _, want := range []Ticket{
		{Chain: "devnet-1"},
		{Chain: strings.Repeat("c", maxChain), Height: 1 << 62, Hash: [32]byte{1, 2, 3}, Addrs: []string{"/ip4/127.0.0.1/tcp/1/p2p/12D3", "/dns4/x/udp/2/quic-v1"}},
	} {
		got, err := ParseTicket(" " + strings.ToUpper(want.String()) + "\n")
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%+v became %+v, %v", want, got, err)
		}
	}
}

func TestTicketRefusesMistakes(t *testing.T) {
	good := Ticket{Chain: "c", Height: 7, Addrs: []string{"/ip4/1.2.3.4/tcp/5"}}.String()
	for _, bad := range []string{"", "led1", "moe1abc", good[:len(good)-1], good + "a", strings.Replace(good, good[8:9], "7", 1), strings.Repeat("a", maxTicket+1)} {
		if bad == good {
			continue
		}
		if _, err := ParseTicket(bad); !errors.Is(err, ErrTicket) {
			t.Errorf("%.40q: error %v", bad, err)
		}
	}
}

func FuzzTicket(f *testing.F) {
	f.Add(Ticket{Chain: "c", Height: 7, Addrs: []string{"/ip4/1.2.3.4/tcp/5"}}.String())
	f.Add("led1aa")
	f.Fuzz(func(t *testing.T, s string) {
		if p, err := ParseTicket(s); err == nil {
			if again, err := ParseTicket(p.String()); err != nil || !reflect.DeepEqual(p, again) {
				t.Errorf("%+v became %+v, %v", p, again, err)
			}
		}
	})
}
