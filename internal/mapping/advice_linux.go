package mapping

import (
	"os"

	"golang.org/x/sys/unix"
)

// All of these are advice: that a system does not take it is no error.

func askForLarge(b []byte) { _ = unix.Madvise(b, unix.MADV_HUGEPAGE) }

// leave: of a shared mapping of a file, MADV_DONTNEED loses nothing.
func leave(b []byte) { _ = unix.Madvise(b, unix.MADV_DONTNEED) }

func uncache(f *os.File) { _ = unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED) }

// totalMemory is how many bytes of memory this machine has; 0: not known.
func totalMemory() uint64 {
	var i unix.Sysinfo_t
	if unix.Sysinfo(&i) != nil {
		return 0
	}
	return uint64(i.Totalram) * uint64(i.Unit)
}
