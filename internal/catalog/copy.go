package catalog

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
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

// KeepCollection removes everything from the catalog but one collection and its documents. It returns
// ErrNotFound when there is none of that name.
func (d *DB) KeepCollection(ctx context.Context, name string) error {
	if _, err := d.Collection(ctx, name); err != nil {
		return err
	}
	err := d.update(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `DELETE FROM collections WHERE name <> ?`, name); err != nil {
			return err
		}
		for _, table := range []string{"jobs", "conversations", "settings", "spare_vectors", "watches", "fetches"} {
			if _, err := tx.ExecContext(ctx, `DELETE FROM `+table); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	_, err = d.write.ExecContext(ctx, `VACUUM`)
	return Explain(err)
}

// Files returns the SHA-256 of the files that documents and unfinished jobs name.
func (d *DB) Files(ctx context.Context) ([]string, error) {
	rows, err := d.read.QueryContext(ctx, `SELECT sha256 FROM documents WHERE sha256 <> ''
		UNION SELECT sha256 FROM jobs WHERE sha256 <> '' AND state NOT IN ('done', 'cancelled')`)
	return collect(rows, err, func(s scanner) (f string, err error) { return f, s.Scan(&f) })
}

// ImportCollection copies the one collection of another catalog, whose schema is this one's, under a name,
// all or nothing. Documents keep their ids where these are free. It returns ErrExists when the name is taken.
func (d *DB) ImportCollection(ctx context.Context, other *DB, name string) (Collection, error) {
	all, err := other.Collections(ctx)
	if err != nil {
		return Collection{}, err
	}
	if len(all) != 1 {
		return Collection{}, fmt.Errorf("%w: %d collections in the place of one", ErrCorrupt, len(all))
	}
	conn, err := d.write.Conn(ctx)
	if err != nil {
		return Collection{}, Explain(err)
	}
	defer conn.Close()
	if _, err := conn.ExecContext(ctx, `ATTACH ? AS other`, other.path); err != nil {
		return Collection{}, Explain(err)
	}
	err = copyOther(ctx, conn, name)
	if _, detachErr := conn.ExecContext(context.WithoutCancel(ctx), `DETACH other`); err == nil {
		err = detachErr
	}
	if err != nil {
		return Collection{}, fmt.Errorf("import collection %q: %w", name, Explain(err))
	}
	return d.Collection(ctx, name)
}

// copyOther copies the collection of the catalog that is attached as other.
func copyOther(ctx context.Context, conn *sql.Conn, name string) error {
	tx, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	var id int64
	err = tx.QueryRowContext(ctx, `INSERT INTO collections (name, encoder, dim, created_at, settings) SELECT ?, encoder, dim, created_at, settings FROM other.collections RETURNING id`, name).Scan(&id)
	if err != nil {
		return err
	}
	exec := func(statement string, args ...any) {
		if err == nil {
			_, err = tx.ExecContext(ctx, statement, args...)
		}
	}
	exec(`CREATE TEMP TABLE moved (old TEXT NOT NULL PRIMARY KEY, new TEXT NOT NULL) STRICT`)
	rows, queryErr := tx.QueryContext(ctx, `SELECT o.id, EXISTS (SELECT 1 FROM main.documents d WHERE d.id = o.id) FROM other.documents o`)
	type document struct {
		id    string
		taken bool
	}
	documents, queryErr := collect(rows, queryErr, func(s scanner) (m document, err error) { return m, s.Scan(&m.id, &m.taken) })
	if queryErr != nil {
		return queryErr
	}
	for _, d := range documents {
		to := d.id
		if d.taken {
			to = newID()
		}
		exec(`INSERT INTO temp.moved VALUES (?, ?)`, d.id, to)
	}
	exec(`INSERT INTO documents (id, collection_id, path, title, format, language, sha256, bytes, pages, chunks, metadata, warnings, added_at, updated_at, duplicate_of)
		SELECT m.new, ?, o.path, o.title, o.format, o.language, o.sha256, o.bytes, o.pages, o.chunks, o.metadata, o.warnings, o.added_at, o.updated_at,
			coalesce((SELECT new FROM temp.moved WHERE old = o.duplicate_of), '')
		FROM other.documents o JOIN temp.moved m ON m.old = o.id`, id)
	exec(`INSERT INTO contents (document_id, text, structure) SELECT m.new, o.text, o.structure FROM other.contents o JOIN temp.moved m ON m.old = o.document_id`)
	// In their order: that of the ids parts equal scores.
	exec(`INSERT INTO chunks (document_id, ordinal, start_byte, end_byte, tokens, first_page, last_page, headings, context, text, hash, vector, read_start, read_end, labels)
		SELECT m.new, o.ordinal, o.start_byte, o.end_byte, o.tokens, o.first_page, o.last_page, o.headings, o.context, o.text, o.hash, o.vector, o.read_start, o.read_end, o.labels
		FROM other.chunks o JOIN temp.moved m ON m.old = o.document_id ORDER BY o.id`)
	exec(`INSERT INTO reports (collection_id, path, report, updated_at) SELECT ?, path, report, updated_at FROM other.reports`, id)
	exec(`INSERT INTO signatures (document_id, minhash) SELECT m.new, o.minhash FROM other.signatures o JOIN temp.moved m ON m.old = o.document_id`)
	exec(`INSERT INTO signature_bands (collection_id, band, document_id) SELECT ?, o.band, m.new FROM other.signature_bands o JOIN temp.moved m ON m.old = o.document_id`, id)
	exec(`DROP TABLE temp.moved`)
	if err != nil {
		return err
	}
	return tx.Commit()
}
