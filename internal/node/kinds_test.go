package node

import (
	"testing"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/routing"
)

// Every expert of a model has a kind with its size, others have none.
func TestKinds(t *testing.T) {
	m := tiny(t)
	n := built(t, Config{Models: []Model{{Model: m, Gate: true}}, Listen: []string{"/ip4/127.0.0.1/tcp/0"}})
	kind := n.kinds()
	for _, id := range m.Manifest().IDs() {
		if k := kind(id); k.KiB == 0 || formatsOf(k) == "unknown" {
			t.Errorf("%v: %+v, %s", id, k, formatsOf(k))
		}
	}
	if k := kind(expert.ID{Layer: 1000}); k != (routing.Kind{}) || formatsOf(k) != "unknown" {
		t.Errorf("an unknown expert has kind %+v", k)
	}
}
