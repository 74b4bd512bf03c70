package ingest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"docent/internal/catalog"
	"docent/retriever"
)

// interrupt ends the work on a running job and returns when its end is in the record; false when the job
// is not running.
func (p *Pipeline) interrupt(ctx context.Context, jobID string, cause error) (bool, error) {
	q := &p.queue
	q.mu.Lock()
	r := q.running[jobID]
	q.mu.Unlock()
	if r == nil {
		return false, nil
	}
	r.cancel(cause)
	select {
	case <-r.ended:
		return true, nil
	case <-ctx.Done():
		return true, ctx.Err()
	}
}

// change moves a job that is at rest to another state, unless may refuses. It returns ErrBusy of package
// catalog for one that is being worked on.
func (p *Pipeline) change(ctx context.Context, jobID string, may func(catalog.Job) (to string, err error)) error {
	q := &p.queue
	q.mu.Lock()
	defer q.mu.Unlock()
	moved := false
	j, err := p.store.Catalog().ChangeJob(ctx, jobID, func(j *catalog.Job) error {
		to, err := may(*j)
		if moved = err == nil && to != j.State; !moved {
			return err
		}
		if to == catalog.Queued && j.State != catalog.Paused {
			j.Attempts = 0
		}
		j.State, j.Stage, j.Status, j.Error, j.Done, j.Total = to, "", "", "", 0, 0
		return nil
	})
	if err != nil || !moved {
		return err
	}
	if j.State == catalog.Queued {
		p.wait(j)
	} else {
		q.settle(j)
	}
	p.watchers.publish(j)
	return nil
}

// stop moves a job to another state as change does, after the work on it, in whichever process, has ended.
func (p *Pipeline) stop(ctx context.Context, jobID string, what catalog.Request, cause error, may func(catalog.Job) (to string, err error)) error {
	for {
		if _, err := p.interrupt(ctx, jobID, cause); err != nil {
			return err
		}
		if err := p.change(ctx, jobID, may); !errors.Is(err, catalog.ErrBusy) {
			return err
		}
		// Another process works on it, or is gone; or this one has just begun.
		if _, err := p.store.Catalog().AskJob(ctx, jobID, what); err != nil {
			return err
		}
		if err := sleep(ctx, askEvery); err != nil {
			return err
		}
		if err := p.requeue(ctx); err != nil {
			return err
		}
	}
}

// askEvery is the time between two looks at whether another process has done what was asked.
const askEvery = 100 * time.Millisecond

// Cancel ends a job that is queued, running or paused and returns when it is at rest: cancelled, unless
// its document was stored before the cancellation could reach it. A job that has ended is left as it is.
// It returns ErrNotFound of package retriever for an unknown job.
func (p *Pipeline) Cancel(ctx context.Context, jobID string) error {
	return p.stop(ctx, jobID, catalog.CancelJob, errCancelled, func(j catalog.Job) (string, error) {
		if ended(j) {
			return j.State, nil
		}
		return catalog.Cancelled, nil
	})
}

// ended reports whether nothing more becomes of a job by itself or by Resume.
func ended(j catalog.Job) bool {
	return j.State == catalog.Done || j.State == catalog.Failed || j.State == catalog.Cancelled
}

// Pause sets a job aside until Resume. What it has parsed and embedded so far is kept. It returns ErrEnded
// for a job that has ended, and ErrNotFound of package retriever for an unknown one.
func (p *Pipeline) Pause(ctx context.Context, jobID string) error {
	return p.stop(ctx, jobID, catalog.PauseJob, errPaused, func(j catalog.Job) (string, error) {
		if ended(j) {
			return "", fmt.Errorf("job %s is %s: %w", j.ID, j.State, ErrEnded)
		}
		return catalog.Paused, nil
	})
}

// Resume puts a paused job back into the queue. Its errors are those of Pause.
func (p *Pipeline) Resume(ctx context.Context, jobID string) error {
	return p.change(ctx, jobID, func(j catalog.Job) (string, error) {
		switch {
		case ended(j):
			return "", fmt.Errorf("job %s is %s: %w", j.ID, j.State, ErrEnded)
		case j.State == catalog.Paused:
			return catalog.Queued, nil
		}
		return j.State, nil
	})
}

// Retry puts a job that failed or was cancelled back at the end of the queue. It returns ErrNotEnded
// for a job in another state, and ErrNotFound of package retriever for an unknown job or one whose
// bytes are no longer kept.
func (p *Pipeline) Retry(ctx context.Context, jobID string) error {
	return p.change(ctx, jobID, func(j catalog.Job) (string, error) {
		if j.State != catalog.Failed && j.State != catalog.Cancelled {
			return "", fmt.Errorf("job %s is %s: %w", j.ID, j.State, ErrNotEnded)
		}
		if j.Kind == catalog.SiteJob || (Item{Path: j.Path, SHA256: j.SHA256}).toFetch() {
			return catalog.Queued, nil
		}
		f, err := p.store.OpenFile(ctx, j.SHA256)
		if err != nil {
			return "", fmt.Errorf("the bytes of %q are no longer kept, add the file again: %w", j.Path, err)
		}
		f.Close()
		return catalog.Queued, nil
	})
}

// RetryFailed puts the jobs of a collection that failed, and whose bytes are kept, back into the queue,
// except those whose path came again later. It returns how many.
func (p *Pipeline) RetryFailed(ctx context.Context, collection string) (int, error) {
	if _, err := p.store.Collection(ctx, collection); err != nil {
		return 0, err
	}
	jobs, err := p.store.Catalog().Jobs(ctx, collection, 0)
	if err != nil {
		return 0, err
	}
	n := 0
	seen := map[string]bool{}
	for _, j := range jobs { // newest first
		newest := !seen[j.Path]
		seen[j.Path] = true
		if j.State != catalog.Failed || !newest {
			continue
		}
		switch err := p.Retry(ctx, j.ID); {
		case err == nil:
			n++
		case !errors.Is(err, ErrNotEnded) && !errors.Is(err, retriever.ErrNotFound):
			return n, err
		}
	}
	return n, nil
}

// PauseQueue keeps jobs from being begun, also after the next start, and puts those at work back into the
// queue: what they have parsed and embedded so far is kept. It returns when they are at rest.
func (p *Pipeline) PauseQueue(ctx context.Context) error {
	q := &p.queue
	q.mu.Lock()
	if err := p.store.Catalog().SetSetting(ctx, catalog.QueuePaused, "yes"); err != nil {
		q.mu.Unlock()
		return err
	}
	q.held = true
	runs := make([]*run, 0, len(q.running))
	for _, r := range q.running {
		runs = append(runs, r)
	}
	q.mu.Unlock()
	for _, r := range runs {
		r.cancel(errHeld)
	}
	for _, r := range runs {
		select {
		case <-r.ended:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return p.holdOthers(ctx)
}

// holdOthers has other processes put the jobs they work on back into the queue, and returns when they are.
func (p *Pipeline) holdOthers(ctx context.Context) error {
	db := p.store.Catalog()
	for {
		running, err := db.JobsIn(ctx, "", catalog.Running)
		if err != nil || len(running) == 0 {
			return err
		}
		if err := db.AskJobs(ctx, catalog.HoldJob); err != nil {
			return err
		}
		if err := sleep(ctx, askEvery); err != nil {
			return err
		}
		if err := p.requeue(ctx); err != nil {
			return err
		}
	}
}

// ResumeQueue lets jobs be begun again.
func (p *Pipeline) ResumeQueue(ctx context.Context) error {
	q := &p.queue
	q.mu.Lock()
	defer q.mu.Unlock()
	if err := p.store.Catalog().SetSetting(ctx, catalog.QueuePaused, ""); err != nil {
		return err
	}
	q.held = false
	for _, m := range q.meters {
		m.rest()
	}
	q.signal()
	return nil
}
