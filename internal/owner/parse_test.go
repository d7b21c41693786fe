package owner

import (
	"testing"
	"time"
)

func TestParse(t *testing.T) {
	if got := parseStat("cpu  100 5 20 800 50 1 2 3 7 8\ncpu0 1 2 3 4\n"); got != (ticks{total: 981, idle: 850}) {
		t.Errorf("%+v", got)
	}
	if got := parseSelfStat("42 (a ) b) S 1 2 3 4 5 6 7 8 9 10 30 12 13 14"); got != 42 {
		t.Errorf("own time %v", got)
	}
	if got := parseMeminfo("MemTotal:       1000 kB\nMemFree: 10 kB\nMemAvailable:    250 kB\n"); got != 0.25 {
		t.Errorf("free %v", got)
	}
	if got := parsePressure("some avg10=12.50 avg60=1.00 avg300=0.1 total=9\nfull avg10=0.00 avg60=0 avg300=0 total=1\n"); got != 0.125 {
		t.Errorf("pressure %v", got)
	}
	if got := parsePmset("Now drawing from 'Battery Power'\n -InternalBattery-0 (id=123)\t87%; discharging; 4:01 remaining\n"); got != 0.87 {
		t.Errorf("battery %v", got)
	}
	if got := parsePmset("Now drawing from 'AC Power'\n -InternalBattery-0 (id=123)\t87%; charged\n"); got != -1 {
		t.Errorf("battery when plugged in: %v", got)
	}
	if got := parseIoreg("  | \"HIDIdleTime\" = 5000000000\n  | \"x\" = 1\n"); got != 5*time.Second {
		t.Errorf("idle %v", got)
	}
	if got := parseMemoryPressure("The system has 17179869184\nSystem-wide memory free percentage: 72%\n"); got != 0.72 {
		t.Errorf("free %v", got)
	}
}

// FuzzParse: whatever a file says, quantities are shares or not known.
func FuzzParse(f *testing.F) {
	f.Add("cpu  100 5 20 800 50 1 2 3")
	f.Add("MemTotal: 1 kB\nMemAvailable: 9 kB\nsome avg10=NaN")
	f.Add("'Battery Power' 300% \"HIDIdleTime\" = -1 free percentage: 1e9%")
	f.Fuzz(func(t *testing.T, text string) {
		for _, v := range []float64{parseMeminfo(text), parsePressure(text), parsePmset(text), parseMemoryPressure(text)} {
			if v != -1 && !(v >= 0 && v <= 1) {
				t.Fatalf("%v from %q", v, text)
			}
		}
		if d := parseIoreg(text); d < -1 {
			t.Fatalf("%v from %q", d, text)
		}
		if s := parseStat(text); !(s.total >= s.idle) || !(parseSelfStat(text) >= 0) {
			t.Fatalf("%+v from %q", s, text)
		}
	})
}
