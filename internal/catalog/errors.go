package catalog

import (
	"errors"
	"fmt"
	"syscall"

	sqlite "modernc.org/sqlite"
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
	// ErrNewerSchema: the database was written by a later release, which this one cannot read.
	ErrNewerSchema = errors.New("database is of a newer release")
)

// Explain adds to err, which a database or file operation returned, the sentinel its cause deserves:
// ErrDiskFull, ErrCorrupt or ErrExists. An error that is none of these comes back as it is.
func Explain(err error) error {
	if err == nil {
		return nil
	}
	for _, known := range []error{ErrDiskFull, ErrCorrupt, ErrExists, ErrNotFound} {
		if errors.Is(err, known) {
			return err
		}
	}
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, errQuota) {
		return fmt.Errorf("%w: %w", ErrDiskFull, err)
	}
	var e *sqlite.Error
	if !errors.As(err, &e) {
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
