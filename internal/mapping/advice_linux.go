package mapping

import "golang.org/x/sys/unix"

// Both are advice: that a system does not take it is no error.

func askForLarge(b []byte) { _ = unix.Madvise(b, unix.MADV_HUGEPAGE) }

// leave: of a shared mapping of a file, MADV_DONTNEED loses nothing.
func leave(b []byte) { _ = unix.Madvise(b, unix.MADV_DONTNEED) }
