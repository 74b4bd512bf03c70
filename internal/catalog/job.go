package catalog

import (
	"context"
	"fmt"
	"math"
	"time"
)

// The states of a job.
const (
	Queued    = "queued"
	Running   = "running"
	Paused    = "paused" // set aside until somebody resumes it
	Done      = "done"
	Failed    = "failed"
	Cancelled = "cancelled"
)

// The kinds of job.
const (
	FileJob = "file"
	SiteJob = "site" // a web site to go through; each of its pages becomes a job
)

// A Job is one file on its way into a collection, or a web site to find such files on.
type Job struct {
	ID         string    `json:"id"`
	Collection string    `json:"collection"`
	Kind       string    `json:"kind"`              // FileJob, which an empty one means, or SiteJob
	Path       string    `json:"path"`              // as the document will be known; of a site the first page
	Name       string    `json:"name,omitempty"`    // as the bytes came, to tell the format by; empty when Path does
	Options    string    `json:"options,omitempty"` // of a site, JSON
	SHA256     string    `json:"sha256"`            // of the stored file; hexadecimal; empty while it is to be fetched
	Bytes      int64     `json:"bytes"`
	State      string    `json:"state"`           // Queued, Running, Paused, Done, Failed or Cancelled
	Stage      string    `json:"stage,omitempty"` // as package ingest names them, while running
	Done       int       `json:"done"`            // of Total, within the stage
	Total      int       `json:"total"`
	Error      string    `json:"error,omitempty"`
	DocumentID string    `json:"document_id,omitempty"`
	Status     string    `json:"status,omitempty"` // ingested, unchanged or failed, once ended
	Attempts   int       `json:"attempts"`         // how often it was claimed
	Heartbeat  time.Time `json:"heartbeat,omitzero"`
	Claim      string    `json:"-"` // of whoever works on it; empty while nobody does
	Asked      Request   `json:"-"` // of whoever works on it
	CreatedAt  time.Time `json:"created_at"`
	UpdatedAt  time.Time `json:"updated_at"`
}

const jobColumns = `id, collection, kind, path, name, options, sha256, bytes, state, stage, done, total, error, document_id, status, attempts, heartbeat, created_at, updated_at, claim, asked`

func scanJob(s scanner) (Job, error) {
	var j Job
	var heartbeat, created, updated int64
	err := s.Scan(&j.ID, &j.Collection, &j.Kind, &j.Path, &j.Name, &j.Options, &j.SHA256, &j.Bytes, &j.State, &j.Stage, &j.Done, &j.Total, &j.Error,
		&j.DocumentID, &j.Status, &j.Attempts, &heartbeat, &created, &updated, &j.Claim, &j.Asked)
	j.Heartbeat, j.CreatedAt, j.UpdatedAt = fromMicro(heartbeat), fromMicro(created), fromMicro(updated)
	return j, err
}

// AddJobs puts jobs at the end of the queue, all or none. It fills in, in the slice given, the ID, the
// Kind (FileJob), the State (Queued) and the times that are empty.
func (d *DB) AddJobs(ctx context.Context, jobs []Job) error {
	return d.update(ctx, func(tx *transaction) error {
		at := now()
		for first := 0; first < len(jobs); first += rowsAtOnce {
			batch := jobs[first:min(first+rowsAtOnce, len(jobs))]
			var args []any
			for i := range batch {
				j := &batch[i]
				if j.ID == "" {
					j.ID = newID()
				}
				if j.Kind == "" {
					j.Kind = FileJob
				}
				if j.State == "" {
					j.State = Queued
				}
				if j.CreatedAt.IsZero() {
					j.CreatedAt = at
				}
				j.UpdatedAt, j.Claim, j.Asked = at, "", ""
				args = append(args, j.ID, j.Collection, j.Kind, j.Path, j.Name, j.Options, j.SHA256, j.Bytes, j.State, j.Stage, j.Done, j.Total, j.Error,
					j.DocumentID, j.Status, j.Attempts, toMicro(j.Heartbeat), toMicro(j.CreatedAt), toMicro(j.UpdatedAt), j.Claim, j.Asked)
			}
			if _, err := tx.exec(ctx, `INSERT INTO jobs (`+jobColumns+`) VALUES `+placeholders(len(batch), len(args)/len(batch)), args...); err != nil {
				return fmt.Errorf("add jobs: %w", err)
			}
		}
		return nil
	})
}

// Job returns one job, or ErrNotFound.
func (d *DB) Job(ctx context.Context, id string) (Job, error) {
	j, err := scanJob(d.read.queryRow(ctx, `SELECT `+jobColumns+` FROM jobs WHERE id = ?`, id))
	return j, found(err, "job", id)
}

// Jobs returns the newest jobs of a collection, newest first; of all collections when the name is
// empty, and all of them when limit is 0 or less.
func (d *DB) Jobs(ctx context.Context, collection string, limit int) ([]Job, error) {
	if limit <= 0 {
		limit = math.MaxInt
	}
	rows, err := d.read.query(ctx, `SELECT `+jobColumns+` FROM jobs WHERE ?1 = '' OR collection = ?1 ORDER BY seq DESC LIMIT ?2`, collection, limit)
	return collect(rows, err, scanJob)
}

// JobsIn returns the jobs of a collection in one state, in the order of the queue; of all collections when
// the name is empty.
func (d *DB) JobsIn(ctx context.Context, collection, state string) ([]Job, error) {
	rows, err := d.read.query(ctx, `SELECT `+jobColumns+` FROM jobs WHERE state = ?2 AND (?1 = '' OR collection = ?1) ORDER BY seq`, collection, state)
	return collect(rows, err, scanJob)
}
