package retriever

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sync/errgroup"

	"docent/internal/keyword"
)

const (
	// pgBatch is how many chunks are analysed and written at a time.
	pgBatch = 1000
	// sparseDim is the dimension of the sparse vectors of counts, the most that pgvector has: ids of terms lie
	// below it.
	sparseDim = 1_000_000_000
	// maxSparse is the most terms that a sparse vector of pgvector holds. A chunk with more, which no splitter
	// makes, is found by all of them, and only those it has most of count in its score.
	maxSparse = 16_000
	// maxIndexed and maxHalfIndexed are the most dimensions that pgvector indexes as they are, and rounded to
	// 16 bits. Above them every search is a scan.
	maxIndexed, maxHalfIndexed = 2000, 4000
)

// analysed is what the tables have of a chunk, but for its vector.
type analysed struct {
	chunk    int64
	document string
	words    keyword.Terms
}

// A pgText is a chunk as it comes from the record.
type pgText struct {
	chunk         int64
	document      string
	context, text string
}

// textsOf selects the chunks of documents d that a condition names, for scanTexts.
func textsOf(condition string) string {
	return `SELECT k.id, k.document_id, k.context, k.text FROM documents d JOIN chunks k ON k.document_id = d.id WHERE ` + condition
}

func scanTexts(rows *sql.Rows, err error) ([]pgText, error) {
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []pgText
	for rows.Next() {
		var t pgText
		if err := rows.Scan(&t.chunk, &t.document, &t.context, &t.text); err != nil {
			return nil, err
		}
		all = append(all, t)
	}
	return all, rows.Err()
}

// analyse runs on all processors.
func analyse(chunks []pgText) []analysed {
	all := make([]analysed, len(chunks))
	var g errgroup.Group
	g.SetLimit(runtime.GOMAXPROCS(0))
	for from := 0; from < len(chunks); from += 64 {
		g.Go(func() error {
			for i := from; i < min(from+64, len(chunks)); i++ {
				k := chunks[i]
				all[i] = analysed{k.chunk, k.document, keyword.Analyze(k.context, k.text)}
			}
			return nil
		})
	}
	g.Wait()
	return all
}

// A vocabulary gives terms their ids, counts the chunks that have each, and knows the most that a term adds to
// the score of one of them, as a share of its gain.
type vocabulary struct {
	ids    map[string]int64
	chunks map[string]int64
	best   map[string]float32
	last   int64
}

func newVocabulary(last int64) vocabulary {
	return vocabulary{make(map[string]int64), make(map[string]int64), make(map[string]float32), last}
}

// insertWords writes rows for chunks whose terms are all in ids, and counts them in c.
func (c *pgCollection) insertWords(ctx context.Context, tx *sql.Tx, chunks []analysed, ids map[string]int64) error {
	for part := range slices.Chunk(chunks, pgBatch) {
		chunk, document := make([]int64, len(part)), make([]string, len(part))
		length, terms, counts := make([]int64, len(part)), make([]string, len(part)), make([]string, len(part))
		for i, a := range part {
			chunk[i], document[i], length[i] = a.chunk, a.document, int64(a.words.Length())
			terms[i], counts[i] = sparse(a.words, ids)
			c.length += uint64(a.words.Length())
		}
		c.chunks += len(part)
		_, err := tx.ExecContext(ctx, c.table(`INSERT INTO {words} (chunk, document, length, terms, counts)
			SELECT chunk, document, length, terms::integer[], counts::sparsevec
			FROM unnest($1::bigint[], $2::text[], $3::bigint[], $4::text[], $5::text[]) AS t (chunk, document, length, terms, counts)`), chunk, document, length, terms, counts)
		if err != nil {
			return err
		}
	}
	return nil
}

// sparse writes terms as an array of their ids, and as a sparse vector of their counts.
func sparse(words keyword.Terms, ids map[string]int64) (terms, counts string) {
	type entry struct {
		id    int64
		count uint16
	}
	entries := make([]entry, 0, words.Len())
	for term, count := range words.Counts() {
		entries = append(entries, entry{ids[term], count})
	}
	byID := func(a, b entry) int { return cmp.Compare(a.id, b.id) }
	slices.SortFunc(entries, byID)
	t := []byte{'{'}
	for _, e := range entries {
		t = append(strconv.AppendInt(t, e.id, 10), ',')
	}
	if len(entries) > maxSparse {
		slices.SortStableFunc(entries, func(a, b entry) int { return cmp.Compare(b.count, a.count) })
		entries = entries[:maxSparse]
		slices.SortFunc(entries, byID)
	}
	v := []byte{'{'}
	for _, e := range entries {
		v = append(strconv.AppendInt(v, e.id, 10), ':')
		v = append(strconv.AppendInt(v, int64(e.count), 10), ',')
	}
	return strings.TrimSuffix(string(t), ",") + "}", strings.TrimSuffix(string(v), ",") + "}/" + strconv.Itoa(sparseDim)
}

// count adds chunks' terms to the vocabulary of the collection.
func (c *pgCollection) count(v vocabulary, chunks []analysed) {
	if c.base == 0 && len(chunks) > 0 {
		for _, a := range chunks {
			c.base += float64(a.words.Length())
		}
		c.base = max(1, c.base/float64(len(chunks)))
	}
	fixed, slope := keyword.Statistics{Passages: 1, Length: uint64(c.base)}.Norm()
	for _, a := range chunks {
		norm := fixed + slope*float64(a.words.Length())
		for term, count := range a.words.Counts() {
			v.chunks[term]++
			v.best[term] = max(v.best[term], float32(float64(count)/(float64(count)+norm)))
		}
	}
}

// number gives ids to the terms that have none, and returns them.
func (v *vocabulary) number() (fresh []string) {
	for term := range v.chunks {
		if _, ok := v.ids[term]; !ok {
			v.last++
			v.ids[term] = v.last
			fresh = append(fresh, term)
		}
	}
	return fresh
}

// insertTerms writes terms of the vocabulary.
func (c *pgCollection) insertTerms(ctx context.Context, tx *sql.Tx, v vocabulary, terms []string) error {
	for part := range slices.Chunk(terms, 10*pgBatch) {
		ids, chunks, best := make([]int64, len(part)), make([]int64, len(part)), make([]float32, len(part))
		for i, t := range part {
			ids[i], chunks[i], best[i] = v.ids[t], v.chunks[t], v.best[t]
		}
		_, err := tx.ExecContext(ctx, c.table(`INSERT INTO {terms} (id, term, chunks, best) SELECT * FROM unnest($1::bigint[], $2::text[], $3::bigint[], $4::real[])`), ids, part, chunks, best)
		if err != nil {
			return err
		}
	}
	return nil
}

// add writes chunks, whose vectors the record has, to the tables.
func (c *pgCollection) add(ctx context.Context, tx *sql.Tx, chunks []analysed) error {
	if len(chunks) == 0 {
		return nil
	}
	v := newVocabulary(c.terms)
	c.count(v, chunks)
	// Known terms first; the others get the ids that follow.
	all, n, best := make([]string, 0, len(v.chunks)), make([]int64, 0, len(v.chunks)), make([]float32, 0, len(v.chunks))
	for term, chunks := range v.chunks {
		all, n, best = append(all, term), append(n, chunks), append(best, v.best[term])
	}
	rows, err := tx.QueryContext(ctx, c.table(`UPDATE {terms} t SET chunks = t.chunks + n.chunks, best = greatest(t.best, n.best) FROM unnest($1::text[], $2::bigint[], $3::real[]) AS n (term, chunks, best)
		WHERE t.term = n.term RETURNING t.term, t.id`), all, n, best)
	if err != nil {
		return err
	}
	for rows.Next() {
		var term string
		var id int64
		if err := rows.Scan(&term, &id); err != nil {
			rows.Close()
			return err
		}
		v.ids[term] = id
	}
	if err := rows.Err(); err != nil {
		return err
	}
	fresh := v.number()
	c.terms = v.last
	if err := c.insertTerms(ctx, tx, v, fresh); err != nil {
		return err
	}
	if err := c.insertWords(ctx, tx, chunks, v.ids); err != nil || c.dim == 0 {
		return err
	}
	ids := make([]int64, len(chunks))
	for i, a := range chunks {
		ids[i] = a.chunk
	}
	c.recent += len(ids)
	_, err = tx.ExecContext(ctx, c.table(`INSERT INTO {recent} (chunk, document, embedding) SELECT id, document_id, vector FROM chunks WHERE id = ANY ($1::bigint[])`), ids)
	return err
}

// remove takes chunks out of the tables.
func (c *pgCollection) remove(ctx context.Context, tx *sql.Tx, chunks []int64) error {
	if len(chunks) == 0 {
		return nil
	}
	_, err := tx.ExecContext(ctx, c.table(`UPDATE {terms} t SET chunks = t.chunks - g.chunks
		FROM (SELECT term, count(*) AS chunks FROM {words} w, unnest(w.terms) AS term WHERE w.chunk = ANY ($1::bigint[]) GROUP BY term) g WHERE t.id = g.term`), chunks)
	if err != nil {
		return err
	}
	var gone int
	var length uint64
	err = tx.QueryRowContext(ctx, c.table(`WITH gone AS (DELETE FROM {words} WHERE chunk = ANY ($1::bigint[]) RETURNING length)
		SELECT count(*), coalesce(sum(length), 0)::bigint FROM gone`), chunks).Scan(&gone, &length)
	if err != nil {
		return err
	}
	c.chunks -= gone
	c.length -= length
	if _, err = tx.ExecContext(ctx, c.table(`DELETE FROM {vectors} WHERE chunk = ANY ($1::bigint[])`), chunks); err != nil {
		return err
	}
	res, err := tx.ExecContext(ctx, c.table(`DELETE FROM {recent} WHERE chunk = ANY ($1::bigint[])`), chunks)
	if err != nil {
		return err
	}
	n, err := res.RowsAffected()
	c.recent -= int(n)
	return err
}

// fill makes the tables of a collection of the record, in place of earlier ones, unless those can be used.
// The caller has the lock of the collection.
func fill(ctx context.Context, tx *sql.Tx, collection string) error {
	c, err := lookUp(ctx, tx, collection)
	if err != nil || c.generation != 0 {
		return err
	}
	if err := tx.QueryRowContext(ctx, `SELECT nextval('search_generation')`).Scan(&c.generation); err != nil {
		return err
	}
	c.vectors = c.generation
	// Rows of words are read by the thousand for each question, once for each of its terms, and must not be
	// pushed out of line; those of terms change in place.
	if _, err := tx.ExecContext(ctx, c.table(c.vectorTable("{vectors}")+c.vectorTable("{recent}")+`CREATE TABLE {words} (chunk bigint NOT NULL, document text COLLATE "C" NOT NULL, length bigint NOT NULL, terms integer[] NOT NULL, counts sparsevec NOT NULL) WITH (toast_tuple_target = 8160);
		CREATE TABLE {terms} (id bigint NOT NULL, term text COLLATE "C" NOT NULL, chunks bigint NOT NULL, best real NOT NULL) WITH (fillfactor = 60)`)); err != nil {
		return err
	}
	into := "{recent}"
	if c.dim > 0 {
		var all int
		if err := tx.QueryRowContext(ctx, `SELECT coalesce(sum(chunks), 0)::bigint FROM documents WHERE collection_id = $1`, c.id).Scan(&all); err != nil {
			return err
		}
		if column, _ := c.indexed(); column == "" || all > exactBelow {
			into = "{vectors}"
		}
		_, err := tx.ExecContext(ctx, c.table(`INSERT INTO `+into+` (chunk, document, embedding) SELECT k.id, k.document_id, k.vector
			FROM documents d JOIN chunks k ON k.document_id = d.id WHERE d.collection_id = $1`), c.id)
		if state := sqlState(err); state == "22000" || state == "23502" {
			return fmt.Errorf("collection %q: %w: a chunk has no vector of its encoder: %w", collection, ErrCorrupt, err)
		}
		if err != nil {
			return err
		}
	}
	v := newVocabulary(0)
	if _, err := tx.ExecContext(ctx, fmt.Sprintf(`DECLARE texts NO SCROLL CURSOR FOR `+textsOf(`d.collection_id = %d`), c.id)); err != nil {
		return err
	}
	for {
		chunks, err := scanTexts(tx.QueryContext(ctx, fmt.Sprintf(`FETCH %d FROM texts`, pgBatch)))
		if err != nil {
			return err
		}
		if len(chunks) == 0 {
			break
		}
		words := analyse(chunks)
		c.count(v, words)
		v.number()
		if err := c.insertWords(ctx, tx, words, v.ids); err != nil {
			return err
		}
	}
	if _, err := tx.ExecContext(ctx, `CLOSE texts`); err != nil {
		return err
	}
	terms := make([]string, 0, len(v.ids))
	for term := range v.ids {
		terms = append(terms, term)
	}
	if err := c.insertTerms(ctx, tx, v, terms); err != nil {
		return err
	}
	c.terms = v.last
	if c.dim > 0 && into == "{recent}" {
		c.recent = c.chunks
	}
	if _, err := tx.ExecContext(ctx, c.table(`ALTER TABLE {words} ADD PRIMARY KEY (chunk);
		ALTER TABLE {terms} ADD PRIMARY KEY (term);
		ALTER TABLE {recent} ADD PRIMARY KEY (chunk);
		CREATE INDEX ON {terms} (id);
		CREATE INDEX ON {recent} (document);
		CREATE INDEX ON {words} (document);
		CREATE INDEX ON {words} USING gin (terms) WITH (gin_pending_list_limit = 512);
		ANALYZE {recent}, {words}, {terms};
		`)+c.vectorIndexes(c.chunks)); err != nil {
		return err
	}
	if err := dropTables(ctx, tx, `s.collection_id = $1`, c.id); err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO search_collections (collection_id, generation, format, analysis, encoder, dim, chunks, length, terms, vectors, recent, base) VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12)`,
		c.id, c.generation, pgFormat, keyword.Version, c.encoder, c.dim, c.chunks, c.length, c.terms, c.vectors, c.recent, c.base)
	return err
}

// vectorTable is the statement that makes a table of vectors.
func (c pgCollection) vectorTable(name string) string {
	embedding := "vector"
	if c.dim > 0 {
		embedding = fmt.Sprintf("vector(%d)", c.dim)
	}
	return `CREATE TABLE ` + name + ` (chunk bigint NOT NULL, document text COLLATE "C" NOT NULL, embedding ` + embedding + " NOT NULL);\n"
}

// vectorIndexes are the statements that index the filled table of the vectors.
func (c pgCollection) vectorIndexes(chunks int) string {
	var sb strings.Builder
	// The graph of a large collection is to fit in memory while it is made: else it takes several times as long.
	if need := chunks * (4*c.dim + 400) >> 20; need > 64 {
		fmt.Fprintf(&sb, "SET LOCAL maintenance_work_mem = '%dMB';\n", min(need, 1024))
	}
	sb.WriteString("ALTER TABLE {vectors} ADD PRIMARY KEY (chunk);\nCREATE INDEX ON {vectors} (document);\n")
	if column, class := c.indexed(); column != "" {
		fmt.Fprintf(&sb, "CREATE INDEX ON {vectors} USING hnsw ((%s) %s);\n", column, class)
	}
	sb.WriteString("ANALYZE {vectors}")
	return c.table(sb.String())
}

// indexed returns what the index over the vectors is of, and its operators; "" when there is none.
func (c pgCollection) indexed() (column, class string) {
	switch {
	case c.dim == 0 || c.dim > maxHalfIndexed:
		return "", ""
	case c.dim > maxIndexed:
		return fmt.Sprintf("embedding::halfvec(%d)", c.dim), "halfvec_ip_ops"
	}
	return "embedding", "vector_ip_ops"
}
