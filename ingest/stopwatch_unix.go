//go:build unix

package ingest

import (
	"syscall"
	"time"
)

// processTime is how long this process has had of all processors.
func processTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 1 << 62 // then what has passed counts
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
