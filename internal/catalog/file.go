package catalog

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// Original files are in the record where several processes share it, in Postgres. Beside SQLite they lie in
// the data directory, and the methods here, but Files and FileNeeded, are not for it.

// pieceBytes is the size of the pieces in which a file is kept: what a statement carries at most.
const pieceBytes = 1 << 20

// KeepFile stores the bytes of a file under their sum, where they are not stored yet, and keeps them for the
// time, whether a document comes for them or not.
func (d *DB) KeepFile(ctx context.Context, sha256 string, size int64, r io.ReadSeeker, keep time.Duration) error {
	return d.update(ctx, func(tx *transaction) error {
		var isNew bool
		err := tx.queryRow(ctx, `INSERT INTO files AS f (sha256, bytes, uses, kept_until) VALUES (?,?,1,?)
			ON CONFLICT (sha256) DO UPDATE SET uses = f.uses + 1, kept_until = greatest(f.kept_until, excluded.kept_until)
			RETURNING f.xmax = 0`, sha256, size, toMicro(now().Add(keep))).Scan(&isNew) // xmax: a row that was there has been locked
		if err != nil || !isNew {
			return err
		}
		if _, err := r.Seek(0, io.SeekStart); err != nil {
			return err
		}
		piece := make([]byte, pieceBytes)
		for n := 0; ; n++ {
			filled, err := io.ReadFull(r, piece)
			if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
				return err
			}
			if filled == 0 {
				return nil
			}
			if _, err := tx.exec(ctx, `INSERT INTO file_pieces (sha256, piece, data) VALUES (?,?,?)`, sha256, n, piece[:filled]); err != nil {
				return err
			}
		}
	})
}

// ReadFile writes the bytes of a stored file to w. It returns ErrNotFound when there is none of that sum.
func (d *DB) ReadFile(ctx context.Context, sha256 string, w io.Writer) error {
	var size int64
	if err := d.read.queryRow(ctx, `SELECT bytes FROM files WHERE sha256 = ?`, sha256).Scan(&size); err != nil {
		return found(err, "file", sha256)
	}
	for n := 0; size > 0; n++ {
		var piece []byte
		if err := d.read.queryRow(ctx, `SELECT data FROM file_pieces WHERE sha256 = ? AND piece = ?`, sha256, n).Scan(&piece); err != nil {
			return found(err, "file", sha256) // removed meanwhile
		}
		if _, err := w.Write(piece); err != nil {
			return err
		}
		size -= int64(len(piece))
	}
	if size < 0 {
		return fmt.Errorf("file %s: %w: it has more bytes than it should", sha256, ErrCorrupt)
	}
	return nil
}

// HasFile says whether a file is stored.
func (d *DB) HasFile(ctx context.Context, sha256 string) (has bool, err error) {
	err = d.read.queryRow(ctx, `SELECT EXISTS (SELECT 1 FROM files WHERE sha256 = ?)`, sha256).Scan(&has)
	return has, Explain(err)
}

// FileUsed says that a document has come for a file that was stored.
func (d *DB) FileUsed(ctx context.Context, sha256 string) error {
	_, err := d.exec(ctx, `UPDATE files SET uses = greatest(uses - 1, 0), kept_until = CASE WHEN uses <= 1 THEN 0 ELSE kept_until END WHERE sha256 = ?`, sha256)
	return Explain(err)
}

// RemoveFiles removes those of the files that nothing refers to and whose time is over; of all when sums is
// nil.
func (d *DB) RemoveFiles(ctx context.Context, sums []string) error {
	which, args := ``, []any{toMicro(now())}
	if sums != nil {
		which, args = ` AND sha256 IN {texts}`, append(args, list(sums))
	}
	_, err := d.exec(ctx, `DELETE FROM files f WHERE kept_until < ?`+which+` AND NOT (`+fileNeeded+`)`, args...)
	return Explain(err)
}

// fileNeeded is whether a document refers to the file f, or a job that is neither done nor cancelled.
const fileNeeded = `EXISTS (SELECT 1 FROM documents WHERE sha256 = f.sha256)
	OR EXISTS (SELECT 1 FROM jobs WHERE sha256 = f.sha256 AND state IN ('queued', 'running', 'paused', 'failed'))`

// FileNeeded says whether a stored file is still referred to: by a document, or by a job that is
// neither done nor cancelled.
func (d *DB) FileNeeded(ctx context.Context, sha256 string) (needed bool, err error) {
	err = d.read.queryRow(ctx, `SELECT `+fileNeeded+` FROM (SELECT CAST(? AS TEXT) AS sha256) f`, sha256).Scan(&needed)
	return needed, Explain(err)
}
