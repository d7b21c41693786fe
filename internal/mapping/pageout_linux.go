package mapping

import (
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// PageOut asks the system to take back the whole pages in b, of a mapping or not,
// whose content it keeps: in the file they are mapped from, or else in swap.
// MADV_DONTNEED would lose what is not of a file; MADV_PAGEOUT (Linux 5.4) loses
// nothing. What was read a moment ago may stay, and of files of others that this
// process may not write all does.
func PageOut(b []byte) bool {
	b = wholePages(b)
	if len(b) == 0 || unix.Madvise(b, unix.MADV_PAGEOUT) != nil {
		return false
	}
	// A large page with bytes of others as well was cut into small ones, which stay:
	// after that this process does not have them, and only what it has is taken. So
	// they are taken once more. A first one shows whether any go: of files that are not
	// ours none do, and what is in memory of them is not told.
	for _, pages := range inMemory(b) {
		first := pages[:os.Getpagesize()]
		if haveAndPageOut(first); len(inMemory(first)) == 0 {
			haveAndPageOut(pages[len(first):])
		}
	}
	return true
}

// haveAndPageOut is for pages that are in the system's cache. MADV_POPULATE_READ is
// of Linux 5.14.
func haveAndPageOut(b []byte) {
	if len(b) > 0 && unix.Madvise(b, unix.MADV_POPULATE_READ) == nil {
		_ = unix.Madvise(b, unix.MADV_PAGEOUT)
	}
}

// wholePages is what of b are whole pages.
func wholePages(b []byte) []byte {
	page := os.Getpagesize()
	skip := -int(uintptr(unsafe.Pointer(unsafe.SliceData(b)))) & (page - 1)
	if len(b) < skip+page {
		return nil
	}
	return b[skip : skip+(len(b)-skip)/page*page]
}

// inMemory lists the pages of b, which are whole, that the system has in memory, of
// files by whomever they are used; none where it does not tell.
func inMemory(b []byte) (runs [][]byte) {
	page := os.Getpagesize()
	pages := make([]byte, len(b)/page)
	_, _, e := unix.Syscall(unix.SYS_MINCORE, uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), uintptr(unsafe.Pointer(unsafe.SliceData(pages))))
	if e != 0 {
		return nil
	}
	for i := 0; i < len(pages); i++ {
		from := i
		for i < len(pages) && pages[i]&1 == 1 {
			i++
		}
		if i > from {
			runs = append(runs, b[from*page:i*page])
		}
	}
	return runs
}
