package catalog

import (
	"context"
	"database/sql"
	"fmt"
	"sync"
	"time"
)

// An emptier folds SQLite's write-ahead log into the database and empties it, some time after a removal: until
// then the log holds pages as they were before. A nil one does nothing.
type emptier struct {
	path string

	mu      sync.Mutex
	timer   *time.Timer
	waiting bool
	stopped bool
	at      sync.WaitGroup // the work
}

const (
	// Removals so near to one another are followed by one emptying.
	emptyAfter = time.Second
	// How long writers are kept waiting for readers of the log to end; then it is tried again later.
	emptyPatience = 100 * time.Millisecond
)

// soon has the log emptied.
func (e *emptier) soon() {
	if e == nil {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.waiting || e.stopped {
		return
	}
	e.waiting = true
	e.at.Add(1)
	e.timer = time.AfterFunc(emptyAfter, func() {
		defer e.at.Done()
		e.mu.Lock()
		e.waiting = false
		e.mu.Unlock()
		if !e.empty() {
			e.soon()
		}
	})
}

// empty reports whether the log is empty. It does not matter when it is not: it will be tried again, and the end
// of the last connection empties it too.
func (e *emptier) empty() bool {
	db, err := connect(e.path, fmt.Sprintf("_pragma=busy_timeout(%d)", emptyPatience.Milliseconds()))
	if err != nil {
		return false
	}
	defer db.Close()
	var busy, frames, moved sql.NullInt64
	err = db.QueryRowContext(context.Background(), "PRAGMA wal_checkpoint(TRUNCATE)").Scan(&busy, &frames, &moved)
	return err == nil && busy.Int64 == 0
}

// stop waits for the work at hand and lets no more begin.
func (e *emptier) stop() {
	if e == nil {
		return
	}
	e.mu.Lock()
	e.stopped = true
	if e.timer != nil && e.timer.Stop() {
		e.at.Done()
	}
	e.mu.Unlock()
	e.at.Wait()
}
