package engine

import (
	"runtime"
	"sync/atomic"
	"time"
)

// pool shares work out between a fixed number of goroutines, the caller being one. A token takes
// hundreds of short rounds, and wakening a thread takes longer than most of them, so a worker that has
// finished one looks for the next, through the choice of the next token too, before it sleeps. A round
// ends when its parts are done, whoever did them: a worker that the system lets wait holds nobody up, unless
// that happens in the middle of a part. Where it does, other programs want the processors too, and the caller
// does the rounds of some time alone, more the more often it happens: it would wait longer for others' time slices than they would save.
type pool struct {
	n       int
	do      func(worker, part int) // of the round; only who has a part may look
	round   atomic.Uint64          // its parts and, in the lower half, how many were taken
	left    atomic.Int64           // parts that are not done
	asleep  []atomic.Bool
	wake    []chan struct{}
	stopped atomic.Bool
	crowded bool // there are not as many processors as workers

	caller chan struct{} // the last part is done, and the caller sleeps
	sleeps atomic.Bool   // it does
	alone  time.Time     // until then the caller does the rounds alone
	pause  time.Duration // how long it will when a worker is late the next time
}

const (
	lookTime  = 300 * time.Microsecond // how long a worker looks before it sleeps
	yieldTime = 30 * time.Microsecond  // and before it lets other goroutines run, which may waken threads
	lateTime  = 100 * time.Microsecond // that the caller waits, beyond the time of some parts, before a worker is late
	looks     = 64                     // between two looks at the clock
	minPause  = 2 * time.Millisecond
	maxPause  = time.Second
)

func newPool(n int) *pool {
	p := &pool{n: n, asleep: make([]atomic.Bool, n), wake: make([]chan struct{}, n), caller: make(chan struct{}, 1), crowded: runtime.GOMAXPROCS(0) < n}
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

// look waits until ready, but not longer than a limit, and reports whether it is.
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
		if took >= limit {
			return false
		}
		if took >= yield {
			runtime.Gosched()
			yield = took + yieldTime
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
		if p.left.Add(-1) == 0 && p.sleeps.CompareAndSwap(true, false) {
			p.caller <- struct{}{}
		}
	}
}

// run calls do for each part below parts, on the workers, and returns when all are done. The first
// number that do gets is the worker's, from 0 to n-1.
func (p *pool) run(parts int, do func(worker, part int)) {
	start := time.Now()
	if p.n == 1 || parts <= 1 || start.Before(p.alone) {
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
	done := func() bool { return p.left.Load() == 0 }
	if !done() && !p.look(done, lateTime+4*time.Since(start)*time.Duration(p.n)/time.Duration(parts)) {
		p.pause = min(max(minPause, 4*p.pause), maxPause)
		p.sleeps.Store(true)
		if !done() || !p.sleeps.CompareAndSwap(true, false) {
			<-p.caller
		}
		p.alone = time.Now().Add(p.pause)
		return
	}
	p.pause -= p.pause / 64
}
