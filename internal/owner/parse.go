package owner

import (
	"strconv"
	"strings"
	"time"
)

// What the system's files and tools say. All parsers answer -1, or zero ticks,
// for what they do not understand.

// ticks are times that processors spent, in the system's unit.
type ticks struct{ total, idle, own float64 }

func (t ticks) since(u ticks) ticks {
	return ticks{t.total - u.total, t.idle - u.idle, t.own - u.own}
}

// number reads a decimal number that is not negative.
func number(s string) (float64, bool) {
	f, err := strconv.ParseFloat(s, 64)
	return f, err == nil && f >= 0 && f < 1e18
}

// parseStat reads Linux' /proc/stat.
func parseStat(text string) (t ticks) {
	line, _, _ := strings.Cut(text, "\n")
	f := strings.Fields(line)
	if len(f) < 5 || f[0] != "cpu" {
		return ticks{}
	}
	for i, s := range f[1:min(len(f), 9)] { // what guests use is in user, too
		n, ok := number(s)
		if !ok {
			return ticks{}
		}
		t.total += n
		if i == 3 || i == 4 { // idle, waiting for disks
			t.idle += n
		}
	}
	return t
}

// parseSelfStat reads what a process used from Linux' /proc/PID/stat.
func parseSelfStat(text string) float64 {
	// The second field is the name, in brackets, with whatever in it.
	f := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
	if len(f) < 13 {
		return 0
	}
	user, ok1 := number(f[11])
	system, ok2 := number(f[12])
	if !ok1 || !ok2 {
		return 0
	}
	return user + system
}

// programOf is a program's name in Linux' /proc/PID/stat.
func programOf(text string) string {
	open, end := strings.IndexByte(text, '('), strings.LastIndexByte(text, ')')
	if open < 0 || end < open {
		return ""
	}
	return text[open+1 : end]
}

// parseMeminfo reads the available part of the memory from Linux'
// /proc/meminfo.
func parseMeminfo(text string) float64 {
	total, free := -1.0, -1.0
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		n, ok := number(f[1])
		switch {
		case !ok:
		case f[0] == "MemTotal:":
			total = n
		case f[0] == "MemAvailable:":
			free = n
		}
	}
	if free < 0 {
		return -1
	}
	return share(free, total)
}

// parsePressure reads Linux' /proc/pressure/memory: the part of the last ten
// seconds that some program waited.
func parsePressure(text string) float64 {
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) < 2 || f[0] != "some" {
			continue
		}
		if s, ok := strings.CutPrefix(f[1], "avg10="); ok {
			return parsePercent(s)
		}
	}
	return -1
}

// parsePercent reads a number of percent as a share.
func parsePercent(s string) float64 {
	n, ok := number(s)
	if !ok || n > 100 {
		return -1
	}
	return n / 100
}

// parsePmset reads the charge from macOS' "pmset -g batt" while the machine
// runs on its battery.
func parsePmset(text string) float64 {
	if !strings.Contains(text, "'Battery Power'") {
		return -1
	}
	before, _, ok := strings.Cut(text, "%")
	if !ok {
		return -1
	}
	return parsePercent(before[strings.LastIndexFunc(before, func(r rune) bool { return r < '0' || r > '9' })+1:])
}

// parseIoreg reads how long ago the owner touched the machine from macOS'
// "ioreg -c IOHIDSystem", in nanoseconds there.
func parseIoreg(text string) time.Duration {
	_, after, ok := strings.Cut(text, `"HIDIdleTime" = `)
	if !ok {
		return -1
	}
	line, _, _ := strings.Cut(after, "\n")
	n, ok := number(strings.TrimSpace(line))
	if !ok {
		return -1
	}
	return time.Duration(n)
}

// parseMemoryPressure reads the free part of the memory from macOS'
// "memory_pressure -Q".
func parseMemoryPressure(text string) float64 {
	_, after, ok := strings.Cut(text, "free percentage:")
	if !ok {
		return -1
	}
	before, _, ok := strings.Cut(after, "%")
	if !ok {
		return -1
	}
	return parsePercent(strings.TrimSpace(before))
}
