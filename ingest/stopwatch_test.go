package ingest

import (
	"testing"
	"time"
)

// Time in which the process does nothing does not count; time in which it works does.
func TestStopwatch(t *testing.T) {
	w := startWatch()
	fired := make(chan struct{})
	stop := w.after(150*time.Millisecond, func() { close(fired) })
	if !startWatch().after(time.Hour, func() { t.Error("called too early") })() {
		t.Error("a watch that has an hour left cannot be stopped")
	}
	deadline := time.After(time.Minute)
	n := 0
	for {
		select {
		case <-fired:
			if e := w.elapsed(); e < 150*time.Millisecond || e > time.Since(w.begun) {
				t.Errorf("called after %v of %v", e, time.Since(w.begun))
			}
			if stop() {
				t.Error("stopped after it was called")
			}
			return
		case <-deadline:
			t.Fatal("never called")
		default:
			for range 10_000 {
				n++
			}
		}
	}
}
