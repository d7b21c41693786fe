package doctor

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// memory reads what the kernel says. How much of it is free is not a single
// number on this system; all but a quarter is assumed to be in use.
func memory() (ram, error) {
	total, err := unix.SysctlUint64("hw.memsize")
	return ram{total: total, available: total / 4}, err
}

func forget(*os.File) bool { return false }

func udpBuffer() (uint64, error) { return 0, errors.ErrUnsupported }
