package embed

import (
	"math/bits"
	"runtime"
	"sync/atomic"
	"time"
)

// team multiplies the matrices of one small group on all cores: goroutines take panels of columns from
// the worker that runs the group, and spin between its layers, since a layer of a short query takes
// some 20 microseconds and waking a goroutine as long. It helps only while no call waits for a worker.
//
// Whether it pays depends on the machine and on what else runs there, so it is measured: groups of one
// size run alone or split, whichever took less time lately, and now and then the other way.
type team struct {
	s    *scheduler
	loop func() // (*team).help, made once

	// Guarded by the scheduler's mutex.
	helpers int // started and not ended
	sizes   [10]struct {
		runs         uint32
		alone, split time.Duration // moving averages; 0 before the first run
	}

	busy atomic.Bool // a group is being run

	// claims is the number of the multiplication, and in the lower half how many shares of it nobody has
	// taken. A share is taken by lowering it, which succeeds only while the multiplication is that one;
	// the rest of the fields are then safe to read until finished is raised.
	claims   atomic.Uint64
	finished atomic.Int32

	product       product
	panels, share int
}

// splitWork is the fewest multiplications worth sharing.
const splitWork = 1 << 20

// teamSize is the most cores that share a layer: a short query has no work for more.
const teamSize = 8

func (t *team) init(s *scheduler) {
	t.s = s
	t.loop = t.help
}

func sizeClass(tokens int) int { return min(bits.Len(uint(tokens)), 9) }

// begin tells whether a group is to be split, and starts helpers in all free places.
func (t *team) begin(tokens int) bool {
	free := t.s.limit - t.s.running
	if t.busy.Load() || free+t.helpers == 0 {
		return false
	}
	c := &t.sizes[sizeClass(tokens)]
	c.runs++
	split := c.split <= c.alone || c.alone == 0
	if c.runs%16 == 2 {
		split = !split
	}
	if !split {
		return false
	}
	t.busy.Store(true)
	for range min(free, teamSize-1-t.helpers) {
		t.s.running++
		t.helpers++
		go t.loop()
	}
	return true
}

// end notes how long a group took.
func (t *team) end(g *group, took time.Duration, ok bool) {
	if g.split {
		t.busy.Store(false)
	}
	if !ok {
		return
	}
	c := &t.sizes[sizeClass(g.cost)]
	avg := &c.alone
	if g.split {
		avg = &c.split
	}
	if *avg == 0 {
		*avg = took
	} else {
		*avg += (min(took, 4**avg) - *avg) / 8 // a pause of the machine is no verdict
	}
}

// help takes shares until the group has ended or a call wants the place.
func (t *team) help() {
	for {
		for idle := 1; t.busy.Load() && !t.s.wanted.Load(); idle++ {
			if t.take() {
				idle = 0
			} else if idle%512 == 0 {
				runtime.Gosched()
			}
		}
		t.s.mu.Lock()
		if !t.busy.Load() || len(t.s.queue) > 0 { // what ended the loop may be over already
			t.helpers--
			t.s.release()
			t.s.mu.Unlock()
			return
		}
		t.s.mu.Unlock()
	}
}

// take does one share, if there is one.
func (t *team) take() bool {
	c := t.claims.Load()
	left := int(uint32(c))
	if left == 0 || !t.claims.CompareAndSwap(c, c-1) {
		return false
	}
	from := (left - 1) * t.share
	t.product.part(from, min(from+t.share, t.panels))
	t.finished.Add(1)
	return true
}

// mul computes all panels of a product, with whoever helps.
func (t *team) mul(p product, panels int) {
	t.product, t.panels = p, panels
	t.share = max(1, panels/(4*min(t.s.limit, teamSize)))
	shares := (panels + t.share - 1) / t.share
	t.finished.Store(0)
	t.claims.Store((t.claims.Load()>>32+1)<<32 | uint64(shares))
	for uint32(t.claims.Load()) != 0 {
		t.take()
	}
	for idle := 1; int(t.finished.Load()) < shares; idle++ {
		if idle%512 == 0 {
			runtime.Gosched()
		}
	}
}
