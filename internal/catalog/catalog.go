// Package catalog is the record of what a store holds, in one SQLite file or in a database of Postgres:
// collections, their documents, chunks and vectors, ingestion jobs, conversations and settings.
//
// What a method has written when it returns nil survives the end of the process and of the machine's
// power: each change is one transaction, synced before the method returns. Reads do not wait for changes,
// and see whole transactions only.
//
//	db, err := catalog.Open(ctx, "docent.db", nil)
//	defer db.Close()
//	err = db.AddJobs(ctx, []catalog.Job{{Collection: "handbook", Path: "leave.pdf"}})
//	job, ok, err := db.ClaimJob(ctx, time.Minute, true)
//
// A file belongs to one process at a time, the owner of the data directory's lock, and one of its
// connections writes. A database of Postgres is shared by any number of processes: changes of the same
// document, and of a collection as a whole, wait for each other; others go on side by side.
package catalog

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/google/uuid"
	"github.com/pressly/goose/v3"
	_ "modernc.org/sqlite" // the "sqlite" driver
)

//go:embed migrations/sqlite/*.sql migrations/postgres/*.sql
var migrations embed.FS

// A DB is an open catalog. It is safe for concurrent use.
type DB struct {
	Reader
	path    string
	dialect *dialect
	write   pool
	read    pool
	log     *emptier // of SQLite's write-ahead log; nil for Postgres
	schema  int64    // the version that this program works with, in Postgres
}

// newMigrations returns the migrations of the dialect, to be run on db.
func newMigrations(l *dialect, db *sql.DB) (*goose.Provider, error) {
	dir, err := fs.Sub(migrations, "migrations/"+l.name)
	if err != nil {
		return nil, err
	}
	return goose.NewProvider(l.goose, db, dir, goose.WithLogger(goose.NopLogger()), goose.WithDisableGlobalRegistry(true))
}

// migrate runs the migrations the database lacks.
func (d *DB) migrate(ctx context.Context, logger *slog.Logger) error {
	p, err := newMigrations(d.dialect, d.write.DB)
	if err != nil {
		return err
	}
	current, latest, err := p.GetVersions(ctx)
	if err != nil {
		return err
	}
	if current > latest {
		return fmt.Errorf("%w: its schema is version %d, this program knows up to %d; update the program", ErrNewerSchema, current, latest)
	}
	results, err := p.Up(ctx)
	for _, r := range results {
		logger.InfoContext(ctx, "catalog migrated", "migration", filepath.Base(r.Source.Path), "took", r.Duration)
	}
	if err != nil && d.dialect == sqlite {
		// A table that is missing, or not as it was made, is what a migration stumbles over.
		if missing, findErr := missingParts(ctx, d.write.DB); findErr == nil && missing != "" {
			err = fmt.Errorf("%w: %s: %w", ErrCorrupt, missing, err)
		}
	}
	return err
}

// Path returns the absolute path of the database file; of Postgres its address, without the password.
func (d *DB) Path() string { return d.path }

// Close writes the log back into the file and closes it. Calls that are under way may fail.
func (d *DB) Close() error {
	d.log.stop()
	// Readers go first: the last connection, the writer, then folds the write-ahead log into the file.
	var errs []error
	for _, c := range []io.Closer{d.read, d.write} {
		if err := c.Close(); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// update runs fn in one transaction. fn may be called again, after a rollback.
func (d *DB) update(ctx context.Context, fn func(*transaction) error) error {
	return Explain(d.write.retry(ctx, func() error {
		tx, err := d.beginChange(ctx)
		if err != nil {
			return err
		}
		defer tx.Rollback()
		if err := fn(tx); err != nil {
			return err
		}
		return tx.Commit()
	}))
}

// exec runs one statement as a change of its own.
func (d *DB) exec(ctx context.Context, statement string, args ...any) (res sql.Result, err error) {
	if d.dialect == sqlite {
		return d.write.exec(ctx, statement, args...)
	}
	err = d.update(ctx, func(tx *transaction) error {
		res, err = tx.exec(ctx, statement, args...)
		return err
	})
	return res, err
}

// beginChange begins a transaction that changes the record. It returns ErrNewerSchema when a later release has
// migrated it meanwhile.
func (d *DB) beginChange(ctx context.Context) (*transaction, error) {
	tx, err := d.write.begin(ctx, nil)
	if err != nil || d.dialect != postgres {
		return tx, err
	}
	if _, err := tx.Tx.ExecContext(ctx, guard(d.schema)); err != nil {
		tx.Rollback()
		return nil, d.refused(err)
	}
	return tx, nil
}

// found turns sql.ErrNoRows and a count of no rows changed into ErrNotFound, with what was looked for.
func found(err error, what, name string) error {
	if errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("%s %q: %w", what, name, ErrNotFound)
	}
	return Explain(err)
}

func changed(res sql.Result, err error, what, name string) error {
	if err != nil {
		return Explain(err)
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		return found(errors.Join(err, sql.ErrNoRows), what, name)
	}
	return nil
}

func newID() string {
	// Version 7: ids ascend with time, which keeps the indexes on them compact.
	return uuid.Must(uuid.NewV7()).String()
}

func now() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }

func toMicro(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func fromMicro(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}

type scanner interface{ Scan(dest ...any) error }

// collect reads all rows by scan.
func collect[T any](rows *sql.Rows, err error, scan func(scanner) (T, error)) ([]T, error) {
	if err != nil {
		return nil, Explain(err)
	}
	defer rows.Close()
	all := []T{}
	for rows.Next() {
		one, err := scan(rows)
		if err != nil {
			return nil, Explain(err)
		}
		all = append(all, one)
	}
	return all, Explain(rows.Err())
}
