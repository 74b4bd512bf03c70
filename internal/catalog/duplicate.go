package catalog

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
)

// A document can stand for others of the same bytes. Those have a row of their own, with DuplicateOf
// set, but neither content nor chunks; when the one that has them goes, or gets other bytes, they pass
// to the oldest of its duplicates.

// Original returns the document of a collection that has the bytes, with content of its own and another
// path, or ErrNotFound.
func (d *DB) Original(ctx context.Context, collection, sha256, path string) (Document, error) {
	doc, err := scanDocument(d.read.queryRow(ctx, `SELECT `+documentColumns+documentFrom+`WHERE d.sha256 = ? AND c.name = ? AND d.path <> ? AND d.duplicate_of = '' AND d.chunks > 0
		ORDER BY d.added_at LIMIT 1`, sha256, collection, path))
	return doc, found(err, "document", path)
}

// PutDuplicate writes a document that has the bytes of the one with the id doc.DuplicateOf, in place of
// the document of its collection and path. It returns ErrNotFound when that one is gone or has other
// bytes by now.
func (d *DB) PutDuplicate(ctx context.Context, doc Document, notes Notes) (*Change, error) {
	return d.begin(ctx, func(tx *transaction, c *Change) error {
		doc := doc
		collection, err := collectionID(ctx, tx, doc.Collection, "{for share}")
		if err != nil {
			return err
		}
		if err := replace(ctx, tx, c, collection, &doc); err != nil {
			return err
		}
		var there bool
		err = tx.queryRow(ctx, `SELECT EXISTS (SELECT 1 FROM documents
			WHERE id = ? AND sha256 = ? AND duplicate_of = '' AND chunks > 0 AND collection_id = ?)`, doc.DuplicateOf, doc.SHA256, collection).Scan(&there)
		if err != nil {
			return err
		}
		if !there {
			return found(sql.ErrNoRows, "document", doc.DuplicateOf)
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
// doc takes over, or gives doc an id. Until the transaction ends nobody else changes the path, nor documents
// that are duplicates of what was there or is to come.
func replace(ctx context.Context, tx *transaction, c *Change, collection int64, doc *Document) error {
	if err := lockDocument(ctx, tx, collection, doc.Path); err != nil {
		return err
	}
	doc.UpdatedAt = now()
	doc.AddedAt = doc.UpdatedAt
	var old, file string
	var added int64
	err := tx.queryRow(ctx, `SELECT id, sha256, added_at FROM documents WHERE collection_id = ? AND path = ?`, collection, doc.Path).Scan(&old, &file, &added)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	bytes := []string{doc.SHA256, file}
	slices.Sort(bytes) // so that two that wait for both do not wait for each other
	for _, sum := range slices.Compact(bytes) {
		if sum == "" {
			continue
		}
		if err := lockBytes(ctx, tx, collection, sum); err != nil {
			return err
		}
	}
	if old == "" {
		if doc.ID == "" {
			doc.ID = newID()
		}
		return nil
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
func promote(ctx context.Context, tx *transaction, c *Change, id string) error {
	var heir, path string
	var collection int64
	err := tx.queryRow(ctx, `SELECT id, path, collection_id FROM documents WHERE duplicate_of = ? ORDER BY added_at, id LIMIT 1`, id).Scan(&heir, &path, &collection)
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
		{`INSERT INTO chunks (` + chunkFields + `)
			SELECT ?, ordinal, start_byte, end_byte, tokens, first_page, last_page, headings, context, text, hash, vector, read_start, read_end, labels FROM chunks WHERE document_id = ? ORDER BY ordinal`, []any{heir, id}},
		{`UPDATE signatures SET document_id = ? WHERE document_id = ?`, []any{heir, id}},
		{`UPDATE signature_bands SET document_id = ? WHERE document_id = ?`, []any{heir, id}},
		{`UPDATE documents SET duplicate_of = ? WHERE duplicate_of = ?`, []any{heir, id}},
	} {
		if _, err := tx.exec(ctx, step.query, step.args...); err != nil {
			return fmt.Errorf("pass the chunks to %q: %w", path, err)
		}
	}
	return correctReports(ctx, tx, collection, heir, path)
}

// correctReports has the reports on a document that has taken over the chunks, and on its duplicates, say so.
func correctReports(ctx context.Context, tx *transaction, collection int64, heir, path string) error {
	rows, err := tx.query(ctx, `SELECT r.path, r.report, d.chunks FROM documents d JOIN reports r ON r.collection_id = ? AND r.path = d.path WHERE d.id = ? OR d.duplicate_of = ?`, collection, heir, heir)
	type row struct {
		path   string
		report []byte
		chunks int
	}
	all, err := collect(rows, err, func(s scanner) (r row, err error) { return r, s.Scan(&r.path, &r.report, &r.chunks) })
	if err != nil {
		return err
	}
	for _, r := range all {
		var report map[string]json.RawMessage
		if err := json.Unmarshal(r.report, &report); err != nil || report == nil {
			continue // not an object: nothing in it to correct
		}
		if r.path == path {
			delete(report, "duplicate_of")
			report["status"], report["chunks"] = json.RawMessage(`"ingested"`), json.RawMessage(strconv.Itoa(r.chunks))
		} else {
			report["duplicate_of"] = json.RawMessage(marshal(path))
		}
		if _, err := tx.exec(ctx, `UPDATE reports SET report = ? WHERE collection_id = ? AND path = ?`, marshal(report), collection, r.path); err != nil {
			return err
		}
	}
	return nil
}
