package ingest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
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
	// ErrEnded is returned by Pause and Resume for a job that has ended.
	ErrEnded = errors.New("the job has ended")
	// The causes of the end of a job's context: by Cancel, by Pause, by PauseQueue, because its claim was lost.
	errCancelled = errors.New("cancelled")
	errPaused    = errors.New("paused")
	errHeld      = errors.New("the queue is paused")
	errLost      = catalog.ErrLost
)

const (
	// How often progress within a stage reaches the record, and how often those who watch.
	saveEvery    = time.Second
	publishEvery = 50 * time.Millisecond
	// How many crawls run at once.
	maxSites = 4
	// How often a process looks for what others did to jobs, and for a record that it could not reach.
	lookEvery = time.Second
	// How long the last words of a job may take to be written once the process is asked to stop.
	lastWords = 10 * time.Second
)

// A queue is what this process holds in memory of the record's jobs. The record is what counts, and any number
// of processes share it: a job is claimed there before it is begun (see [catalog.DB.ClaimJob]).
type queue struct {
	mu      sync.Mutex
	active  bool              // Run is
	held    bool              // nothing is begun until ResumeQueue
	meters  map[string]*Meter // by collection; of the present batch
	running map[string]*run   // by this process
	wake    chan struct{}
}

func (q *queue) init() {
	q.running = make(map[string]*run)
	q.meters = make(map[string]*Meter)
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
	rest   func()        // ends its signs of life

	mu        sync.Mutex
	job       catalog.Job
	saved     time.Time
	published time.Time
}

// Enqueue stores the items' bytes and adds a job for each to the queue; when it returns, they survive
// the end of the process. An item whose Path is an address of the web and that has no bytes is fetched when
// its turn comes. Of several items with the same path the last counts. An item with Err set,
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
		job := catalog.Job{Collection: collection, Path: it.Path, Name: it.Name, SHA256: it.SHA256, Bytes: it.Bytes, State: catalog.Queued, Options: it.options()}
		err := it.Err
		if err == nil && it.SHA256 == "" && !it.toFetch() {
			job.SHA256, job.Bytes, err = p.take(ctx, it)
		}
		if err != nil {
			if ctx.Err() != nil || errors.Is(err, retriever.ErrStorageFull) {
				return nil, p.named(it, err)
			}
			job.State, job.Status, job.Error = catalog.Failed, Failed, plainError(err)
		}
		if it.Password != "" {
			p.passwords.Store(collection+"\x00"+it.Path, it.Password)
		}
		jobs = append(jobs, job)
	}
	return jobs, p.addJobs(ctx, jobs)
}

// itemOptions are what a job keeps of an item besides what it is.
type itemOptions struct {
	OCR   string `json:"ocr,omitempty"`
	Again bool   `json:"again,omitempty"`
}

func (it Item) options() string {
	if it.OCR == "" && !it.Again {
		return ""
	}
	data, err := json.Marshal(itemOptions{it.OCR, it.Again})
	if err != nil {
		panic("ingest: " + err.Error()) // a string and a boolean
	}
	return string(data)
}

// itemOf is what a job works on. A password is gone after a restart: it is not put into the record.
func (p *Pipeline) itemOf(j catalog.Job) (Item, error) {
	it := Item{Path: j.Path, Name: j.Name, SHA256: j.SHA256, Bytes: j.Bytes, claim: j.Claim}
	if j.Options != "" && j.Options != "{}" {
		var o itemOptions
		if err := json.Unmarshal([]byte(j.Options), &o); err != nil {
			return it, fmt.Errorf("options of the job: %w", err)
		}
		it.OCR, it.Again = o.OCR, o.Again
	}
	if password, ok := p.passwords.LoadAndDelete(j.Collection + "\x00" + j.Path); ok {
		it.Password, _ = password.(string)
	}
	return it, nil
}

// addJobs puts jobs into the record and at the end of the queue.
func (p *Pipeline) addJobs(ctx context.Context, jobs []catalog.Job) error {
	p.queue.mu.Lock()
	defer p.queue.mu.Unlock()
	if err := p.store.Catalog().AddJobs(ctx, jobs); err != nil {
		return err
	}
	for _, j := range jobs {
		if j.State == catalog.Queued {
			p.wait(j)
		}
		p.watchers.publish(j)
	}
	return nil
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
		return "", st.Size(), tooLarge(it.Path, st.Size(), limit)
	}
	return p.keep(ctx, it.File)
}

// wait counts a queued job into its batch and has Run look for it. The caller holds queue.mu.
func (p *Pipeline) wait(j catalog.Job) {
	if q := &p.queue; q.active {
		q.meter(j.Collection).Begin(j.ID, j.Bytes)
		q.signal()
	}
}

// Run works on the queue until ctx ends, and then returns nil once the jobs at work are back in the
// queue. Several processes whose stores share a record work on one queue. A job whose process ended under it
// is begun again, by any of them, after all others and alone in its process, unless it has been begun
// MaxAttempts times, and then it fails. Run returns ErrRunning while another Run of the pipeline is at work.
func (p *Pipeline) Run(ctx context.Context) error {
	if err := p.resume(ctx); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	p.sweepCheckpoints()
	q := &p.queue
	workers := int64(p.cfg.Workers)
	slots := semaphore.NewWeighted(workers)
	var wg sync.WaitGroup
	defer func() {
		wg.Wait()
		q.mu.Lock()
		q.active = false
		q.mu.Unlock()
	}()
	if p.store.Catalog().Shared() {
		wg.Go(func() { p.followOthers(ctx) })
	}
	reached := true
	for {
		if slots.Acquire(ctx, 1) != nil {
			return nil
		}
		r, work, err := p.next(ctx)
		if r == nil {
			slots.Release(1)
			var again <-chan time.Time
			if err != nil {
				if reached {
					p.cfg.Logger.ErrorContext(ctx, "the queue cannot be read; it is tried again", "error", err)
				}
				again = time.After(lookEvery)
			}
			reached = err == nil
			select {
			case <-q.wake:
			case <-again:
			case <-ctx.Done():
				return nil
			}
			continue
		}
		held := int64(1)
		switch {
		case r.job.Kind == catalog.SiteJob:
			// It waits for another server most of the time: its pages need the worker more.
			slots.Release(1)
			held = 0
		case r.job.Attempts > 1 && workers > 1:
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

// resume takes up the queue of the record.
func (p *Pipeline) resume(ctx context.Context) error {
	q := &p.queue
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.active {
		return ErrRunning
	}
	if err := p.requeue(ctx); err != nil {
		return err
	}
	db := p.store.Catalog()
	jobs, err := db.JobsIn(ctx, "", catalog.Queued)
	if err != nil {
		return err
	}
	for _, j := range jobs {
		q.meter(j.Collection).Begin(j.ID, j.Bytes)
	}
	if q.held, err = p.isHeld(ctx); err != nil {
		return err
	}
	q.active = true
	return nil
}

// requeue puts the jobs of processes that are gone back into the queue.
func (p *Pipeline) requeue(ctx context.Context) error {
	jobs, err := p.store.Catalog().RequeueJobs(ctx, p.cfg.MaxAttempts, func(j catalog.Job) string {
		return fmt.Sprintf("the process ended %d times while it worked on this file; the file was set aside", j.Attempts)
	})
	if err != nil {
		return err
	}
	for _, j := range jobs {
		if j.State == catalog.Failed {
			p.cfg.Logger.ErrorContext(ctx, "job set aside", "job", j.ID, "path", j.Path, "attempts", j.Attempts)
		}
		p.watchers.publish(j)
	}
	return nil
}

// lease is how long a job stays with a process of which nothing is heard.
func (p *Pipeline) lease() time.Duration { return 3 * p.cfg.Heartbeat }

// next claims a job and begins to give signs of life. It returns nil when there is none to begin.
func (p *Pipeline) next(ctx context.Context) (*run, context.Context, error) {
	q := &p.queue
	q.mu.Lock()
	held, sites := q.held, q.sites()
	q.mu.Unlock()
	if held {
		return nil, nil, nil
	}
	// Although ctx may end meanwhile: a claim must be known to who has it.
	claiming, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastWords)
	defer cancel()
	j, ok, err := p.store.Catalog().ClaimJob(claiming, p.lease(), sites < maxSites)
	if err != nil || !ok {
		return nil, nil, err
	}
	work, end := context.WithCancelCause(ctx)
	r := &run{job: j, cancel: end, ended: make(chan struct{})}
	q.mu.Lock()
	q.running[j.ID] = r
	q.meter(j.Collection).Begin(j.ID, j.Bytes)
	if q.held { // since
		end(errHeld)
	}
	q.mu.Unlock()
	r.rest = p.heartbeat(work, r)
	return r, work, nil
}

// sites counts the crawls at work.
func (q *queue) sites() (n int) {
	for _, r := range q.running {
		if r.job.Kind == catalog.SiteJob {
			n++
		}
	}
	return n
}

// settle tells the meter that a job is at rest. The caller holds mu.
func (q *queue) settle(j catalog.Job) {
	if m := q.meter(j.Collection); j.State == catalog.Done || j.State == catalog.Failed {
		m.End(j.ID)
	} else {
		m.Drop(j.ID)
	}
}

// work takes a job to its end. work ends with the job, parent with Run.
func (p *Pipeline) work(work, parent context.Context, r *run) {
	defer r.cancel(nil)
	q := &p.queue
	defer func() {
		q.mu.Lock()
		delete(q.running, r.job.ID)
		if r.job.State != catalog.Queued {
			q.settle(r.job)
		}
		q.mu.Unlock()
		close(r.ended)
		q.signal()
	}()
	r.mu.Lock()
	r.job.Stage = firstStage(r.job)
	r.mu.Unlock()

	var res Result
	var err error
	if err = context.Cause(work); err == nil {
		err = p.save(work, r)
	}
	if err == nil {
		err = context.Cause(work)
	}
	if err == nil {
		p.watchers.publish(r.now())
		res, err = p.ingestSafely(work, r)
	}
	r.rest()

	// The end must reach the record although the context has ended.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(parent), lastWords)
	defer cancel()
	r.mu.Lock()
	j := &r.job
	j.Stage = ""
	cause := context.Cause(work)
	switch {
	case err == nil:
		res.apply(j)
	case cause == errLost || errors.Is(err, errLost):
		r.mu.Unlock()
		p.lost(ctx, r)
		return
	case cause == errCancelled:
		j.State, j.Status, j.Error = catalog.Cancelled, "", ""
	case cause == errPaused:
		j.State, j.Done, j.Total = catalog.Paused, 0, 0
		j.Attempts--
	case cause == errHeld, parent.Err() != nil: // the program ends, or waits; this was not the file's doing
		j.State, j.Done, j.Total = catalog.Queued, 0, 0
		j.Attempts--
	case errors.Is(err, retriever.ErrUnavailable) && j.Attempts < p.cfg.MaxAttempts: // nor was that
		j.State, j.Done, j.Total = catalog.Queued, 0, 0
		p.cfg.Logger.WarnContext(ctx, "a job is begun again, for the record could not be reached", "job", j.ID, "path", j.Path, "error", err)
	default:
		res.Status, res.Error = Failed, plainError(err)
		res.apply(j)
		p.cfg.Logger.WarnContext(ctx, "job failed", "job", j.ID, "collection", j.Collection, "path", j.Path, "error", err)
	}
	j.Heartbeat = time.Now()
	j.UpdatedAt = j.Heartbeat
	end := *j
	r.mu.Unlock()
	switch _, err := p.store.Catalog().SaveJob(ctx, end, 0); {
	case errors.Is(err, errLost):
		p.lost(ctx, r)
		return
	case err != nil:
		// When the lease is over the job is begun again, and its work found done.
		p.cfg.Logger.ErrorContext(ctx, "the end of a job is not in the record", "job", end.ID, "path", end.Path, "state", end.State, "error", err)
	}
	p.watchers.publish(end)
}

// lost leaves a job to whoever has it now, if it is still there.
func (p *Pipeline) lost(ctx context.Context, r *run) {
	j, err := p.store.Catalog().Job(ctx, r.job.ID)
	if err != nil {
		j.State = catalog.Cancelled // it went with its collection
	} else {
		p.cfg.Logger.WarnContext(ctx, "a job has passed to another process", "job", j.ID, "path", j.Path)
		p.watchers.publish(j)
	}
	r.mu.Lock()
	r.job.State = j.State
	r.mu.Unlock()
}

// now returns the job as it is.
func (r *run) now() catalog.Job {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.job
}

// ingestSafely ingests the job's file; a panic in a stage is the file's failure.
func (p *Pipeline) ingestSafely(ctx context.Context, r *run) (res Result, err error) {
	defer func() {
		if v := recover(); v != nil {
			p.cfg.Logger.ErrorContext(ctx, "panic", "path", r.job.Path, "value", v, "stack", string(debug.Stack()))
			err = fmt.Errorf("panic: %v", v)
		}
	}()
	report := func(pr Progress) { p.progress(ctx, r, pr) }
	job := r.now() // while signs of life are given
	if job.Kind == catalog.SiteJob {
		return p.ingestSite(ctx, job, report)
	}
	it, err := p.itemOf(job)
	if err != nil {
		return Result{}, err
	}
	if it.toFetch() {
		var remember func()
		if it, remember, err = p.fetchItem(ctx, job.Collection, it, report); err != nil {
			return Result{}, err
		}
		// From here on the job has its bytes: neither a crash nor a pause makes it fetch again.
		r.mu.Lock()
		r.job.Name, r.job.SHA256, r.job.Bytes = it.Name, it.SHA256, it.Bytes
		r.mu.Unlock()
		if err := p.save(ctx, r); err != nil {
			return Result{}, err
		}
		defer func() {
			if err == nil {
				remember()
			}
		}()
	}
	return p.Ingest(ctx, job.Collection, it, report)
}

// firstStage is where a job's work begins.
func firstStage(j catalog.Job) string {
	if j.Kind == catalog.SiteJob || j.SHA256 == "" {
		return StageFetching
	}
	return StageParsing
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
		p.queue.mu.Lock()
		m := p.queue.meter(j.Collection)
		m.weigh(j.ID, j.Bytes)
		m.Advance(j.ID, pr)
		p.queue.mu.Unlock()
		p.watchers.publish(j)
	}
	if save {
		p.save(ctx, r)
	}
}

// save writes a job at work to the record, which renews its lease, and does what is asked of it there. A job
// that has passed to another process, or whose row is gone with its collection, is stopped.
func (p *Pipeline) save(ctx context.Context, r *run) error {
	r.mu.Lock()
	defer r.mu.Unlock() // through the write, so that no older state overwrites a newer one
	asked, err := p.store.Catalog().SaveJob(ctx, r.job, p.lease())
	switch {
	case err == nil:
		r.saved = time.Now()
		r.obey(asked)
	case errors.Is(err, errLost):
		r.cancel(errLost)
	}
	return err
}

// obey stops the work when that was asked.
func (r *run) obey(asked catalog.Request) {
	switch asked {
	case catalog.CancelJob:
		r.cancel(errCancelled)
	case catalog.PauseJob:
		r.cancel(errPaused)
	case catalog.HoldJob:
		r.cancel(errHeld)
	}
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
