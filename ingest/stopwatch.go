package ingest

import (
	"sync/atomic"
	"time"
)

// A stopwatch tells how long something has been worked on: as much as has passed, or as much as this process
// had of the processor, whichever is less. What a file is read as must not depend on how busy the machine is.
type stopwatch struct {
	begun time.Time
	used  time.Duration
}

func startWatch() stopwatch { return stopwatch{time.Now(), processTime()} }

func (s stopwatch) elapsed() time.Duration {
	return min(time.Since(s.begun), processTime()-s.used)
}

// after calls f once d has elapsed. stop keeps it from being called and reports whether it did.
func (s stopwatch) after(d time.Duration, f func()) (stop func() bool) {
	var over atomic.Bool
	stopped := make(chan struct{})
	go func() {
		for {
			left := d - s.elapsed()
			if left <= 0 {
				if over.CompareAndSwap(false, true) {
					f()
				}
				return
			}
			timer := time.NewTimer(max(left, 10*time.Millisecond))
			select {
			case <-timer.C:
			case <-stopped:
				timer.Stop()
				return
			}
		}
	}()
	return func() bool {
		if !over.CompareAndSwap(false, true) {
			return false
		}
		close(stopped)
		return true
	}
}
