package catalog

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5/pgconn"
	sqlitedriver "modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

var (
	// ErrNotFound: no row has that name, id or path.
	ErrNotFound = errors.New("not found")
	// ErrExists: the name or id is taken.
	ErrExists = errors.New("already exists")
	// ErrDiskFull: the disk, or the quota on it, has no room left. Nothing of the change was kept.
	ErrDiskFull = errors.New("disk full")
	// ErrCorrupt: the database file is damaged, cut short, or not a database at all.
	ErrCorrupt = errors.New("database damaged")
	// ErrEncoder: vectors are of another encoder than those of the collection.
	ErrEncoder = errors.New("encoder mismatch")
	// ErrIncomplete: a collection cannot take its new vectors, because some are not made yet.
	ErrIncomplete = errors.New("vectors are missing")
	// ErrUnavailable: the server of the database cannot be reached, or the connection to it broke. What was being
	// changed may have been, or not.
	ErrUnavailable = errors.New("database cannot be reached")
	// ErrNewerSchema: the database was written by a later release, which this one cannot read.
	ErrNewerSchema = errors.New("database is of a newer release")
	// ErrPooler: a pooler of connections stands before the Postgres server, and does something that cannot be worked
	// with. The error says how to set it.
	ErrPooler = errors.New("the pooler before the server has to be set otherwise")
)

// Explain adds to err, which a database or file operation returned, the sentinel its cause deserves:
// ErrDiskFull, ErrCorrupt, ErrExists, ErrNotFound or ErrUnavailable. An error that is none of these comes back as it is.
func Explain(err error) error {
	if err == nil {
		return nil
	}
	for _, known := range []error{ErrDiskFull, ErrCorrupt, ErrExists, ErrNotFound, ErrUnavailable} {
		if errors.Is(err, known) {
			return err
		}
	}
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, errQuota) {
		return fmt.Errorf("%w: %w", ErrDiskFull, err)
	}
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return explainPostgres(e, err)
	}
	if broken(err) {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	e, ok := errors.AsType[*sqlitedriver.Error](err)
	if !ok {
		return err
	}
	switch code := e.Code(); code & 0xff {
	case sqlite3.SQLITE_FULL:
		return fmt.Errorf("%w: %w", ErrDiskFull, err)
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	case sqlite3.SQLITE_IOERR:
		if code == sqlite3.SQLITE_IOERR_SHORT_READ {
			return fmt.Errorf("%w: %w", ErrCorrupt, err)
		}
	case sqlite3.SQLITE_CONSTRAINT:
		if code == sqlite3.SQLITE_CONSTRAINT_UNIQUE || code == sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY {
			return fmt.Errorf("%w: %w", ErrExists, err)
		}
	}
	return err
}

// broken says whether err is of a connection that cannot be made or was lost, unless the caller gave up.
func broken(err error) bool {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return false
	}
	_, connect := errors.AsType[*pgconn.ConnectError](err)
	_, network := errors.AsType[*net.OpError](err)
	return connect || network || errors.Is(err, driver.ErrBadConn) || errors.Is(err, io.ErrUnexpectedEOF)
}

func explainPostgres(e *pgconn.PgError, err error) error {
	switch e.Code {
	case "53100": // disk_full
		return fmt.Errorf("%w: %w", ErrDiskFull, err)
	case "XX001", "XX002": // data_corrupted, index_corrupted
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	case "23505": // unique_violation
		return fmt.Errorf("%w: %w", ErrExists, err)
	case "23503": // foreign_key_violation: what the row belongs to has gone meanwhile
		return fmt.Errorf("%w: %w", ErrNotFound, err)
	case "53300": // too_many_connections
		return fmt.Errorf("%w; raise max_connections of the server, or run fewer processes", err)
	}
	if strings.HasPrefix(e.Code, "57P0") || strings.HasPrefix(e.Code, "08") { // it shuts down or starts; connection exceptions
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	if e.Message == `extension "vector" is not available` {
		return fmt.Errorf("%w; install pgvector on the server of Postgres", err)
	}
	if e.Message == `permission denied to create extension "vector"` {
		return fmt.Errorf("%w; have an administrator of the database run CREATE EXTENSION vector", err)
	}
	return err
}
