package catalog

import (
	"context"
	"database/sql"
)

// A Reader reads what a search shows of the passages it found. That of a DB sees each time what is there;
// ReaderOn makes one that sees what a connection sees, in a transaction. It compares each row with its checksum, and
// gives none that is not what was written.
type Reader struct {
	querier
	summed []summed // tables whose rows have checksums; none in Postgres
}

type querier interface {
	query(ctx context.Context, statement string, args ...any) (*sql.Rows, error)
	queryRow(ctx context.Context, statement string, args ...any) *sql.Row
	decode(vector []byte) ([]float32, error)
}

// ReaderOn returns a Reader on one of the connections that Postgres returned.
func (d *DB) ReaderOn(c *sql.Conn) Reader { return Reader{querier: connection{c, d.dialect}} }

type connection struct {
	*sql.Conn
	*dialect
}

func (c connection) query(ctx context.Context, statement string, args ...any) (*sql.Rows, error) {
	return c.Conn.QueryContext(ctx, c.statement(statement), c.values(args)...)
}

func (c connection) queryRow(ctx context.Context, statement string, args ...any) *sql.Row {
	return c.Conn.QueryRowContext(ctx, c.statement(statement), c.values(args)...)
}

// ChunksByID returns the chunks with the ids, without vectors and in no certain order. Unknown ids are
// left out; so are those that are damaged, which a DamageError names: the others are returned with it.
func (r Reader) ChunksByID(ctx context.Context, ids []int64) ([]Chunk, error) {
	rows, err := r.query(ctx, `SELECT `+r.damage("chunks", "k.")+`, `+chunkColumns+` FROM chunks k WHERE k.id IN {ints}`, list(ids))
	return undamaged(rows, err, "chunks", func(s scanner) (Chunk, error) { return scanChunk(s) })
}

// PassagesByID returns the chunks with the ids, without vectors, and the documents that they are of, by their
// ids. Unknown ids are left out; so are passages of which either is damaged, which a DamageError names: the others are
// returned with it.
func (r Reader) PassagesByID(ctx context.Context, ids []int64) (chunks map[int64]Chunk, documents map[string]Document, err error) {
	chunks, documents = make(map[int64]Chunk, len(ids)), make(map[string]Document)
	var damage DamageError
	rows, err := r.query(ctx, `SELECT `+r.damage("documents", "d.")+`, `+r.damage("chunks", "k.")+`, `+chunkColumns+`, `+documentColumns+`
		FROM chunks k {join in order} documents d ON d.id = k.document_id {join in order} collections c ON c.id = d.collection_id
		WHERE k.id IN {ints}`, list(ids))
	_, err = collect(rows, err, func(s scanner) (_ struct{}, err error) {
		var row documentRow
		var document, chunk sql.NullString // what is damaged
		k, err := scanChunk(damageScanner{damageScanner{s, &document}, &chunk}, row.columns()...)
		if document.Valid || chunk.Valid { // whatever became of scanning it
			damage.add("documents", document)
			damage.add("chunks", chunk)
			return struct{}{}, nil
		}
		if err != nil {
			return
		}
		chunks[k.ID] = k
		if _, ok := documents[k.DocumentID]; !ok {
			documents[k.DocumentID], err = row.document()
		}
		return
	})
	if err == nil && len(damage.Rows) > 0 {
		err = &damage
	}
	return chunks, documents, err
}

// Passage returns a range of bytes of a document's text, or a DamageError.
func (r Reader) Passage(ctx context.Context, id string, start, end int) (string, error) {
	rows, err := r.query(ctx, `SELECT `+r.damage("contents", "t.")+`, substr({text bytes}, ?, ?) FROM contents t WHERE t.document_id = ?`, start+1, end-start, id)
	texts, err := undamaged(rows, err, "contents", func(s scanner) (text []byte, err error) { return text, s.Scan(&text) })
	if err == nil && len(texts) == 0 {
		err = sql.ErrNoRows
	}
	if err != nil {
		return "", found(err, "document", id)
	}
	return string(texts[0]), nil
}

// Chunks returns the chunks of a document in its order, without vectors; none for an unknown document. Damaged ones
// are left out, and named in a DamageError.
func (r Reader) Chunks(ctx context.Context, documentID string) ([]Chunk, error) {
	rows, err := r.query(ctx, `SELECT `+r.damage("chunks", "k.")+`, `+chunkColumns+` FROM chunks k WHERE k.document_id = ? ORDER BY k.ordinal`, documentID)
	return undamaged(rows, err, "chunks", func(s scanner) (Chunk, error) { return scanChunk(s) })
}

// Documents returns the documents of a collection, by path; none for an unknown collection.
func (r Reader) Documents(ctx context.Context, collection string) ([]Document, error) {
	rows, err := r.query(ctx, `SELECT `+documentColumns+documentFrom+`WHERE c.name = ? ORDER BY d.path`, collection)
	return collect(rows, err, scanDocument)
}

// DocumentsOfChunks returns the id of the document of each chunk that is there.
func (r Reader) DocumentsOfChunks(ctx context.Context, ids []int64) (map[int64]string, error) {
	type row struct {
		chunk    int64
		document string
	}
	rows, err := r.query(ctx, `SELECT id, document_id FROM chunks WHERE id IN {ints}`, list(ids))
	all, err := collect(rows, err, func(s scanner) (one row, err error) { return one, s.Scan(&one.chunk, &one.document) })
	documents := make(map[int64]string, len(all))
	for _, one := range all {
		documents[one.chunk] = one.document
	}
	return documents, err
}

// VectorsByID returns the vectors of the chunks with the ids. Unknown ids, chunks without a vector and damaged ones are
// left out.
func (r Reader) VectorsByID(ctx context.Context, ids []int64) (map[int64][]float32, error) {
	type row struct {
		id     int64
		vector []float32
	}
	rows, err := r.query(ctx, `SELECT k.id, k.vector FROM chunks k WHERE k.vector IS NOT NULL AND k.id IN {ints} AND `+r.whole("chunks", "k."), list(ids))
	all, err := collect(rows, err, func(s scanner) (one row, err error) {
		var blob []byte
		if err = s.Scan(&one.id, &blob); err == nil {
			one.vector, err = r.decode(blob)
		}
		return one, err
	})
	vectors := make(map[int64][]float32, len(all))
	for _, one := range all {
		vectors[one.id] = one.vector
	}
	return vectors, err
}

// A Snapshot reads the catalog as it was at one moment.
type Snapshot struct {
	Reader
	tx *transaction
}

// Snapshot returns one of the moment of its first read. The caller closes it. It holds a connection: who has
// one open does not wait for another.
func (d *DB) Snapshot(ctx context.Context) (*Snapshot, error) {
	tx, err := d.snapshot(ctx)
	if err != nil {
		return nil, Explain(err)
	}
	return &Snapshot{Reader{tx, d.summed}, tx}, nil
}

// Close ends it.
func (s *Snapshot) Close() { s.tx.Rollback() }
