package engine

import (
	"runtime"
	"sync/atomic"
	"testing"
	"time"
)

// Every part of a round is done once before the round ends, by workers that are at work, asleep, or more than
// there are processors.
func TestPool(t *testing.T) {
	for _, workers := range []int{1, 2, 3, 2 * runtime.GOMAXPROCS(0)} {
		p := newPool(workers)
		for round := range 300 {
			parts := round % 17
			done := make([]atomic.Int32, parts)
			p.run(parts, func(worker, part int) {
				if worker < 0 || worker >= workers {
					t.Errorf("worker %d of %d", worker, workers)
				}
				if round%50 == 16 {
					time.Sleep(100 * time.Microsecond)
				}
				done[part].Add(1)
			})
			for part := range done {
				if n := done[part].Load(); n != 1 {
					t.Fatalf("%d workers, round %d: part %d was done %d times", workers, round, part, n)
				}
			}
			if round%100 == 99 {
				time.Sleep(3 * lookTime) // so that they sleep
			}
		}
		p.close()
	}
}
