package retriever

import (
	"context"
	"database/sql"
	"strconv"
	"time"

	"docent/internal/catalog"
)

// settleBatch is how many vectors are put into an index at a time, while changes of the collection wait.
const settleBatch = 32

// unsettled says whether there are so many new vectors that they are to be put into the index: to compare those
// that are not costs a search about a millisecond.
func (c pgCollection) unsettled() bool {
	column, _ := c.indexed()
	return c.generation != 0 && column != "" && c.chunks > exactBelow && c.recent > exactBelow/4
}

// settleSoon puts a collection's new vectors into the index in the background, when there are many.
func (e *pgEngine) settleSoon(collection string, c pgCollection) {
	if !c.unsettled() || e.ctx.Err() != nil {
		return
	}
	e.settled.DoChan(collection, func() (any, error) {
		e.filling.RLock()
		defer e.filling.RUnlock()
		began := time.Now()
		worked, err := e.settle(e.ctx, collection)
		if e.ctx.Err() == nil && (worked || err != nil) {
			e.log.Info("search index brought up to date", "collection", collection, "took", time.Since(began), "error", catalog.Explain(err))
		}
		return nil, err
	})
}

// settle puts new vectors into the index until few are left: one batch after the other or, when there are more
// than it has, by building another, which takes a quarter of the time for each. Searches and changes go on. One
// process at a time does it for a collection; what one that was killed has left the next goes on with. It
// reports false when there is nothing to do, or another process does it.
func (e *pgEngine) settle(ctx context.Context, collection string) (worked bool, err error) {
	c, err := lookUp(ctx, e.db, collection)
	if err != nil || !c.unsettled() {
		return false, err
	}
	lock, err := e.db.BeginTx(ctx, nil)
	if err != nil {
		return false, err
	}
	defer lock.Rollback()
	var mine bool
	if err := lock.QueryRowContext(ctx, `SELECT pg_try_advisory_xact_lock(`+buildLock("$1::bigint")+`)`, c.id).Scan(&mine); err != nil || !mine {
		return false, err
	}
	for {
		id := c.id
		if c, err = lookUp(ctx, e.db, collection); err != nil || c.id != id || !c.unsettled() && (c.recent == 0 || !worked) {
			return worked, err
		}
		if c.recent > max(exactBelow, c.chunks-c.recent) {
			err = e.rebuild(ctx, collection, c)
		} else {
			err = e.settleSome(ctx, collection, c.pgTables)
		}
		if err != nil {
			return worked, err
		}
		worked = true
	}
}

// buildLock is the number of the lock of whoever works on the index of the collection with an id.
func buildLock(id string) string { return `hashtextextended('index ' || ` + id + `::text, 0)` }

// settleSome puts a batch of vectors into the index.
func (e *pgEngine) settleSome(ctx context.Context, collection string, t pgTables) error {
	return e.update(ctx, func(tx *sql.Tx) error {
		if err := lockSearch(ctx, tx, collection); err != nil {
			return err
		}
		if c, err := lookUp(ctx, tx, collection); err != nil || c.pgTables != t {
			return err
		}
		_, err := tx.ExecContext(ctx, t.table(`WITH old AS (DELETE FROM {recent} WHERE chunk IN (SELECT chunk FROM {recent} ORDER BY chunk LIMIT $1) RETURNING chunk, document, embedding),
				new AS (INSERT INTO {vectors} (chunk, document, embedding) SELECT chunk, document, embedding FROM old)
			UPDATE search_collections SET recent = recent - (SELECT count(*) FROM old) WHERE generation = $2`), settleBatch, t.generation)
		return err
	})
}

// rebuild builds an index of all vectors beside the present one, and then puts it in its place.
func (e *pgEngine) rebuild(ctx context.Context, collection string, c pgCollection) error {
	next := c
	err := e.update(ctx, func(tx *sql.Tx) error {
		var left int64 // by a process that was killed
		if err := tx.QueryRowContext(ctx, `SELECT building, nextval('search_generation') FROM search_collections WHERE generation = $1`, c.generation).Scan(&left, &next.vectors); err != nil {
			return err
		}
		if left != 0 {
			if _, err := tx.ExecContext(ctx, `DROP TABLE IF EXISTS search_vectors_`+strconv.FormatInt(left, 10)); err != nil {
				return err
			}
		}
		if _, err := tx.ExecContext(ctx, next.table(next.vectorTable("{vectors}"))+
			`INSERT INTO `+next.table(`{vectors} (chunk, document, embedding) `)+c.table(`SELECT chunk, document, embedding FROM {vectors} UNION ALL SELECT chunk, document, embedding FROM {recent}`)); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `UPDATE search_collections SET building = $2 WHERE generation = $1`, c.generation, next.vectors)
		return err
	})
	if err != nil {
		return err
	}
	if err := e.update(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, next.vectorIndexes(c.chunks))
		return err
	}); err != nil {
		return err
	}
	return e.update(ctx, func(tx *sql.Tx) error {
		if err := lockSearch(ctx, tx, collection); err != nil {
			return err
		}
		now, err := lookUp(ctx, tx, collection)
		if err != nil {
			return err
		}
		if now.pgTables != c.pgTables { // it was deleted, or got other vectors
			_, err := tx.ExecContext(ctx, next.table(`DROP TABLE IF EXISTS {vectors}`))
			return err
		}
		// What was removed meanwhile goes, and what went to another document, which is among the recent ones.
		if _, err := tx.ExecContext(ctx, `DELETE FROM `+next.table(`{vectors}`)+c.table(` n WHERE NOT EXISTS (SELECT 1 FROM {vectors} o WHERE o.chunk = n.chunk AND o.document = n.document)
				AND NOT EXISTS (SELECT 1 FROM {recent} r WHERE r.chunk = n.chunk AND r.document = n.document);
			DELETE FROM {recent} r USING `)+next.table(`{vectors} n WHERE n.chunk = r.chunk`)); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, c.table(`UPDATE search_collections SET vectors = $2, building = 0, recent = (SELECT count(*) FROM {recent}) WHERE generation = $1`), c.generation, next.vectors); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, c.table(`DROP TABLE {vectors}`))
		return err
	})
}
