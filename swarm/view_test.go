package swarm

import (
	"fmt"
	"testing"
	"time"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/routing"
)

func TestCoverage(t *testing.T) {
	now := time.Unix(100, 0)
	other := expert.ModelID{7}
	own := Offer{Model: testModel(), Name: "ours", Layers: []int{0, 4, 2}, Gates: true, // layer 0 is dense
		Held: []expert.ID{{Model: testModel(), Layer: 1, Index: 3}}}
	tab := testTable(own)
	if c := tab.coverage(other); c.Known || c.Complete() {
		t.Errorf("a model nobody spoke of: %+v", c)
	}
	mustAnnounce(t, tab, "a", notice{model: testModel(), shape: shape{layers: 3, experts: 4}, held: []slot{1 << 16, 1<<16 | 2, 2 << 16}, seq: 1}, now)
	c := tab.coverage(testModel())
	if got := fmt.Sprint(c); got != "{true 6 4 [{1 [1]} {2 [1]}] [{1 [0 2 3]} {2 [0]}]}" {
		t.Errorf("coverage %s", got)
	}
	mustAnnounce(t, tab, "b", notice{model: testModel(), shape: shape{layers: 3, experts: 4}, held: []slot{1<<16 | 1, 2<<16 | 1}, seq: 1}, now)
	if !tab.coverage(testModel()).Complete() {
		t.Error("not complete")
	}
	tab.unreachable("b")
	if tab.coverage(testModel()).Complete() {
		t.Error("a lost peer counts as a holder")
	}
	// Of a model that is not ours the shape is what most say.
	for i, s := range []shape{{layers: 2, experts: 2}, {layers: 1, experts: 9}, {layers: 2, experts: 2}} {
		mustAnnounce(t, tab, routing.Peer(fmt.Sprint("p", i)), notice{model: other, name: fmt.Sprint("n", i/2), shape: s, held: []slot{slot(i)}, seq: 1}, now)
	}
	if c := tab.coverage(other); c.Experts != 4 || c.Held != 2 {
		t.Errorf("coverage %+v", c)
	}
}

func TestModelViews(t *testing.T) {
	now := time.Unix(100, 0)
	tab := testTable(Offer{Model: testModel(), Name: "ours", Layers: []int{4}, Gates: true})
	other, empty := expert.ModelID{7}, expert.ModelID{8}
	for i, name := range []string{"b", "a", "a"} {
		p := routing.Peer(fmt.Sprint("p", i))
		mustAnnounce(t, tab, p, notice{model: other, name: name, gates: i == 0, shape: shape{layers: 1, experts: 2}, held: []slot{slot(i % 2)}, seq: 1}, now)
		mustAnnounce(t, tab, p, notice{model: empty, seq: 1}, now)
	}
	tab.unreachable("p2")
	got := tab.modelViews()
	if len(got) != 2 || got[0].Name != "a" || got[0].Gates != 1 || got[0].Holders != 2 || !got[0].Complete() ||
		got[1].Name != "ours" || got[1].Gates != 1 || got[1].Holders != 0 || got[1].Held != 0 {
		t.Errorf("got %+v", got)
	}
	v := tab.peerView("p1")
	if v.Connected || !v.Usable || len(v.Models) != 1 || fmt.Sprint(v.Models[0].Held) != "[{0 [1]}]" {
		t.Errorf("got %+v", v)
	}
}
