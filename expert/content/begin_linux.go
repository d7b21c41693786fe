package content

import (
	"os"

	"golang.org/x/sys/unix"
)

// begin has the system write a range of a file to the disk from now on, so that
// a sync at the end has little left to wait for. It does not wait.
func begin(f *os.File, at, n int64) {
	if f != nil {
		_ = unix.SyncFileRange(int(f.Fd()), at, n, unix.SYNC_FILE_RANGE_WRITE) // the sync tells what is wrong
	}
}
