package catalog

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"time"
)

// Any number of workers, in any number of processes, share the queue. Who works on a job has claimed it: the
// claim has a lease, which ends unless it is renewed, so that the job of a process that was killed goes back
// into the queue. Who was only slow, and has lost its claim without knowing, can no longer write: neither the
// job nor a document (see Notes). Times are those of the database's clock.

// A Request is what is asked of whoever works on a job.
type Request string

const (
	CancelJob Request = "cancel" // to end it
	PauseJob  Request = "pause"  // to set it aside
	HoldJob   Request = "hold"   // to put it back into the queue, which is paused
)

// QueuePaused is the setting that says, when it is not empty, that no job is to be claimed.
const QueuePaused = "queue.paused"

// ErrLost: the claim on a job, or a lease, has passed to another, or the job is gone.
var ErrLost = errors.New("the work has passed to another process")

// ClaimJob claims a job: the oldest of the queued ones that were begun least often, and of which no other job
// of the same path and kind is at work; a site only when sites is set. It is Running, with one more attempt,
// for the time of the lease. It returns false when there is none, or the queue is paused.
func (d *DB) ClaimJob(ctx context.Context, lease time.Duration, sites bool) (job Job, ok bool, err error) {
	err = d.update(ctx, func(tx *transaction) error {
		// One at a time, or two would claim two jobs of one path.
		if err := tx.lock(ctx, "claim"); err != nil {
			return err
		}
		job, err = scanJob(tx.queryRow(ctx, `UPDATE jobs SET state = 'running', claim = ?1, lease = {now} + ?2, asked = '', attempts = attempts + 1, heartbeat = {now}, updated_at = {now},
				error = '', status = '', stage = '', done = 0, total = 0
			WHERE seq = (SELECT q.seq FROM jobs q WHERE q.state = 'queued' AND (q.kind <> 'site' OR ?3 = 1)
				AND NOT EXISTS (SELECT 1 FROM settings WHERE key = '`+QueuePaused+`' AND value <> '')
				AND NOT EXISTS (SELECT 1 FROM jobs o WHERE o.state = 'running' AND o.path = q.path AND o.collection = q.collection AND o.kind = q.kind)
				ORDER BY q.attempts, q.seq LIMIT 1 {skip locked})
			RETURNING `+jobColumns, newID(), lease.Microseconds(), boolInt(sites)))
		ok = err == nil
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		return err
	})
	return job, ok && err == nil, err
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// SaveJob stores the name, bytes, state, stage, progress, result, attempts and heartbeat of a job that is claimed,
// and renews the lease; with a State that is not Running it gives the claim up. It returns what is asked of
// whoever works on it, and ErrLost, without a change, when the claim is no longer held.
func (d *DB) SaveJob(ctx context.Context, j Job, lease time.Duration) (asked Request, err error) {
	err = d.update(ctx, func(tx *transaction) error {
		err := tx.queryRow(ctx, `UPDATE jobs SET name = ?, sha256 = ?, bytes = ?, state = ?, stage = ?, done = ?, total = ?, error = ?, document_id = ?, status = ?,
				attempts = ?, heartbeat = ?, updated_at = {now}, lease = {now} + ?
			WHERE id = ? AND claim = ? AND state = 'running' RETURNING asked`,
			j.Name, j.SHA256, j.Bytes, j.State, j.Stage, j.Done, j.Total, j.Error, j.DocumentID, j.Status, j.Attempts, toMicro(j.Heartbeat), lease.Microseconds(), j.ID, j.Claim).Scan(&asked)
		if errors.Is(err, sql.ErrNoRows) {
			return fmt.Errorf("job %s: %w", j.ID, ErrLost)
		}
		if err != nil || j.State == Running {
			return err
		}
		_, err = tx.exec(ctx, `UPDATE jobs SET claim = '', lease = 0, asked = '' WHERE id = ?`, j.ID)
		return err
	})
	return asked, err
}

// AskJob asks something of whoever works on a job, and reports false when nobody does. A request to cancel
// stands above the others.
func (d *DB) AskJob(ctx context.Context, id string, what Request) (asked bool, err error) {
	res, err := d.exec(ctx, `UPDATE jobs SET asked = CASE asked WHEN 'cancel' THEN asked ELSE ? END, updated_at = {now} WHERE id = ? AND state = 'running'`, what, id)
	if err != nil {
		return false, Explain(err)
	}
	n, err := res.RowsAffected()
	return n > 0, err
}

// AskJobs asks something of all who work on jobs.
func (d *DB) AskJobs(ctx context.Context, what Request) error {
	_, err := d.exec(ctx, `UPDATE jobs SET asked = ?, updated_at = {now} WHERE state = 'running' AND asked = ''`, what)
	return Explain(err)
}

// ErrBusy: a job is being worked on.
var ErrBusy = errors.New("being worked on")

// ChangeJob stores the state, stage, progress, error, status and attempts that change gives to a job, and
// returns it. Nothing else changes it in between. An error of change is returned as it is. It returns
// ErrNotFound for an unknown job, and ErrBusy when change moves one that is being worked on.
func (d *DB) ChangeJob(ctx context.Context, id string, change func(*Job) error) (job Job, err error) {
	err = d.update(ctx, func(tx *transaction) error {
		if job, err = scanJob(tx.queryRow(ctx, `SELECT `+jobColumns+` FROM jobs WHERE id = ? {for update}`, id)); err != nil {
			return found(err, "job", id)
		}
		before := job
		if err := change(&job); err != nil || job == before {
			return err
		}
		if before.State == Running {
			return fmt.Errorf("job %s: %w", id, ErrBusy)
		}
		_, err := tx.exec(ctx, `UPDATE jobs SET state = ?, stage = ?, done = ?, total = ?, error = ?, status = ?, attempts = ?, updated_at = {now} WHERE id = ?`,
			job.State, job.Stage, job.Done, job.Total, job.Error, job.Status, job.Attempts, id)
		return err
	})
	return job, err
}

// RequeueJobs puts the jobs whose lease is over back into the queue, in their place among those begun as often,
// and returns them; as failed when they were begun maxAttempts times, with the error given by fail. What was
// asked of who worked on them is done to them.
func (d *DB) RequeueJobs(ctx context.Context, maxAttempts int, fail func(Job) string) (jobs []Job, err error) {
	var due bool
	if err := d.read.queryRow(ctx, `SELECT EXISTS (SELECT 1 FROM jobs WHERE state = 'running' AND lease < {now})`).Scan(&due); err != nil || !due {
		return nil, Explain(err)
	}
	err = d.update(ctx, func(tx *transaction) error {
		// One that is locked is just being saved, or its document stored.
		rows, err := tx.query(ctx, `SELECT `+jobColumns+` FROM jobs WHERE state = 'running' AND lease < {now} ORDER BY seq {skip locked}`)
		if jobs, err = collect(rows, err, scanJob); err != nil {
			return err
		}
		for i := range jobs {
			j := &jobs[i]
			j.State, j.Claim, j.Stage, j.Done, j.Total = Queued, "", "", 0, 0
			switch {
			case j.Asked == CancelJob:
				j.State = Cancelled
			case j.Asked == PauseJob:
				j.State = Paused
			case j.Attempts >= maxAttempts:
				j.State, j.Status, j.Error = Failed, Failed, fail(*j)
			}
			j.Asked = ""
			if _, err := tx.exec(ctx, `UPDATE jobs SET state = ?, status = ?, error = ?, claim = '', lease = 0, asked = '', stage = '', done = 0, total = 0, updated_at = {now} WHERE id = ?`,
				j.State, j.Status, j.Error, j.ID); err != nil {
				return err
			}
		}
		return nil
	})
	return jobs, err
}

// JobsSince yields the jobs that were changed since a time of the database's clock, the earliest change first, while
// the database still reads them: after an hour's outage, or a folder of a million files, they are many. at is the
// time now. Changes that are being written while it looks may have an earlier time: ask again from a little before.
// It stops after an error.
func (d *DB) JobsSince(ctx context.Context, since time.Time) (jobs iter.Seq2[Job, error], at time.Time, err error) {
	var micro int64
	if err := d.read.queryRow(ctx, `SELECT {now}`).Scan(&micro); err != nil {
		return nil, at, Explain(err)
	}
	return func(yield func(Job, error) bool) {
		rows, err := d.read.query(ctx, `SELECT `+jobColumns+` FROM jobs WHERE updated_at >= ? ORDER BY updated_at, seq`, toMicro(since))
		if err != nil {
			yield(Job{}, Explain(err))
			return
		}
		defer rows.Close()
		for rows.Next() {
			if j, err := scanJob(rows); !yield(j, Explain(err)) || err != nil {
				return
			}
		}
		if err := rows.Err(); err != nil {
			yield(Job{}, Explain(err))
		}
	}, fromMicro(micro), nil
}

// holdsClaim returns ErrLost unless the claim on a job is held, and keeps it so until the transaction ends.
func holdsClaim(ctx context.Context, tx *transaction, claim string) error {
	var id string
	err := tx.queryRow(ctx, `SELECT id FROM jobs WHERE claim = ? AND state = 'running' {for share}`, claim).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return ErrLost
	}
	return err
}

// TakeLease gives the owner, for a time, what the name stands for, or renews it, and reports false while
// another has it.
func (d *DB) TakeLease(ctx context.Context, name, owner string, lease time.Duration) (bool, error) {
	res, err := d.exec(ctx, `INSERT INTO leases (name, owner, until) VALUES (?, ?, {now} + ?)
		ON CONFLICT (name) DO UPDATE SET owner = excluded.owner, until = excluded.until WHERE leases.owner = excluded.owner OR leases.until < {now}`, name, owner, lease.Microseconds())
	if err != nil {
		return false, Explain(err)
	}
	n, err := res.RowsAffected()
	return n > 0, err
}

// GiveLease gives up what TakeLease gave.
func (d *DB) GiveLease(ctx context.Context, name, owner string) error {
	_, err := d.exec(ctx, `DELETE FROM leases WHERE name = ? AND owner = ?`, name, owner)
	return Explain(err)
}

// EndLeases ends all leases. It is for the start of a process that has the record to itself: whoever had them is
// gone.
func (d *DB) EndLeases(ctx context.Context) error {
	return d.update(ctx, func(tx *transaction) error {
		if _, err := tx.exec(ctx, `UPDATE jobs SET lease = 0 WHERE state = 'running'`); err != nil {
			return err
		}
		_, err := tx.exec(ctx, `DELETE FROM leases`)
		return err
	})
}
