package owner

import (
	"testing"
	"time"
)

func TestSchedule(t *testing.T) {
	at := func(day, hour, minute int) time.Time { return time.Date(2026, 3, 1+day, hour, minute, 0, 0, time.UTC) } // 2 March is a Monday
	for _, c := range []struct {
		text              string
		day, hour, minute int
		want              bool
	}{
		{"", 1, 12, 0, true},
		{"mon-fri 18:00-08:00", 1, 17, 59, false},
		{"mon-fri 18:00-08:00", 1, 18, 0, true},
		{"mon-fri 18:00-08:00", 2, 7, 59, true},
		{"mon-fri 18:00-08:00", 2, 8, 0, false},
		{"mon-fri 18:00-08:00", 6, 7, 0, true}, // Friday's night
		{"mon-fri 18:00-08:00", 6, 19, 0, false},
		{"mon-fri 18:00-08:00", 1, 7, 0, false}, // Sunday is not in it
		{"mon-fri 18:00-08:00,sat-sun 00:00-24:00", 7, 23, 59, true},
		{"sun 22:00-6:00", 8, 5, 59, true}, // into Monday
		{"sun 22:00-6:00", 8, 6, 0, false},
		{"fri-mon 01:00-02:00", 1, 1, 30, true},
		{"fri-mon 01:00-02:00", 3, 1, 30, false},
		{"daily 12:00-13:00", 4, 12, 30, true},
		{" DAILY 12:00-13:00 , Sun 1:00-2:00", 7, 1, 0, true},
	} {
		s, err := ParseSchedule(c.text)
		if err != nil {
			t.Errorf("%q: %v", c.text, err)
			continue
		}
		if got := s.At(at(c.day, c.hour, c.minute)); got != c.want {
			t.Errorf("%q on day %d at %d:%02d: %v", c.text, c.day, c.hour, c.minute, got)
		}
	}
	for _, bad := range []string{"mon", "mon 8:00", "mon 8-9", "xyz 08:00-09:00", "mon 25:00-26:00", "mon 24:01-08:00", "mon 08:00-08:00",
		"mon 24:00-08:00", "mon 08:60-09:00", "mon 8:0-9:00", "mon-xyz 08:00-09:00", "mon 08:00-09:00,", "mon -1:00-09:00", "mon 08:00-09:00 x"} {
		if s, err := ParseSchedule(bad); err == nil {
			t.Errorf("%q is read as %+v", bad, s.spans)
		}
	}
}

func FuzzSchedule(f *testing.F) {
	f.Add("mon-fri 18:00-08:00,sat-sun 00:00-24:00")
	f.Add("daily 0:00-1:00")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ParseSchedule(text)
		if err != nil {
			return
		}
		for _, x := range s.spans {
			if x.from < 0 || x.from >= minutesOfWeek || x.to < 0 || x.to >= minutesOfWeek {
				t.Fatalf("%q: %+v", text, x)
			}
			if !s.At(time.Date(2026, 3, 2, 0, x.from, 0, 0, time.UTC)) {
				t.Fatalf("%q does not hold when it begins", text)
			}
		}
	})
}
