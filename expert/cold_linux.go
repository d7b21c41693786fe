package expert

import (
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// pageOut asks the system to take back the whole pages in b, whose content it
// keeps: in the file they are mapped from, or else in swap. MADV_DONTNEED
// would lose what is not of a file; MADV_PAGEOUT (Linux 5.4) loses nothing.
func pageOut(b []byte) bool {
	page := uintptr(os.Getpagesize())
	from := uintptr(unsafe.Pointer(unsafe.SliceData(b)))
	skip := (page - from%page) % page
	if uintptr(len(b)) < skip+page {
		return false
	}
	whole := (uintptr(len(b)) - skip) / page * page
	return unix.Madvise(b[skip:skip+whole], unix.MADV_PAGEOUT) == nil
}
