package engine

import (
	"runtime"
	"sync/atomic"
	"time"
)

// pool shares work out between a fixed number of goroutines, the caller being one. A token takes
// hundreds of short rounds, and wakening a thread takes longer than most of them, so a worker that has
// finished one looks for the next, through the choice of the next token too, before it sleeps. A round
// ends when its parts are done, whoever did them: a worker that the system lets wait holds nobody up.
type pool struct {
	n       int
	do      func(worker, part int) // of the round; only who has a part may look
	round   atomic.Uint64          // its parts and, in the lower half, how many were taken
	left    atomic.Int64           // parts that are not done
	asleep  []atomic.Bool
	wake    []chan struct{}
	stopped atomic.Bool
	crowded bool // there are not as many processors as workers
}

const (
	lookTime  = 300 * time.Microsecond // how long a worker looks before it sleeps
	yieldTime = 30 * time.Microsecond  // and before it lets other goroutines run, which may waken threads
	looks     = 64                     // between two looks at the clock
)

func newPool(n int) *pool {
	p := &pool{n: n, asleep: make([]atomic.Bool, n), wake: make([]chan struct{}, n), crowded: runtime.GOMAXPROCS(0) < n}
	for w := 1; w < n; w++ {
		p.wake[w] = make(chan struct{}, 1)
		go p.work(w)
	}
	return p
}

func (p *pool) close() {
	p.stopped.Store(true)
	p.rouse()
}

func (p *pool) rouse() {
	for w := 1; w < p.n; w++ {
		if p.asleep[w].Load() && p.asleep[w].CompareAndSwap(true, false) {
			p.wake[w] <- struct{}{}
		}
	}
}

// look waits until ready, for a time if that is not zero, and reports whether it is.
func (p *pool) look(ready func() bool, limit time.Duration) bool {
	var start time.Time
	yield := yieldTime
	for i := 1; !ready(); i++ {
		if p.crowded {
			runtime.Gosched()
		}
		if i%looks != 0 {
			continue
		}
		now := time.Now()
		if start.IsZero() {
			start = now
		}
		took := now.Sub(start)
		if limit > 0 && took >= limit {
			return false
		}
		if took >= yield {
			runtime.Gosched()
			yield = took + yieldTime
		}
		if took >= yieldTime {
			yieldProcessor() // on a busy machine perhaps to the one that is waited for
		}
	}
	return true
}

// busy reports whether there is something for a worker to do.
func (p *pool) busy() bool {
	round := p.round.Load()
	return uint32(round) < uint32(round>>32) || p.stopped.Load()
}

func (p *pool) work(w int) {
	for {
		if !p.look(p.busy, lookTime) {
			p.asleep[w].Store(true)
			if !p.busy() || !p.asleep[w].CompareAndSwap(true, false) {
				<-p.wake[w]
			}
		}
		if p.stopped.Load() {
			return
		}
		p.take(w)
	}
}

// take does parts of the round until all are taken. One that is taken keeps the round from ending, and so
// its number and do belong together.
func (p *pool) take(w int) {
	for {
		round := p.round.Add(1)
		i := uint32(round) - 1
		if i >= uint32(round>>32) {
			return
		}
		p.do(w, int(i))
		p.left.Add(-1)
	}
}

// run calls do for each part below parts, on the workers, and returns when all are done. The first
// number that do gets is the worker's, from 0 to n-1.
func (p *pool) run(parts int, do func(worker, part int)) {
	if p.n == 1 || parts <= 1 {
		for i := range parts {
			do(0, i)
		}
		return
	}
	p.do = do
	p.left.Store(int64(parts))
	p.round.Store(uint64(parts) << 32)
	p.rouse()
	p.take(0)
	p.look(func() bool { return p.left.Load() == 0 }, 0)
}
