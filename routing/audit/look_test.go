package audit

import (
	"bytes"
	"context"
	"math"
	"reflect"
	"testing"
	"time"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/internal/demo/demotest"
	"github.com/moeswarm/moeswarm/routing"
)

// deaf is a challenger that answers nobody.
type deaf struct{}

func (deaf) Challenge(context.Context, routing.Peer, expert.Batch, []expert.Call) (routing.Opening, error) {
	return routing.Opening{}, expert.ErrOverloaded
}

// numbered is an answer whose row says which it is.
func numbered(n int) routing.Checked {
	a := small("p")
	a.In.Data[0] = float32(n)
	return a
}

// TestRowsAreKeptForAudits: rows of answers are copied only where an audit soon
// comes after, and each audit finds as many as it may need, of the answers right
// before it that were not audited. How often answers are audited is as the rate
// says.
func TestRowsAreKeptForAudits(t *testing.T) {
	const passes, answers = 50, 20000
	var cases []*Case
	spy := auditing(func(c *Case) { cases = append(cases, c) })
	i, err := New(Config{auditors: []Auditor{spy}, Challenger: deaf{}, Seed: [32]byte{3}})
	if err != nil {
		t.Fatal(err)
	}
	i.mu.Lock()
	i.knownLocked(subject{peer: "p"}).passes = passes
	i.mu.Unlock()
	kept, copied := 0, 0
	for n := 1; n <= answers; n++ {
		if check := i.Look(t.Context(), numbered(n)); check != nil {
			t.Fatal("a trusted peer's answer is to wait")
		}
		i.mu.Lock()
		s := i.mu.known[subject{peer: "p"}]
		s.passes = passes // so that the rate stays
		if l := len(s.rows); l > 0 && s.rows[l-1].In.Data[0] == float32(n) {
			copied++
		}
		kept = len(s.rows)
		i.mu.Unlock()
		if err := i.Settle(t.Context(), expert.ModelID{}); err != nil {
			t.Fatal(err)
		}
	}
	rate := Rate(passes)
	if want := rate * answers; math.Abs(float64(len(cases))-want) > 5*math.Sqrt(want) {
		t.Errorf("%d of %d answers audited, at a rate of %v", len(cases), answers, rate)
	}
	if most := 1.2 * ahead * rate * answers; kept > keptRows || copied == 0 || float64(copied) > most {
		t.Errorf("rows of %d of %d answers were copied, at most %.0f expected; %d are kept", copied, answers, most, kept)
	}
	short := 0
	last := float32(0)
	for k, c := range cases {
		at := c.In.Data[0]
		if k > 0 && at-last > ahead {
			if len(c.Earlier) != keptRows {
				t.Fatalf("answer %v is audited with %d rows of answers before it", at, len(c.Earlier))
			}
			for e, row := range c.Earlier {
				if row.In.Data[0] != at-float32(keptRows-e) {
					t.Fatalf("answer %v is audited with a row of answer %v", at, row.In.Data[0])
				}
			}
		} else {
			short++
		}
		last = at
	}
	if short > len(cases)/4 {
		t.Errorf("%d of %d audits had others close before them", short, len(cases))
	}
}

// TestLoadedPeersAreDrawnToo: a peer that was trusted before the node began anew
// is audited as rarely as before.
func TestLoadedPeersAreDrawnToo(t *testing.T) {
	cfg := Config{auditors: []Auditor{says("right", 0)}, Seed: [32]byte{4}}
	before, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	before.mu.Lock()
	*before.knownLocked(subject{peer: "p"}) = standing{passes: 1000, at: time.Now()}
	before.mu.Unlock()
	var saved bytes.Buffer
	if err := before.SaveStandings(&saved); err != nil {
		t.Fatal(err)
	}
	i, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := i.LoadStandings(&saved); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		i.Look(t.Context(), small("p"))
	}
	if drawn := i.Stats().Drawn; drawn > 3 {
		t.Errorf("%d of 20 answers audited", drawn)
	}
}

// TestOneOfFew: the row that is kept of an answer is that which any cut would have,
// and shares no memory with it.
func TestOneOfFew(t *testing.T) {
	m := demotest.Model(t, "Q8_0")
	set := openSet(t, m)
	for _, sum := range []bool{false, true} {
		c := testCase(t, set, m, 5, 1, sum, set.Apply)
		if !sum {
			c.Results[0] = expert.Result{Err: expert.ErrOverloaded}
		}
		want, got := c.only(c.allPicks()[:1]), c.oneOfFew()
		clear(c.In.Data)
		for i := range c.Results {
			clear(c.Results[i].Out.Data)
		}
		if sum {
			clear(c.Sum.Data)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("sum %v: %+v is kept, want %+v", sum, got, want)
		}
		if many := testCase(t, set, m, 5, leastRows, sum, set.Apply).oneOfFew(); many != nil {
			t.Errorf("sum %v: a row is kept of an answer that has enough", sum)
		}
	}
}

// auditing is an auditor that is shown every case and finds it right.
type auditing func(*Case)

func (auditing) Name() string { return "spy" }
func (auditing) Quiet() bool  { return true }

func (f auditing) Audit(_ context.Context, c *Case) (Finding, error) {
	f(c)
	return Finding{}, nil
}

// BenchmarkLook is what an answer of a trusted peer costs that is not audited, but
// for one in a hundred: two calls of a row of 2048.
func BenchmarkLook(b *testing.B) {
	i, err := New(Config{auditors: []Auditor{says("right", 0)}, Challenger: deaf{}, Seed: [32]byte{3}})
	if err != nil {
		b.Fatal(err)
	}
	a := routing.Checked{Peer: "12D3KooWPjceQrSwdWXPyLLeABRXmuqt69Rg3sBYbU1Nft9HyQ6X", In: expert.NewBatch(1, 2048)}
	for range 2 {
		a.Calls = append(a.Calls, expert.Call{Rows: []int32{0}, Weights: []float32{1}})
		a.Results = append(a.Results, expert.Result{Out: expert.NewBatch(1, 2048)})
	}
	i.mu.Lock()
	i.knownLocked(subject{peer: a.Peer}).passes = 1000
	i.mu.Unlock()
	b.ReportAllocs()
	for b.Loop() {
		i.Look(b.Context(), a)
	}
}
