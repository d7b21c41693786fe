package main

import "testing"

func TestParseMemory(t *testing.T) {
	for text, want := range map[string]int64{"2GiB": 2 << 30, "1.5gb": 1_500_000_000, "500 MB": 500_000_000, "64kib": 64 << 10, "123": 123} {
		if got, err := parseMemory(text); err != nil || got != want {
			t.Errorf("%q: %d, %v", text, got, err)
		}
	}
	for _, bad := range []string{"", "GiB", "-1GB", "1e9", "2 bananas", "0", "NaN", "9999999999TB", "1.2.3GB"} {
		if got, err := parseMemory(bad); err == nil {
			t.Errorf("%q is read as %d", bad, got)
		}
	}
}

func FuzzParseMemory(f *testing.F) {
	f.Add("2GiB")
	f.Fuzz(func(t *testing.T, s string) {
		if n, err := parseMemory(s); err == nil && n <= 0 {
			t.Fatalf("%q is read as %d", s, n)
		}
	})
}
