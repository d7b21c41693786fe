package main

import "testing"

func TestByteSize(t *testing.T) {
	for s, want := range map[string]int64{
		"0": 0, "17": 17, "2GiB": 2 << 30, "2 gib": 2 << 30, "500MB": 500e6, "1.5g": 1.5e9, "3kB/s": 3000, "1TiB": 1 << 40, "12b": 12, "500 MB": 500e6, "64kib": 64 << 10,
	} {
		var b byteSize
		if err := b.Set(s); err != nil || int64(b) != want {
			t.Errorf("%s: %d, %v; want %d", s, b, err, want)
		}
	}
	for _, s := range []string{"", "x", "-1", "1e30GB", "NaN", "GiB", "5 apples", "-1GB", "9999999999TB", "1.2.3GB", "Inf"} {
		var b byteSize
		if err := b.Set(s); err == nil {
			t.Errorf("%q: %d", s, b)
		}
	}
}

func TestHotSize(t *testing.T) {
	for s, want := range map[string]hotSize{"auto": {auto: true}, " Auto": {auto: true}, "0": {}, "1GiB": {byteSize: 1 << 30}} {
		h := hotSize{byteSize: 0}
		if err := h.Set(s); err != nil || h != want {
			t.Errorf("%q: %+v, %v", s, h, err)
		}
	}
	var h hotSize
	if err := h.Set("automatic"); err == nil {
		t.Error("automatic was accepted")
	}
}

func FuzzByteSize(f *testing.F) {
	f.Add("2GiB")
	f.Fuzz(func(t *testing.T, s string) {
		var b byteSize
		if err := b.Set(s); err == nil && b < 0 {
			t.Fatalf("%q is read as %d", s, b)
		}
	})
}
