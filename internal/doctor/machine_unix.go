//go:build unix

package doctor

import (
	"path/filepath"

	"golang.org/x/sys/unix"
)

// openFiles is how many files and sockets this process may have open. Go
// raises the soft limit to the hard one when it starts.
func openFiles() (uint64, error) {
	var r unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &r); err != nil {
		return 0, err
	}
	return uint64(r.Cur), nil
}

// space is what is left on the disk under dir, or under the nearest directory
// above it that exists.
func space(dir string) free {
	for {
		var s unix.Statfs_t
		err := unix.Statfs(dir, &s)
		if err == nil {
			return free{bytes: uint64(s.Bavail) * uint64(s.Bsize)}
		}
		up := filepath.Dir(dir)
		if err != unix.ENOENT || up == dir {
			return free{err: err}
		}
		dir = up
	}
}
