package entry

import (
	"testing"

	"github.com/moeswarm/moeswarm/gating/prompt"
)

// An answer's drafts are those of all gating nodes that worked on it.
func TestDraftsAddUp(t *testing.T) {
	f := newFabric("a", "b")
	f.gates["a"].drafts, f.gates["b"].drafts = prompt.Drafts{Drafted: 5, Accepted: 2}, prompt.Drafts{Drafted: 3, Accepted: 1}
	f.gates["a"].play(act{after: 2, err: prompt.ErrLost})
	got, err := gather(f.entry(t, nil).Complete(t.Context(), ask(6)))
	if err != nil || len(got) != 6 {
		t.Fatalf("%v, %v", got, err)
	}
	// Each chunk adds its gate's counts: two from a, four from b.
	if want, last := (prompt.Drafts{Drafted: 2*5 + 4*3, Accepted: 2*2 + 4*1}), got[5].Drafts; last != want {
		t.Errorf("drafts %+v, want %+v", last, want)
	}
}

// Counts that no honest gating node sends end the attempt.
func TestDraftsAreChecked(t *testing.T) {
	for _, d := range [][2]prompt.Drafts{
		{{Drafted: 1, Accepted: 2}, {Drafted: 1, Accepted: 2}},
		{{Drafted: 5, Accepted: 2}, {Drafted: 4, Accepted: 2}},
		{{Drafted: 5, Accepted: 2}, {Drafted: 5, Accepted: 1}},
	} {
		k := checker{request: ask(9)}
		c := truth(k.request, 0)
		c.Drafts = d[0]
		err := k.chunk(c)
		c.Drafts = d[1]
		if err == nil && k.chunk(c) == nil {
			t.Errorf("%+v then %+v is taken", d[0], d[1])
		}
	}
}
