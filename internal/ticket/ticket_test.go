package ticket

import (
	"errors"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
)

func sample() Ticket {
	return Ticket{Model: [32]byte{1, 2, 31: 9}, Addrs: []string{
		"/ip4/192.0.2.7/tcp/4160/p2p/12D3KooWJcWTXYZ", "/ip4/192.0.2.7/udp/4160/quic-v1/p2p/12D3KooWJcWTXYZ"}}
}

// golden pins the form down: tickets are on paper and in mails.
const golden = "moe1aebaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaeqekyaf5uxanbpge4telrqfyzc4nzporrxalzuge3dal3qgjyc6mjsiqzuw33pk5fggv2ulbmvumyaf5uxanbpge4telrqfyzc4nzpovshalzuge3dal3rovuwgllwgexxamtqf4yterbtjnxw6v2kmnlviwczliy2nsxt"

func TestTicket(t *testing.T) {
	for _, x := range []Ticket{sample(), {}, {Addrs: []string{"/x"}}} {
		got, err := Parse(x.String())
		if err != nil || !reflect.DeepEqual(got, x) {
			t.Errorf("%+v, %v; want %+v", got, err, x)
		}
	}
	s := sample().String()
	if s != golden || !Is(s) || Is("/ip4/1.2.3.4") {
		t.Errorf("got %s", s)
	}
	if got, err := Parse(" " + strings.ToUpper(s[:20]) + "\n " + s[20:] + "\n"); err != nil || !reflect.DeepEqual(got, sample()) {
		t.Errorf("as a mail program breaks it: %v", err)
	}
	many := Ticket{}
	for range MaxAddrs + 5 {
		many.Addrs = append(many.Addrs, "/ip4/192.0.2.7", "no address", strings.Repeat("x", maxAddr+1))
	}
	if got, err := Parse(many.String()); err != nil || len(got.Addrs) != MaxAddrs {
		t.Errorf("%d addresses, %v", len(got.Addrs), err)
	}
}

// TestMistakes: one wrong, missing or extra character is told of.
func TestMistakes(t *testing.T) {
	const seed = 2
	r := rand.New(rand.NewPCG(seed, 0))
	s := sample().String()
	for range 500 {
		i := r.IntN(len(s))
		bad := s[:i] + string("abcdefghijklmnopqrstuvwxyz234567"[r.IntN(32)]) + s[i+1:]
		if bad == s {
			continue
		}
		if _, err := Parse(bad); !errors.Is(err, ErrTicket) {
			t.Fatalf("seed %d: accepted with another character at %d", seed, i)
		}
		for _, bad := range []string{s[:i] + s[i+1:], s[:i] + "a" + s[i:], s[:i]} {
			if _, err := Parse(bad); err == nil && bad != s {
				t.Fatalf("seed %d: accepted with a character too few or too many at %d", seed, i)
			}
		}
	}
	if _, err := Parse(strings.Repeat("a", maxText+1)); !errors.Is(err, ErrTicket) {
		t.Error("a long text")
	}
}

func FuzzParse(f *testing.F) {
	f.Add(sample().String())
	f.Add(Ticket{}.String())
	f.Fuzz(func(t *testing.T, s string) {
		x, err := Parse(s)
		if err != nil {
			if !errors.Is(err, ErrTicket) || strings.Contains(err.Error(), "\n") {
				t.Fatal(err)
			}
			return
		}
		if y, err := Parse(x.String()); err != nil || !reflect.DeepEqual(x, y) {
			t.Fatalf("%+v, %v; want %+v", y, err, x)
		}
	})
}
