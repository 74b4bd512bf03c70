//go:build !unix

package main

import "time"

var started = time.Now()

// cpuTime is the time since the start, for want of better.
func cpuTime() time.Duration { return time.Since(started) }
