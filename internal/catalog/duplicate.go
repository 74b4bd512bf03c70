package catalog

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// A document can stand for others of the same bytes. Those have a row of their own, with DuplicateOf
// set, but neither content nor chunks; when the one that has them goes, or gets other bytes, they pass
// to the oldest of its duplicates.

// Original returns the document of a collection that has the bytes, with content of its own and another
// path, or ErrNotFound.
func (d *DB) Original(ctx context.Context, collection, sha256, path string) (Document, error) {
	doc, err := scanDocument(d.read.QueryRowContext(ctx, `SELECT `+documentColumns+documentFrom+`WHERE d.sha256 = ? AND c.name = ? AND d.path <> ? AND d.duplicate_of = '' AND d.chunks > 0
		ORDER BY d.added_at LIMIT 1`, sha256, collection, path))
	return doc, found(err, "document", path)
}

// PutDuplicate writes a document that has the bytes of the one with the id doc.DuplicateOf, in place of
// the document of its collection and path. It returns ErrNotFound when that one is gone or has other
// bytes by now.
func (d *DB) PutDuplicate(ctx context.Context, doc Document, notes Notes) (*Change, error) {
	return d.begin(ctx, func(tx *sql.Tx, c *Change) error {
		var collection int64
		err := tx.QueryRowContext(ctx, `SELECT d.collection_id FROM documents d JOIN collections c ON c.id = d.collection_id
			WHERE d.id = ? AND d.sha256 = ? AND d.duplicate_of = '' AND d.chunks > 0 AND c.name = ?`, doc.DuplicateOf, doc.SHA256, doc.Collection).Scan(&collection)
		if err != nil {
			return found(err, "document", doc.DuplicateOf)
		}
		if err := replace(ctx, tx, c, collection, &doc); err != nil {
			return err
		}
		doc.Chunks = 0
		if err := insertDocument(ctx, tx, collection, doc); err != nil {
			return err
		}
		c.Document = doc
		return putNotes(ctx, tx, collection, doc, notes)
	})
}

// replace makes room for doc: it removes the document of the same path, whose id and time of addition
// doc takes over, or gives doc an id.
func replace(ctx context.Context, tx *sql.Tx, c *Change, collection int64, doc *Document) error {
	doc.UpdatedAt = now()
	doc.AddedAt = doc.UpdatedAt
	var old, file string
	var added int64
	err := tx.QueryRowContext(ctx, `SELECT id, sha256, added_at FROM documents WHERE collection_id = ? AND path = ?`, collection, doc.Path).Scan(&old, &file, &added)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		if doc.ID == "" {
			doc.ID = newID()
		}
		return nil
	case err != nil:
		return err
	}
	doc.ID, doc.AddedAt = old, fromMicro(added)
	if file != doc.SHA256 && file != "" {
		c.Files = []string{file}
	}
	if file != doc.SHA256 || doc.DuplicateOf != "" {
		if err := promote(ctx, tx, c, old); err != nil {
			return err
		}
	}
	return removeDocument(ctx, tx, c, old)
}

// promote passes the content, the chunks and the signature of a document that is about to go to the
// oldest of its duplicates, if it has any.
func promote(ctx context.Context, tx *sql.Tx, c *Change, id string) error {
	var heir, path string
	var collection int64
	err := tx.QueryRowContext(ctx, `SELECT id, path, collection_id FROM documents WHERE duplicate_of = ? ORDER BY added_at, id LIMIT 1`, id).Scan(&heir, &path, &collection)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	c.Heir = heir
	for _, step := range []struct {
		query string
		args  []any
	}{
		{`UPDATE documents SET duplicate_of = '', chunks = (SELECT chunks FROM documents WHERE id = ?) WHERE id = ?`, []any{id, heir}},
		{`UPDATE contents SET document_id = ? WHERE document_id = ?`, []any{heir, id}},
		// Under new ids: an index may know which document each id is of.
		{`INSERT INTO chunks (document_id, ordinal, start_byte, end_byte, tokens, first_page, last_page, headings, context, text, hash, vector, read_start, read_end, labels)
			SELECT ?, ordinal, start_byte, end_byte, tokens, first_page, last_page, headings, context, text, hash, vector, read_start, read_end, labels FROM chunks WHERE document_id = ? ORDER BY ordinal`, []any{heir, id}},
		{`UPDATE signatures SET document_id = ? WHERE document_id = ?`, []any{heir, id}},
		{`UPDATE signature_bands SET document_id = ? WHERE document_id = ?`, []any{heir, id}},
		{`UPDATE reports SET report = json_set(json_remove(report, '$.duplicate_of'), '$.status', 'ingested', '$.chunks', (SELECT chunks FROM documents WHERE id = ?))
			WHERE collection_id = ? AND path = ?`, []any{heir, collection, path}},
		{`UPDATE documents SET duplicate_of = ? WHERE duplicate_of = ?`, []any{heir, id}},
		{`UPDATE reports SET report = json_set(report, '$.duplicate_of', ?) WHERE collection_id = ? AND path IN (SELECT path FROM documents WHERE duplicate_of = ?)`, []any{path, collection, heir}},
	} {
		if _, err := tx.ExecContext(ctx, step.query, step.args...); err != nil {
			return fmt.Errorf("pass the chunks to %q: %w", path, err)
		}
	}
	return nil
}
