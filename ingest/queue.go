package ingest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"docent/internal/catalog"
	"docent/retriever"
)

var (
	// ErrRunning is returned by a second Run of one pipeline.
	ErrRunning = errors.New("the queue is already being worked on")
	// ErrNotEnded is returned by Retry for a job that is queued, running or done.
	ErrNotEnded = errors.New("only a job that failed or was cancelled can be tried again")
	// errCancelled is the cause of the end of a job's context by Cancel.
	errCancelled = errors.New("cancelled")
)

const (
	// How often progress within a stage reaches the record, and how often those who watch.
	saveEvery    = time.Second
	publishEvery = 50 * time.Millisecond
	// How long the last words of a job may take to be written once the process is asked to stop.
	lastWords = 10 * time.Second
)

// A queue is the part of the record's jobs that this process holds in memory. The record is what
// counts: each change is written there first, and Run reads it afresh when it starts.
type queue struct {
	mu      sync.Mutex
	active  bool          // Run is
	waiting []catalog.Job // queued, in the order of work; only while active
	running map[string]*run
	wake    chan struct{}
}

func (q *queue) init() {
	q.running = make(map[string]*run)
	q.wake = make(chan struct{}, 1)
}

func (q *queue) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// A run is a job at work.
type run struct {
	cancel context.CancelCauseFunc
	ended  chan struct{} // closed when the job's end is in the record

	mu        sync.Mutex
	job       catalog.Job
	saved     time.Time
	published time.Time
}

// Enqueue stores the items' bytes and adds a job for each to the queue; when it returns, they survive
// the end of the process. Of several items with the same path the last counts. An item with Err set,
// or whose file cannot be read, becomes a job that has failed. It fails as a whole for an unknown
// collection and when the store cannot be written.
func (p *Pipeline) Enqueue(ctx context.Context, collection string, items []Item) ([]catalog.Job, error) {
	defer func() {
		for _, it := range items {
			if it.Temporary && it.File != "" {
				os.Remove(it.File)
			}
		}
	}()
	if _, err := p.store.Collection(ctx, collection); err != nil {
		return nil, err
	}
	last := make(map[string]int, len(items))
	for i, it := range items {
		if it.Path == "" {
			return nil, fmt.Errorf("item %d: %w: the path is empty", i, retriever.ErrInvalidName)
		}
		last[it.Path] = i
	}
	var jobs []catalog.Job
	for i, it := range items {
		if last[it.Path] != i {
			continue
		}
		job := catalog.Job{Collection: collection, Path: it.Path, SHA256: it.SHA256, Bytes: it.Bytes, State: catalog.Queued}
		err := it.Err
		if err == nil && it.SHA256 == "" {
			job.SHA256, job.Bytes, err = p.take(ctx, it)
		}
		if err != nil {
			if ctx.Err() != nil || errors.Is(err, retriever.ErrStorageFull) {
				return nil, p.named(it, err)
			}
			job.State, job.Status, job.Error = catalog.Failed, Failed, plainError(err)
		}
		jobs = append(jobs, job)
	}
	p.queue.mu.Lock()
	defer p.queue.mu.Unlock()
	if err := p.store.Catalog().AddJobs(ctx, jobs); err != nil {
		return nil, err
	}
	for _, j := range jobs {
		if j.State == catalog.Queued {
			p.wait(j)
		}
		p.watchers.publish(j)
	}
	return jobs, nil
}

// take stores an item's file, unless it is empty or too large.
func (p *Pipeline) take(ctx context.Context, it Item) (sum string, size int64, err error) {
	st, err := os.Stat(it.File)
	if err != nil {
		return "", 0, withoutPath(err)
	}
	switch limit := p.extractor.cfg.MaxBytes; {
	case !st.Mode().IsRegular():
		return "", 0, &FileError{Name: it.Path, Err: ErrUnsupported, Detail: "it is not a regular file"}
	case st.Size() == 0:
		return "", 0, &FileError{Name: it.Path, Err: ErrEmptyFile, Detail: "it has 0 bytes"}
	case st.Size() > limit:
		return "", st.Size(), &FileError{Name: it.Path, Err: ErrTooLarge, Detail: fmt.Sprintf("it has %s, the limit is %s", byteSize(st.Size()), byteSize(limit))}
	}
	return p.keep(ctx, it.File)
}

// wait puts a queued job in its place in memory. The caller holds queue.mu.
func (p *Pipeline) wait(j catalog.Job) {
	q := &p.queue
	if !q.active {
		return // Run will read it from the record
	}
	// After all that were begun as often or less: a file that ended the process once must not keep the
	// others from being ingested.
	at := len(q.waiting)
	for at > 0 && q.waiting[at-1].Attempts > j.Attempts {
		at--
	}
	q.waiting = slices.Insert(q.waiting, at, j)
	q.signal()
}

// Run works on the queue until ctx ends, and then returns nil once the jobs at work are back in the
// queue. It starts with the jobs that an earlier process left behind: what was running is begun again,
// after all others and alone, unless it has been begun MaxAttempts times, and then it fails. Run
// returns ErrRunning while another Run of the pipeline is at work.
func (p *Pipeline) Run(ctx context.Context) error {
	if err := p.resume(ctx); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	q := &p.queue
	workers := int64(p.cfg.Workers)
	slots := semaphore.NewWeighted(workers)
	var wg sync.WaitGroup
	defer func() {
		wg.Wait()
		q.mu.Lock()
		q.active, q.waiting = false, nil
		q.mu.Unlock()
	}()
	for {
		if slots.Acquire(ctx, 1) != nil {
			return nil
		}
		r, work, ok := p.next(ctx)
		if !ok {
			slots.Release(1)
			select {
			case <-q.wake:
			case <-ctx.Done():
				return nil
			}
			continue
		}
		held := int64(1)
		if r.job.Attempts > 0 && workers > 1 {
			if slots.Acquire(work, workers-1) == nil {
				held = workers
			}
		}
		wg.Go(func() {
			defer slots.Release(held)
			p.work(work, ctx, r)
		})
	}
}

// resume reads the queue from the record.
func (p *Pipeline) resume(ctx context.Context) error {
	q := &p.queue
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.active {
		return ErrRunning
	}
	db := p.store.Catalog()
	jobs, err := db.Jobs(ctx, "", 0)
	if err != nil {
		return err
	}
	var changed []catalog.Job
	for _, j := range jobs {
		if j.State != catalog.Running {
			continue
		}
		if j.Attempts >= p.cfg.MaxAttempts {
			j.State, j.Status = catalog.Failed, Failed
			j.Error = fmt.Sprintf("the process ended %d times while it worked on this file; the file was set aside", j.Attempts)
			if err := db.UpdateJob(ctx, j); err != nil {
				return err
			}
			p.cfg.Logger.ErrorContext(ctx, "job set aside", "job", j.ID, "path", j.Path, "attempts", j.Attempts)
		}
		changed = append(changed, j)
	}
	if _, err := db.RequeueRunning(ctx); err != nil {
		return err
	}
	if jobs, err = db.Jobs(ctx, "", 0); err != nil {
		return err
	}
	slices.Reverse(jobs) // oldest first
	q.waiting = nil
	for _, j := range jobs {
		if j.State == catalog.Queued {
			q.waiting = append(q.waiting, j)
		}
	}
	slices.SortStableFunc(q.waiting, func(a, b catalog.Job) int { return cmp.Compare(a.Attempts, b.Attempts) })
	q.active = true
	for _, j := range changed {
		if j.State == catalog.Running {
			j.State, j.Stage, j.Done, j.Total = catalog.Queued, "", 0, 0
		}
		p.watchers.publish(j)
	}
	return nil
}

// next takes the first job whose path is not being worked on.
func (p *Pipeline) next(ctx context.Context) (*run, context.Context, bool) {
	q := &p.queue
	q.mu.Lock()
	defer q.mu.Unlock()
	for i, j := range q.waiting {
		if q.busy(j) {
			continue
		}
		if i == 0 {
			q.waiting = q.waiting[1:]
		} else {
			q.waiting = slices.Delete(q.waiting, i, i+1)
		}
		work, cancel := context.WithCancelCause(ctx)
		r := &run{job: j, cancel: cancel, ended: make(chan struct{})}
		q.running[j.ID] = r
		return r, work, true
	}
	return nil, nil, false
}

func (q *queue) busy(j catalog.Job) bool {
	for _, r := range q.running {
		if r.job.Path == j.Path && r.job.Collection == j.Collection {
			return true
		}
	}
	return false
}

// work takes a job to its end. work ends with the job, parent with Run.
func (p *Pipeline) work(work, parent context.Context, r *run) {
	defer r.cancel(nil)
	q := &p.queue
	defer func() {
		q.mu.Lock()
		delete(q.running, r.job.ID)
		q.mu.Unlock()
		close(r.ended)
		q.signal()
	}()
	r.mu.Lock()
	r.job.State, r.job.Stage, r.job.Error, r.job.Status = catalog.Running, StageParsing, "", ""
	r.job.Done, r.job.Total = 0, 0
	r.job.Attempts++
	r.job.Heartbeat = time.Now()
	r.mu.Unlock()

	var res Result
	var err error
	if err = context.Cause(work); err == nil {
		err = p.save(work, r)
	}
	if err == nil {
		beat := p.heartbeat(work, r)
		res, err = p.ingestSafely(work, r)
		beat()
	}

	// The end must reach the record although the context has ended.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(parent), lastWords)
	defer cancel()
	r.mu.Lock()
	j := &r.job
	j.Stage = ""
	switch {
	case err == nil:
		res.apply(j)
	case context.Cause(work) == errCancelled:
		j.State, j.Status, j.Error = catalog.Cancelled, "", ""
	case parent.Err() != nil: // the program ends; this was not the file's doing
		j.State, j.Done, j.Total = catalog.Queued, 0, 0
		j.Attempts--
	default:
		res.Status, res.Error = Failed, plainError(err)
		res.apply(j)
		p.cfg.Logger.WarnContext(ctx, "job failed", "job", j.ID, "collection", j.Collection, "path", j.Path, "error", err)
	}
	j.Heartbeat = time.Now()
	j.UpdatedAt = j.Heartbeat
	end := *j
	r.mu.Unlock()
	if err := p.store.Catalog().UpdateJob(ctx, end); err != nil && !errors.Is(err, catalog.ErrNotFound) {
		// The next start finds the job running, begins it again, and sees that its work is done.
		p.cfg.Logger.ErrorContext(ctx, "the end of a job is not in the record", "job", end.ID, "path", end.Path, "state", end.State, "error", err)
	}
	p.watchers.publish(end)
}

// ingestSafely ingests the job's file; a panic in a stage is the file's failure.
func (p *Pipeline) ingestSafely(ctx context.Context, r *run) (res Result, err error) {
	defer func() {
		if v := recover(); v != nil {
			p.cfg.Logger.ErrorContext(ctx, "panic", "path", r.job.Path, "value", v, "stack", string(debug.Stack()))
			err = fmt.Errorf("panic: %v", v)
		}
	}()
	return p.Ingest(ctx, r.job.Collection, Item{Path: r.job.Path, SHA256: r.job.SHA256, Bytes: r.job.Bytes}, func(pr Progress) {
		p.progress(ctx, r, pr)
	})
}

// progress notes how far a job is: at once when the stage changes, else now and then.
func (p *Pipeline) progress(ctx context.Context, r *run, pr Progress) {
	now := time.Now()
	r.mu.Lock()
	newStage := r.job.Stage != pr.Stage
	r.job.Stage, r.job.Done, r.job.Total = pr.Stage, pr.Done, pr.Total
	r.job.Heartbeat, r.job.UpdatedAt = now, now
	save := newStage || now.Sub(r.saved) >= saveEvery
	publish := newStage || now.Sub(r.published) >= publishEvery || pr.Done == pr.Total
	if publish {
		r.published = now
	}
	j := r.job
	r.mu.Unlock()
	if publish {
		p.watchers.publish(j)
	}
	if save {
		p.save(ctx, r)
	}
}

// save writes a running job to the record. A job whose row is gone, with its collection, is stopped.
func (p *Pipeline) save(ctx context.Context, r *run) error {
	r.mu.Lock()
	defer r.mu.Unlock() // through the write, so that no older state overwrites a newer one
	err := p.store.Catalog().UpdateJob(ctx, r.job)
	if err == nil {
		r.saved = time.Now()
	} else if errors.Is(err, catalog.ErrNotFound) {
		r.cancel(errCancelled)
	}
	return err
}

// heartbeat gives a sign of life until the returned function is called.
func (p *Pipeline) heartbeat(ctx context.Context, r *run) (stop func()) {
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		t := time.NewTicker(p.cfg.Heartbeat)
		defer t.Stop()
		for {
			select {
			case <-t.C:
				r.mu.Lock()
				r.job.Heartbeat = time.Now()
				j := r.job
				r.mu.Unlock()
				if p.save(ctx, r) == nil {
					p.watchers.publish(j)
				}
			case <-done:
				return
			}
		}
	})
	return func() {
		close(done)
		wg.Wait()
	}
}

// Cancel ends a job that is queued or running and returns when it is at rest: cancelled, unless its
// document was stored before the cancellation could reach it. A job that has ended is left as it is.
// It returns ErrNotFound of package retriever for an unknown job.
func (p *Pipeline) Cancel(ctx context.Context, jobID string) error {
	q := &p.queue
	q.mu.Lock()
	if r := q.running[jobID]; r != nil {
		q.mu.Unlock()
		r.cancel(errCancelled)
		select {
		case <-r.ended:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	defer q.mu.Unlock()
	db := p.store.Catalog()
	j, err := db.Job(ctx, jobID)
	if err != nil || j.State != catalog.Queued && j.State != catalog.Running {
		return err
	}
	j.State, j.Stage, j.Status, j.Error = catalog.Cancelled, "", "", ""
	if err := db.UpdateJob(ctx, j); err != nil {
		return err
	}
	q.waiting = slices.DeleteFunc(q.waiting, func(w catalog.Job) bool { return w.ID == jobID })
	p.watchers.publish(j)
	return nil
}

// Retry puts a job that failed or was cancelled back at the end of the queue. It returns ErrNotEnded
// for a job in another state, and ErrNotFound of package retriever for an unknown job or one whose
// bytes are no longer kept.
func (p *Pipeline) Retry(ctx context.Context, jobID string) error {
	q := &p.queue
	q.mu.Lock()
	defer q.mu.Unlock()
	db := p.store.Catalog()
	j, err := db.Job(ctx, jobID)
	if err != nil {
		return err
	}
	if j.State != catalog.Failed && j.State != catalog.Cancelled {
		return fmt.Errorf("job %s is %s: %w", j.ID, j.State, ErrNotEnded)
	}
	f, err := p.store.OpenFile(j.SHA256)
	if err != nil {
		return fmt.Errorf("the bytes of %q are no longer kept, add the file again: %w", j.Path, err)
	}
	f.Close()
	j.State, j.Stage, j.Status, j.Error, j.Done, j.Total, j.Attempts = catalog.Queued, "", "", "", 0, 0, 0
	if err := db.UpdateJob(ctx, j); err != nil {
		return err
	}
	p.wait(j)
	p.watchers.publish(j)
	return nil
}

// Subscribe yields every change of the jobs of a collection, of all collections when the name is
// empty, from the call of Subscribe on until ctx ends. A reader that is slower than the changes misses
// states in between but never the last one of a job; it never holds up the work.
func (p *Pipeline) Subscribe(ctx context.Context, collection string) iter.Seq[catalog.Job] {
	w := p.watchers.add(collection)
	context.AfterFunc(ctx, func() { p.watchers.remove(w) })
	return func(yield func(catalog.Job) bool) {
		for {
			j, ok := w.next()
			if ok {
				if !yield(j) {
					return
				}
				continue
			}
			select {
			case <-w.wake:
			case <-ctx.Done():
				return
			}
		}
	}
}

// watchers are the subscriptions of a pipeline.
type watchers struct {
	mu  sync.Mutex
	all map[*watcher]bool
}

// A watcher holds the latest state of each job that its reader has not seen yet.
type watcher struct {
	collection string
	wake       chan struct{}

	mu      sync.Mutex
	order   []string
	pending map[string]catalog.Job
}

func (ws *watchers) add(collection string) *watcher {
	w := &watcher{collection: collection, wake: make(chan struct{}, 1), pending: make(map[string]catalog.Job)}
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if ws.all == nil {
		ws.all = make(map[*watcher]bool)
	}
	ws.all[w] = true
	return w
}

func (ws *watchers) remove(w *watcher) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	delete(ws.all, w)
}

func (ws *watchers) publish(j catalog.Job) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	for w := range ws.all {
		if w.collection != "" && w.collection != j.Collection {
			continue
		}
		w.mu.Lock()
		if _, ok := w.pending[j.ID]; !ok {
			w.order = append(w.order, j.ID)
		}
		w.pending[j.ID] = j
		w.mu.Unlock()
		select {
		case w.wake <- struct{}{}:
		default:
		}
	}
}

func (w *watcher) next() (catalog.Job, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.order) == 0 {
		return catalog.Job{}, false
	}
	id := w.order[0]
	w.order = w.order[1:]
	j := w.pending[id]
	delete(w.pending, id)
	return j, true
}
