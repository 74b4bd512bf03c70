package catalog

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"
)

// A SearchClass is what a search engine outside the database keeps of a collection. The database says what
// is to be there; the engine has it all once the class is ready, and what it may still have too much, or not
// on every replica, is pending.
type SearchClass struct {
	Name    string // in the engine; empty when there is no class that can be used
	Encoder string // of the collection
	Dim     int
	Ready   bool
	Behind  bool  // some replica may lack chunks that are pending
	Swept   int64 // chunks up to this id that the engine has are known here
}

// className returns a name that no other class has had, in whatever database.
func className() string {
	return "Docent_" + strings.ReplaceAll(uuid.NewString(), "-", "")
}

const classQuery = `SELECT coalesce(s.name, ''), c.encoder, c.dim, coalesce(s.ready, 0), coalesce(s.swept, 0),
	CASE WHEN EXISTS (SELECT 1 FROM search_outbox o WHERE o.class = s.name AND o.remove = 0) THEN 1 ELSE 0 END
	FROM collections c LEFT JOIN search_classes s ON s.collection_id = c.id AND s.encoder = c.encoder AND s.dim = c.dim AND s.format = ?2
	WHERE c.name = ?1`

func scanClass(row *sql.Row, collection string) (c SearchClass, err error) {
	var ready, behind int
	err = row.Scan(&c.Name, &c.Encoder, &c.Dim, &ready, &c.Swept, &behind)
	c.Ready, c.Behind = ready != 0, behind != 0
	return c, found(err, "collection", collection)
}

// SearchClass returns the class of a collection, or ErrNotFound for an unknown collection. One of another
// format, or of another encoder than the collection has by now, cannot be used.
func (r Reader) SearchClass(ctx context.Context, collection, format string) (SearchClass, error) {
	return scanClass(r.queryRow(ctx, classQuery, collection, format), collection)
}

// SearchClass is that of Reader, as the change finds it.
func (c *Change) SearchClass(ctx context.Context, collection, format string) (SearchClass, error) {
	return scanClass(c.tx.queryRow(ctx, classQuery, collection, format), collection)
}

// NameSearchClass returns a name for a class that is about to be made. Until a collection takes it, it is one of
// those to be dropped.
func (d *DB) NameSearchClass(ctx context.Context) (string, error) {
	name := className()
	_, err := d.exec(ctx, `INSERT INTO search_classes (name, format, encoder, dim, ready, swept) VALUES (?,'','',0,0,0)`, name)
	return name, Explain(err)
}

// TakeSearchClass gives a collection the class of that name, which has been made, unless it has one that can be
// used, and returns the one it has then. A change of a document that does not see the class is committed
// before.
func (d *DB) TakeSearchClass(ctx context.Context, collection, format, name string) (c SearchClass, err error) {
	err = d.update(ctx, func(tx *transaction) error {
		id, err := collectionID(ctx, tx, collection, "{for update}")
		if err != nil {
			return err
		}
		if c, err = scanClass(tx.queryRow(ctx, classQuery, collection, format), collection); err != nil || c.Name != "" {
			return err
		}
		if _, err := tx.exec(ctx, `UPDATE search_classes SET collection_id = NULL WHERE collection_id = ?`, id); err != nil {
			return err
		}
		c.Name = name
		res, err := tx.exec(ctx, `UPDATE search_classes SET collection_id = ?, format = ?, encoder = ?, dim = ? WHERE name = ?`, id, format, c.Encoder, c.Dim, name)
		return changed(res, err, "search class", name)
	})
	return c, err
}

// nextFormat marks a class that is being filled for the next encoder of a collection.
func nextFormat(format string, collection int64) string {
	return fmt.Sprintf("%s for %d", format, collection)
}

// NextSearchClass keeps a class that has been made for the next encoder of a collection, which gets it with
// SwapSearchClass. Others that were kept for it are given up.
func (d *DB) NextSearchClass(ctx context.Context, collection, format, encoder string, dim int, name string) error {
	return d.update(ctx, func(tx *transaction) error {
		id, err := collectionID(ctx, tx, collection, "{for update}")
		if err != nil {
			return err
		}
		next := nextFormat(format, id)
		if _, err := tx.exec(ctx, `UPDATE search_classes SET format = '' WHERE collection_id IS NULL AND format = ?`, next); err != nil {
			return err
		}
		res, err := tx.exec(ctx, `UPDATE search_classes SET format = ?, encoder = ?, dim = ? WHERE name = ? AND collection_id IS NULL`, next, encoder, dim, name)
		return changed(res, err, "search class", name)
	})
}

// SwapSearchClass gives a collection, with the change of its encoder, the class that was filled for that, which has
// all its chunks. It returns ErrNotFound when another process has given that up.
func (c *Change) SwapSearchClass(ctx context.Context, collection, format, name string) error {
	id, err := collectionID(ctx, c.tx, collection, "")
	if err != nil {
		return err
	}
	if _, err := c.tx.exec(ctx, `UPDATE search_classes SET collection_id = NULL WHERE collection_id = ?`, id); err != nil {
		return Explain(err)
	}
	res, err := c.tx.exec(ctx, `UPDATE search_classes SET collection_id = ?, format = ?, ready = 1 WHERE name = ? AND format = ?`, id, format, name, nextFormat(format, id))
	return changed(res, err, "search class", name)
}

// SearchClassReady notes that a class has all chunks of its collection.
func (d *DB) SearchClassReady(ctx context.Context, name string) error {
	_, err := d.exec(ctx, `UPDATE search_classes SET ready = 1 WHERE name = ?`, name)
	return Explain(err)
}

// SearchClassSwept notes that the chunks up to an id that a class has are known here.
func (d *DB) SearchClassSwept(ctx context.Context, name string, chunk int64) error {
	_, err := d.exec(ctx, `UPDATE search_classes SET swept = ?2 WHERE name = ?1 AND swept < ?2`, name, chunk)
	return Explain(err)
}

// GiveUpSearchClass leaves a class to be dropped, or all that there are when name is empty: its collection
// gets another when one is asked for.
func (d *DB) GiveUpSearchClass(ctx context.Context, name string) error {
	_, err := d.exec(ctx, `UPDATE search_classes SET collection_id = NULL WHERE collection_id IS NOT NULL AND (name = ?1 OR ?1 = '')`, name)
	return Explain(err)
}

// SearchClassesToDrop returns the names of the classes that have been given up, or have lost their collection. Those
// of a format that are for a collection's next encoder are not among them until it has that.
func (d *DB) SearchClassesToDrop(ctx context.Context, format string) ([]string, error) {
	rows, err := d.read.query(ctx, `SELECT s.name FROM search_classes s WHERE s.collection_id IS NULL
		AND NOT EXISTS (SELECT 1 FROM collections c WHERE s.format = CAST(?1 AS text) || c.id AND (s.encoder <> c.encoder OR s.dim <> c.dim))`, format+" for ")
	return collect(rows, err, func(s scanner) (name string, err error) { return name, s.Scan(&name) })
}

// ForgetSearchClass forgets a class that has been dropped.
func (d *DB) ForgetSearchClass(ctx context.Context, name string) error {
	_, err := d.exec(ctx, `DELETE FROM search_classes WHERE name = ? AND collection_id IS NULL`, name)
	return Explain(err)
}

// ForgetSearchClasses forgets all classes, in a copy of a database: they belong to the other.
func (d *DB) ForgetSearchClasses(ctx context.Context) error {
	_, err := d.exec(ctx, `DELETE FROM search_classes`)
	return Explain(err)
}

// A PendingSearch is something still to be done in a search engine, for the chunks of a class from First to Last.
type PendingSearch struct {
	ID          int64
	Class       string
	Collection  string
	Remove      bool // else write them, since some replica may lack them
	First, Last int64
}

// PendingSearches returns what is to be done, the oldest first, at most limit.
func (d *DB) PendingSearches(ctx context.Context, limit int) ([]PendingSearch, error) {
	rows, err := d.read.query(ctx, `SELECT o.id, o.class, c.name, o.remove, o.first_chunk, o.last_chunk FROM search_outbox o
		JOIN search_classes s ON s.name = o.class JOIN collections c ON c.id = s.collection_id ORDER BY o.id LIMIT ?`, limit)
	return collect(rows, err, func(s scanner) (p PendingSearch, err error) {
		var remove int
		err = s.Scan(&p.ID, &p.Class, &p.Collection, &remove, &p.First, &p.Last)
		p.Remove = remove != 0
		return p, err
	})
}

// SearchDone strikes off what has been done.
func (d *DB) SearchDone(ctx context.Context, ids []int64) error {
	_, err := d.exec(ctx, `DELETE FROM search_outbox WHERE id IN {ints}`, list(ids))
	return Explain(err)
}

// PendSearch notes, with the change, that chunks are still to be removed from a class, or written to it.
func (c *Change) PendSearch(ctx context.Context, class string, remove bool, chunks []int64) error {
	return pendSearch(ctx, c.tx, class, remove, chunks)
}

// PendSearch is that of Change, on its own.
func (d *DB) PendSearch(ctx context.Context, class string, remove bool, chunks []int64) error {
	return d.update(ctx, func(tx *transaction) error { return pendSearch(ctx, tx, class, remove, chunks) })
}

func pendSearch(ctx context.Context, tx *transaction, class string, remove bool, chunks []int64) error {
	flag := 0
	if remove {
		flag = 1
	}
	chunks = slices.Sorted(slices.Values(chunks))
	for len(chunks) > 0 {
		n := 1
		for n < len(chunks) && chunks[n] <= chunks[n-1]+1 {
			n++
		}
		if _, err := tx.exec(ctx, `INSERT INTO search_outbox (class, remove, first_chunk, last_chunk) VALUES (?,?,?,?)`, class, flag, chunks[0], chunks[n-1]); err != nil {
			return Explain(err)
		}
		chunks = chunks[n:]
	}
	return nil
}

// HeirChunks returns the chunks that passed to Heir, with their vectors.
func (c *Change) HeirChunks(ctx context.Context) ([]Chunk, error) {
	return c.chunks(ctx, `k.document_id = ?`, c.Heir)
}

// ChunksBeside returns the chunks of a collection, with their vectors, that are not among those known, or there as
// chunks of another document.
func (c *Change) ChunksBeside(ctx context.Context, collection string, known map[int64]string) ([]Chunk, error) {
	rows, err := c.tx.query(ctx, `SELECT k.id, k.document_id FROM documents d {join in order} chunks k ON k.document_id = d.id
		WHERE d.collection_id = (SELECT id FROM collections WHERE name = ?)`, collection)
	var beside []int64
	_, err = collect(rows, err, func(s scanner) (none struct{}, err error) {
		var id int64
		var document string
		if err = s.Scan(&id, &document); err == nil && known[id] != document {
			beside = append(beside, id)
		}
		return none, err
	})
	if err != nil || len(beside) == 0 {
		return nil, err
	}
	return c.chunks(ctx, `k.id IN {ints}`, list(beside))
}

func (c *Change) chunks(ctx context.Context, condition string, args ...any) ([]Chunk, error) {
	rows, err := c.tx.query(ctx, `SELECT `+chunkColumns+`, k.vector FROM chunks k WHERE `+condition+` ORDER BY k.id`, args...)
	return collect(rows, err, func(s scanner) (k Chunk, err error) {
		var vector []byte
		if k, err = scanChunk(s, &vector); err == nil {
			k.Vector, err = c.tx.floats(vector)
		}
		return k, err
	})
}

// LastChunk is the highest id of a chunk, 0 without any.
func (d *DB) LastChunk(ctx context.Context) (id int64, err error) {
	err = d.read.queryRow(ctx, `SELECT coalesce(max(id), 0) FROM chunks`).Scan(&id)
	return id, Explain(err)
}

// SearchClasses returns the collections whose class is ready, with its name and Swept.
func (d *DB) SearchClasses(ctx context.Context) (map[string]SearchClass, error) {
	type row struct {
		collection string
		SearchClass
	}
	rows, err := d.read.query(ctx, `SELECT c.name, s.name, s.swept FROM search_classes s JOIN collections c ON c.id = s.collection_id WHERE s.ready = 1`)
	all, err := collect(rows, err, func(s scanner) (r row, err error) { return r, s.Scan(&r.collection, &r.Name, &r.Swept) })
	classes := make(map[string]SearchClass, len(all))
	for _, r := range all {
		classes[r.collection] = r.SearchClass
	}
	return classes, err
}
