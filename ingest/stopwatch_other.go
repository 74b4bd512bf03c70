//go:build !unix

package ingest

import "time"

var begun = time.Now()

// processTime is how long this process has run: its share of the processor is not asked for.
func processTime() time.Duration { return time.Since(begun) }
