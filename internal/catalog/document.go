package catalog

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"docent/chunker"
)

// A Collection is a set of documents whose vectors come from one encoder.
type Collection struct {
	Name      string
	Encoder   string // fingerprint; empty when keyword-only
	Dim       int    // 0 when keyword-only
	Documents int
	Chunks    int
	CreatedAt time.Time
}

// A Document is what is known of a document, without its text.
type Document struct {
	ID         string
	Collection string
	Path       string
	Title      string
	Format     string
	Language   string
	SHA256     string
	Bytes      int64
	Pages      int
	Chunks     int
	Metadata   map[string]string
	Warnings   []string
	AddedAt    time.Time
	UpdatedAt  time.Time
	// DuplicateOf is the id of a document of the same bytes and collection, whose content and chunks stand
	// for this one too; empty when it has its own.
	DuplicateOf string
}

// A Chunk is a passage of a document and, unless its collection is keyword-only, its vector.
type Chunk struct {
	chunker.Chunk
	ID         int64
	DocumentID string
	Vector     []float32
}

// A Hash is the SHA-256 of the text that is indexed for a chunk.
type Hash = [sha256.Size]byte

// HashText returns the Hash of a chunk's index text.
func HashText(text string) Hash { return sha256.Sum256([]byte(text)) }

const collectionColumns = `c.name, c.encoder, c.dim, c.created_at,
	(SELECT count(*) FROM documents d WHERE d.collection_id = c.id),
	(SELECT coalesce(sum(d.chunks), 0) FROM documents d WHERE d.collection_id = c.id)`

func scanCollection(s scanner) (Collection, error) {
	var c Collection
	var created int64
	err := s.Scan(&c.Name, &c.Encoder, &c.Dim, &created, &c.Documents, &c.Chunks)
	c.CreatedAt = fromMicro(created)
	return c, err
}

// CreateCollection stores an empty collection. It returns ErrExists when the name is taken.
func (d *DB) CreateCollection(ctx context.Context, name, encoder string, dim int) (Collection, error) {
	c := Collection{Name: name, Encoder: encoder, Dim: dim, CreatedAt: now()}
	_, err := d.exec(ctx, `INSERT INTO collections (name, encoder, dim, created_at) VALUES (?,?,?,?)`, name, encoder, dim, toMicro(c.CreatedAt))
	if err = Explain(err); errors.Is(err, ErrExists) {
		return Collection{}, fmt.Errorf("collection %q: %w", name, ErrExists)
	}
	return c, err
}

// SetEncoder makes an empty collection one of another encoder. It reports false, and changes nothing,
// when the collection holds documents.
func (d *DB) SetEncoder(ctx context.Context, name, encoder string, dim int) (set bool, err error) {
	err = d.update(ctx, func(tx *transaction) error {
		id, err := collectionID(ctx, tx, name, "{for update}")
		if errors.Is(err, ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		res, err := tx.exec(ctx, `UPDATE collections SET encoder = ?, dim = ? WHERE id = ? AND NOT EXISTS (SELECT 1 FROM documents WHERE collection_id = collections.id)`, encoder, dim, id)
		if err != nil {
			return err
		}
		n, err := res.RowsAffected()
		set = n > 0
		return err
	})
	return set && err == nil, err
}

// collectionID returns the id of a collection, or ErrNotFound, and locks the collection until the transaction
// ends: {for share} against changes of it, as whoever changes a document does, or {for update} against all.
func collectionID(ctx context.Context, tx *transaction, name, lock string) (id int64, err error) {
	err = tx.queryRow(ctx, `SELECT id FROM collections WHERE name = ? `+lock, name).Scan(&id)
	return id, found(err, "collection", name)
}

// Collection returns one collection, or ErrNotFound.
func (d *DB) Collection(ctx context.Context, name string) (Collection, error) {
	c, err := scanCollection(d.read.queryRow(ctx, `SELECT `+collectionColumns+` FROM collections c WHERE c.name = ?`, name))
	return c, found(err, "collection", name)
}

// Collections returns all collections, by name.
func (d *DB) Collections(ctx context.Context) ([]Collection, error) {
	rows, err := d.read.query(ctx, `SELECT `+collectionColumns+` FROM collections c ORDER BY c.name`)
	return collect(rows, err, scanCollection)
}

const documentColumns = `d.id, c.name, d.path, d.title, d.format, d.language, d.sha256, d.bytes, d.pages, d.chunks, d.metadata, d.warnings, d.added_at, d.updated_at, d.duplicate_of`

const documentFrom = ` FROM documents d JOIN collections c ON c.id = d.collection_id `

func scanDocument(s scanner) (Document, error) {
	var r documentRow
	if err := s.Scan(r.columns()...); err != nil {
		return r.Document, err
	}
	return r.document()
}

// A documentRow is a row of documentColumns as it is read.
type documentRow struct {
	Document
	metadata, warnings string
	added, updated     int64
}

func (r *documentRow) columns() []any {
	d := &r.Document
	return []any{&d.ID, &d.Collection, &d.Path, &d.Title, &d.Format, &d.Language, &d.SHA256, &d.Bytes, &d.Pages, &d.Chunks,
		&r.metadata, &r.warnings, &r.added, &r.updated, &d.DuplicateOf}
}

func (r *documentRow) document() (Document, error) {
	d := r.Document
	d.AddedAt, d.UpdatedAt = fromMicro(r.added), fromMicro(r.updated)
	if err := unmarshal(r.metadata, &d.Metadata, "document", d.ID); err != nil {
		return d, err
	}
	return d, unmarshal(r.warnings, &d.Warnings, "document", d.ID)
}

func unmarshal(data string, to any, what, id string) error {
	if data == "" || data == "null" {
		return nil
	}
	if err := json.Unmarshal([]byte(data), to); err != nil {
		return fmt.Errorf("%s %s: %w: %w", what, id, ErrCorrupt, err)
	}
	return nil
}

// list is the argument of {ints} and {texts}.
func list[T any](all []T) string {
	if all == nil {
		return "[]"
	}
	return marshal(all)
}

func marshal(v any) string {
	// Maps of strings, slices of strings and structs of numbers and strings: always encodable.
	b, err := json.Marshal(v)
	if err != nil {
		panic("catalog: " + err.Error())
	}
	return string(b)
}

// Document returns one document, or ErrNotFound.
func (d *DB) Document(ctx context.Context, id string) (Document, error) {
	doc, err := scanDocument(d.read.queryRow(ctx, `SELECT `+documentColumns+documentFrom+`WHERE d.id = ?`, id))
	return doc, found(err, "document", id)
}

// DocumentByPath returns the document of a collection that has the path, or ErrNotFound.
func (d *DB) DocumentByPath(ctx context.Context, collection, path string) (Document, error) {
	doc, err := scanDocument(d.read.queryRow(ctx, `SELECT `+documentColumns+documentFrom+`WHERE c.name = ? AND d.path = ?`, collection, path))
	return doc, found(err, "document", path)
}

// Content returns the text and structure of a document, ErrNotFound, or a DamageError. A duplicate's are those of the
// document it is one of.
func (d *DB) Content(ctx context.Context, id string) (chunker.Document, error) {
	rows, err := d.read.query(ctx, `SELECT `+d.damage("contents", "t.")+`, t.text, t.structure FROM contents t
		WHERE t.document_id = (SELECT CASE duplicate_of WHEN '' THEN id ELSE duplicate_of END FROM documents WHERE id = ?)`, id)
	all, err := undamaged(rows, err, "contents", func(s scanner) (doc chunker.Document, err error) {
		var text, structure string
		if err = s.Scan(&text, &structure); err == nil {
			err = unmarshal(structure, &doc, "document", id)
		}
		doc.Text = text
		return doc, err
	})
	if err == nil && len(all) == 0 {
		err = sql.ErrNoRows
	}
	if err != nil {
		return chunker.Document{}, found(err, "document", id)
	}
	return all[0], nil
}

const chunkColumns = `k.id, k.document_id, k.start_byte, k.end_byte, k.tokens, k.first_page, k.last_page, k.headings, k.context, k.text, k.read_start, k.read_end, k.labels`

func scanChunk(s scanner, more ...any) (Chunk, error) {
	var k Chunk
	var headings, labels string
	if err := s.Scan(append([]any{&k.ID, &k.DocumentID, &k.Start, &k.End, &k.Tokens, &k.FirstPage, &k.LastPage, &headings, &k.Context, &k.Text, &k.ReadStart, &k.ReadEnd, &labels}, more...)...); err != nil {
		return k, err
	}
	for _, list := range []struct {
		text string
		to   *[]string
	}{{headings, &k.Headings}, {labels, &k.Labels}} {
		if list.text != "[]" {
			if err := unmarshal(list.text, list.to, "document", k.DocumentID); err != nil {
				return k, err
			}
		}
	}
	return k, nil
}

// ChunkIDs returns the ids of a collection's chunks, in no certain order.
func (d *DB) ChunkIDs(ctx context.Context, collection string) ([]int64, error) {
	// UNIQUE (document_id, ordinal) holds the ids too, so that no row with its text and vector is read.
	rows, err := d.read.query(ctx, `SELECT k.id FROM documents d {join in order} chunks k ON k.document_id = d.id
		WHERE d.collection_id = (SELECT id FROM collections WHERE name = ?)`, collection)
	return collect(rows, err, func(s scanner) (id int64, err error) { return id, s.Scan(&id) })
}

// ChunksAfter yields the chunks of a collection whose ids are above after, with their vectors, by ascending
// id, as of one moment. It checks each against its hash and its sum and yields ErrCorrupt, with the document's
// name, for one that does not match. It stops after an error.
func (d *DB) ChunksAfter(ctx context.Context, collection string, after int64) iter.Seq2[Chunk, error] {
	return func(yield func(Chunk, error) bool) {
		rows, err := d.read.query(ctx, `SELECT `+chunkColumns+`, k.hash, k.vector, d.path, `+d.whole("chunks", "k.")+` FROM chunks k JOIN documents d ON d.id = k.document_id
			WHERE d.collection_id = (SELECT id FROM collections WHERE name = ?) AND k.id > ? ORDER BY k.id`, collection, after)
		if err != nil {
			yield(Chunk{}, Explain(err))
			return
		}
		defer rows.Close()
		for rows.Next() {
			var hash, vector sql.RawBytes
			var path string
			var whole bool
			k, err := scanChunk(rows, &hash, &vector, &path, &whole)
			if err != nil {
				yield(k, Explain(err))
				return
			}
			sum := HashText(k.IndexText())
			k.Vector, err = d.dialect.floats(vector)
			if err != nil || !whole || string(hash) != string(sum[:]) {
				yield(k, fmt.Errorf("document %q, chunk %d: %w: it does not match its checksum", path, k.ID, ErrCorrupt))
				return
			}
			if !yield(k, nil) {
				return
			}
		}
		if err := rows.Err(); err != nil {
			yield(Chunk{}, Explain(err))
		}
	}
}

// VectorsByHash returns, of the hashes given, the vectors that the encoder has already made: those of
// any collection's chunks, and spare ones, that are what was written.
func (d *DB) VectorsByHash(ctx context.Context, encoder string, hashes []Hash) (map[Hash][]float32, error) {
	type row struct {
		hash, vector []byte
	}
	vectors := make(map[Hash][]float32)
	for batch := range slices.Chunk(hashes, hashesAtOnce) {
		rows, err := d.read.query(ctx, `SELECT {hash}, coalesce(
				(SELECT k.vector FROM chunks k {by hash} {join in order} documents d ON d.id = k.document_id {join in order} collections c ON c.id = d.collection_id
					WHERE k.hash = {hash} AND k.vector IS NOT NULL AND c.encoder = ?1 AND `+d.whole("chunks", "k.")+` LIMIT 1),
				(SELECT s.vector FROM spare_vectors s WHERE s.encoder = ?1 AND s.hash = {hash} AND `+d.whole("spare_vectors", "s.")+`))
			FROM {each hash}`, encoder, hexes(batch))
		all, err := collect(rows, err, func(s scanner) (r row, err error) { return r, s.Scan(&r.hash, &r.vector) })
		if err != nil {
			return nil, err
		}
		for _, r := range all {
			if r.vector == nil {
				continue
			}
			if vectors[Hash(r.hash)], err = d.dialect.floats(r.vector); err != nil {
				return nil, err
			}
		}
	}
	return vectors, nil
}

// hashesAtOnce is how many hashes are looked up at a time.
const hashesAtOnce = 500

// hexes is the argument of {each hash}.
func hexes(hashes []Hash) string {
	all := make([]string, len(hashes))
	for i, h := range hashes {
		all[i] = hex.EncodeToString(h[:])
	}
	return marshal(all)
}

// A Change is a transaction that is written but not yet visible. Exactly one of Commit and Rollback
// ends it; until then no other change of the document, and with SQLite none at all, can begin. Its results are valid once Commit has returned nil.
type Change struct {
	tx       *transaction
	Document Document // as stored, by PutDocument
	Added    []int64  // ids of the chunks that came, in the order given
	Removed  []int64  // ids of the chunks that went
	Files    []string // SHA-256 of the documents that went
	Heir     string   // id of the document to which chunks passed, under new ids that are not in Added; mostly empty
	log      *emptier // asked to work once this is committed; mostly nil
}

// Commit makes the change durable and visible.
func (c *Change) Commit() error {
	err := c.tx.Commit()
	if err == nil {
		c.log.soon()
	}
	return Explain(err)
}

// Rollback undoes the change. After Commit it does nothing.
func (c *Change) Rollback() { c.tx.Rollback() }

// begin runs fn in a transaction that it leaves open. fn may be called again, after a rollback.
func (d *DB) begin(ctx context.Context, fn func(*transaction, *Change) error) (c *Change, err error) {
	err = d.write.retry(ctx, func() error {
		tx, err := d.beginChange(ctx)
		if err != nil {
			return err
		}
		c = &Change{tx: tx}
		if err := fn(tx, c); err != nil {
			tx.Rollback()
			return err
		}
		return nil
	})
	if err != nil {
		return nil, Explain(err)
	}
	return c, nil
}

// PutDocument writes a document with its content and chunks in place of the document of the same
// collection and path, whose ID and time of addition it keeps. encoder and dim are those of the
// vectors, and it returns ErrEncoder when they are not the collection's.
func (d *DB) PutDocument(ctx context.Context, doc Document, content chunker.Document, chunks []Chunk, encoder string, dim int, notes Notes) (*Change, error) {
	return d.begin(ctx, func(tx *transaction, c *Change) error {
		doc, content := doc, content
		var collection int64
		var has string
		var hasDim int
		err := tx.queryRow(ctx, `SELECT id, encoder, dim FROM collections WHERE name = ? {for share}`, doc.Collection).Scan(&collection, &has, &hasDim)
		if err != nil {
			return found(err, "collection", doc.Collection)
		}
		if has != encoder || hasDim != dim {
			return fmt.Errorf("collection %q: %w: its vectors are of %q, these of %q", doc.Collection, ErrEncoder, has, encoder)
		}
		doc.Chunks = len(chunks)
		doc.DuplicateOf = ""
		if err := replace(ctx, tx, c, collection, &doc); err != nil {
			return err
		}
		if err := insertDocument(ctx, tx, collection, doc); err != nil {
			return err
		}
		text := content.Text
		content.Text = ""
		if _, err := tx.exec(ctx, `INSERT INTO contents (document_id, text, structure) VALUES (?,?,?)`, doc.ID, text, marshal(content)); err != nil {
			return err
		}
		if c.Added, err = insertChunks(ctx, tx, doc.ID, chunks); err != nil {
			return err
		}
		if encoder != "" {
			if err := dropSpare(ctx, tx, encoder, chunks); err != nil {
				return err
			}
		}
		c.Document = doc
		return putNotes(ctx, tx, collection, doc, notes)
	})
}

const chunkFields = `document_id, ordinal, start_byte, end_byte, tokens, first_page, last_page, headings, context, text, hash, vector, read_start, read_end, labels`

// rowsAtOnce is how many rows go into one statement: over a network each statement is a wait.
const rowsAtOnce = 100

// insertChunks writes the chunks of a document and returns their ids, in order.
func insertChunks(ctx context.Context, tx *transaction, document string, chunks []Chunk) (ids []int64, err error) {
	ids = make([]int64, len(chunks))
	for first := 0; first < len(chunks); first += rowsAtOnce {
		batch := chunks[first:min(first+rowsAtOnce, len(chunks))]
		var args []any
		for i, k := range batch {
			headings, labels := "[]", "[]"
			if len(k.Headings) > 0 {
				headings = marshal(k.Headings)
			}
			if len(k.Labels) > 0 {
				labels = marshal(k.Labels)
			}
			k.Context, k.Text = tx.text(k.Context), tx.text(k.Text) // what is stored is what the hash is of
			hash := HashText(k.IndexText())
			args = append(args, document, first+i, k.Start, k.End, k.Tokens, k.FirstPage, k.LastPage, headings, k.Context, k.Text, hash[:], tx.vector(k.Vector), k.ReadStart, k.ReadEnd, labels)
		}
		rows, err := tx.query(ctx, `INSERT INTO chunks (`+chunkFields+`) VALUES `+placeholders(len(batch), len(args)/len(batch))+` RETURNING ordinal, id`, args...)
		type row struct{ ordinal, id int64 }
		stored, err := collect(rows, err, func(s scanner) (r row, err error) { return r, s.Scan(&r.ordinal, &r.id) })
		if err != nil {
			return nil, err
		}
		for _, r := range stored {
			ids[r.ordinal] = r.id
		}
	}
	return ids, nil
}

// placeholders returns those of rows of columns: (?,?),(?,?).
func placeholders(rows, columns int) string {
	row := "(?" + strings.Repeat(",?", columns-1) + ")"
	return row + strings.Repeat(","+row, rows-1)
}

func insertDocument(ctx context.Context, tx *transaction, collection int64, doc Document) error {
	if doc.Metadata == nil {
		doc.Metadata = map[string]string{}
	}
	if doc.Warnings == nil {
		doc.Warnings = []string{}
	}
	_, err := tx.exec(ctx, `INSERT INTO documents (id, collection_id, path, title, format, language, sha256, bytes, pages, chunks, metadata, warnings, added_at, updated_at, duplicate_of)
		VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)`, doc.ID, collection, doc.Path, doc.Title, doc.Format, doc.Language, doc.SHA256, doc.Bytes, doc.Pages, doc.Chunks,
		marshal(doc.Metadata), marshal(doc.Warnings), toMicro(doc.AddedAt), toMicro(doc.UpdatedAt), doc.DuplicateOf)
	if err != nil {
		return fmt.Errorf("document %q: %w", doc.Path, Explain(err))
	}
	return nil
}

// removeDocument deletes a document and notes its chunks in c.
func removeDocument(ctx context.Context, tx *transaction, c *Change, id string) error {
	rows, err := tx.query(ctx, `SELECT id FROM chunks WHERE document_id = ?`, id)
	removed, err := collect(rows, err, func(s scanner) (k int64, err error) { return k, s.Scan(&k) })
	if err != nil {
		return err
	}
	c.Removed = append(c.Removed, removed...)
	_, err = tx.exec(ctx, `DELETE FROM documents WHERE id = ?`, id)
	return err
}

// DeleteDocument removes a document, its report, and its content and chunks, unless it has a duplicate
// to which they can pass. It returns ErrNotFound when there is none.
func (d *DB) DeleteDocument(ctx context.Context, id string) (*Change, error) {
	return d.begin(ctx, func(tx *transaction, c *Change) error {
		c.log = d.log
		read := func() (err error) {
			c.Document, err = scanDocument(tx.queryRow(ctx, `SELECT `+documentColumns+documentFrom+`WHERE d.id = ?`, id))
			return found(err, "document", id)
		}
		if err := read(); err != nil {
			return err
		}
		collection, err := collectionID(ctx, tx, c.Document.Collection, "{for share}")
		if err != nil {
			return err
		}
		if err := lockDocument(ctx, tx, collection, c.Document.Path); err != nil {
			return err
		}
		if err := read(); err != nil { // as it is now that nobody else can change it
			return err
		}
		if c.Document.SHA256 != "" {
			c.Files = []string{c.Document.SHA256}
			if err := lockBytes(ctx, tx, collection, c.Document.SHA256); err != nil {
				return err
			}
		}
		if _, err := tx.exec(ctx, `DELETE FROM reports WHERE path = ? AND collection_id = ?`, c.Document.Path, collection); err != nil {
			return err
		}
		if err := promote(ctx, tx, c, id); err != nil {
			return err
		}
		return removeDocument(ctx, tx, c, id)
	})
}

// DeleteCollection removes a collection, its documents and its jobs. It returns ErrNotFound when there
// is none.
func (d *DB) DeleteCollection(ctx context.Context, name string) (*Change, error) {
	return d.begin(ctx, func(tx *transaction, c *Change) error {
		c.log = d.log
		id, err := collectionID(ctx, tx, name, "{for update}")
		if err != nil {
			return err
		}
		rows, err := tx.query(ctx, `SELECT sha256 FROM documents WHERE collection_id = ?
			UNION SELECT sha256 FROM jobs WHERE collection = ?`, id, name)
		c.Files, err = collect(rows, err, func(s scanner) (f string, err error) { return f, s.Scan(&f) })
		if err != nil {
			return err
		}
		if _, err := tx.exec(ctx, `DELETE FROM jobs WHERE collection = ?`, name); err != nil {
			return err
		}
		_, err = tx.exec(ctx, `DELETE FROM collections WHERE id = ?`, id)
		return err
	})
}
