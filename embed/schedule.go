package embed

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// groupTokens is about how many tokens run through the model together.
const groupTokens = 512

// scheduler shares an encoder's workers between calls. A call that finds a worker's place free does the
// work itself; the others wait, and whoever works takes their texts together, up to groupTokens tokens
// at a time, so that many small calls cost what one large call does. Nothing waits for company: texts
// are put together only while all places are taken. Calls take turns, so a large one does not hold up
// the small.
//
// Goroutines are started where there is more to do than callers at work, as many as there are places,
// and end when nothing is left to take. All memory is kept and used again.
type scheduler struct {
	dim   int
	limit int // places for workers
	guess func(text string) int
	// embed writes the vectors of the group's texts to its out; bad is the first text that has none,
	// when err is not the context's.
	embed func(ctx context.Context, s *scratch, texts []string, out []float32) (bad int, err error)
	help  func() // (*scheduler).helper, made once: a method value allocates

	mu      sync.Mutex
	queue   []*request // those with texts that nobody has taken
	waiting int        // guessed tokens of those texts
	running int        // places taken
	workers []*worker  // not at work
	spare   []*request
	team    team

	wanted atomic.Bool // the queue is not empty; the team's helpers look at it
}

func newScheduler(dim, limit int, guess func(string) int, embed func(context.Context, *scratch, []string, []float32) (int, error)) *scheduler {
	s := &scheduler{dim: dim, limit: limit, guess: guess, embed: embed}
	s.help = s.helper
	s.team.init(s)
	return s
}

// request is one call. All but texts, dst and ctx is guarded by the scheduler's mutex.
type request struct {
	ctx   context.Context // here, because who works for a call must see that it has ended
	texts []string
	dst   []float32 // a row for each text

	next  int           // the first text that nobody has taken
	left  int           // texts without a vector
	gone  bool          // the caller has left: dst is no longer ours
	waits bool          // the caller wants to hear on done
	count *atomic.Int64 // of texts with a vector, for whoever watches; or nil
	err   error
	bad   int
	done  chan struct{}
}

// worker is what one place needs: buffers, and the texts that run together.
type worker struct {
	scratch scratch
	group   group
}

// group is some texts of some requests. As a context it ends when all of its requests have.
type group struct {
	context.Context
	parts []part
	texts []string
	out   []float32
	split bool // the scheduler's team helps
	cost  int  // guessed tokens
}

type part struct {
	r *request
	i int
}

func (g *group) Err() error {
	var seen *request
	var err error
	for _, p := range g.parts {
		if p.r != seen {
			if err = p.r.ctx.Err(); err == nil {
				return nil
			}
			seen = p.r
		}
	}
	return err
}

// do writes the vectors of texts to dst, one after the other, and counts those that are done in count, unless it
// is nil. On an error that is not the context's, bad is the text it is about.
func (s *scheduler) do(ctx context.Context, texts []string, dst []float32, count *atomic.Int64) (bad int, err error) {
	if ctx.Err() != nil {
		return 0, context.Cause(ctx)
	}
	cost := 0
	for _, t := range texts {
		cost += s.guess(t)
	}
	s.mu.Lock()
	r := pop(&s.spare)
	if r == nil {
		r = &request{done: make(chan struct{}, 1)}
	}
	*r = request{ctx: ctx, texts: texts, dst: dst, left: len(texts), count: count, done: r.done}
	s.queue = append(s.queue, r)
	s.waiting += cost
	s.wanted.Store(true)
	if s.running < s.limit {
		s.running++
		s.work(r)
	}
	if r.left > 0 {
		r.waits = true
		s.mu.Unlock()
		select {
		case <-r.done:
		case <-ctx.Done():
		}
		s.mu.Lock()
	}
	defer s.mu.Unlock()
	if r.left > 0 {
		s.drop(r)
		r.gone = true // and not spare: a group may still have it
		return 0, context.Cause(ctx)
	}
	select {
	case <-r.done:
	default:
	}
	bad, err = r.bad, r.err
	*r = request{done: r.done}
	s.spare = append(s.spare, r)
	return bad, err
}

func pop[T any](list *[]*T) *T {
	n := len(*list)
	if n == 0 {
		return nil
	}
	x := (*list)[n-1]
	*list = (*list)[:n-1]
	return x
}

// helper works for calls that wait. Its place has been taken for it.
func (s *scheduler) helper() {
	s.mu.Lock()
	s.work(nil)
	s.mu.Unlock()
}

// work takes groups and runs them: until all texts of own are taken or its context ends, or, when own
// is nil, until no texts are left to take. Then it gives its place to a helper if there is more to do.
// It is called and returns with the mutex locked.
func (s *scheduler) work(own *request) {
	w := pop(&s.workers)
	if w == nil {
		w = &worker{group: group{Context: context.Background()}}
	}
	g := &w.group
	for len(s.queue) > 0 && (own == nil || own.next < len(own.texts) && own.ctx.Err() == nil) {
		s.take(g)
		w.scratch.team = nil
		if g.split {
			w.scratch.team = &s.team
		}
		s.mu.Unlock()
		begin := time.Now()
		g.out = grow(&g.out, len(g.texts)*s.dim)
		bad, err := s.embed(g, &w.scratch, g.texts, g.out)
		took := time.Since(begin)
		s.mu.Lock()
		s.team.end(g, took, err == nil)
		s.deliver(g, bad, err)
	}
	s.workers = append(s.workers, w)
	s.release()
}

// release gives up a place, or passes it on.
func (s *scheduler) release() {
	if len(s.queue) > 0 {
		go s.help()
		return
	}
	s.running--
}

// take makes the next group: texts of the first request and, if there is room, of those after it. A
// request with texts left goes to the end of the queue.
func (s *scheduler) take(g *group) {
	g.parts, g.texts, g.cost = g.parts[:0], g.texts[:0], 0
	// Few texts are shared out in small groups, so that all workers get some.
	budget := min(groupTokens, max(s.waiting/s.limit, 64))
	for len(s.queue) > 0 {
		r := s.queue[0]
		for ; r.next < len(r.texts); r.next++ {
			c := s.guess(r.texts[r.next])
			if g.cost > 0 && g.cost+c > budget {
				break
			}
			g.parts, g.texts, g.cost = append(g.parts, part{r, r.next}), append(g.texts, r.texts[r.next]), g.cost+c
		}
		s.queue = s.queue[:copy(s.queue, s.queue[1:])]
		if r.next < len(r.texts) {
			s.queue = append(s.queue, r)
			break
		}
	}
	s.waiting -= g.cost
	s.wanted.Store(len(s.queue) > 0)
	g.split = false
	switch {
	case s.running == s.limit:
	case len(s.queue) > 0:
		s.running++
		go s.help()
	default:
		g.split = s.team.begin(g.cost)
	}
}

// deliver hands the group's vectors to those that still want them.
func (s *scheduler) deliver(g *group, bad int, err error) {
	failed := err != nil && g.Err() == nil
	for at, p := range g.parts {
		r := p.r
		g.parts[at], g.texts[at] = part{}, ""
		if r.gone || err != nil && !failed {
			continue // all of the group's callers leave
		}
		if failed && at >= bad && r.err == nil {
			// Vectors after the first bad text were not computed. All calls of the group hear of it: a
			// model that gives no finite vector for one text is broken.
			r.bad, r.err = p.i, err
			s.drop(r)
		}
		copy(r.dst[p.i*s.dim:(p.i+1)*s.dim], g.out[at*s.dim:])
		if r.count != nil {
			r.count.Add(1)
		}
		if r.left--; r.left == 0 && r.waits {
			r.done <- struct{}{}
		}
	}
}

// drop forgets the texts of a request that nobody has taken.
func (s *scheduler) drop(r *request) {
	for i, q := range s.queue {
		if q == r {
			s.queue = append(s.queue[:i], s.queue[i+1:]...)
			break
		}
	}
	s.wanted.Store(len(s.queue) > 0)
	for ; r.next < len(r.texts); r.next++ {
		s.waiting -= s.guess(r.texts[r.next])
		r.left--
	}
}
