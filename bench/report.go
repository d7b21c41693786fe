package bench

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"
)

// Metrics are flat names, with the unit in the name, and numbers.
type Metrics map[string]float64

// Report is the outcome of one run of a scenario.
type Report struct {
	Scenario string  `json:"scenario"`
	Commit   string  `json:"commit"`
	Machine  string  `json:"machine"`
	Seed     uint64  `json:"seed"`
	Metrics  Metrics `json:"metrics"`
}

// WriteJSON writes the report as one JSON object on one line.
func (r Report) WriteJSON(w io.Writer) error { return json.NewEncoder(w).Encode(r) }

// WriteText writes the report as a table, names in alphabetical order.
func (r Report) WriteText(w io.Writer) error {
	b := bufio.NewWriter(w)
	fmt.Fprintf(b, "%s (%s, commit %s, seed %d)\n", r.Scenario, r.Machine, r.Commit, r.Seed)
	names, width := make([]string, 0, len(r.Metrics)), 0
	for n := range r.Metrics {
		names, width = append(names, n), max(width, len(n))
	}
	slices.Sort(names)
	for _, n := range names {
		fmt.Fprintf(b, "  %-*s  %12.6g\n", width, n, r.Metrics[n])
	}
	return b.Flush()
}

// commit is what the binary was built from, as far as it knows.
func commit() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	rev, dirty := "unknown", ""
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			rev = s.Value[:min(12, len(s.Value))]
		case "vcs.modified":
			if s.Value == "true" {
				dirty = "+changes"
			}
		}
	}
	return rev + dirty
}

// machine describes the processor in a few words.
func machine() string {
	name := runtime.GOARCH
	if b, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(b)) {
			if k, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(k) == "model name" {
				name = strings.TrimSpace(v)
				break
			}
		}
	}
	return fmt.Sprintf("%s %s, %d processors", runtime.GOOS, name, runtime.NumCPU())
}

// quantile is the value below which a share q of the durations lie, in
// milliseconds. It sorts d.
func quantile(d []time.Duration, q float64) float64 {
	if len(d) == 0 {
		return 0
	}
	slices.SortFunc(d, cmp.Compare[time.Duration])
	return float64(d[min(len(d)-1, int(q*float64(len(d))))].Nanoseconds()) / 1e6
}
