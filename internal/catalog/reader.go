package catalog

import (
	"context"
	"database/sql"
)

// A Reader reads what a search shows of the passages it found. That of a DB sees each time what is there;
// ReaderIn makes one that sees what a transaction sees.
type Reader struct{ querier }

type querier interface {
	query(ctx context.Context, statement string, args ...any) (*sql.Rows, error)
	queryRow(ctx context.Context, statement string, args ...any) *sql.Row
}

// ReaderIn returns a Reader in a transaction of the connections that Postgres returned.
func (d *DB) ReaderIn(tx *sql.Tx) Reader { return Reader{&transaction{tx, d.dialect}} }

// ChunksByID returns the chunks with the ids, without vectors and in no certain order. Unknown ids are
// left out.
func (r Reader) ChunksByID(ctx context.Context, ids []int64) ([]Chunk, error) {
	rows, err := r.query(ctx, `SELECT `+chunkColumns+` FROM chunks k WHERE k.id IN {ints}`, list(ids))
	return collect(rows, err, func(s scanner) (Chunk, error) { return scanChunk(s) })
}

// DocumentsByID returns the documents with the ids, in no certain order. Unknown ids are left out.
func (r Reader) DocumentsByID(ctx context.Context, ids []string) ([]Document, error) {
	rows, err := r.query(ctx, `SELECT `+documentColumns+documentFrom+`WHERE d.id IN {texts}`, list(ids))
	return collect(rows, err, scanDocument)
}

// Passage returns a range of bytes of a document's text.
func (r Reader) Passage(ctx context.Context, id string, start, end int) (string, error) {
	var text []byte
	err := r.queryRow(ctx, `SELECT substr({text bytes}, ?, ?) FROM contents WHERE document_id = ?`, start+1, end-start, id).Scan(&text)
	return string(text), found(err, "document", id)
}

// Chunks returns the chunks of a document in its order, without vectors; none for an unknown document.
func (r Reader) Chunks(ctx context.Context, documentID string) ([]Chunk, error) {
	rows, err := r.query(ctx, `SELECT `+chunkColumns+` FROM chunks k WHERE k.document_id = ? ORDER BY k.ordinal`, documentID)
	return collect(rows, err, func(s scanner) (Chunk, error) { return scanChunk(s) })
}
