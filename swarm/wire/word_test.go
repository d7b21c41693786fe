package wire

import (
	"bytes"
	"errors"
	"slices"
	"testing"
)

func TestWordComesBack(t *testing.T) {
	var all []uint64
	for i := range uint64(MaxWord) {
		all = append(all, 3*i+1)
		w := Word{IDs: all, Statement: bytes.Repeat([]byte("s"), int(i))}
		h, body, err := ParseFrame(AppendWord(nil, w))
		if err != nil || h.Kind != KindWord {
			t.Fatal(h, err)
		}
		got, err := ParseWord(body)
		if err != nil || !slices.Equal(got.IDs, w.IDs) || !bytes.Equal(got.Statement, w.Statement) {
			t.Fatalf("%+v, %v, want %+v", got, err, w)
		}
	}
	if n := len(AppendWord(nil, Word{IDs: all, Statement: make([]byte, MaxWordStatement(MaxWord))})) - HeaderLen; n != MaxBody(KindWord) {
		t.Errorf("the longest has %d bytes, %d allowed", n, MaxBody(KindWord))
	}
	for what, body := range map[string][]byte{
		"nothing": nil, "no answers": {0, 1, 2}, "cut short": make([]byte, 8)[:8:8],
		"too many":  append([]byte{MaxWord + 1}, make([]byte, 8*MaxWord+8)...),
		"twice":     AppendWord(nil, Word{IDs: []uint64{7, 7}})[HeaderLen:],
		"backwards": AppendWord(nil, Word{IDs: []uint64{8, 7}})[HeaderLen:],
		"too long":  AppendWord(nil, Word{IDs: []uint64{8}, Statement: make([]byte, MaxWordStatement(1)+1)})[HeaderLen:],
	} {
		if _, err := ParseWord(body); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// FuzzWord: what parses is written as the same bytes.
func FuzzWord(f *testing.F) {
	f.Add(AppendWord(nil, Word{IDs: []uint64{1}})[HeaderLen:])
	f.Add(AppendWord(nil, Word{IDs: []uint64{1, 2, 1 << 63}, Statement: []byte("signed")})[HeaderLen:])
	f.Fuzz(func(t *testing.T, body []byte) {
		w, err := ParseWord(body)
		if err != nil {
			if !errors.Is(err, ErrFormat) {
				t.Fatal(err)
			}
			return
		}
		if again := AppendWord(nil, w)[HeaderLen:]; !bytes.Equal(again, body) {
			t.Fatalf("%x came back as %x", body, again)
		}
	})
}
