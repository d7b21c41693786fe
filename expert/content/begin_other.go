//go:build !linux

package content

import "os"

// begin could have the system write a range of a file to the disk from now on.
func begin(*os.File, int64, int64) {}
