package doctor

import "testing"

func TestParseMeminfo(t *testing.T) {
	m, err := parseMeminfo([]byte("MemTotal:       16000 kB\nMemFree: 1 kB\nMemAvailable:    8000 kB\n"))
	if err != nil || m != (ram{16000 << 10, 8000 << 10}) {
		t.Errorf("%+v, %v", m, err)
	}
	for _, text := range []string{"", "MemTotal: 1 kB", "MemTotal: x kB\nMemAvailable: 1 kB", "MemTotal: -1 kB\nMemAvailable: 1 kB"} {
		if m, err := parseMeminfo([]byte(text)); err == nil {
			t.Errorf("%q: %+v", text, m)
		}
	}
}
