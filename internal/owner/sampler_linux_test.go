package owner

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestSampler reads a machine of files: two thirds of the processors' time
// went to others, one battery is half empty, a mouse's does not count.
func TestSampler(t *testing.T) {
	root := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("proc/stat", "cpu 100 0 0 100 0 0 0 0 0 0\n")
	write("proc/self/stat", "1 (x) S 1 2 3 4 5 6 7 8 9 10 10 0 0")
	write("proc/2/stat", "2 (x) S 1 2 3 4 5 6 7 8 9 10 0 0 0")
	write("proc/3/stat", "3 (y) S 1 2 3 4 5 6 7 8 9 10 0 0 0")
	write("proc/meminfo", "MemTotal: 100 kB\nMemAvailable: 40 kB\n")
	for _, b := range []string{"BAT0", "mouse"} {
		write("sys/class/power_supply/"+b+"/type", "Battery\n")
		write("sys/class/power_supply/"+b+"/status", "Discharging\n")
	}
	write("sys/class/power_supply/BAT0/capacity", "50\n")
	write("sys/class/power_supply/mouse/capacity", "3\n")
	write("sys/class/power_supply/mouse/scope", "Device\n")
	write("dev/pts/3", "")
	now := time.Now()
	if err := os.Chtimes(filepath.Join(root, "dev/pts/3"), now.Add(-90*time.Second), now); err != nil {
		t.Fatal(err)
	}
	s := &Sampler{root: root}
	if x := s.Sample(now); x.Busy != -1 || x.Free != 0.4 || x.Pressure != -1 || x.Battery != 0.5 || x.Idle.Round(time.Second) != 90*time.Second {
		t.Errorf("%+v", x)
	}
	write("proc/stat", "cpu 390 0 0 110 0 0 0 0 0 0\n")
	write("proc/self/stat", "1 (x) S 1 2 3 4 5 6 7 8 9 10 60 0 0")
	write("proc/2/stat", "2 (x) S 1 2 3 4 5 6 7 8 9 10 40 0 0")
	write("proc/3/stat", "3 (y) S 1 2 3 4 5 6 7 8 9 10 50 0 0")
	if x := s.Sample(now); x.Busy < 0.66 || x.Busy > 0.67 {
		t.Errorf("busy %v: 300 passed, 10 idle, 90 our own or of our like", x.Busy)
	}
}

// TestHere: this machine tells its processors and its memory.
func TestHere(t *testing.T) {
	s := NewSampler()
	s.Sample(time.Now())
	x := s.Sample(time.Now())
	if x.Free <= 0 || x.Free > 1 || x.Busy > 1 {
		t.Errorf("%+v", x)
	}
}
