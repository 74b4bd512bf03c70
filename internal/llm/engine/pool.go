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
//
// Each worker has a run of parts that follow one another, so that what it fetches ahead is its own, and takes
// others' last ones when it is through with them.
type pool struct {
	n       int
	do      func(worker, part int) // of the round; only who has a part may look
	shares  []share                // by worker
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
	p := &pool{n: n, shares: make([]share, n), asleep: make([]atomic.Bool, n), wake: make([]chan struct{}, n), caller: make(chan struct{}, 1), crowded: runtime.GOMAXPROCS(0) < n}
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
	for w := range p.shares {
		if !p.shares[w].empty() {
			return true
		}
	}
	return p.stopped.Load()
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
	for i := range p.n {
		own := i == 0
		for {
			part, ok := p.shares[(w+i)%p.n].take(own)
			if !ok {
				break
			}
			p.do(w, part)
			if p.left.Add(-1) == 0 && p.sleeps.CompareAndSwap(true, false) {
				p.caller <- struct{}{}
			}
		}
	}
}

// last is the last part of a worker's run.
func (p *pool) last(w, parts int) int { return (w+1)*parts/p.n - 1 }

// share is the parts of a worker that nobody has taken: the first one in the upper half, the end in the lower one. It
// fills a line of the cache.
type share struct {
	parts atomic.Uint64
	_     [56]byte
}

func (s *share) set(from, to int) { s.parts.Store(uint64(from)<<32 | uint64(to)) }

func (s *share) empty() bool {
	parts := s.parts.Load()
	return uint32(parts>>32) >= uint32(parts)
}

// take takes the first part or the last one.
func (s *share) take(first bool) (part int, ok bool) {
	for {
		parts := s.parts.Load()
		from, to := uint32(parts>>32), uint32(parts)
		if from >= to {
			return 0, false
		}
		if first {
			if s.parts.CompareAndSwap(parts, parts+1<<32) {
				return int(from), true
			}
		} else if s.parts.CompareAndSwap(parts, parts-1) {
			return int(to) - 1, true
		}
	}
}

// run calls do for each part below parts, on the workers, and returns when all are done. The first
// number that do gets is the worker's, from 0 to n-1.
func (p *pool) run(parts int, do func(worker, part int)) {
	var start time.Time
	shared := p.n > 1 && parts > 1
	if shared {
		start = time.Now()
		shared = !start.Before(p.alone)
	}
	if !shared {
		for i := range parts {
			do(0, i)
		}
		return
	}
	p.do = do
	p.left.Store(int64(parts))
	for w := range p.shares {
		p.shares[w].set(w*parts/p.n, p.last(w, parts)+1)
	}
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
