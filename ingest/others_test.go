package ingest_test

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"

	"docent/ingest"
	"docent/internal/catalog"
	"docent/internal/pgtest"
	"docent/retriever"
)

// shared returns n pipelines whose stores share a database, as those of several processes do, and the database.
func shared(t *testing.T, n int) (all []*bench, db *sql.DB) {
	t.Helper()
	address := pgtest.Database(t)
	dir := t.TempDir()
	for i := range n {
		s, err := retriever.Open(t.Context(), retriever.Config{Dir: filepath.Join(dir, "data", string(rune('a'+i))), Store: address})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		all = append(all, &bench{dir: dir, store: s})
	}
	if _, err := all[0].store.CreateCollection(t.Context(), "c"); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("pgx", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return all, db
}

// What is asked of a job in one process is done in the one that works on it.
func TestControlElsewhere(t *testing.T) {
	ctx := t.Context()
	all, _ := shared(t, 2)
	desk, worker := all[0], all[1]
	desk.with(t, newBlocker(t), ingest.PipelineConfig{})
	block := newBlocker(t)
	worker.with(t, block, ingest.PipelineConfig{Workers: 1})
	jobs, err := desk.pipe.Enqueue(ctx, "c", []ingest.Item{desk.file(t, "a.md", handbook+"a"), desk.file(t, "b.md", handbook+"b"), desk.file(t, "c.md", handbook+"c")})
	if err != nil {
		t.Fatal(err)
	}
	stop := worker.start(t)
	release := func() {
		// Not before what was asked has reached the worker: a job whose document is stored counts as done.
		time.Sleep(2 * time.Second)
		block.release <- struct{}{}
	}
	<-block.entered
	go release()
	if err := desk.pipe.Cancel(ctx, jobs[0].ID); err != nil || desk.job(t, jobs[0].ID).State != catalog.Cancelled {
		t.Fatalf("cancel: %v, %+v", err, desk.job(t, jobs[0].ID))
	}
	<-block.entered
	go release()
	if err := desk.pipe.PauseQueue(ctx); err != nil {
		t.Fatal(err)
	}
	if j := desk.job(t, jobs[1].ID); j.State != catalog.Queued || j.Attempts != 0 {
		t.Errorf("with the queue paused: %+v", j)
	}
	if err := desk.pipe.Pause(ctx, jobs[1].ID); err != nil || desk.job(t, jobs[1].ID).State != catalog.Paused {
		t.Errorf("pause: %v", err)
	}
	if err := desk.pipe.ResumeQueue(ctx); err != nil {
		t.Fatal(err)
	}
	close(block.release)
	if j := desk.settle(t, jobs[2:])[0]; j.State != catalog.Done || j.Attempts != 1 {
		t.Errorf("after the pause: %+v", j)
	}
	if err := desk.pipe.Resume(ctx, jobs[1].ID); err != nil {
		t.Fatal(err)
	}
	if j := desk.settle(t, jobs[1:])[0]; j.State != catalog.Done || j.Attempts != 1 {
		t.Errorf("resumed: %+v", j)
	}
	stop()
	if docs, err := desk.store.Documents(ctx, "c"); err != nil || len(docs) != 2 {
		t.Errorf("%d documents, %v", len(docs), err)
	}
}

// A process that stands still loses its job to another, and can write nothing when it goes on. Those who
// subscribed elsewhere see how it ends.
func TestLostJob(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	all, db := shared(t, 2)
	slow, quick := all[0], all[1]
	block := newBlocker(t)
	slow.with(t, block, ingest.PipelineConfig{Workers: 1, Heartbeat: time.Hour})
	free := newBlocker(t)
	close(free.release)
	quick.with(t, free, ingest.PipelineConfig{Workers: 1})
	jobs, err := slow.pipe.Enqueue(ctx, "c", []ingest.Item{slow.file(t, "a.md", handbook)})
	if err != nil {
		t.Fatal(err)
	}
	changes := slow.pipe.Subscribe(ctx, "c")
	slow.start(t)
	<-block.entered
	if _, err := db.ExecContext(ctx, `UPDATE jobs SET lease = 0`); err != nil {
		t.Fatal(err)
	}
	stop := quick.start(t)
	j := quick.settle(t, jobs)[0]
	if j.State != catalog.Done || j.Attempts != 2 {
		t.Fatalf("taken over: %+v", j)
	}
	stop()
	before, err := slow.store.DocumentByPath(ctx, "c", j.Path)
	if err != nil {
		t.Fatal(err)
	}
	close(block.release)
	for c := range changes {
		if c.ID == j.ID && c.State == catalog.Done {
			break
		}
	}
	time.Sleep(200 * time.Millisecond)
	after, err := slow.store.DocumentByPath(ctx, "c", j.Path)
	if err != nil || !after.UpdatedAt.Equal(before.UpdatedAt) {
		t.Errorf("written again: %+v, %v, before it was %+v", after, err, before)
	}
	if now := slow.job(t, j.ID); now != j {
		t.Errorf("the job is %+v, was %+v", now, j)
	}
	if r, err := ingest.ReadReport(ctx, slow.store, "c", j.Path); err != nil || r.Status != ingest.Ingested {
		t.Errorf("report: %+v, %v", r, err)
	}
}

// One process follows a folder; another takes over when it ends.
func TestWatchOnce(t *testing.T) {
	ctx := t.Context()
	all, _ := shared(t, 2)
	files := filepath.Dir(all[0].file(t, "a.md", handbook).Path)
	looks := make(chan int, 1000)
	stops := make([]context.CancelFunc, 2)
	ends := make([]chan error, 2)
	for i, b := range all {
		free := newBlocker(t)
		close(free.release)
		b.with(t, free, ingest.PipelineConfig{Heartbeat: 100 * time.Millisecond})
		var watching context.Context
		watching, stops[i] = context.WithCancel(ctx)
		defer stops[i]()
		ends[i] = make(chan error, 1)
		go func() {
			ends[i] <- b.pipe.Follow(watching, catalog.Watch{Collection: "c", Folder: files}, ingest.WatchConfig{Poll: 20 * time.Millisecond, PollOnly: true},
				func(context.Context, ingest.Changes) error { return nil }, func(ingest.Watching) { looks <- i })
		}()
	}
	first := <-looks
	for range 50 {
		if got := <-looks; got != first {
			t.Fatal("both follow the folder")
		}
	}
	stops[first]()
	if err := <-ends[first]; err != nil {
		t.Fatal(err)
	}
	for {
		select {
		case got := <-looks:
			if got == first {
				continue
			}
		case <-time.After(10 * time.Second):
			t.Error("nobody follows the folder any more")
		}
		break
	}
	stops[1-first]()
	if err := <-ends[1-first]; err != nil && !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
