package catalog

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
)

// ImportCollection copies the collection from of another catalog, whichever database that is in, under a
// name, all or nothing and as of one moment. Documents keep their ids where these are free. It returns
// ErrNotFound, and ErrExists when the name is taken.
func (d *DB) ImportCollection(ctx context.Context, other *DB, from, name string) (Collection, error) {
	source, err := other.snapshot(ctx)
	if err != nil {
		return Collection{}, Explain(err)
	}
	defer source.Rollback()
	if err := other.sound(ctx, source, from); err != nil {
		return Collection{}, fmt.Errorf("import collection %q: %w", name, err)
	}
	err = d.update(ctx, func(tx *transaction) error { return copyCollection(ctx, source, tx, from, name) })
	if err != nil {
		return Collection{}, fmt.Errorf("import collection %q: %w", name, err)
	}
	return d.Collection(ctx, name)
}

// sound returns ErrCorrupt, with what is damaged, unless all that is of a collection is what was written.
func (d *DB) sound(ctx context.Context, q querier, collection string) error {
	var id int64
	if err := q.queryRow(ctx, `SELECT id FROM collections WHERE name = ?`, collection).Scan(&id); err != nil {
		return found(err, "collection", collection)
	}
	damaged, err := damagedIn(ctx, q, d.summed, id, "documents", "contents", "chunks")
	if err != nil {
		return err
	}
	return damageError(d.path, damaged)
}

// snapshot begins a transaction that reads the catalog as it is at its first statement.
func (d *DB) snapshot(ctx context.Context) (*transaction, error) {
	if d.dialect == sqlite {
		return d.read.begin(ctx, nil)
	}
	return d.read.begin(ctx, &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true})
}

// A copying takes rows from one database to another.
type copying struct {
	from, to *transaction
	moved    map[string]string // ids of documents that were taken, to their new ones
	same     bool              // everything keeps its id, also collections and chunks
}

func copyCollection(ctx context.Context, from, to *transaction, source, name string) error {
	var old, id, created int64
	var encoder, settings string
	var dim int
	err := from.queryRow(ctx, `SELECT id, encoder, dim, created_at, settings FROM collections WHERE name = ?`, source).Scan(&old, &encoder, &dim, &created, &settings)
	if err != nil {
		return found(err, "collection", source)
	}
	err = to.queryRow(ctx, `INSERT INTO collections (name, encoder, dim, created_at, settings) VALUES (?,?,?,?,?) RETURNING id`, name, encoder, dim, created, settings).Scan(&id)
	if err != nil {
		return err
	}
	c := copying{from: from, to: to, moved: map[string]string{"": ""}}
	if err := c.nameDocuments(ctx, old); err != nil {
		return err
	}
	const ours = ` o JOIN documents d ON d.id = o.document_id WHERE d.collection_id = ? `
	for _, t := range []struct{ table, columns, of string }{
		{"documents", "id, collection_id, path, title, format, language, sha256, bytes, pages, chunks, metadata, warnings, added_at, updated_at, duplicate_of", ` o WHERE o.collection_id = ?`},
		{"contents", "document_id, text, structure", ours},
		{"chunks", chunkFields, ours + `ORDER BY o.id`}, // in their order: that of the ids parts equal scores
		{"reports", "collection_id, path, report, updated_at", ` o WHERE o.collection_id = ?`},
		{"signatures", "document_id, minhash", ours},
		{"signature_bands", "collection_id, band, document_id", ` o WHERE o.collection_id = ?`},
	} {
		if err := c.rows(ctx, t.table, strings.Split(t.columns, ", "), t.of, id, old); err != nil {
			return fmt.Errorf("%s: %w", t.table, err)
		}
	}
	return nil
}

// nameDocuments decides which id each document gets.
func (c *copying) nameDocuments(ctx context.Context, collection int64) error {
	rows, err := c.from.query(ctx, `SELECT id FROM documents WHERE collection_id = ?`, collection)
	id := func(s scanner) (id string, err error) { return id, s.Scan(&id) }
	ids, err := collect(rows, err, id)
	if err != nil {
		return err
	}
	for _, i := range ids {
		c.moved[i] = i
	}
	for batch := range slices.Chunk(ids, 1000) {
		rows, err := c.to.query(ctx, `SELECT id FROM documents WHERE id IN {texts}`, list(batch))
		taken, err := collect(rows, err, id)
		if err != nil {
			return err
		}
		for _, i := range taken {
			c.moved[i] = newID()
		}
	}
	return nil
}

// rows copies those rows of a table that the condition of, on its alias o, picks in the source, to the
// collection to.
func (c *copying) rows(ctx context.Context, table string, columns []string, of string, to int64, args ...any) error {
	rows, err := c.from.query(ctx, `SELECT o.`+strings.Join(columns, ", o.")+` FROM `+table+of, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	var batch []any
	flush := func() error {
		if len(batch) == 0 {
			return nil
		}
		_, err := c.to.exec(ctx, `INSERT INTO `+table+` (`+strings.Join(columns, ", ")+`) {given ids} VALUES `+placeholders(len(batch)/len(columns), len(columns)), batch...)
		batch = batch[:0]
		return err
	}
	for rows.Next() {
		row := make([]any, len(columns))
		into := make([]any, len(columns))
		for i := range row {
			into[i] = &row[i]
		}
		if err := rows.Scan(into...); err != nil {
			return err
		}
		for i, name := range columns {
			if row[i], err = c.value(name, row[i], to); err != nil {
				return err
			}
		}
		if batch = append(batch, row...); len(batch) == rowsAtOnce*len(columns) {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	if err := rows.Err(); err != nil {
		return err
	}
	return flush()
}

// value returns what a value of the source is in the copy.
func (c *copying) value(column string, v any, collection int64) (any, error) {
	switch column {
	case "collection_id":
		if !c.same {
			return collection, nil
		}
	case "id", "document_id", "duplicate_of":
		if id, ok := v.(string); ok && !c.same {
			return c.moved[id], nil // "" for a duplicate of what is not there
		}
	case "report":
		if b, ok := v.([]byte); ok {
			return string(b), nil
		}
	case "vector":
		var b []byte
		switch v := v.(type) {
		case nil:
			return nil, nil
		case []byte:
			b = v
		case string:
			b = []byte(v)
		}
		floats, err := c.from.floats(b)
		return c.to.vector(floats), err
	}
	return v, nil
}
