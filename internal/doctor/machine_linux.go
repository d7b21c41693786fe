package doctor

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// memory reads /proc/meminfo.
func memory() (ram, error) {
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return ram{}, err
	}
	return parseMeminfo(text)
}

func parseMeminfo(text []byte) (m ram, err error) {
	fields := map[string]*uint64{"MemTotal": &m.total, "MemAvailable": &m.available}
	for s := bufio.NewScanner(bytes.NewReader(text)); s.Scan(); {
		name, value, _ := strings.Cut(s.Text(), ":")
		into := fields[name]
		if into == nil {
			continue
		}
		kb, err := strconv.ParseUint(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 54)
		if err != nil {
			return ram{}, fmt.Errorf("meminfo: %w", err)
		}
		*into = kb << 10
		delete(fields, name)
	}
	if len(fields) > 0 {
		return ram{}, fmt.Errorf("meminfo does not tell how much memory there is")
	}
	return m, nil
}

// forget makes the kernel drop what it keeps of f, so that the next reading
// comes from the disk.
func forget(f *os.File) bool {
	return unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED) == nil
}

// udpBuffer is the largest receive buffer that a program may ask for, in bytes.
func udpBuffer() (uint64, error) {
	text, err := os.ReadFile("/proc/sys/net/core/rmem_max")
	if err != nil {
		return 0, err
	}
	return strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64)
}
