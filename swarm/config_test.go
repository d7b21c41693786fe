package swarm

import (
	"crypto/ed25519"
	"strings"
	"testing"

	"github.com/moeswarm/moeswarm/expert"
)

func TestConfigRefuses(t *testing.T) {
	with := func(f func(*Offer)) Config {
		o := Offer{Model: testModel(), Name: "m", Layers: testLayers, Held: experts(1), Gates: true}
		f(&o)
		return Config{Serve: zeros{}, Completer: mute{}, Offers: []Offer{o}}
	}
	const id = "/p2p/12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN"
	for _, tt := range []struct {
		want string
		cfg  Config
	}{
		{"private key has 64", Config{Key: ed25519.PrivateKey("short")}},
		{"listen address", Config{Listen: []string{"localhost:80"}}},
		{"want /ip4|ip6/ADDRESS", Config{Listen: []string{"/ip4/127.0.0.1/udp/1"}}},
		{"want /ip4|ip6/ADDRESS", Config{Listen: []string{"/dns4/x/tcp/1"}}},
		{"must end in /p2p/ID", Config{Join: []string{"/ip4/192.0.2.1/tcp/1"}}},
		{"must end in /p2p/ID", Config{Join: []string{id}}},
		{"an example", Config{Join: []string{"192.0.2.1:80"}}},
		{"no Completer", Config{Offers: []Offer{gates()}}},
		{"nothing to serve them", Config{Offers: []Offer{holds(1)}}},
		{"offered twice", Config{Serve: zeros{}, Offers: []Offer{holds(1), holds(2)}}},
		{"not an expert of this model", with(func(o *Offer) { o.Held[0].Index = 4 })},
		{"not an expert of this model", with(func(o *Offer) { o.Held[0].Layer = 3 })},
		{"not an expert of this model", with(func(o *Offer) { o.Held[0].Model[5]++ })},
		{"0 layers", with(func(o *Offer) { o.Layers = nil })},
		{"some with experts", with(func(o *Offer) { o.Layers, o.Held = []int{0, 0}, nil })},
		{"at most 1024", with(func(o *Offer) { o.Layers = []int{4, 4, 1025} })},
		{"unprintable", with(func(o *Offer) { o.Name = "a\nb" })},
		{"at most 128 bytes", with(func(o *Offer) { o.Name = strings.Repeat("x", 129) })},
		{"content id", with(func(o *Offer) { o.CIDs = map[expert.ID][]byte{o.Held[0]: {1, 2}} })},
	} {
		if _, err := New(tt.cfg); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("error %v, want one with %q", err, tt.want)
		}
	}
}

func TestOfferKeys(t *testing.T) {
	o := holds(1)
	plain, err := offerKeys([]Offer{o})
	if err != nil || len(plain) != 2+3 {
		t.Fatalf("%v, %v", plain, err)
	}
	// The keys are part of the protocol: others must find them.
	for i, want := range []string{
		"bafkreifmelhi6bohlk3ulnnrozv63mgso6qfw65w6ut6k2jcjghsffttya",
		"bafkreiflaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaazu",
		"bafkreicezblop7toasnk2xbcor5lgsbofkynwiad67jqad5ql2zoz2ti7q",
	} {
		if plain[i].String() != want {
			t.Errorf("key %d: %v, want %v", i, plain[i], want)
		}
	}
	given := manifestKey(expert.ModelID{9})
	o.CIDs = map[expert.ID][]byte{o.Held[0]: given.Bytes()}
	keys, err := offerKeys([]Offer{o})
	if err != nil || !keys[2].Equals(given) || !keys[3].Equals(plain[3]) {
		t.Errorf("%v, %v", keys, err)
	}
	o.Gates = true
	if keys, _ := offerKeys([]Offer{o}); len(keys) != 6 || keys[2].String() != "bafkreidhs2n4263iehkebvfv3vtxbgrgmojldmfxneup7pgxhex66fedpa" {
		t.Errorf("keys of a gating node: %v", keys)
	}
}
