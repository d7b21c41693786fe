package routing

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

// Every exclusion is a line by itself: what is damaged costs no other.
func TestExclusionsOutliveDamage(t *testing.T) {
	var b bytes.Buffer
	for i := range 5 {
		if err := AppendExclusion(&b, Exclusion{Peer: Peer(fmt.Sprint("liar ", i)), At: epoch, Reason: strings.Repeat("why ", 100)}); err != nil {
			t.Fatal(err)
		}
	}
	lines := strings.SplitAfter(b.String(), "\n")
	lines[1] = lines[1][:20] + "\x00\xff" + lines[1][30:]     // overwritten
	lines[3] = strings.Repeat("x", 3*maxExclusionLine) + "\n" // no line of ours
	damaged := strings.Join(lines[:4], "") + lines[4][:40]    // a crash while it was written
	all, unreadable, err := ReadExclusions(strings.NewReader(damaged))
	if err != nil || len(all) != 2 || unreadable != 3 {
		t.Fatalf("%v, %d unreadable: %v", all, unreadable, err)
	}
	r := newTestRouter(t, newFakeNet())
	r.Condemn("liar 0", "again")
	if added := r.LoadExclusions(all); added != 1 {
		t.Errorf("%d were new, want only liar 2", added)
	}
	var saved bytes.Buffer
	if err := r.SaveReputations(&saved); err != nil {
		t.Fatal(err)
	}
	got, err := ReadReputations(&saved)
	if err != nil || got["liar 2"].Excluded == "" || got["liar 0"].Excluded != "again" {
		t.Errorf("%+v: %v", got, err)
	}
	if err := AppendExclusion(&b, Exclusion{Peer: ""}); err == nil {
		t.Error("a peer without a name was written")
	}
}

func FuzzReadExclusions(f *testing.F) {
	var b bytes.Buffer
	if err := AppendExclusion(&b, Exclusion{Peer: "12D3KooWA", At: epoch, Reason: "lied"}); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Add([]byte("{\"peer\":\"a\"}\nnonsense\n\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		all, _, err := ReadExclusions(bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		var again bytes.Buffer
		for _, e := range all {
			if err := AppendExclusion(&again, e); err != nil {
				t.Fatalf("%+v: %v", e, err)
			}
		}
		if back, bad, err := ReadExclusions(&again); err != nil || bad > 0 || len(back) != len(all) {
			t.Errorf("%d of %d survive, %d unreadable: %v", len(back), len(all), bad, err)
		}
	})
}
