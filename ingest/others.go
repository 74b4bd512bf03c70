package ingest

import (
	"context"
	"errors"
	"time"

	"docent/internal/catalog"
)

// followOthers watches, while Run is at work, what other processes do to the jobs of a shared record: new ones
// are begun, what is asked of those at work here is done, changes reach those who subscribed, and jobs of
// processes that are gone are put back into the queue.
func (p *Pipeline) followOthers(ctx context.Context) {
	o := others{p: p, seen: map[string]time.Time{}}
	failed := false
	for sleep(ctx, lookEvery) == nil {
		err := o.look(ctx)
		if err != nil && !failed && ctx.Err() == nil {
			p.cfg.Logger.WarnContext(ctx, "what other processes do cannot be seen for now", "error", err)
		}
		failed = err != nil
	}
}

// others is what followOthers has seen.
type others struct {
	p     *Pipeline
	since time.Time            // up to when, by the database's clock; zero before the first look
	seen  map[string]time.Time // jobs changed shortly before, and when
}

// lateChanges is how long before it is seen a change may have got its time. Of one that is later those who
// subscribed learn with the next change of the job.
const lateChanges = 2 * time.Second

func (o *others) look(ctx context.Context) error {
	p, q := o.p, &o.p.queue
	if err := p.requeue(ctx); err != nil {
		return err
	}
	held, err := p.isHeld(ctx)
	if err != nil {
		return err
	}
	if o.since.IsZero() {
		// What is there was read by Run.
		o.since = time.Now()
	}
	jobs, at, err := p.store.Catalog().JobsSince(ctx, o.since.Add(-lateChanges))
	if err != nil {
		return err
	}
	q.mu.Lock()
	if held != q.held {
		q.held = held
		for _, m := range q.meters {
			m.rest()
		}
	}
	q.mu.Unlock()
	for j, err := range jobs {
		if err != nil {
			return err
		}
		if !o.seen[j.ID].Equal(j.UpdatedAt) {
			o.seen[j.ID] = j.UpdatedAt
			o.changed(j)
		}
	}
	o.since = at
	for id, changed := range o.seen {
		if changed.Before(at.Add(-2 * lateChanges)) {
			delete(o.seen, id)
		}
	}
	q.signal() // there may be something to begin, or room for it
	return nil
}

// changed takes note of a job that somebody has changed.
func (o *others) changed(j catalog.Job) {
	q := &o.p.queue
	q.mu.Lock()
	if r := q.running[j.ID]; r != nil {
		if r.job.Claim == j.Claim {
			r.obey(j.Asked)
		}
		q.mu.Unlock()
		return
	}
	switch m := q.meter(j.Collection); {
	case j.State == catalog.Queued:
		m.Begin(j.ID, j.Bytes)
	case j.State == catalog.Running:
		m.Begin(j.ID, j.Bytes)
		m.Advance(j.ID, Progress{Stage: j.Stage, Done: j.Done, Total: j.Total})
	default:
		q.settle(j)
	}
	q.mu.Unlock()
	o.p.watchers.publish(j)
}

// isHeld says whether the queue is paused.
func (p *Pipeline) isHeld(ctx context.Context) (bool, error) {
	held, err := p.store.Catalog().Setting(ctx, catalog.QueuePaused)
	if errors.Is(err, catalog.ErrNotFound) {
		return false, nil
	}
	return held != "", err
}
