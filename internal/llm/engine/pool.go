package engine

import (
	"runtime"
	"sync/atomic"
)

// pool shares work out between a fixed number of goroutines, the caller being one. A token takes
// hundreds of short rounds, so a worker that has finished one looks for the next for a moment before
// it sleeps.
type pool struct {
	n       int
	next    atomic.Int64 // of the round's parts
	parts   int64
	do      func(worker, part int)
	round   atomic.Uint64
	done    atomic.Int64
	asleep  []atomic.Bool
	wake    []chan struct{}
	stopped atomic.Bool
}

// spins is how often a worker looks before it sleeps: some tens of microseconds.
const spins = 2000

func newPool(n int) *pool {
	p := &pool{n: n, asleep: make([]atomic.Bool, n), wake: make([]chan struct{}, n)}
	for w := 1; w < n; w++ {
		p.wake[w] = make(chan struct{}, 1)
		go p.work(w)
	}
	return p
}

func (p *pool) close() {
	p.stopped.Store(true)
	p.round.Add(1)
	p.rouse()
}

func (p *pool) rouse() {
	for w := 1; w < p.n; w++ {
		if p.asleep[w].CompareAndSwap(true, false) {
			p.wake[w] <- struct{}{}
		}
	}
}

func (p *pool) work(w int) {
	seen := uint64(0)
	for {
		for i := 0; p.round.Load() == seen; i++ {
			if i < spins {
				if i%64 == 63 {
					runtime.Gosched()
				}
				continue
			}
			p.asleep[w].Store(true)
			if p.round.Load() != seen && p.asleep[w].CompareAndSwap(true, false) {
				break
			}
			<-p.wake[w]
			i = 0
		}
		seen = p.round.Load()
		if p.stopped.Load() {
			return
		}
		p.take(w)
		p.done.Add(1)
	}
}

func (p *pool) take(w int) {
	for {
		i := p.next.Add(1) - 1
		if i >= p.parts {
			return
		}
		p.do(w, int(i))
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
	p.parts, p.do = int64(parts), do
	p.next.Store(0)
	p.done.Store(0)
	p.round.Add(1)
	p.rouse()
	p.take(0)
	for i := 0; p.done.Load() != int64(p.n-1); i++ {
		if i%64 == 63 {
			runtime.Gosched()
		}
	}
}
