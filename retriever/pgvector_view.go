package retriever

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"docent/internal/catalog"
	"docent/internal/keyword"
)

// exactBelow is how many chunks a search by meaning compares one by one rather than follow the index: it is
// exact, and as fast or faster where a filter leaves few of many. Tests change it.
var exactBelow = 2000

// maxTerms is how many terms of a question are looked for, those that say most.
const maxTerms = 128

// A pgView is a transaction that sees the record and the tables as of one moment.
type pgView struct {
	pgCollection
	tx     *sql.Tx
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
	return v, nil
}

// open opens a view; it makes the collection's tables when there are none.
func (e *pgEngine) open(ctx context.Context, collection string, f Filter) (*pgView, error) {
	for {
		v, err := e.begin(ctx, collection, f)
		switch {
		case err == nil && v.generation != 0:
			return v, nil
		case err == nil:
			v.close()
			if err := e.make(ctx, collection); err != nil {
				return nil, fmt.Errorf("load collection %q: %w", collection, err)
			}
		case sqlState(err) != undefinedTable: // replaced between two statements
			return nil, err
		}
	}
}

const undefinedTable = "42P01"

// begin begins the transaction of a view, whose tables stay until it ends; of one without tables there is no
// more to know.
func (e *pgEngine) begin(ctx context.Context, collection string, f Filter) (v *pgView, err error) {
	tx, err := e.db.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true})
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			tx.Rollback()
		}
	}()
	v = &pgView{tx: tx, reader: e.record.ReaderIn(tx)}
	if v.pgCollection, err = lookUp(ctx, tx, collection); err != nil || v.generation == 0 {
		return v, err
	}
	if _, err = tx.ExecContext(ctx, v.table(`LOCK TABLE {vectors}, {words}, {terms} IN ACCESS SHARE MODE`)); err != nil {
		return nil, err
	}
	v.filter, err = filterSQL(ctx, tx, v.id, f)
	return v, err
}

func (v *pgView) close()                 { v.tx.Rollback() }
func (v *pgView) encoder() string        { return v.pgCollection.encoder }
func (v *pgView) record() catalog.Reader { return v.reader }

// candidates reads rows of a chunk, its document and a score.
func (v *pgView) candidates(ctx context.Context, set func(*candidate, float64, int), statement string, args ...any) ([]candidate, error) {
	rows, err := v.tx.QueryContext(ctx, v.table(statement), args...)
	if err != nil {
		return nil, catalog.Explain(err)
	}
	defer rows.Close()
	var found []candidate
	for rows.Next() {
		var c candidate
		var score float64
		if err := rows.Scan(&c.chunk, &c.document, &score); err != nil {
			return nil, err
		}
		set(&c, score, len(found)+1)
		found = append(found, c)
	}
	return found, catalog.Explain(rows.Err())
}

func (v *pgView) nearest(ctx context.Context, q question, n int) ([]candidate, error) {
	let := v.filter.chunks(v.chunks)
	if n <= 0 || let == 0 {
		return nil, ctx.Err()
	}
	if column, _ := v.indexed(); column != "" && !v.fewer(let, n) {
		found, err := v.nearestByIndex(ctx, q, n, column)
		if err != nil || len(found) == min(n, let) {
			return found, err
		}
		// The index has given up: it met so few that the filter lets through that its memory is spent.
	}
	// OFFSET keeps the subquery apart: each vector is compared once, and the index is not used.
	return v.candidates(ctx, setDense, `SELECT chunk, document, -distance
		FROM (SELECT chunk, document, embedding <#> $1::real[]::vector AS distance FROM {vectors} t `+v.filter.where(3)+` OFFSET 0) c
		ORDER BY distance, chunk LIMIT $2`, append([]any{q.vector, n}, v.filter.args...)...)
}

// fewer says whether to compare all that a filter lets through costs less than to follow the index until n of
// them are met: that is one in every chunks/let, and each takes about ten times as long.
func (v *pgView) fewer(let, n int) bool {
	return let <= exactBelow || v.filter.condition != "" && float64(let)*float64(let) <= 10*float64(n)*float64(v.chunks)
}

func setDense(c *candidate, score float64, rank int) { c.dense, c.denseRank = score, rank }

// nearestByIndex goes on until it has n that the filter lets through, and puts them in their exact order.
func (v *pgView) nearestByIndex(ctx context.Context, q question, n int, column string) ([]candidate, error) {
	_, err := v.tx.ExecContext(ctx, fmt.Sprintf(`SET LOCAL hnsw.ef_search = %d; SET LOCAL hnsw.iterative_scan = strict_order;
		SET LOCAL hnsw.max_scan_tuples = 2147483647; SET LOCAL hnsw.scan_mem_multiplier = 32; SET LOCAL enable_seqscan = off; SET LOCAL enable_sort = off`, min(max(200, 2*n), 1000)))
	if err != nil {
		return nil, catalog.Explain(err)
	}
	ask := n
	if column != "embedding" {
		ask = 2*n + 20 // rounded vectors are in another order
	}
	to := strings.Replace(column, "embedding", "$1::real[]::vector", 1)
	found, err := v.candidates(ctx, setDense, `SELECT chunk, document, -(embedding <#> $1::real[]::vector) FROM {vectors} t `+v.filter.where(3)+`
		ORDER BY (`+column+`) <#> (`+to+`) LIMIT $2`, append([]any{q.vector, ask}, v.filter.args...)...)
	slices.SortFunc(found, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(b.dense, a.dense), cmp.Compare(a.chunk, b.chunk))
	})
	found = found[:min(n, len(found))]
	for i := range found {
		found[i].denseRank = i + 1
	}
	return found, err
}

func (v *pgView) similarities(ctx context.Context, q question, chunks []int64) ([]float64, error) {
	return v.scores(ctx, chunks, `SELECT chunk, -(embedding <#> $2::real[]::vector) FROM {vectors} WHERE chunk = ANY ($1::bigint[])`, chunks, q.vector)
}

// scores reads rows of a chunk and its score, in the order of chunks; 0 for those without a row.
func (v *pgView) scores(ctx context.Context, chunks []int64, statement string, args ...any) ([]float64, error) {
	all := make([]float64, len(chunks))
	if len(chunks) == 0 {
		return all, nil
	}
	rows, err := v.tx.QueryContext(ctx, v.table(statement), args...)
	if err != nil {
		return nil, catalog.Explain(err)
	}
	defer rows.Close()
	score := make(map[int64]float64, len(chunks))
	for rows.Next() {
		var id int64
		var s float64
		if err := rows.Scan(&id, &s); err != nil {
			return nil, err
		}
		score[id] = s
	}
	for i, id := range chunks {
		all[i] = score[id]
	}
	return all, catalog.Explain(rows.Err())
}

// pgTerm is a term of a question that some chunk has.
type pgTerm struct {
	id     int64
	chunks int
	gain   float64
}

// queryTerms returns the terms of the question, those that add most first.
func (v *pgView) queryTerms(ctx context.Context, text string) ([]pgTerm, error) {
	var words []string
	weight := make(map[string]float32)
	for term, w := range keyword.ParseQuery(text).Terms() {
		words = append(words, term)
		weight[term] = w
	}
	if len(words) == 0 || v.chunks == 0 {
		return nil, nil
	}
	rows, err := v.tx.QueryContext(ctx, v.table(`SELECT term, id, chunks FROM {terms} WHERE term = ANY ($1::text[]) AND chunks > 0`), words)
	if err != nil {
		return nil, catalog.Explain(err)
	}
	defer rows.Close()
	statistics := keyword.Statistics{Passages: v.chunks, Length: v.length}
	var terms []pgTerm
	for rows.Next() {
		var term string
		var t pgTerm
		if err := rows.Scan(&term, &t.id, &t.chunks); err != nil {
			return nil, err
		}
		t.gain = statistics.Gain(weight[term], t.chunks)
		terms = append(terms, t)
	}
	slices.SortFunc(terms, func(a, b pgTerm) int { return cmp.Or(cmp.Compare(b.gain, a.gain), cmp.Compare(a.id, b.id)) })
	return terms[:min(len(terms), maxTerms)], catalog.Explain(rows.Err())
}

// bm25 is the expression of the score of a row of words by the terms, each of which adds
// gain · count / (count + norm) = gain - gain · norm / (count + norm).
func (v *pgView) bm25(terms []pgTerm) string {
	var gains float64
	var sb strings.Builder
	for i, t := range terms {
		gains += t.gain
		if i > 0 {
			sb.WriteString(" + ")
		}
		fmt.Fprintf(&sb, "%.17g::float8 / (norm - (counts <#> '{%d:1}/%d'::sparsevec))", t.gain, t.id, sparseDim)
	}
	return fmt.Sprintf("%.17g::float8 - norm * (%s)", gains, sb.String())
}

// words is the table with the norm of each row.
func (v *pgView) words(where string) string {
	fixed, slope := keyword.Statistics{Passages: v.chunks, Length: v.length}.Norm()
	return fmt.Sprintf(`(SELECT chunk, document, counts, %.17g::float8 + %.17g::float8 * length AS norm FROM {words} t %s) w`, fixed, slope, where)
}

func (v *pgView) byWords(ctx context.Context, q question, n int, also []int64) (found []candidate, scores []float64, err error) {
	terms, err := v.queryTerms(ctx, q.text)
	if err != nil || len(terms) == 0 {
		return nil, make([]float64, len(also)), err
	}
	if n > 0 {
		if found, err = v.bestByWords(ctx, terms, n); err != nil {
			return nil, nil, err
		}
	}
	scores, err = v.scores(ctx, also, `SELECT chunk, `+v.bm25(terms)+` FROM `+v.words(`WHERE chunk = ANY ($1::bigint[])`), pgx.QueryExecModeExec, also)
	return found, scores, err
}

// bestByWords looks only at chunks that have one of the first terms: as many of them as it takes until
// the others together add less than the n-th best has (MaxScore: Turtle and Flood 1995).
func (v *pgView) bestByWords(ctx context.Context, terms []pgTerm, n int) ([]candidate, error) {
	rest := make([]float64, len(terms)+1) // the most that the terms from one on can add
	for i := len(terms) - 1; i >= 0; i-- {
		rest[i] = rest[i+1] + terms[i].gain
	}
	first, rows := 0, 0
	for first < len(terms) && (first == 0 || rows < 10*n) {
		rows += terms[first].chunks
		first++
	}
	set := func(c *candidate, score float64, rank int) { c.keyword, c.kwRank = score, rank }
	for {
		ids := make([]string, first)
		for i, t := range terms[:first] {
			ids[i] = fmt.Sprint(t.id)
		}
		where := v.filter.where(2)
		if where == "" {
			where = "WHERE true"
		}
		// The terms are written out, and a plan made for them: so the server knows how many rows have them.
		statement := `SELECT chunk, document, ` + v.bm25(terms) + ` AS score FROM ` + v.words(where+` AND terms && '{`+strings.Join(ids, ",")+`}'::integer[]`) + `
			ORDER BY score DESC, chunk LIMIT $1`
		found, err := v.candidates(ctx, set, statement, append([]any{pgx.QueryExecModeExec, n}, v.filter.args...)...)
		if err != nil {
			return nil, err
		}
		need := len(terms)
		if len(found) == n {
			least := found[n-1].keyword
			for need = first; need < len(terms) && rest[need] >= least*(1-1e-9); need++ {
			}
		}
		if need <= first {
			return found, nil
		}
		first = need
	}
}

func (v *pgView) count(ctx context.Context) (n int, err error) {
	err = v.tx.QueryRowContext(ctx, v.table(`SELECT count(*) FROM {words}`)).Scan(&n)
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
	rows, err := v.tx.QueryContext(ctx, v.table(`SELECT w.chunk, w.document, w.length, v.embedding IS NOT DISTINCT FROM k.vector,
			ARRAY(SELECT t.id || ' ' || t.term FROM {terms} t WHERE t.id = ANY (w.terms)), w.counts::text
		FROM {words} w JOIN chunks k ON k.id = w.chunk LEFT JOIN {vectors} v ON v.chunk = w.chunk WHERE w.chunk = ANY ($1::bigint[])`), ids)
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
