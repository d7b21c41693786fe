package bench

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// residentPrivate is the anonymous resident memory of a process in bytes:
// heap, stacks and C allocations, without mapped files.
func residentPrivate(pid int) (int64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "RssAnon:"); ok {
			kb, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			return kb << 10, err
		}
	}
	return 0, fmt.Errorf("process %d: no RssAnon in its status", pid)
}

// processorTime is what processes have used of the processors so far, all
// their threads together, to 10 ms. Only Linux tells; elsewhere it is 0.
func processorTime(pids ...int) (sum time.Duration) {
	for _, pid := range pids {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			continue
		}
		// The program's name, in parentheses, may hold spaces. After it the
		// fields count from the third on; user and system time are 14 and 15.
		fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
		for i := 11; i < 13 && i < len(fields); i++ {
			ticks, _ := strconv.ParseInt(fields[i], 10, 64)
			sum += time.Duration(ticks) * time.Second / 100
		}
	}
	return sum
}
