package retriever

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/stdlib"

	"docent/internal/catalog"
	"docent/internal/keyword"
)

// exactBelow is how many chunks a search by meaning compares one by one rather than follow the index: it is
// exact, and as fast or faster where a filter leaves few of many. Tests change it.
var exactBelow = 2000

// A pgView is a connection in a transaction that sees the record and the tables as of one moment. What does not need
// the outcome of something else goes to the server together, as a batch.
type pgView struct {
	pgCollection
	conn   *sql.Conn
	reader catalog.Reader
	filter pgFilter
}

func (e *pgEngine) view(ctx context.Context, collection string, f Filter) (view, error) {
	if _, err := f.compile(0); err != nil {
		return nil, err
	}
	v, err := e.open(ctx, collection, f)
	if err != nil {
		return nil, catalog.Explain(err)
	}
	e.settleSoon(collection, v.pgCollection)
	return v, nil
}

// open opens a view; it makes the collection's tables when there are none.
func (e *pgEngine) open(ctx context.Context, collection string, f Filter) (*pgView, error) {
	for {
		v, err := e.begin(ctx, collection, f)
		switch {
		case err != nil:
			return nil, err
		case v == nil: // other tables than the known ones
		case v.generation != 0:
			return v, nil
		default:
			v.close()
			if err := e.make(ctx, collection); err != nil {
				return nil, fmt.Errorf("load collection %q: %w", collection, err)
			}
		}
	}
}

const undefinedTable = "42P01"

// begin begins the transaction of a view, whose tables stay until it ends; of one without tables there is no
// more to know. It locks the tables that the collection had last, and returns nil when those are not the ones.
func (e *pgEngine) begin(ctx context.Context, collection string, f Filter) (v *pgView, err error) {
	conn, err := e.db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	v = &pgView{conn: conn, reader: e.record.ReaderOn(conn)}
	opened := v
	defer func() {
		if err != nil || v == nil {
			opened.close()
		}
	}()
	var known pgTables
	if t, ok := e.known.Load(collection); ok {
		known = t.(pgTables)
	}
	var b pgx.Batch
	b.Queue(`BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY`)
	b.Queue(`SELECT set_config('jit', 'off', true)`) // no statement of a search takes as long as to compile it
	b.Queue(catalog.SchemaVersion).QueryRow(func(row pgx.Row) error {
		var version int64
		if err := row.Scan(&version); err != nil {
			return err
		}
		return e.record.CheckSchema(version)
	})
	b.Queue(lookUpCollection, collection).QueryRow(func(row pgx.Row) error { return v.scan(row, collection) })
	if known.generation != 0 {
		b.Queue(known.table(`LOCK TABLE {vectors}, {recent}, {words}, {terms} IN ACCESS SHARE MODE`))
	}
	err = v.send(ctx, &b)
	switch {
	case err != nil && sqlState(err) != undefinedTable:
		return nil, err
	case err != nil || v.pgTables != known:
		e.known.Store(collection, v.pgTables)
		if err != nil || v.generation != 0 {
			return nil, nil
		}
		return v, nil
	case v.generation == 0:
		return v, nil
	}
	v.filter, err = filterSQL(ctx, conn, v.id, f)
	return v, err
}

// send sends a batch and reads what comes of it.
func (v *pgView) send(ctx context.Context, b *pgx.Batch) error {
	return v.conn.Raw(func(c any) error { return c.(*stdlib.Conn).Conn().SendBatch(ctx, b).Close() })
}

// close ends the transaction, even when what was asked in it was given up.
func (v *pgView) close() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_, _ = v.conn.ExecContext(ctx, `ROLLBACK`) // a connection in a transaction is not used again
	v.conn.Close()
}

func (v *pgView) encoder() string        { return v.pgCollection.encoder }
func (v *pgView) record() catalog.Reader { return v.reader }

// ranked reads rows of a chunk, its document and a score into found.
func ranked(found *[]candidate, set func(*candidate, float64, int)) func(pgx.Rows) error {
	return func(rows pgx.Rows) error {
		for rows.Next() {
			var c candidate
			var score float64
			if err := rows.Scan(&c.chunk, &c.document, &score); err != nil {
				return err
			}
			set(&c, score, len(*found)+1)
			*found = append(*found, c)
		}
		return rows.Err()
	}
}

func (v *pgView) nearest(ctx context.Context, q question, n int) ([]candidate, error) {
	var b pgx.Batch
	found := v.queueNearest(&b, q, n)
	return v.sendNearest(ctx, &b, q, n, found)
}

// A pgNearest is what the nearest chunks are taken from.
type pgNearest struct {
	found   []candidate
	indexed bool // by the index
}

// queueNearest adds to a batch what finds the n nearest chunks.
func (v *pgView) queueNearest(b *pgx.Batch, q question, n int) *pgNearest {
	near := new(pgNearest)
	let := v.filter.chunks(v.chunks)
	if n <= 0 || let == 0 {
		return near
	}
	column, _ := v.indexed()
	if near.indexed = column != "" && v.recent < v.chunks && !v.fewer(let, n); near.indexed {
		v.queueIndexed(b, q, n, column, &near.found)
	} else {
		v.queueCompared(b, q, n, &near.found, true)
	}
	return near
}

// sendNearest sends the batch and returns the n nearest that come of it.
func (v *pgView) sendNearest(ctx context.Context, b *pgx.Batch, q question, n int, near *pgNearest) ([]candidate, error) {
	if b.Len() > 0 {
		if err := v.send(ctx, b); err != nil {
			return nil, catalog.Explain(err)
		}
	}
	if near.indexed && len(near.found) < min(n, v.filter.chunks(v.chunks)) {
		// The index has given up: it met so few that the filter lets through that its memory is spent.
		near.found = nil
		var again pgx.Batch
		v.queueCompared(&again, q, n, &near.found, true)
		if err := v.send(ctx, &again); err != nil {
			return nil, catalog.Explain(err)
		}
	}
	// What was compared stands behind what the index found, and rounded vectors are in another order.
	found := near.found
	slices.SortFunc(found, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(b.dense, a.dense), cmp.Compare(a.chunk, b.chunk))
	})
	found = found[:min(max(0, n), len(found))]
	for i := range found {
		found[i].denseRank = i + 1
	}
	return found, nil
}

// fewer says whether to compare all that a filter lets through costs less than to follow the index until n of
// them are met: that is one in every chunks/let, and each takes about ten times as long.
func (v *pgView) fewer(let, n int) bool {
	return let <= exactBelow || v.filter.condition != "" && float64(let)*float64(let) <= 10*float64(n)*float64(v.chunks)
}

func setDense(c *candidate, score float64, rank int) { c.dense, c.denseRank = score, rank }

// queueCompared compares vectors one by one: all, or those that are not in the index.
func (v *pgView) queueCompared(b *pgx.Batch, q question, n int, found *[]candidate, all bool) {
	const compare = `SELECT chunk, document, embedding <#> (SELECT $1::real[]::vector) AS distance FROM `
	from := compare + `{recent} ` + v.filter.where(3)
	if all && v.recent < v.chunks {
		vectors := compare + `{vectors} ` + v.filter.where(3)
		if v.filter.chunks(v.chunks) < v.chunks/4 {
			// Their documents one after the other: the planner, which takes the filter to let half through, would read
			// all vectors.
			vectors = `SELECT c.* FROM (` + v.filter.documents(3) + ` OFFSET 0) d (id)
				CROSS JOIN LATERAL (` + compare + `{vectors} WHERE document = d.id OFFSET 0) c`
		}
		from = vectors + ` UNION ALL ` + from
	}
	// OFFSET keeps the subquery apart: each vector is compared once, and the index is not used.
	b.Queue(v.table(`SELECT chunk, document, -distance FROM (`+from+` OFFSET 0) c ORDER BY distance, chunk LIMIT $2`), append([]any{q.vector, n}, v.filter.args...)...).
		Query(ranked(found, setDense))
}

// queueIndexed follows the index until it has n that the filter lets through, and compares what is not in it yet.
func (v *pgView) queueIndexed(b *pgx.Batch, q question, n int, column string, found *[]candidate) {
	b.Queue(`SELECT set_config('hnsw.ef_search', $1, true), set_config('hnsw.iterative_scan', 'strict_order', true), set_config('hnsw.max_scan_tuples', '2147483647', true),
		set_config('hnsw.scan_mem_multiplier', '32', true), set_config('enable_seqscan', 'off', true), set_config('enable_sort', 'off', true)`, strconv.Itoa(min(max(200, 2*n), 1000)))
	ask := n
	if column != "embedding" {
		ask = 2*n + 20 // rounded vectors are in another order
	}
	to := `(SELECT ` + strings.Replace(column, "embedding", "$1::real[]::vector", 1) + `)`
	b.Queue(v.table(`SELECT chunk, document, -(embedding <#> (SELECT $1::real[]::vector)) FROM {vectors} t `+v.filter.where(3)+` ORDER BY (`+column+`) <#> `+to+` LIMIT $2`),
		append([]any{q.vector, ask}, v.filter.args...)...).Query(ranked(found, setDense))
	b.Queue(`SELECT set_config('enable_seqscan', 'on', true), set_config('enable_sort', 'on', true)`)
	if v.recent > 0 {
		v.queueCompared(b, q, n, found, false)
	}
}

func (v *pgView) similarities(ctx context.Context, q question, chunks []int64) ([]float64, error) {
	all := make([]float64, len(chunks))
	if len(chunks) == 0 {
		return all, nil
	}
	score := make(map[int64]float64, len(chunks))
	var b pgx.Batch
	b.Queue(v.table(`SELECT k.chunk, `+v.cosine("$2", "k")+` FROM unnest($1::bigint[]) AS k (chunk)`), chunks, q.vector).Query(func(rows pgx.Rows) error {
		for rows.Next() {
			var id int64
			var s float64
			if err := rows.Scan(&id, &s); err != nil {
				return err
			}
			score[id] = s
		}
		return rows.Err()
	})
	if err := v.send(ctx, &b); err != nil {
		return nil, catalog.Explain(err)
	}
	for i, id := range chunks {
		all[i] = score[id]
	}
	return all, nil
}

// cosine is the expression of the cosine of the vector that a parameter is and that of the chunk of a row.
func (v *pgView) cosine(parameter, row string) string {
	of := func(table string) string {
		return `(SELECT -(v.embedding <#> (SELECT ` + parameter + `::real[]::vector)) FROM ` + table + ` v WHERE v.chunk = ` + row + `.chunk)`
	}
	return `coalesce(` + of("{vectors}") + `, ` + of("{recent}") + `, 0)`
}

func (v *pgView) count(ctx context.Context) (n int, err error) {
	err = v.conn.QueryRowContext(ctx, v.table(`SELECT count(*) FROM {words}`)).Scan(&n)
	return n, catalog.Explain(err)
}

func (v *pgView) disagrees(ctx context.Context, chunks []catalog.Chunk) ([]string, error) {
	at := make(map[int64]int, len(chunks))
	ids := make([]int64, len(chunks))
	for i, k := range chunks {
		at[k.ID], ids[i] = i, k.ID
	}
	what := make([]string, len(chunks))
	for i := range what {
		what[i] = "it is not in the index"
	}
	rows, err := v.conn.QueryContext(ctx, v.table(`SELECT w.chunk, w.document, w.length, coalesce(v.embedding, r.embedding) IS NOT DISTINCT FROM k.vector,
			ARRAY(SELECT t.id || ' ' || t.term FROM {terms} t WHERE t.id = ANY (w.terms)), w.counts::text
		FROM {words} w JOIN chunks k ON k.id = w.chunk LEFT JOIN {vectors} v ON v.chunk = w.chunk LEFT JOIN {recent} r ON r.chunk = w.chunk WHERE w.chunk = ANY ($1::bigint[])`), ids)
	if err != nil {
		return nil, catalog.Explain(err)
	}
	defer rows.Close()
	types := pgtype.NewMap()
	for rows.Next() {
		var id, length int64
		var document, counts string
		var vector bool
		var terms []string
		if err := rows.Scan(&id, &document, &length, &vector, types.SQLScanner(&terms), &counts); err != nil {
			return nil, err
		}
		i := at[id]
		k := chunks[i]
		words := keyword.Analyze(k.Context, k.Text)
		switch {
		case document != k.DocumentID:
			what[i] = "the index has it in another document"
		case length != int64(words.Length()) || !sameCounts(words, terms, counts):
			what[i] = "the keyword index has other words for it"
		case !vector:
			what[i] = "the vector index has another vector for it"
		default:
			what[i] = ""
		}
	}
	return what, catalog.Explain(rows.Err())
}

// sameCounts says whether terms, each with its id, and the sparse vector of their counts are those of words.
func sameCounts(words keyword.Terms, terms []string, counts string) bool {
	if len(terms) != words.Len() {
		return false
	}
	id := make(map[string]string, len(terms))
	for _, t := range terms {
		n, term, _ := strings.Cut(t, " ")
		id[term] = n
	}
	entries, _, _ := strings.Cut(strings.TrimPrefix(counts, "{"), "}")
	count := make(map[string]string, len(terms))
	for entry := range strings.SplitSeq(entries, ",") {
		n, c, _ := strings.Cut(entry, ":")
		count[n] = c
	}
	same := 0
	for term, c := range words.Counts() {
		n, ok := id[term]
		if !ok {
			return false
		}
		if count[n] == fmt.Sprint(c) {
			same++
		}
	}
	return same == min(len(terms), maxSparse)
}
