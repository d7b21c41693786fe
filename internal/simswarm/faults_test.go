package simswarm

import (
	"os"
	"strings"
	"testing"
)

// Every misbehaviour has a file, and a name that scenarios can call it by.
func TestFaultsAreNamed(t *testing.T) {
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, f := range Faults() {
		all.WriteString(" " + f.Name)
		if _, err := ParseFault(f.Name + ":0.5:3"); err != nil {
			t.Error(err)
		}
	}
	for _, e := range entries {
		name, isFault := strings.CutPrefix(strings.TrimSuffix(e.Name(), ".go"), "fault_")
		if isFault && name != "flooding" && !strings.Contains(all.String(), strings.TrimSuffix(strings.ReplaceAll(name, "_", "-"), "-seldom")) { // that is one of askers
			t.Errorf("the misbehaviour of %s has no name in Faults", e.Name())
		}
	}
	if _, err := ParseFault("work=1ms+spells:1:3"); err != nil {
		t.Error(err)
	}
	for _, bad := range []string{"", "lying+", "work=1", "work=-1s", "kind", "lying:2:1", "lying:x:1", "lying:0.5", "lying:0.5:1:1"} {
		if _, err := ParseFault(bad); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}
