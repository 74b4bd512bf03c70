package retriever

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"golang.org/x/sync/singleflight"

	"docent/internal/catalog"
	"docent/internal/keyword"
)

// pgEngine searches where the record is, in Postgres with pgvector. Each collection has four tables, made of
// the record at first use and changed in the transaction that changes the record, so that what is searched
// and what is recorded are of one moment for every process:
//
//	search_vectors_M (chunk, document, embedding)        HNSW over the embedding
//	search_recent_N  (chunk, document, embedding)        the vectors that are not in the index yet
//	search_words_N   (chunk, document, length, terms, counts)  GIN over the terms
//	search_terms_N   (id, term, chunks, best)            in how many chunks each term is
//
// N and M are in search_collections, which says what the tables were made of. Those that do not
// fit the collection's encoder, or this release, are made anew. terms are ids of terms, counts the same ids
// with their counts (keyword.Terms) as a sparse vector, whose product with a unit vector is the count of a
// term: so BM25 is computed in the server, exactly as the embedded engine computes it.
//
// Changes of one collection's tables wait for each other, from when they are written to their commit. To put a
// vector into the graph of the index takes thousands of times as long as to write it, so new ones wait in
// search_recent, all of which a search compares, until some process has time (see settle).
type pgEngine struct {
	record *catalog.DB
	db     *sql.DB // its connections
	log    *slog.Logger

	ctx     context.Context // of tables that are being made; ends with close
	cancel  context.CancelFunc
	making  singleflight.Group // of tables, by collection
	filling sync.RWMutex       // held for reading while tables are made
	settled singleflight.Group // of vectors that are put into an index, by collection
	known   sync.Map           // pgTables of collections as they were last, by name
}

// pgFormat grows with every change of the tables.
const pgFormat = 2

func openPGEngine(ctx context.Context, record *catalog.DB, log *slog.Logger) (*pgEngine, error) {
	e := &pgEngine{record: record, db: record.Postgres(), log: log}
	e.ctx, e.cancel = context.WithCancel(context.WithoutCancel(ctx))
	return e, e.update(ctx, func(tx *sql.Tx) error {
		if err := lockSearch(ctx, tx, ""); err != nil { // IF NOT EXISTS does not hold two creators apart
			return err
		}
		_, err := tx.ExecContext(ctx, `CREATE TABLE IF NOT EXISTS search_collections (
				collection_id bigint PRIMARY KEY,
				generation    bigint NOT NULL, -- N in the names of its tables
				format        bigint NOT NULL,
				analysis      bigint NOT NULL,
				encoder       text   NOT NULL,
				dim           bigint NOT NULL,
				chunks        bigint NOT NULL,
				length        bigint NOT NULL, -- of all chunks together, in quarters of a word
				terms         bigint NOT NULL  -- the last id of a term
			);
			CREATE SEQUENCE IF NOT EXISTS search_generation`)
		if err != nil {
			return err
		}
		var old bool // made by a release before format 2
		err = tx.QueryRowContext(ctx, `SELECT NOT EXISTS (SELECT 1 FROM pg_attribute WHERE attrelid = 'search_collections'::regclass AND attname = 'vectors')`).Scan(&old)
		if err != nil || !old {
			return err
		}
		_, err = tx.ExecContext(ctx, `ALTER TABLE search_collections
				ADD COLUMN vectors  bigint NOT NULL DEFAULT 0, -- M
				ADD COLUMN building bigint NOT NULL DEFAULT 0, -- the next M, while its index is being built
				ADD COLUMN recent   bigint NOT NULL DEFAULT 0, -- chunks that are not in the index yet
				ADD COLUMN base     float8 NOT NULL DEFAULT 0; -- the average length that the terms' best are for
			UPDATE search_collections SET vectors = generation`)
		return err
	})
}

// close leaves the connections, which are the record's.
func (e *pgEngine) close() error {
	e.cancel()
	e.filling.Lock() // whoever comes now finds ctx ended
	defer e.filling.Unlock()
	return nil
}

// make makes the tables of a collection. Who asks for them may go: they are made all the same, for the next.
func (e *pgEngine) make(ctx context.Context, collection string) error {
	made := e.making.DoChan(collection, func() (any, error) {
		e.filling.RLock()
		defer e.filling.RUnlock()
		began := time.Now()
		err := e.update(e.ctx, func(tx *sql.Tx) error {
			if err := lockSearch(e.ctx, tx, collection); err != nil {
				return err
			}
			return fill(e.ctx, tx, collection)
		})
		e.log.Info("search tables", "collection", collection, "took", time.Since(began), "error", err)
		return nil, err
	})
	select {
	case r := <-made:
		if r.Err != nil && e.ctx.Err() != nil {
			return ErrClosed
		}
		return r.Err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// update runs fn in a transaction, again when another transaction was in the way.
func (e *pgEngine) update(ctx context.Context, fn func(tx *sql.Tx) error) error {
	for try := 1; ; try++ {
		err := func() error {
			tx, err := e.db.BeginTx(ctx, nil)
			if err != nil {
				return err
			}
			defer tx.Rollback()
			if err := fn(tx); err != nil {
				return err
			}
			return tx.Commit()
		}()
		if state := sqlState(err); state != "40001" && state != "40P01" || try == 5 {
			return catalog.Explain(err)
		}
	}
}

// sqlState returns the code of an error of Postgres, or "".
func sqlState(err error) string {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return e.Code
	}
	return ""
}

// lockSearch waits until no other transaction changes the collection's tables. It is by name, since the
// collection's row may be gone by now.
func lockSearch(ctx context.Context, tx *sql.Tx, collection string) error {
	_, err := tx.ExecContext(ctx, `SELECT pg_advisory_xact_lock(hashtextextended('search ' || $1, 0))`, collection)
	return err
}

// pgTables are the numbers in the names of a collection's tables; 0 without tables that can be used.
type pgTables struct{ generation, vectors int64 }

// A pgCollection is a collection and the tables it is searched by.
type pgCollection struct {
	id      int64
	encoder string
	dim     int
	pgTables
	chunks int
	length uint64
	terms  int64
	recent int     // of the chunks, those that are not in the index of the vectors
	base   float64 // the average length that the terms' best are for
}

// queryer is *sql.DB, *sql.Conn or *sql.Tx.
type queryer interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// lookUpCollection selects what scan reads of the collection of a name.
const lookUpCollection = `SELECT c.id, c.encoder, c.dim, coalesce(s.encoder = c.encoder AND s.dim = c.dim, false), coalesce(s.format, 0), coalesce(s.analysis, 0), coalesce(s.generation, 0), coalesce(s.vectors, 0),
		coalesce(s.chunks, 0), coalesce(s.length, 0), coalesce(s.terms, 0), coalesce(s.recent, 0), coalesce(s.base, 0)
	FROM collections c LEFT JOIN search_collections s ON s.collection_id = c.id WHERE c.name = $1`

// scan reads a row of lookUpCollection. It returns ErrNewerSchema for the tables of a later release, which this
// one must not replace: the two would do nothing else.
func (c *pgCollection) scan(row interface{ Scan(dest ...any) error }, name string) error {
	var fits bool
	var format, analysis int
	err := row.Scan(&c.id, &c.encoder, &c.dim, &fits, &format, &analysis, &c.generation, &c.vectors, &c.chunks, &c.length, &c.terms, &c.recent, &c.base)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return fmt.Errorf("collection %q: %w", name, ErrNotFound)
	case err != nil:
		return err
	case format > pgFormat || analysis > keyword.Version:
		return fmt.Errorf("collection %q: %w: a later release has made the tables it is searched by; update this program", name, ErrNewerSchema)
	case !fits || format != pgFormat || analysis != keyword.Version:
		*c = pgCollection{id: c.id, encoder: c.encoder, dim: c.dim}
	}
	return nil
}

// lookUp returns a collection, or ErrNotFound.
func lookUp(ctx context.Context, q queryer, name string) (c pgCollection, err error) {
	err = c.scan(q.QueryRowContext(ctx, lookUpCollection, name), name)
	return c, err
}

// table returns a statement with the names of the tables: {vectors}, {recent}, {words} and {terms}.
func (t pgTables) table(statement string) string {
	n := strconv.FormatInt(t.generation, 10)
	return strings.NewReplacer("{vectors}", "search_vectors_"+strconv.FormatInt(t.vectors, 10), "{recent}", "search_recent_"+n,
		"{words}", "search_words_"+n, "{terms}", "search_terms_"+n).Replace(statement)
}

func (e *pgEngine) encoder(ctx context.Context, collection string) (string, int, error) {
	if e.ctx.Err() != nil {
		return "", 0, ErrClosed
	}
	var fingerprint string
	var dim int
	err := e.db.QueryRowContext(ctx, `SELECT encoder, dim FROM collections WHERE name = $1`, collection).Scan(&fingerprint, &dim)
	if errors.Is(err, sql.ErrNoRows) {
		return "", 0, fmt.Errorf("collection %q: %w", collection, ErrNotFound)
	}
	return fingerprint, dim, catalog.Explain(err)
}

// apply writes to the tables in the transaction of the change.
func (e *pgEngine) apply(ctx context.Context, collection string, change edit) error {
	tx := change.Tx()
	if err := lockSearch(ctx, tx, collection); err != nil {
		return catalog.Explain(err)
	}
	c, err := lookUp(ctx, tx, collection)
	if err != nil {
		return err
	}
	if c.generation != 0 { // else they are made, with this change, at first use
		if err := c.change(ctx, tx, change); err != nil {
			return catalog.Explain(err)
		}
	}
	if err := change.Commit(); err != nil {
		return err
	}
	e.settleSoon(collection, c)
	return nil
}

// change brings the tables after a change of the record that tx has made.
func (c *pgCollection) change(ctx context.Context, tx *sql.Tx, e edit) error {
	if err := c.remove(ctx, tx, e.Removed); err != nil {
		return err
	}
	if e.Heir != "" {
		chunks, err := scanTexts(tx.QueryContext(ctx, textsOf(`d.id = $1`), e.Heir))
		if err == nil {
			err = c.add(ctx, tx, analyse(chunks))
		}
		if err != nil {
			return err
		}
	}
	came := make([]analysed, len(e.Added))
	for i, id := range e.Added {
		came[i] = analysed{chunk: id, document: e.Document.ID, words: e.words[i]}
	}
	if err := c.add(ctx, tx, came); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, `UPDATE search_collections SET chunks = $2, length = $3, terms = $4, recent = $5, base = $6 WHERE collection_id = $1`, c.id, c.chunks, c.length, c.terms, c.recent, c.base)
	return err
}

// replace makes the tables of the new vectors in the transaction that swaps them; until it ends searches find
// the old ones.
func (e *pgEngine) replace(ctx context.Context, collection string, change *catalog.Change) error {
	tx := change.Tx()
	err := lockSearch(ctx, tx, collection)
	if err == nil {
		err = fill(ctx, tx, collection)
	}
	if err != nil && !errors.Is(err, ErrNotFound) {
		return catalog.Explain(err)
	}
	if err := dropTables(ctx, tx, `NOT EXISTS (SELECT 1 FROM collections c WHERE c.id = s.collection_id)`); err != nil {
		return catalog.Explain(err)
	}
	return change.Commit()
}

func (e *pgEngine) discard(ctx context.Context, collection string) error {
	return e.update(ctx, func(tx *sql.Tx) error {
		if err := lockSearch(ctx, tx, collection); err != nil {
			return err
		}
		return dropTables(ctx, tx, `EXISTS (SELECT 1 FROM collections c WHERE c.id = s.collection_id AND c.name = $1)`, collection)
	})
}

// dropTables removes the tables of the collections s that the condition names. An index that is being built is
// left to its builder.
func dropTables(ctx context.Context, tx *sql.Tx, which string, args ...any) error {
	rows, err := tx.QueryContext(ctx, `DELETE FROM search_collections s WHERE `+which+` RETURNING s.generation, s.vectors, CASE WHEN pg_try_advisory_xact_lock(`+buildLock("s.collection_id")+`) THEN s.building ELSE 0 END`, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	var drop []string
	for rows.Next() {
		var t, left pgTables
		if err := rows.Scan(&t.generation, &t.vectors, &left.vectors); err != nil {
			return err
		}
		drop = append(drop, t.table(`{vectors}, {recent}, {words}, {terms}, `)+left.table(`{vectors}`))
	}
	if err := rows.Err(); err != nil {
		return err
	}
	for _, tables := range drop {
		if _, err := tx.ExecContext(ctx, `DROP TABLE IF EXISTS `+tables); err != nil {
			return err
		}
	}
	return nil
}
