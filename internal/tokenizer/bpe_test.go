package tokenizer

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// obviousBPE joins, again and again, the leftmost of the pairs with the lowest
// rank, on strings.
func obviousBPE(piece string, merges []string) []string {
	parts := strings.Split(piece, "")
	for {
		best, at := len(merges), -1
		for i := range len(parts) - 1 {
			if rank := slices.Index(merges, parts[i]+" "+parts[i+1]); rank >= 0 && rank < best {
				best, at = rank, i
			}
		}
		if at < 0 {
			return parts
		}
		parts = slices.Replace(parts, at, at+2, parts[at]+parts[at+1])
	}
}

// Joining equals the obvious version for any merges, sensible or not.
func TestBPEEqualsObvious(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	for range 300 {
		known := []string{"a", "b", "c"} // strings that merges may join
		var merges, more []string
		for range rng.IntN(12) {
			l, r := known[rng.IntN(len(known))], known[rng.IntN(len(known))]
			merges = append(merges, l+" "+r)
			if !slices.Contains(known, l+r) {
				known = append(known, l+r)
				more = append(more, l+r)
			}
		}
		rng.Shuffle(len(merges), func(i, j int) { merges[i], merges[j] = merges[j], merges[i] })
		tok := mustNew(t, byteMeta(more, merges...))
		for range 40 {
			var b strings.Builder
			for range rng.IntN(30) {
				b.WriteByte("abc"[rng.IntN(3)])
			}
			ids, err := tok.Encode(b.String(), false)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, id := range ids {
				got = append(got, string(tok.Bytes(id)))
			}
			if want := obviousBPE(b.String(), merges); !slices.Equal(got, want) && b.Len() > 0 {
				t.Fatalf("%q with %q: got %q, want %q", b.String(), merges, got, want)
			}
		}
	}
}

func TestBPELeftmostFirst(t *testing.T) {
	tok := mustNew(t, byteMeta([]string{"aa"}, "a a"))
	ids, err := tok.Encode("aaaaa", false)
	if want := []int32{256, 256, 'a'}; err != nil || !slices.Equal(ids, want) {
		t.Fatalf("got %v, %v; want %v", ids, err, want)
	}
}

// A merge may lead to a token over a string that is none.
func TestBPEOverStringsThatAreNoTokens(t *testing.T) {
	tok := mustNew(t, byteMeta([]string{"abc"}, "a b", "ab c"))
	for text, want := range map[string][]int32{"abc": {256}, "abd": {'a', 'b', 'd'}} {
		if ids, err := tok.Encode(text, false); err != nil || !slices.Equal(ids, want) {
			t.Errorf("%q: got %v, %v; want %v", text, ids, err, want)
		}
	}
}

func TestBPEWholePieces(t *testing.T) {
	m := byteMeta([]string{"abc", "<s>", "xyz"}, "b c").with("bos_token_id", 257)
	kinds := slices.Repeat([]int64{1}, 259)
	kinds[258] = 3
	m = m.with("token_type", kinds)
	for pre, want := range map[string][]int32{"qwen2": {'a', 'b', 'c'}, "llama-bpe": {256}} {
		if ids, err := mustNew(t, m.with("pre", pre)).Encode("abc", false); err != nil || !slices.Equal(ids, want) {
			t.Errorf("%s: got %v, %v; want %v", pre, ids, err, want)
		}
	}
	if ids, _ := mustNew(t, m.with("pre", "llama-bpe")).Encode("xyz", false); !slices.Equal(ids, []int32{'x', 'y', 'z'}) {
		t.Errorf("plain text became a control token: %v", ids)
	}
}

func TestBPEMissingByte(t *testing.T) {
	tok := mustNew(t, meta{}.with("model", "gpt2", "pre", "qwen2", "tokens", []string{"a"}, "merges", []string{}))
	if ids, err := tok.Encode("aa", false); err != nil || !slices.Equal(ids, []int32{0, 0}) {
		t.Errorf("got %v, %v", ids, err)
	}
	if _, err := tok.Encode("ab", false); err == nil || !strings.Contains(err.Error(), "0x62") {
		t.Errorf("got %v, want an error naming the byte", err)
	}
}

func TestByteAlphabet(t *testing.T) {
	seen := make(map[rune]bool)
	for c := range 256 {
		r := runeOf(byte(c))
		if back, ok := byteFor(r); !ok || back != byte(c) || seen[r] || r <= ' ' {
			t.Errorf("byte %#x is %U, which is %#x, %v", c, r, back, ok)
		}
		seen[r] = true
	}
	for r := rune(-1); r < 0x400; r++ {
		if _, ok := byteFor(r); ok != seen[r] {
			t.Errorf("byteFor(%U) is %v", r, ok)
		}
	}
}
