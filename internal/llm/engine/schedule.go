package engine

import (
	"context"
	"slices"
	"sync"
	"time"
)

// request is a sequence that somebody waits for. Its caller and the scheduler take turns: while it is computed
// it is the scheduler's, from a message on reply until the call of advance it is the caller's.
type request struct {
	done    <-chan struct{} // of the caller's context
	tokens  []int32         // the prompt and what followed; guesses at the end
	sure    int             // how many of the tokens are no guesses
	known   int             // of the tokens, those whose keys and values, where they are kept, are right
	logits  int             // of how many of the last tokens the logits are wanted
	deliver func(i int, logits []float32)
	fresh   bool          // nothing that is known already is used
	reply   chan struct{} // the logits have been delivered

	// The scheduler's.
	seq   sequence
	phase phase
	order int       // of admission; 0: not yet
	since time.Time // it was handed over

	// For the caller, set before a reply.
	reused  int
	start   time.Time
	company int // requests with memory, this one included
}

// phase is where a request is.
type phase uint8

const (
	waiting phase = iota // in the queue, without memory
	running              // has memory, and tokens to compute
	handed               // has memory, and its caller is to say what comes next
	away                 // its caller is to say what comes next, and it has lost its memory
	gone
)

const (
	fewTokens = 1 + maxGuess           // of a request that is past its prompt
	stepTime  = 100 * time.Millisecond // about how long a step may take while answers are written
	stallTime = time.Second            // a caller that says nothing for so long loses its memory to others that wait
)

// scheduler is the goroutine that computes. Requests join and leave between its steps (Orca, Yu et al. 2022).
// A step computes the next token of every answer that is being written and, with the rest of its rows, parts of
// prompts, first come, first served. When memory runs out, the request that was admitted last gives its own up
// and is computed again later. The first one can always go on, so that all come to an end.
type scheduler struct {
	m     *Model
	cache *cache
	state *state
	ended chan struct{}

	queue    []*request // in order of arrival, those that lost their memory first
	active   []*request // with memory, in order of admission
	admitted int
	full     bool // the first of the queue was found not to fit, and nothing was let go of since
	short    bool // of memory in the last plan
	chunks   []chunk
	computed []*request // whose the chunks are
	read     []message
	took     time.Duration // the last step
	perRow   time.Duration // of the last steps

	steps, rows, reused, preempted int64 // since it began

	mu     sync.Mutex // of what follows
	inbox  []message
	live   int // requests that were submitted and have not left
	closed bool
	stats  Stats
	wake   chan struct{}
}

// message is what a caller says: that a request is new, goes on, or ends.
type message struct {
	r    *request
	says news
}

type news uint8

const (
	submitted news = iota
	advanced
	left
)

// Stats says what a model's scheduler is doing and has done.
type Stats struct {
	Waiting   int   `json:"waiting"` // requests
	Running   int   `json:"running"`
	Blocks    int   `json:"blocks"` // of the cache, of 32 tokens each
	Held      int   `json:"held"`   // blocks that requests hold
	Kept      int   `json:"kept"`   // blocks that nobody holds, kept for those who begin alike
	Steps     int64 `json:"steps"`
	Computed  int64 `json:"computed"`  // tokens of all steps
	Reused    int64 `json:"reused"`    // tokens that did not have to be computed
	Preempted int64 `json:"preempted"` // times that a request gave up its memory to an earlier one
}

func (m *Model) newScheduler() *scheduler {
	s := &scheduler{
		m: m, cache: newCache(m.layout, m.blocks), state: m.newState(),
		ended: make(chan struct{}), wake: make(chan struct{}, 1),
	}
	go s.run()
	return s
}

// Stats says what the model is doing.
func (m *Model) Stats() Stats {
	m.sched.mu.Lock()
	defer m.sched.mu.Unlock()
	return m.sched.stats
}

// submit queues a new request, which the caller must leave in the end.
func (s *scheduler) submit(ctx context.Context, r *request) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	r.done, r.reply = ctx.Done(), make(chan struct{}, 1)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return ErrClosed
	}
	s.live++
	s.send(message{r, submitted})
	return nil
}

// advance says that the request's tokens are what its caller wants computed next.
func (s *scheduler) advance(r *request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.send(message{r, advanced})
}

// leave ends a request. Its memory is free within a step.
func (s *scheduler) leave(r *request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.live--
	s.send(message{r, left})
}

func (s *scheduler) send(msg message) {
	s.inbox = append(s.inbox, msg)
	s.rouse()
}

func (s *scheduler) rouse() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// wait waits until what a request asked for has been delivered.
func (r *request) wait(ctx context.Context) error {
	select {
	case <-r.reply:
		return ctx.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (r *request) cancelled() bool {
	select {
	case <-r.done:
		return true
	default:
		return false
	}
}

// close lets those that were submitted finish, and ends the goroutine.
func (s *scheduler) close() {
	s.mu.Lock()
	s.closed = true
	s.rouse()
	s.mu.Unlock()
	<-s.ended
}

func (s *scheduler) run() {
	defer close(s.ended)
	defer s.state.close()
	timer := time.NewTimer(0)
	for {
		s.receive()
		if s.plan() {
			s.compute()
			s.linger(timer)
			continue
		}
		s.report()
		s.mu.Lock()
		end := s.closed && s.live == 0
		s.mu.Unlock()
		if end {
			return
		}
		var stalled <-chan time.Time
		if len(s.queue) > 0 || s.short { // a caller that says nothing may keep others waiting
			timer.Reset(stallTime)
			stalled = timer.C
		}
		select {
		case <-s.wake:
		case <-stalled:
		}
	}
}

// receive takes the messages that have come.
func (s *scheduler) receive() {
	s.mu.Lock()
	s.inbox, s.read = s.read[:0], s.inbox
	s.mu.Unlock()
	for _, msg := range s.read {
		r := msg.r
		switch {
		case msg.says == submitted:
			s.queue = append(s.queue, r)
		case msg.says == left:
			s.remove(r)
		case r.phase == handed:
			s.cache.truncate(&r.seq, r.known)
			r.phase = running
		case r.phase == away:
			s.requeue(r)
		}
	}
	clear(s.read)
}

// remove forgets a request; what is known of its text is kept for others as long as there is room.
func (s *scheduler) remove(r *request) {
	switch r.phase {
	case waiting:
		s.queue = slices.DeleteFunc(s.queue, func(q *request) bool { return q == r })
		s.full = false
	case running, handed:
		valid := min(r.seq.n, r.sure)
		if r.phase == handed {
			valid = min(r.seq.n, r.known)
		}
		s.cache.publishAll(&r.seq, r.tokens[:valid], true)
		s.release(r)
	}
	r.phase = gone
}

// release takes a request's memory.
func (s *scheduler) release(r *request) {
	s.cache.drop(&r.seq)
	s.active = slices.DeleteFunc(s.active, func(a *request) bool { return a == r })
	s.full = false
}

// requeue puts a request that was admitted before at its place in the queue, before those that were not.
func (s *scheduler) requeue(r *request) {
	r.phase = waiting
	i := slices.IndexFunc(s.queue, func(q *request) bool { return q.order == 0 || q.order > r.order })
	if i < 0 {
		i = len(s.queue)
	}
	s.queue = slices.Insert(s.queue, i, r)
	s.full = false
}

// preempt takes a request's memory for others.
func (s *scheduler) preempt(r *request) {
	s.release(r)
	s.preempted++
	if r.phase == handed {
		r.phase = away
	} else {
		s.requeue(r)
	}
}

// plan chooses what the next step computes, and reports whether there is anything.
func (s *scheduler) plan() bool {
	s.chunks, s.computed = s.chunks[:0], s.computed[:0]
	rows, prompts := batch, batch
	for _, r := range s.active {
		if r.phase == running && len(r.tokens)-r.seq.n <= fewTokens {
			prompts = max(blockTokens, min(batch, int(stepTime/max(1, s.perRow))))
			break
		}
	}
	if len(s.queue) > 0 || s.short {
		s.dropStalled()
	}
	s.short = false
	for i := 0; i < len(s.active); i++ {
		if r := s.active[i]; r.phase == running && !r.cancelled() {
			s.add(r, &rows, &prompts, true)
		}
	}
	for len(s.queue) > 0 && rows > 0 && prompts > 0 && len(s.active) < s.m.cfg.Parallel && !s.full && s.admit(s.queue[0]) {
		r := s.queue[0]
		s.queue = slices.Delete(s.queue, 0, 1)
		s.add(r, &rows, &prompts, false)
	}
	return len(s.chunks) > 0
}

// dropStalled takes the memory of requests whose callers have not said for long what comes next.
func (s *scheduler) dropStalled() {
	for i := len(s.active) - 1; i >= 0; i-- {
		if r := s.active[i]; r.phase == handed && time.Since(r.since) >= stallTime {
			s.preempt(r)
		}
	}
}

// admit gives the first of the queue what is known of its text, if there is memory for the rest of it.
func (s *scheduler) admit(r *request) bool {
	var table []*block
	n := 0
	if !r.fresh {
		table, n = s.cache.match(r.seq.space, r.tokens[:len(r.tokens)-r.logits])
	}
	r.seq.table, r.seq.n, r.seq.published = table, n, n/blockTokens
	room := s.cache.available()
	for _, a := range s.active {
		room -= s.owed(a)
	}
	if len(s.active) > 0 && room < s.owed(r) {
		s.cache.drop(&r.seq)
		s.full = true
		return false
	}
	if r.order == 0 {
		s.admitted++
		r.order, r.start, r.reused = s.admitted, time.Now(), n
	}
	s.reused += int64(n)
	r.phase = running
	i, _ := slices.BinarySearchFunc(s.active, r, func(a, r *request) int { return a.order - r.order })
	s.active = slices.Insert(s.active, i, r)
	return true
}

// owed is how many more blocks a request needs for what is known to come, and one token more.
func (s *scheduler) owed(r *request) int {
	n := r.seq.n
	if r.phase != handed { // else its tokens are not for us to look at
		n = len(r.tokens)
	}
	return max(0, split(n+1, blockTokens)-len(r.seq.table))
}

// add takes tokens of a request into the step, up to the rows that are left: rows of all, prompts of those that
// belong to prompts. Where memory is short, it takes that of requests that were admitted later, if it may.
func (s *scheduler) add(r *request, rows, prompts *int, mayPreempt bool) {
	left := len(r.tokens) - r.seq.n
	n := min(left, *rows)
	if left > fewTokens {
		n = min(n, *prompts)
	}
	got := s.cache.reserve(&r.seq, n)
	for mayPreempt && got < min(n, r.sure-r.seq.n) {
		last := s.active[len(s.active)-1]
		if last == r {
			break
		}
		s.preempt(last)
		got = s.cache.reserve(&r.seq, n)
	}
	s.short = s.short || got < n
	if n = got; n == 0 {
		return
	}
	if end := r.seq.n + n; end >= r.sure { // guesses are not worth others' memory
		r.logits -= len(r.tokens) - end
		r.tokens = r.tokens[:end]
	}
	*rows -= n
	if left > fewTokens {
		*prompts -= n
	}
	from, end := r.seq.n, r.seq.n+n
	first := len(r.tokens) - r.logits // the first whose logits are wanted
	s.chunks = append(s.chunks, chunk{
		seq: &r.seq, tokens: r.tokens[from:end],
		logits: max(0, end-max(from, first)), skip: max(0, from-first), deliver: r.deliver,
	})
	s.computed = append(s.computed, r)
}

// compute computes the step, and replies to those who have what they asked for.
func (s *scheduler) compute() {
	begin := time.Now()
	done := s.m.step(s.state, s.chunks, func() bool {
		return !slices.ContainsFunc(s.computed, func(r *request) bool { return !r.cancelled() })
	})
	if !done {
		s.computed = s.computed[:0]
		return
	}
	now, n := time.Now(), len(s.state.pos)
	s.took = now.Sub(begin)
	if n >= blockTokens { // fewer cost about as much as one
		s.perRow += (s.took/time.Duration(n) - s.perRow) / 4
	}
	for _, r := range s.computed {
		valid := min(r.seq.n, r.sure)
		s.cache.publishAll(&r.seq, r.tokens[:valid], false)
		if s.m.window > 0 {
			s.cache.slide(&r.seq, valid, s.m.window)
		}
		if r.seq.n == len(r.tokens) {
			r.phase, r.since, r.company = handed, now, len(s.active)
			r.reply <- struct{}{}
		}
	}
	s.steps++
	s.rows += int64(n)
	s.report()
}

func (s *scheduler) report() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats = Stats{
		Waiting: len(s.queue), Running: len(s.active),
		Blocks: s.cache.capacity, Held: s.cache.held, Kept: s.cache.made - s.cache.held - len(s.cache.free),
		Steps: s.steps, Computed: s.rows, Reused: s.reused, Preempted: s.preempted,
	}
}

// linger waits a moment for those who were replied to, so that their next tokens share a step.
func (s *scheduler) linger(timer *time.Timer) {
	timer.Reset(min(5*time.Millisecond, max(100*time.Microsecond, s.took/4)))
	for slices.ContainsFunc(s.computed, func(r *request) bool { return r.phase == handed }) {
		select {
		case <-s.wake:
			s.receive()
		case <-timer.C:
			return
		}
	}
}
