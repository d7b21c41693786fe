package draft

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// longestObvious is the length of the longest end of ids that occurred before.
func longestObvious(ids []int32) int {
	best := 0
	for at := range len(ids) - 1 {
		best = max(best, match(ids, at, len(ids)-1))
	}
	return best
}

// follows says whether the tokens come after some match of that length in ids.
func follows(ids, tokens []int32, length int) bool {
	all := append(slices.Clone(ids), tokens...)
	for at := range len(ids) - 1 {
		if match(ids, at, len(ids)-1) >= length && slices.Equal(all[at+1:at+1+len(tokens)], tokens) {
			return true
		}
	}
	return false
}

// However a sequence grows, what is proposed followed a match in it, and the
// longest one where it has three tokens or more.
func TestLookupFindsTheLongestMatch(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	short, missed := 0, 0
	for range 300 {
		alphabet := 1 + rng.IntN(30)
		l := NewLookup(1 + rng.IntN(300))
		var ids []int32
		for len(ids) < 60 { // groups of three occur at most 60 times: all candidates are compared
			for range 1 + rng.IntN(4) {
				ids = append(ids, int32(rng.IntN(alphabet)))
			}
			if rng.IntN(4) == 0 { // quote
				at := rng.IntN(len(ids))
				ids = append(ids, ids[at:at+rng.IntN(len(ids)-at)]...)
			}
			n := 1 + rng.IntN(12)
			var p Proposal
			l.Propose(ids, n, &p)
			want := longestObvious(ids)
			if len(p.Tokens) == 0 {
				if want >= chained {
					t.Fatalf("%v: nothing proposed after a match of %d", ids, want)
				}
				if want > 0 {
					short, missed = short+1, missed+1
				}
				continue
			}
			if len(p.Tokens) != n || len(p.Classes) != n {
				t.Fatalf("%d tokens and %d classes, want %d", len(p.Tokens), len(p.Classes), n)
			}
			length := want
			if want < chained { // only the last place of a short group is remembered
				short++
				length = 1
			}
			if !follows(ids, p.Tokens, length) {
				t.Fatalf("%v: proposed %v, which follows no match of %d", ids, p.Tokens, length)
			}
			if want >= chained && p.Classes[0] != matchClass(want) {
				t.Fatalf("%v: class %d after a match of %d", ids, p.Classes[0], want)
			}
			for j := 1; j < n; j++ {
				if p.Classes[j] < p.Classes[j-1] {
					t.Fatalf("classes %v", p.Classes)
				}
			}
		}
	}
	if missed*20 > short {
		t.Errorf("%d of %d short matches were missed", missed, short)
	}
}

// A sequence handed over token by token is indexed as one handed over whole.
func TestLookupIsIncremental(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	ids := make([]int32, 2000)
	for i := range ids {
		ids[i] = int32(rng.IntN(9))
	}
	grown := NewLookup(500)
	var a, b Proposal
	for n := 1; n <= len(ids); n += 1 + rng.IntN(3) {
		a.Reset()
		grown.Propose(ids[:n], 8, &a)
		if n%50 > 2 {
			continue
		}
		b.Reset()
		NewLookup(500).Propose(ids[:n], 8, &b)
		if !slices.Equal(a.Tokens, b.Tokens) || !slices.Equal(a.Classes, b.Classes) {
			t.Fatalf("at %d: %v, whole %v", n, a, b)
		}
	}
}

func TestLookupExamples(t *testing.T) {
	for _, c := range []struct {
		name      string
		ids, want []int32
	}{
		{"empty", nil, nil},
		{"one token", []int32{1}, nil},
		{"nothing to look up", []int32{1, 2, 3}, nil},
		{"goes on as before", []int32{1, 2, 3, 4, 5, 1, 2}, []int32{3, 4, 5, 1}},
		{"most recent of equals", []int32{1, 2, 7, 1, 2, 8, 1, 2}, []int32{8, 1, 2, 8}},
		{"longer before more recent", []int32{9, 5, 1, 2, 7, 1, 2, 8, 5, 1, 2}, []int32{7, 1, 2, 8}},
		{"repetition goes on", []int32{4, 4}, []int32{4, 4, 4, 4}},
		{"period of two", []int32{6, 4, 6, 4}, []int32{6, 4, 6, 4}},
	} {
		var p Proposal
		NewLookup(100).Propose(c.ids, 4, &p)
		if !slices.Equal(p.Tokens, c.want) {
			t.Errorf("%s: %v, want %v", c.name, p.Tokens, c.want)
		}
	}
}

// Memory is bounded however long the sequence: old places give way to new.
func TestLookupIsBounded(t *testing.T) {
	l := NewLookup(1 << 40)
	if n := len(l.before); n != maxPlaces {
		t.Fatalf("a table of %d", n)
	}
	l = NewLookup(1)
	ids := make([]int32, 20_000)
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range ids {
		ids[i] = int32(rng.IntN(1000))
	}
	ids = append(ids, ids[19_900:19_940]...)
	var p Proposal
	l.Propose(ids, 10, &p)
	if len(l.before) != minPlaces || !slices.Equal(p.Tokens, ids[19_940:19_950]) {
		t.Errorf("table of %d, proposed %v", len(l.before), p.Tokens)
	}
}

func BenchmarkLookup(b *testing.B) {
	ids := make([]int32, 30_000)
	for i := range ids {
		ids[i] = int32(i % 40) // one line for ever: the most candidates
	}
	l := NewLookup(len(ids))
	var p Proposal
	l.Propose(ids, 16, &p)
	for b.Loop() {
		p.Reset()
		l.Propose(ids, 16, &p)
	}
}
