package main

import "testing"

func TestByteSize(t *testing.T) {
	for s, want := range map[string]int64{
		"0": 0, "17": 17, "2GiB": 2 << 30, "2 gib": 2 << 30, "500MB": 500e6, "1.5g": 1.5e9, "3kB/s": 3000, "1TiB": 1 << 40, "12b": 12,
	} {
		var b byteSize
		if err := b.Set(s); err != nil || int64(b) != want {
			t.Errorf("%s: %d, %v; want %d", s, b, err, want)
		}
	}
	for _, s := range []string{"", "x", "-1", "1e30GB", "NaN", "GiB", "5 apples"} {
		var b byteSize
		if err := b.Set(s); err == nil {
			t.Errorf("%q: %d", s, b)
		}
	}
}
