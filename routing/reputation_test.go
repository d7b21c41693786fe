package routing

import (
	"bytes"
	"flag"
	"fmt"
	"math"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files anew")

// The lower bound of correctness after runs of checks, for the prior Beta(1, 1)
// and a memory of 0.999.
func TestCorrectness(t *testing.T) {
	r := NewReputation()
	check := func(n int, ok bool, want float64) {
		t.Helper()
		for range n {
			r = r.Checked(ok, epoch)
		}
		if got := r.Correctness(); math.Abs(got-want) > 0.01 {
			t.Errorf("correctness %.3f, want %.3f", got, want)
		}
	}
	check(0, true, 0.03) // unproven
	check(20, true, 0.88)
	check(480, true, 0.99)
	check(1, false, 0.975) // as five failures
	check(200, true, 0.983)
	check(20, false, 0.80)
	if NewReputation().Score() != 0 {
		t.Error("an unproven peer has a score")
	}
}

func TestScore(t *testing.T) {
	good := NewReputation()
	for range 200 {
		good = good.Checked(true, epoch)
	}
	base := good.Score()
	if base < 0.95 || base > 1 {
		t.Errorf("score %.3f of a peer that passed 200 checks", base)
	}
	for name, r := range map[string]Reputation{
		"late":     repeat(good, 16, func(r Reputation, now time.Time) Reputation { return r.Answered(false, 0, 0, now) }),
		"slow":     repeat(good, 16, func(r Reputation, now time.Time) Reputation { return r.Answered(true, 4*ms, ms, now) }),
		"away":     repeat(good, 200, func(r Reputation, now time.Time) Reputation { return r.Met(false, now) }),
		"wrong":    good.Checked(false, epoch),
		"excluded": {Good: good.Good, Punctual: 1, Speed: 1, Uptime: 1, Excluded: "why"},
	} {
		if s := r.Score(); !(s < base) || s < 0 {
			t.Errorf("%s: score %.3f, want less than %.3f", name, s, base)
		}
		if h := r.handicap(); h < 1 || h > 1/leastTrust {
			t.Errorf("%s: handicap %.2f", name, h)
		}
	}
}

func repeat(r Reputation, n int, f func(Reputation, time.Time) Reputation) Reputation {
	for i := range n {
		r = f(r, epoch.Add(time.Duration(i)*10*time.Second))
	}
	return r
}

// Long silence brings everything back to the prior, but for the exclusion.
func TestReputationFades(t *testing.T) {
	r := repeat(NewReputation(), 100, func(r Reputation, now time.Time) Reputation {
		return r.Checked(false, now).Answered(false, 9*ms, ms, now)
	})
	r.Excluded = "why"
	r = r.at(epoch.Add(20 * conductHalfLife))
	if r.Bad > 0.01 || r.Punctual < 0.99 || r.Speed < 0.99 || r.Uptime < 0.99 || r.Excluded == "" {
		t.Errorf("after years: %+v", r)
	}
}

// Whatever happens, a reputation stays one that can be written and read.
func TestReputationBounds(t *testing.T) {
	r := NewReputation()
	for i := range 200_000 {
		now := epoch.Add(time.Duration(i%17-8) * time.Hour)
		switch i % 5 {
		case 0, 1:
			r = r.Checked(i%10 == 0 && i < 100_000, now)
		case 2:
			r = r.Answered(i%3 == 0, time.Duration(i%4)*ms, time.Duration(i%2)*ms, now)
		case 3:
			r = r.Met(i%2 == 0, now)
		}
		e := reputationEntry{"a", r.Good, r.Bad, r.Punctual, r.Speed, r.Uptime, r.Seen, ""}
		if err := e.check(); err != nil {
			t.Fatalf("step %d: %v", i, err)
		}
	}
}

func someReputations() map[Peer]Reputation {
	return map[Peer]Reputation{
		"12D3KooWA": {Good: 20, Punctual: 0.9, Speed: 0.5, Uptime: 1, Seen: epoch},
		"12D3KooWB": {Good: 3, Bad: 5, Punctual: 1, Speed: 1, Uptime: 0.25, Seen: epoch, Excluded: "two checks failed"},
	}
}

func TestReputationGolden(t *testing.T) {
	const file = "testdata/reputations.json"
	var b bytes.Buffer
	if err := WriteReputations(&b, someReputations()); err != nil {
		t.Fatal(err)
	}
	if *rewrite {
		if err := os.WriteFile(file, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(b.Bytes(), want) {
		t.Errorf("got\n%s\nwant\n%s", b.Bytes(), want)
	}
	got, err := ReadReputations(bytes.NewReader(want))
	if err != nil || !reflect.DeepEqual(got, someReputations()) {
		t.Errorf("read %v, %v", got, err)
	}
}

// The largest file that is written can be read.
func TestLargestReputationFile(t *testing.T) {
	all := map[Peer]Reputation{}
	for i := range maxPeers {
		name := fmt.Sprintf("%0*d", maxPeerName, i)
		all[Peer(strings.ReplaceAll(name, "0", "\x01"))] = Reputation{Good: math.Pi, Bad: math.E, Punctual: 1. / 3, Speed: 1. / 7, Uptime: 1. / 9,
			Seen: epoch.Add(123456789), Excluded: strings.Repeat("<", maxReason)}
	}
	var b bytes.Buffer
	if err := WriteReputations(&b, all); err != nil {
		t.Fatal(err)
	}
	if got, err := ReadReputations(&b); err != nil || len(got) != len(all) {
		t.Errorf("read %d of %d, %v", len(got), len(all), err)
	}
}

func TestReputationFileLimits(t *testing.T) {
	entry := func(format string, a ...any) string {
		return fmt.Sprintf(`{"version":1,"peers":[{"peer":"a","punctual":1,"speed":1,"uptime":1,"good":1,"bad":0,`+format+`}]}`, a...)
	}
	many := `{"peer":"p%d"}`
	var all []string
	for i := range maxPeers + 1 {
		all = append(all, fmt.Sprintf(many, i))
	}
	for name, s := range map[string]string{
		"empty":          "",
		"no version":     "{}",
		"later version":  `{"version":2,"peers":[]}`,
		"too large":      strings.Repeat(" ", maxReputationFile+1),
		"too many":       `{"version":1,"peers":[` + strings.Join(all, ",") + `]}`,
		"twice":          `{"version":1,"peers":[{"peer":"a"},{"peer":"a"}]}`,
		"no name":        `{"version":1,"peers":[{"peer":""}]}`,
		"long name":      entry(`"peer":%q`, strings.Repeat("x", maxPeerName+1)),
		"long reason":    entry(`"excluded":%q`, strings.Repeat("x", maxReason+1)),
		"negative":       entry(`"bad":-1`),
		"more than all":  entry(`"uptime":1.1`),
		"beyond floats":  entry(`"good":1e999`),
		"absurd history": entry(`"good":1e9`),
	} {
		if got, err := ReadReputations(strings.NewReader(s)); err == nil {
			t.Errorf("%s: read %d peers and no error", name, len(got))
		}
	}
}

func FuzzReadReputations(f *testing.F) {
	var b bytes.Buffer
	if err := WriteReputations(&b, someReputations()); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Add([]byte(`{"version":1,"peers":[{"peer":"a","good":1e308}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := ReadReputations(bytes.NewReader(b))
		if err != nil {
			return
		}
		var again bytes.Buffer
		if err := WriteReputations(&again, got); err != nil {
			return // a time that JSON cannot write
		}
		if back, err := ReadReputations(&again); err != nil || len(back) != len(got) {
			t.Errorf("what was read does not survive: %v", err)
		}
		for _, r := range got {
			if s := r.Score(); !(s >= 0 && s <= 1) {
				t.Errorf("score %v of %+v", s, r)
			}
		}
	})
}

// A router gives back what it was given, and what it is told meanwhile; the
// excluded stay excluded over a restart.
func TestReputationsOverRestart(t *testing.T) {
	n := newFakeNet()
	r := newTestRouter(t, n)
	var file bytes.Buffer
	if err := WriteReputations(&file, someReputations()); err != nil {
		t.Fatal(err)
	}
	if err := r.LoadReputations(&file); err != nil {
		t.Fatal(err)
	}
	r.Passed("12D3KooWC")
	r.Condemn("12D3KooWA", strings.Repeat("long ", 100))
	var saved bytes.Buffer
	if err := r.SaveReputations(&saved); err != nil {
		t.Fatal(err)
	}
	again := newTestRouter(t, n)
	if err := again.LoadReputations(&saved); err != nil {
		t.Fatal(err)
	}
	bad := n.join("12D3KooWA", 0, nil, testIDs[0])
	worse := n.join("12D3KooWB", 0, nil, testIDs[0])
	n.join("12D3KooWC", 0, nil, testIDs[0])
	askLayer(t, again, false, testIDs[0])
	if bad.asked+worse.asked > 0 {
		t.Error("an excluded peer was asked after the restart")
	}
	for _, p := range again.Peers() {
		if p.Peer == "12D3KooWC" && p.Reputation.Good < 0.99 {
			t.Errorf("the passed check was forgotten: %+v", p.Reputation)
		}
	}
}

// Reputations outlive a sweep of the table, and a flood of names does not push
// out those of the excluded.
func TestReputationsOutliveTheTable(t *testing.T) {
	tab := newTable(testPolicy(t))
	learn(&tab, testIDs[0], epoch, "bad")
	tab.judge("bad", func(r Reputation) Reputation { r.Excluded, r.Seen = "why", epoch; return r })
	for i := range maxPeers + 100 {
		tab.judge(Peer(fmt.Sprint("x", i)), func(r Reputation) Reputation { return r.Checked(true, epoch) })
	}
	now := epoch.Add(forgetPeerAfter + time.Hour)
	tab.sweep(now)
	if _, ok := tab.index["bad"]; ok || len(tab.absent) > maxPeers {
		t.Fatalf("still in the table, or %d reputations", len(tab.absent))
	}
	learn(&tab, testIDs[0], now, "bad")
	if e, _ := tab.find("bad"); e == nil || !e.excluded {
		t.Error("the exclusion was forgotten")
	}
}

// Relayed peers have a prior of their own until they are measured.
func TestRelayedPrior(t *testing.T) {
	tab := newTable(testPolicy(t))
	tab.relayed = func(p Peer) bool { return p == "far" }
	learn(&tab, testIDs[0], epoch, "far", "near")
	far, _ := tab.find("far")
	near, _ := tab.find("near")
	s := Size{Bytes: 8192, Calls: 1, Rows: 1}
	if f, n := far.Expected(s, epoch), near.Expected(s, epoch); f < 2*n {
		t.Errorf("expected %v of a relayed peer, %v of a direct one", f, n)
	}
	far.Probed(8192, 5*ms, Load{}, epoch)
	if f := far.Expected(s, epoch); f > 10*ms {
		t.Errorf("expected %v of a relayed peer after a probe of 5 ms", f)
	}
}
