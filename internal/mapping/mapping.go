//go:build unix

// Package mapping puts files of weights into memory: mapped read-only, so that
// pages are read when they are used, belong to the operating system, which drops
// them when memory is short, and are shared with every process that maps the same
// file.
//
// Computing with weights touches all of them again and again, which the processor
// has to find a page for each time. So large pages are asked for, of 2 MB where
// pages are of 4 KB. Linux gives them where the file system can, ext4 since 6.16
// and XFS since 5.18, to what is read from then on; what lies in the cache already
// stays as it is.
package mapping

import (
	"os"

	"github.com/pbnjay/memory"
	"golang.org/x/sys/unix"
)

// largeShare is the part of this machine's memory that may be mapped in large
// pages. Of what does not fit, only some is in memory at a time, and a page of
// which little is used takes the place of others.
const largeShare = 0.5

// Map maps the first size bytes of f, at least one. f may be closed then. It must
// not shrink while it is mapped: touching a page that is gone ends the process.
// all is the size of everything that is mapped together with it, size included:
// large pages are asked for where that leaves the machine room.
func Map(f *os.File, size, all int64) ([]byte, error) {
	b, err := unix.Mmap(int(f.Fd()), 0, int(size), unix.PROT_READ, unix.MAP_SHARED)
	if err == nil && float64(all) <= largeShare*float64(memory.TotalMemory()) {
		askForLarge(b)
	}
	return b, err
}

// Unmap ends a mapping. Nobody may use its bytes any more.
func Unmap(b []byte) error { return unix.Munmap(b) }

// Leave gives back what this process has in memory of a mapping, which may be used
// on. The pages stay in the system's cache. It is for who has read through a file of
// which he needs little from now on. Where a system does not know it, nothing happens.
func Leave(b []byte) { leave(b) }
