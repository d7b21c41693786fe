package bench

import (
	"fmt"
	"os"
	"strconv"
	"strings"
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
