package catalog

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"time"
)

// CopyFile writes the catalog at path, as of one moment, to a new file; the schema stays as it is. Others,
// also in other processes, may be using it. At that moment, and while nobody can change the catalog, it
// calls meanwhile, which should be quick.
func CopyFile(ctx context.Context, path, to string, meanwhile func() error) error {
	abs, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	db, err := connect(abs, "_txlock=immediate")
	if err != nil {
		return err
	}
	defer db.Close()
	hold, err := db.BeginTx(ctx, nil) // the right to write, so that nobody else has it
	if err != nil {
		return Explain(err)
	}
	defer hold.Rollback()
	copied := make(chan error, 1)
	go func() {
		// It copies what is in use only: what was deleted is not in the copy.
		_, err := db.ExecContext(ctx, `VACUUM INTO ?`, to)
		copied <- err
	}()
	err = meanwhile()
	// Once something of the copy is there, the moment is settled.
	for err == nil && len(copied) == 0 {
		if info, statErr := os.Stat(to); statErr == nil && info.Size() > 0 {
			break
		}
		time.Sleep(time.Millisecond)
	}
	return errors.Join(err, hold.Rollback(), Explain(<-copied))
}

// Files returns the SHA-256 of the files that documents and unfinished jobs name.
func (d *DB) Files(ctx context.Context) ([]string, error) {
	rows, err := d.read.query(ctx, `SELECT sha256 FROM documents WHERE sha256 <> ''
		UNION SELECT sha256 FROM jobs WHERE sha256 <> '' AND state NOT IN ('done', 'cancelled')`)
	return collect(rows, err, func(s scanner) (f string, err error) { return f, s.Scan(&f) })
}
