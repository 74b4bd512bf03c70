package catalog

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// keptCopies is how many copies of before a migration are kept.
const keptCopies = 3

// copyTime is how the name of a copy tells when it was made: record-v0007-20260131T120000Z.db.
const copyTime = "20060102T150405Z"

// Upgrade brings the schema of the database file at path up to date, as Open does, and keeps a copy of the
// file as it was in the folder copies; of these it keeps the newest three. Where no migration is due it does
// nothing and makes no folder. When a migration fails, the file is put back as it was, so that the release
// that wrote it can go on with it. For a file of a later release it returns ErrNewerSchema, with the copy, if
// there is one, that this release can use.
func Upgrade(ctx context.Context, path, copies string, logger *slog.Logger) error {
	current, err := schemaVersion(ctx, path)
	if err != nil || current == 0 {
		return nil // new, or damaged, which Open tells
	}
	latest, err := latestSchema(sqlite)
	if err != nil {
		return err
	}
	switch {
	case current > latest:
		return fmt.Errorf("open catalog %s: %w: its schema is version %d, this program knows up to %d; update the program%s", path, ErrNewerSchema, current, latest, olderCopy(copies, latest))
	case current == latest:
		return nil
	}
	kept, err := keepCopy(ctx, path, copies, current)
	if err != nil {
		return fmt.Errorf("copy %s before its migration: %w", path, err)
	}
	// A warning, so that it is seen: somebody may want to go back.
	logger.WarnContext(ctx, "record copied before its migration", "file", path, "schema", current, "to", latest, "copy", kept)
	db, err := Open(ctx, path, logger)
	if err == nil {
		err = db.Close()
	}
	if err == nil {
		return nil
	}
	if putErr := putBack(ctx, kept, path); putErr != nil {
		return fmt.Errorf("%w; the file as it was is %s, and could not be put back: %w", err, kept, putErr)
	}
	return fmt.Errorf("%w; the file is as it was (schema %d), and so is its copy %s", err, current, kept)
}

// schemaVersion is 0 for a database without one.
func schemaVersion(ctx context.Context, path string) (int64, error) {
	if info, err := os.Stat(path); err != nil || info.Size() == 0 {
		return 0, err
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return 0, err
	}
	db, err := connect(abs)
	if err != nil {
		return 0, err
	}
	defer db.Close()
	return versionOf(ctx, db)
}

func versionOf(ctx context.Context, db *sql.DB) (int64, error) {
	var has bool
	if err := db.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = 'goose_db_version')`).Scan(&has); err != nil || !has {
		return 0, Explain(err)
	}
	var version sql.NullInt64
	err := db.QueryRowContext(ctx, `SELECT max(version_id) FROM goose_db_version WHERE is_applied`).Scan(&version)
	return version.Int64, Explain(err)
}

// latestSchema is the version of the newest migration of the dialect.
func latestSchema(l *dialect) (int64, error) {
	names, err := fs.Glob(migrations, "migrations/"+l.name+"/*.sql")
	if err != nil || len(names) == 0 {
		return 0, errors.Join(err, errors.New("catalog: there are no migrations"))
	}
	var version int64
	_, err = fmt.Sscanf(filepath.Base(names[len(names)-1]), "%d_", &version)
	return version, err
}

// migrateTo makes the schema of a version in an empty database.
func migrateTo(ctx context.Context, db *sql.DB, version int64) error {
	p, err := newMigrations(sqlite, db)
	if err == nil {
		_, err = p.UpTo(ctx, version)
	}
	return err
}

// keepCopy writes the database as one file to the folder copies, durably, and removes all but the newest.
func keepCopy(ctx context.Context, path, copies string, version int64) (string, error) {
	if err := os.MkdirAll(copies, 0o700); err != nil {
		return "", Explain(err)
	}
	to := filepath.Join(copies, fmt.Sprintf("record-v%04d-%s.db", version, time.Now().UTC().Format(copyTime)))
	part := to + ".part"
	if err := os.Remove(part); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	err := CopyFile(ctx, path, part, func() error { return nil })
	if err == nil {
		err = syncFile(part)
	}
	if err == nil {
		err = os.Rename(part, to)
	}
	if err != nil {
		os.Remove(part)
		return "", err
	}
	all := keptIn(copies)
	for _, old := range all[:max(0, len(all)-keptCopies)] {
		os.Remove(old.path) // one more than wanted does no harm
	}
	return to, nil
}

type keptCopy struct {
	path    string
	version int64
	made    time.Time
}

// keptIn returns the copies in a folder, the oldest first.
func keptIn(copies string) []keptCopy {
	names, _ := filepath.Glob(filepath.Join(copies, "record-v*.db"))
	var all []keptCopy
	for _, name := range names {
		k := keptCopy{path: name}
		var made string
		if _, err := fmt.Sscanf(strings.TrimSuffix(filepath.Base(name), ".db"), "record-v%d-%s", &k.version, &made); err != nil {
			continue
		}
		var err error
		if k.made, err = time.Parse(copyTime, made); err != nil {
			continue
		}
		all = append(all, k)
	}
	slices.SortFunc(all, func(a, b keptCopy) int { return a.made.Compare(b.made) })
	return all
}

// olderCopy tells of the newest copy whose schema is at most latest; "" when there is none.
func olderCopy(copies string, latest int64) string {
	for _, k := range slices.Backward(keptIn(copies)) {
		if k.version <= latest {
			return fmt.Sprintf(", or go back to the record of %s, without what has been done since: %s", k.made.Format("2006-01-02 15:04 UTC"), k.path)
		}
	}
	return ""
}

// putBack puts a copy of a database in the place of path, whole or not at all.
func putBack(ctx context.Context, from, path string) error {
	part := path + ".part"
	os.Remove(part)
	err := CopyFile(context.WithoutCancel(ctx), from, part, func() error { return nil })
	if err == nil {
		err = syncFile(part)
	}
	if err == nil {
		// A write-ahead log of the file before would be applied to this one.
		err = errors.Join(removeIfThere(path+"-wal"), removeIfThere(path+"-shm"))
	}
	if err == nil {
		err = os.Rename(part, path)
	}
	if err != nil {
		os.Remove(part)
	}
	return err
}

func removeIfThere(path string) error {
	if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func syncFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
