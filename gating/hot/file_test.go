package hot

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/moeswarm/moeswarm/expert"
)

// TestCountsAreKept: counts that were saved and loaded choose the same experts.
func TestCountsAreKept(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	c := NewCounts()
	var all []Candidate
	for layer := range 4 {
		for index := range 16 {
			all = append(all, Candidate{Slot: expert.Slot{Layer: layer, Index: index}, Bytes: 10})
		}
	}
	for step := range 3000 {
		rows := 1 + rng.IntN(8)
		calls := []expert.Call{}
		for index := range 16 {
			if rng.IntN(index+2) == 0 {
				calls = append(calls, expert.Call{Expert: expert.ID{Layer: uint16(step % 4), Index: uint16(index)}, Rows: make([]int32, 1+rng.IntN(rows))})
			}
		}
		c.Observe(rows, calls)
	}
	var b bytes.Buffer
	if err := c.Save(&b); err != nil {
		t.Fatal(err)
	}
	again := NewCounts()
	if again.Known() {
		t.Error("something was counted before anything was")
	}
	if err := again.Load(&b); err != nil || !again.Known() {
		t.Fatal(err, again.Known())
	}
	choice := func(c *Counts) []expert.Slot {
		for i := range all {
			all[i].Rate = c.Rate(all[i].Slot)
		}
		return Choose(all, 50)
	}
	if a, b := fmt.Sprint(choice(c)), fmt.Sprint(choice(again)); a != b {
		t.Errorf("chosen %s, after loading %s", a, b)
	}
}

// TestLoadRefuses what Save does not write, and keeps what there was.
func TestLoadRefuses(t *testing.T) {
	c := NewCounts()
	c.Observe(1, []expert.Call{{Expert: expert.ID{Layer: 1, Index: 2}, Rows: []int32{0}}})
	was := c.Rate(expert.Slot{Layer: 1, Index: 2})
	for _, bad := range []string{
		``, `{`, `{"version":2,"layers":[]}`, `{"version":1,"layers":[{"layer":-1,"rows":[]}]}`,
		`{"version":1,"layers":[{"layer":9999,"rows":[]}]}`, `{"version":1,"layers":[{"layer":1,"rows":[-1]}]}`,
		`{"version":1,"layers":[{"layer":1,"rows":[1e300]}]}`, `{"version":1,"layers":[{"layer":1,"rows":[1]},{"layer":1,"rows":[1]}]}`,
		`{"version":1,"layers":[{"layer":1,"rows":[` + strings.Repeat("0,", expert.MaxExperts) + `0]}]}`,
	} {
		if err := c.Load(strings.NewReader(bad)); err == nil {
			t.Errorf("%.60q was accepted", bad)
		}
	}
	if now := c.Rate(expert.Slot{Layer: 1, Index: 2}); now != was || was == 0 {
		t.Errorf("rate %v, was %v", now, was)
	}
}

// FuzzLoad: nothing that is in the file makes a node fail, or is kept that
// cannot be saved.
func FuzzLoad(f *testing.F) {
	f.Add([]byte(`{"version":1,"layers":[{"layer":3,"rows":[0,12.5]}]}`))
	f.Add([]byte(`{"version":1,"layers":[{"layer":3,"rows":[1e999]}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		c := NewCounts()
		if c.Load(bytes.NewReader(b)) != nil {
			return
		}
		c.Observe(1, []expert.Call{{Expert: expert.ID{Layer: 3, Index: 1}, Rows: []int32{0}}})
		var out bytes.Buffer
		if err := c.Save(&out); err != nil {
			t.Fatal(err)
		}
		if err := NewCounts().Load(&out); err != nil {
			t.Fatal(err)
		}
	})
}
