package account

import (
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
)

// golden pins the form down: the chain derives the same address from the key.
const golden = "neuro1vvxu62txcsekdygj23ythvjmfl6p9fyucltzth"

func TestAddress(t *testing.T) {
	var key [32]byte
	for i := range key {
		key[i] = byte(i)
	}
	a := Of(key)
	if a.String() != golden {
		t.Errorf("%s, want %s", a, golden)
	}
	for _, s := range []string{golden, " " + golden + "\n", strings.ToUpper(golden)} {
		if got, err := Parse(s); err != nil || got != a {
			t.Errorf("%q: %v, %v", s, got, err)
		}
	}
}

// TestMistakes: one wrong, missing or extra character is told of.
func TestMistakes(t *testing.T) {
	const alphabet = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
	random := rand.New(rand.NewPCG(1, 2))
	var bad []string
	for range 300 {
		i, c := random.IntN(len(golden)), alphabet[random.IntN(len(alphabet))]
		if golden[i] != c {
			bad = append(bad, golden[:i]+string(c)+golden[i+1:])
		}
		bad = append(bad, golden[:i]+golden[i+1:])
	}
	bad = append(bad, "", "neuro1", "cosmos1fl48vsnmsdzcv85q5d2q4z5ajdha8yu34mf0eh", strings.Repeat("q", 200))
	for _, s := range bad {
		if a, err := Parse(s); !errors.Is(err, ErrAddress) {
			t.Errorf("%q was taken for %v: %v", s, a, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(golden)
	f.Add("neuro1q")
	f.Fuzz(func(t *testing.T, s string) {
		if a, err := Parse(s); err == nil && !strings.EqualFold(a.String(), strings.TrimSpace(s)) {
			t.Errorf("%q is read as %v", s, a)
		}
	})
}
