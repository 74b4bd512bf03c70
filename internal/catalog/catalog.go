// Package catalog is the record of what a data directory holds, in one SQLite file: collections, their
// documents, chunks and vectors, ingestion jobs, conversations and settings.
//
// What a method has written when it returns nil survives the end of the process and of the machine's
// power: each change is one transaction, synced before the method returns. One connection writes; a
// pool reads beside it without waiting (write-ahead log), each read seeing whole transactions only.
//
//	db, err := catalog.Open(ctx, "docent.db", nil)
//	defer db.Close()
//	err = db.AddJobs(ctx, []catalog.Job{{Collection: "handbook", Path: "leave.pdf"}})
//	job, ok, err := db.NextJob(ctx)
//
// The database belongs to one process at a time; the owner of the data directory's lock opens it.
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
	"math"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/pressly/goose/v3"
	_ "modernc.org/sqlite" // the "sqlite" driver
)

//go:embed migrations/*.sql
var migrations embed.FS

// checkedAlways is the size in bytes up to which a database is checked at every Open; a larger one is
// checked only after an end without Close, to keep the start quick.
const checkedAlways = 64 << 20

// A DB is an open catalog. It is safe for concurrent use.
type DB struct {
	path  string
	write *sql.DB // one connection
	read  *sql.DB // several, query only
}

// Open opens the database file at path, creating it where it is missing, and brings its schema up to
// date. It returns ErrCorrupt for a damaged file and ErrNewerSchema for one of a later release; the
// file is left as it was in both cases. A nil logger discards.
func Open(ctx context.Context, path string, logger *slog.Logger) (*DB, error) {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("open catalog %s: %w", path, err)
	}
	check := needsCheck(abs)
	d := &DB{path: abs}
	// Full: a commit is synced to the disk before it is acknowledged, so it survives a power cut as well
	// as SIGKILL. Normal would be quicker and lose the last commits of a power cut.
	if d.write, err = connect(abs, "_txlock=immediate", "_pragma=journal_mode(WAL)", "_pragma=synchronous(FULL)"); err != nil {
		return nil, fmt.Errorf("open catalog %s: %w", path, err)
	}
	d.write.SetMaxOpenConns(1)
	if d.read, err = connect(abs, "_pragma=query_only(1)"); err != nil {
		d.write.Close()
		return nil, fmt.Errorf("open catalog %s: %w", path, err)
	}
	d.read.SetMaxOpenConns(max(4, runtime.GOMAXPROCS(0)))
	d.read.SetMaxIdleConns(max(4, runtime.GOMAXPROCS(0)))
	err = d.prepare(ctx, check, logger)
	if err != nil {
		d.Close()
		return nil, fmt.Errorf("open catalog %s: %w", path, Explain(err))
	}
	return d, nil
}

func (d *DB) prepare(ctx context.Context, check bool, logger *slog.Logger) error {
	if check {
		if err := d.Check(ctx); err != nil {
			return err
		}
	}
	return d.migrate(ctx, logger)
}

// needsCheck says whether the file's structure is to be checked before use. A write-ahead log left
// behind means that the last owner did not Close.
func needsCheck(path string) bool {
	info, err := os.Stat(path)
	if err != nil || info.Size() == 0 {
		return false
	}
	wal, err := os.Stat(path + "-wal")
	return info.Size() <= checkedAlways || err == nil && wal.Size() > 0
}

func connect(path string, params ...string) (*sql.DB, error) {
	name := filepath.ToSlash(path)
	if !strings.HasPrefix(name, "/") {
		name = "/" + name // C:/… on Windows
	}
	params = append([]string{"_pragma=busy_timeout(10000)", "_pragma=foreign_keys(1)", "_pragma=temp_store(MEMORY)", "_pragma=mmap_size(0)"}, params...)
	return sql.Open("sqlite", "file://"+(&url.URL{Path: name}).EscapedPath()+"?"+strings.Join(params, "&"))
}

// migrate runs the migrations the database lacks.
func (d *DB) migrate(ctx context.Context, logger *slog.Logger) error {
	dir, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	p, err := goose.NewProvider(goose.DialectSQLite3, d.write, dir, goose.WithLogger(goose.NopLogger()), goose.WithDisableGlobalRegistry(true))
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
	return err
}

// Path returns the absolute path of the database file.
func (d *DB) Path() string { return d.path }

// Close writes the log back into the file and closes it. Calls that are under way may fail.
func (d *DB) Close() error {
	// Readers go first: the last connection, the writer, then folds the write-ahead log into the file.
	var errs []error
	for _, c := range []io.Closer{d.read, d.write} {
		if err := c.Close(); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// Check reads the whole file and returns ErrCorrupt, with the first finding, when its structure is
// damaged.
func (d *DB) Check(ctx context.Context) error {
	var finding string
	err := d.write.QueryRowContext(ctx, "PRAGMA quick_check(1)").Scan(&finding)
	switch {
	case err != nil:
		return Explain(err)
	case finding != "ok":
		return fmt.Errorf("%w: %s", ErrCorrupt, finding)
	}
	return nil
}

// SetMaxBytes bounds the size of the database file, in bytes rounded up to its pages; a change that
// would pass it fails with ErrDiskFull. It cannot be less than the file is already. 0 means no bound.
// It holds until Close.
func (d *DB) SetMaxBytes(ctx context.Context, n int64) error {
	var page int64
	if err := d.write.QueryRowContext(ctx, "PRAGMA page_size").Scan(&page); err != nil {
		return Explain(err)
	}
	pages := int64(math.MaxUint32 - 1) // SQLite's own bound
	if n > 0 {
		pages = min((n+page-1)/page, pages)
	}
	_, err := d.write.ExecContext(ctx, fmt.Sprintf("PRAGMA max_page_count = %d", pages))
	return Explain(err)
}

// update runs fn in one transaction on the writing connection.
func (d *DB) update(ctx context.Context, fn func(*sql.Tx) error) error {
	tx, err := d.write.BeginTx(ctx, nil)
	if err != nil {
		return Explain(err)
	}
	defer tx.Rollback()
	if err := fn(tx); err != nil {
		return Explain(err)
	}
	return Explain(tx.Commit())
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
