package retriever

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"docent/internal/catalog"
	"docent/internal/keyword"
)

// maxTerms is how many terms of a question are looked for, those that say most.
const maxTerms = 128

// pgTerm is a term of a question that some chunk has.
type pgTerm struct {
	id     int64
	chunks int
	gain   float64
	most   float64 // that it adds to any chunk
}

// queueTerms adds to a batch what finds the terms of the question, those that may add most first.
func (v *pgView) queueTerms(b *pgx.Batch, text string) *[]pgTerm {
	terms := new([]pgTerm)
	var words []string
	weight := make(map[string]float32)
	for term, w := range keyword.ParseQuery(text).Terms() {
		words = append(words, term)
		weight[term] = w
	}
	if len(words) == 0 || v.chunks == 0 {
		return terms
	}
	statistics := keyword.Statistics{Passages: v.chunks, Length: v.length}
	// A longer average takes from the norm of a chunk at most what it is longer, and the share of the gain grows
	// by no more.
	longer := max(1, float64(v.length)/float64(v.chunks)/max(1, v.base)) * (1 + 1e-6)
	b.Queue(v.table(`SELECT term, id, chunks, best FROM {terms} WHERE term = ANY ($1::text[]) AND chunks > 0`), words).Query(func(rows pgx.Rows) error {
		for rows.Next() {
			var term string
			var t pgTerm
			var best float64
			if err := rows.Scan(&term, &t.id, &t.chunks, &best); err != nil {
				return err
			}
			t.gain = statistics.Gain(weight[term], t.chunks)
			t.most = t.gain * min(1, best*longer)
			*terms = append(*terms, t)
		}
		slices.SortFunc(*terms, func(a, b pgTerm) int { return cmp.Or(cmp.Compare(b.gain, a.gain), cmp.Compare(a.id, b.id)) })
		*terms = (*terms)[:min(len(*terms), maxTerms)]
		slices.SortStableFunc(*terms, func(a, b pgTerm) int { return cmp.Compare(b.most, a.most) })
		return rows.Err()
	})
	return terms
}

func (v *pgView) byWords(ctx context.Context, q question, n int, also []int64) (found []candidate, scores []float64, err error) {
	var b pgx.Batch
	terms := v.queueTerms(&b, q.text)
	if b.Len() > 0 {
		if err := v.send(ctx, &b); err != nil {
			return nil, nil, catalog.Explain(err)
		}
	}
	return v.bestByWords(ctx, *terms, question{text: q.text}, n, also)
}

// both is nearest and byWords in fewer exchanges with the server.
func (v *pgView) both(ctx context.Context, q question, n int) ([]candidate, error) {
	var b pgx.Batch
	found := v.queueNearest(&b, q, n)
	terms := v.queueTerms(&b, q.text)
	near, err := v.sendNearest(ctx, &b, q, n, found)
	if err != nil {
		return nil, err
	}
	also := make([]int64, len(near))
	at := make(map[int64]int, 2*n)
	for i, c := range near {
		also[i], at[c.chunk] = c.chunk, i
	}
	byWord, scores, err := v.bestByWords(ctx, *terms, q, n, also)
	if err != nil {
		return nil, err
	}
	for i := range near {
		near[i].keyword = scores[i]
	}
	for _, c := range byWord {
		if i, ok := at[c.chunk]; ok {
			near[i].kwRank = c.kwRank
			continue
		}
		near = append(near, c)
	}
	return near, nil
}

// bestByWords returns the n best chunks, with their cosines when q has a vector, and the scores of those in also. It
// looks at the chunks that have one of the first terms, those that may add most, and of the others only at those
// whose terms may together add as much as the n-th best of these has (after MaxScore: Turtle and Flood 1995).
func (v *pgView) bestByWords(ctx context.Context, terms []pgTerm, q question, n int, also []int64) (found []candidate, scores []float64, err error) {
	scores = make([]float64, len(also))
	if len(terms) == 0 {
		return nil, scores, nil
	}
	first, rows := 0, 0
	for n > 0 && first < len(terms) && (first == 0 || rows < 2*n) {
		rows += terms[first].chunks
		first++
	}
	found, score, err := v.scored(ctx, terms, hasOne(terms[:first]), q, n, also)
	if err != nil {
		return nil, nil, err
	}
	for i, id := range also {
		scores[i] = score[id]
	}
	least := 0.0
	if len(found) == n && n > 0 {
		least = found[n-1].keyword * (1 - 1e-9)
	}
	if others := reaching(terms, first, least); n > 0 && others != "" {
		more, _, err := v.scored(ctx, terms, `NOT `+hasOne(terms[:first])+` AND (`+others+`)`, q, n, nil)
		if err != nil {
			return nil, nil, err
		}
		found = append(found, more...)
		sortCandidates(found, func(c candidate) float64 { return c.keyword })
		found = found[:min(n, len(found))]
	}
	for i := range found {
		found[i].kwRank = i + 1
	}
	return found, scores, nil
}

// hasOne is the condition of having one of the terms.
func hasOne(terms []pgTerm) string {
	ids := make([]string, len(terms))
	for i, t := range terms {
		ids[i] = strconv.FormatInt(t.id, 10)
	}
	return `terms && '{` + strings.Join(ids, ",") + `}'::integer[]`
}

// reaching is the condition of having terms that can together add at least least, of chunks without any of the
// first terms; "" when none can. The first term that such a chunk has adds enough, or needs one of those that
// follow it: as many as it takes until the rest of them does not do.
func reaching(terms []pgTerm, first int, least float64) string {
	rest := make([]float64, len(terms)+1) // the most that the terms from one on can add
	for i := len(terms) - 1; i >= 0; i-- {
		rest[i] = rest[i+1] + terms[i].most
	}
	var enough []pgTerm
	var conditions []string
	for i := first; i < len(terms) && rest[i] >= least; i++ {
		t := terms[i : i+1]
		if t[0].most >= least {
			enough = append(enough, t[0])
			continue
		}
		end := i + 1
		for t[0].most+rest[end] >= least {
			end++
		}
		conditions = append(conditions, hasOne(t)+` AND `+hasOne(terms[i+1:end]))
	}
	if len(enough) > 0 {
		conditions = append(conditions, hasOne(enough))
	}
	return strings.Join(conditions, ` OR `)
}

// scored returns the n best chunks of those that meet a condition and the filter, with their cosines when q has a
// vector, and the scores of the chunks in also.
func (v *pgView) scored(ctx context.Context, terms []pgTerm, condition string, q question, n int, also []int64) (found []candidate, score map[int64]float64, err error) {
	where := v.filter.where(3)
	if where == "" {
		where = "WHERE true"
	}
	args := append([]any{pgx.QueryExecModeExec, n, also}, v.filter.args...)
	cosine := "0::float8"
	if q.vector != nil {
		cosine = v.cosine(fmt.Sprintf("$%d", len(args)), "best")
		args = append(args, q.vector)
	}
	bm25 := v.bm25(terms)
	// The terms are written out, and a plan made for them: so the server knows how many rows have them.
	statement := `WITH best AS MATERIALIZED (SELECT chunk, document, ` + bm25 + ` AS score FROM ` + v.words(where+` AND `+condition) + ` ORDER BY score DESC, chunk LIMIT $1)
		SELECT chunk, document, score, ` + cosine + ` FROM best
		UNION ALL SELECT chunk, '', ` + bm25 + `, 0 FROM ` + v.words(`WHERE chunk = ANY ($2::bigint[])`)
	rows, err := v.conn.QueryContext(ctx, v.table(statement), args...)
	if err != nil {
		return nil, nil, catalog.Explain(err)
	}
	defer rows.Close()
	score = make(map[int64]float64, len(also))
	for rows.Next() {
		var c candidate
		if err := rows.Scan(&c.chunk, &c.document, &c.keyword, &c.dense); err != nil {
			return nil, nil, err
		}
		if c.document == "" {
			score[c.chunk] = c.keyword
		} else {
			found = append(found, c)
		}
	}
	sortCandidates(found, func(c candidate) float64 { return c.keyword })
	return found, score, catalog.Explain(rows.Err())
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
