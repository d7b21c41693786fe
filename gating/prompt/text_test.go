package prompt

import (
	"math/rand/v2"
	"strings"
	"testing"
	"unicode/utf8"
)

// obviousText is what Text must show: everything decoded, cut before the stop
// string that is complete first, the longest of those complete at once.
func obviousText(all []byte, stops []string) (text string, stopped bool) {
	text = string([]rune(string(all)))
	for end := range len(text) + 1 {
		cut := -1
		for _, s := range stops {
			s = string([]rune(s))
			if s != "" && strings.HasSuffix(text[:end], s) && (cut < 0 || end-len(s) < cut) {
				cut = end - len(s)
			}
		}
		if cut >= 0 {
			return text[:cut], true
		}
	}
	return text, false
}

// show runs Text over chunks and checks each piece by itself.
func show(t *testing.T, chunks [][]byte, stops []string) (text string, stopped bool) {
	t.Helper()
	x := NewText(stops)
	var b strings.Builder
	for _, c := range chunks {
		piece, end := x.Add(c)
		if !utf8.ValidString(piece) {
			t.Fatalf("piece %q is not valid UTF-8", piece)
		}
		if stopped && (piece != "" || !end) {
			t.Fatalf("Add after the stop string gives %q, %v", piece, end)
		}
		stopped = end
		b.WriteString(piece)
	}
	last := x.Flush()
	if stopped && last != "" {
		t.Fatalf("Flush after the stop string gives %q", last)
	}
	if again := x.Flush(); again != "" {
		t.Fatalf("second Flush gives %q", again)
	}
	if piece, end := x.Add([]byte("x")); piece != "" || !end {
		t.Fatalf("Add after Flush gives %q, %v", piece, end)
	}
	return b.String() + last, stopped
}

func split(rng *rand.Rand, all []byte) [][]byte {
	var chunks [][]byte
	for len(all) > 0 {
		n := min(len(all), rng.IntN(5))
		chunks = append(chunks, all[:n])
		all = all[n:]
	}
	return chunks
}

// Whatever the split, the text shown is that of the obvious version.
func TestTextEqualsObvious(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	// Few distinct parts, so that stop strings, their beginnings and broken
	// sequences meet often.
	parts := []string{"a", "b", "ab", "é", "€", "🙂", "\xf0\x9f", "\x99\x82", "\xc3", "\xff", "\ufffd", "\x00"}
	draw := func(most int) string {
		var b strings.Builder
		for range rng.IntN(most + 1) {
			b.WriteString(parts[rng.IntN(len(parts))])
		}
		return b.String()
	}
	for range 20_000 {
		all := []byte(draw(12))
		var stops []string
		for range rng.IntN(4) {
			stops = append(stops, draw(3))
		}
		want, wantStopped := obviousText(all, stops)
		chunks := split(rng, all)
		got, gotStopped := show(t, chunks, stops)
		// A stop string that only the flush completes cuts the text too; the
		// answer has ended then anyhow.
		if got != want || (gotStopped && !wantStopped) {
			t.Fatalf("chunks %q, stops %q: got %q %v, want %q %v", chunks, stops, got, gotStopped, want, wantStopped)
		}
	}
}

func TestTextShowsAsSoonAsItCan(t *testing.T) {
	for _, c := range []struct {
		name   string
		stops  []string
		chunks []string
		want   []string // one piece per chunk, then the flush
	}{
		{"plain", nil, []string{"ab", "c"}, []string{"ab", "c", ""}},
		{"rune in parts", nil, []string{"x\xe2", "\x82", "\xacy"}, []string{"x", "", "€y", ""}},
		{"rune cut off", nil, []string{"x\xe2\x82"}, []string{"x", "\ufffd\ufffd"}},
		{"invalid bytes at once", nil, []string{"\xff\x80z"}, []string{"\ufffd\ufffdz", ""}},
		{"stop held back, then not one", []string{"END"}, []string{"aE", "N", "x"}, []string{"a", "", "ENx", ""}},
		{"stop across chunks", []string{"END"}, []string{"aE", "N", "Dx"}, []string{"a", "", "", ""}},
		{"held back to the end", []string{"END"}, []string{"aEN"}, []string{"a", "EN"}},
		{"overlapping beginnings", []string{"aab"}, []string{"a", "a", "a", "b"}, []string{"", "", "a", "", ""}},
		{"first complete wins", []string{"abcd", "bc"}, []string{"abcd"}, []string{"a", ""}},
		{"longest of those complete at once", []string{"c", "bc"}, []string{"abc"}, []string{"a", ""}},
		{"empty stop string", []string{""}, []string{"abc"}, []string{"abc", ""}},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := NewText(c.stops)
			for i, chunk := range c.chunks {
				if got, _ := x.Add([]byte(chunk)); got != c.want[i] {
					t.Errorf("piece %d: got %q, want %q", i, got, c.want[i])
				}
			}
			if got := x.Flush(); got != c.want[len(c.want)-1] {
				t.Errorf("flush: got %q, want %q", got, c.want[len(c.want)-1])
			}
		})
	}
}

// A stop string made to be slow, on text made to be slow with it.
func TestTextIsLinear(t *testing.T) {
	const n = 1 << 20
	x := NewText([]string{strings.Repeat("a", n) + "b"})
	piece, stopped := x.Add([]byte(strings.Repeat("a", n+10) + "c"))
	if len(piece) != n+11 || stopped {
		t.Fatalf("got %d bytes, stopped %v", len(piece), stopped)
	}
	for range 100_000 { // held text is not gone over again with each token
		x.Add([]byte("a"))
	}
	if got := x.Flush(); len(got) != 100_000 {
		t.Fatalf("flush of %d bytes, want 100000", len(got))
	}
}

func FuzzText(f *testing.F) {
	f.Add([]byte("hello END"), "END", "EN", uint64(1))
	f.Add([]byte("\xf0\x9f\x99\x82\xf0"), "\x82", "🙂", uint64(2))
	f.Add([]byte("aaaaab"), "aab", "", uint64(3))
	f.Fuzz(func(t *testing.T, all []byte, a, b string, seed uint64) {
		want, _ := obviousText(all, []string{a, b})
		got, _ := show(t, split(rand.New(rand.NewPCG(seed, 0)), all), []string{a, b})
		if got != want {
			t.Fatalf("got %q, want %q", got, want)
		}
	})
}
