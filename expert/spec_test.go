package expert_test

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/moeswarm/moeswarm/expert"
)

var fourLayers = []int{0, 1, 2, 3}

func grid(layers, experts []int) (slots []expert.Slot) {
	for _, l := range layers {
		for _, e := range experts {
			slots = append(slots, expert.Slot{Layer: l, Index: e})
		}
	}
	return slots
}

func TestParseSpec(t *testing.T) {
	eight := []int{0, 1, 2, 3, 4, 5, 6, 7}
	for spec, want := range map[string][]expert.Slot{
		"all":                 grid(fourLayers, eight),
		"none":                nil,
		" all ":               grid(fourLayers, eight),
		"*:*":                 grid(fourLayers, eight),
		"*:0-3":               grid(fourLayers, []int{0, 1, 2, 3}),
		"0,2:*":               grid([]int{0, 2}, eight),
		"1-3:0,5-7":           grid([]int{1, 2, 3}, []int{0, 5, 6, 7}),
		"3:7":                 grid([]int{3}, []int{7}),
		"1:1;0:2;1:1-2":       {{Layer: 0, Index: 2}, {Layer: 1, Index: 1}, {Layer: 1, Index: 2}},
		" 0 , 1 : 2 - 3 ;3:0": append(grid([]int{0, 1}, []int{2, 3}), expert.Slot{Layer: 3}),
	} {
		got, err := expert.ParseSpec(spec, fourLayers, 8)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: got %v, %v; want %v", spec, got, err, want)
		}
	}
	got, err := expert.ParseSpec("1-4:0;*:1", []int{1, 3, 4}, 2)
	if err != nil || !slices.Equal(got, grid([]int{1, 3, 4}, []int{0, 1})) {
		t.Errorf("sparse layers 1, 3, 4: got %v, %v", got, err)
	}
}

func TestParseSpecErrors(t *testing.T) {
	for spec, want := range map[string]string{
		"":                            "want all, none, or LAYERS:EXPERTS",
		"some":                        "want all, none, or LAYERS:EXPERTS such as *:0-3",
		"0-3":                         "want all, none, or LAYERS:EXPERTS",
		"0:1;":                        "want all, none, or LAYERS:EXPERTS",
		"9:0":                         "layer 9: the model has layers 0-3",
		"0-9:0":                       "layer 9: the model has layers 0-3",
		"0:8":                         "expert 8: the model has experts 0-7",
		"*:4-99":                      "expert 99: the model has experts 0-7",
		"0:3-1":                       "expert 3-1: the range runs backwards",
		"0:":                          `expert "": want a number, a range such as 0-3, or *`,
		":0":                          `layer "": want a number`,
		"0:a":                         `expert "a": want a number`,
		"0:-1":                        `expert "-1": want a number`,
		"0:1-":                        `expert "1-": want a number`,
		"0:1-2-3":                     `expert "1-2-3": want a number`,
		"0:1,*":                       `expert "*": want a number`,
		"0:99999999999999999999":      "the model has experts 0-7",
		"0:1:2":                       `expert "1:2": want a number`,
		strings.Repeat("0:0;", 1<<16): "the limit is 65536",
	} {
		got, err := expert.ParseSpec(spec, fourLayers, 8)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: got %v, %v; want %q", spec, got, err, want)
			continue
		}
		oneLine(t, err)
	}
	for _, layers := range [][]int{{1, 2, 4}, {1, 2, 3, 4}} {
		if _, err := expert.ParseSpec("0:0", layers, 8); err == nil || !strings.Contains(err.Error(), "layer 0: the model has experts in layers 1-") {
			t.Errorf("a dense layer: got %v", err)
		}
	}
	if _, err := expert.ParseSpec("3:0", []int{1, 2, 4}, 8); err == nil || !strings.Contains(err.Error(), "layer 3: the model has experts in layers 1-2,4") {
		t.Errorf("a dense layer between: got %v", err)
	}
	if _, err := expert.ParseSpec("all", nil, 0); err == nil {
		t.Error("a model without experts: accepted")
	}
}

func TestFormatSpec(t *testing.T) {
	for _, c := range []struct {
		slots []expert.Slot
		want  string
	}{
		{nil, "none"},
		{grid(fourLayers, []int{0, 1, 2, 3}), "all"},
		{grid(fourLayers, []int{1}), "*:1"},
		{grid([]int{2}, []int{0, 1, 2, 3}), "2:*"},
		{grid([]int{0, 2, 3}, []int{0, 2, 3}), "0,2-3:0,2-3"},
		{[]expert.Slot{{Layer: 3, Index: 1}, {Layer: 0, Index: 2}, {Layer: 0, Index: 2}, {Layer: 1, Index: 1}}, "0:2;1,3:1"},
	} {
		if got := expert.FormatSpec(c.slots, fourLayers, 4); got != c.want {
			t.Errorf("%v: got %q, want %q", c.slots, got, c.want)
		}
	}
}

// TestSpecRoundTrip: any set of experts survives being written and read.
func TestSpecRoundTrip(t *testing.T) {
	const seed = 4
	r := rand.New(rand.NewPCG(seed, 0))
	for i := range 300 {
		var layers []int
		for l := range 1 + r.IntN(12) {
			if r.IntN(4) > 0 {
				layers = append(layers, l)
			}
		}
		if len(layers) == 0 {
			continue
		}
		experts := 1 + r.IntN(20)
		keep := r.Float64()
		var want []expert.Slot
		for _, l := range layers {
			for e := range experts {
				if i%5 == 0 && e < experts/2 || r.Float64() < keep {
					want = append(want, expert.Slot{Layer: l, Index: e})
				}
			}
		}
		shuffled := slices.Clone(want)
		r.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		text := expert.FormatSpec(shuffled, layers, experts)
		got, err := expert.ParseSpec(text, layers, experts)
		if err != nil || !slices.Equal(got, want) {
			t.Fatalf("seed %d: %v was written %q and read %v, %v", seed, want, text, got, err)
		}
		if again := expert.FormatSpec(got, layers, experts); again != text {
			t.Fatalf("seed %d: %q was written again as %q", seed, text, again)
		}
	}
}

func FuzzParseSpec(f *testing.F) {
	for _, s := range []string{"all", "none", "*:0-3", "0,2:*", "1-3:0,5-7", "0:1;2:3", "9:0", "0:99999999999999999999"} {
		f.Add(s)
	}
	layers := []int{0, 1, 2, 5}
	f.Fuzz(func(t *testing.T, s string) {
		slots, err := expert.ParseSpec(s, layers, 8)
		if err != nil {
			oneLine(t, err)
			return
		}
		for _, slot := range slots {
			if !slices.Contains(layers, slot.Layer) || slot.Index < 0 || slot.Index > 7 {
				t.Fatalf("%q means %v", s, slot)
			}
		}
		again, err := expert.ParseSpec(expert.FormatSpec(slots, layers, 8), layers, 8)
		if err != nil || !slices.Equal(again, slots) {
			t.Fatalf("%q: %v came back as %v, %v", s, slots, again, err)
		}
	})
}

func TestDescribe(t *testing.T) {
	slots := append(grid([]int{2}, []int{4, 5, 6, 7}), grid([]int{0, 1, 3}, []int{2})...)
	slots = append(slots, expert.Slot{Layer: 5}, expert.Slot{Layer: 5, Index: 9})
	want := []string{"layers 0-1,3: expert 2", "layer 2: experts 4-7", "layer 5: experts 0,9"}
	if got := expert.Describe(slots); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := expert.Describe(nil); len(got) != 0 {
		t.Errorf("nothing missing: got %q", got)
	}
}

func TestSlots(t *testing.T) {
	model := expert.ModelID{7}
	slots := grid([]int{0, 500}, []int{1, 1000})
	ids := expert.IDsOf(model, slots)
	if ids[3] != (expert.ID{Model: model, Layer: 500, Index: 1000}) || !slices.Equal(expert.SlotsOf(ids), slots) {
		t.Errorf("%v became %v", slots, ids)
	}
}
