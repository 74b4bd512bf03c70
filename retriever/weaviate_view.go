package retriever

import (
	"context"
	"fmt"
	"maps"
	"math"
	"strings"

	"docent/internal/catalog"
	"docent/internal/keyword"
	"docent/internal/weaviate"
)

// A weaviateView is the record as of one moment, and a class that has at least what the record had then.
type weaviateView struct {
	e        *weaviateEngine
	class    catalog.SearchClass
	snapshot *catalog.Snapshot
	where    *weaviate.Where
	none     bool // the filter lets nothing through
}

func (e *weaviateEngine) view(ctx context.Context, collection string, f Filter) (view, error) {
	match, err := f.compile(0)
	if err != nil {
		return nil, err
	}
	for {
		snapshot, err := e.db.Snapshot(ctx)
		if err != nil {
			return nil, err
		}
		v := &weaviateView{e: e, snapshot: snapshot}
		if v.class, err = snapshot.SearchClass(ctx, collection, e.settings.format); err == nil && v.class.Ready {
			var has bool
			if has, err = e.has(ctx, v.class.Name); has {
				if err = v.let(ctx, collection, f, match); err == nil {
					return v, nil
				}
			}
		}
		snapshot.Close()
		if err == nil {
			err = e.ready(ctx, collection)
		}
		if err != nil {
			return nil, err
		}
	}
}

func (v *weaviateView) close()                 { v.snapshot.Close() }
func (v *weaviateView) encoder() string        { return v.class.Encoder }
func (v *weaviateView) record() catalog.Reader { return v.snapshot.Reader }

// let has the view search only what the filter lets through. The record says which documents these are; the
// cluster is told them, or the others where those are fewer.
func (v *weaviateView) let(ctx context.Context, collection string, f Filter, match func(*Document) bool) error {
	switch {
	case f.Op == "":
		return nil
	case (f.Op == In || f.Op == Equal) && f.Field == "id":
		v.where, v.none = &weaviate.Where{Documents: f.Values}, len(f.Values) == 0
		return nil
	}
	documents, err := v.snapshot.Documents(ctx, collection)
	if err != nil {
		return err
	}
	in, out := []string{}, []string{}
	for _, d := range documents {
		switch {
		case d.DuplicateOf != "": // it has no chunks
		case match((*Document)(&d)):
			in = append(in, d.ID)
		default:
			out = append(out, d.ID)
		}
	}
	switch {
	case len(in) == 0:
		v.none = true
	case len(out) == 0:
	case len(out) < len(in):
		v.where = &weaviate.Where{Documents: out, Not: true}
	default:
		v.where = &weaviate.Where{Documents: in}
	}
	return nil
}

// nodes is how many must answer.
func (v *weaviateView) nodes() int {
	if v.class.Behind {
		return v.e.client.Quorum(v.e.settings.replicas)
	}
	return 1
}

// ties is how many hits more than it needs a search asks for: which of those with equal scores a node returns is
// its own affair, the order of their ids is everybody's.
const ties = 32

// find returns the n best hits that the record has.
func (v *weaviateView) find(ctx context.Context, q weaviate.Query, n int) ([]weaviate.Hit, []candidate, error) {
	if v.none || n <= 0 {
		return nil, nil, ctx.Err()
	}
	q.Class = v.class.Name
	for q.Limit = min(n+ties, weaviate.MaxHits); ; q.Limit = min(2*q.Limit, weaviate.MaxHits) {
		hits, err := v.e.client.Search(ctx, q, v.nodes())
		if err != nil {
			v.e.forget(q.Class)
			return nil, nil, err
		}
		ids := make([]int64, len(hits))
		for i, h := range hits {
			ids[i] = h.Chunk
		}
		documents, err := v.snapshot.DocumentsOfChunks(ctx, ids)
		if err != nil {
			return nil, nil, err
		}
		var live []weaviate.Hit
		var found []candidate
		for _, h := range hits {
			if d, ok := documents[h.Chunk]; ok && len(live) < n {
				live = append(live, h)
				found = append(found, candidate{chunk: h.Chunk, document: d})
			}
		}
		if len(live) == n || len(hits) < q.Limit || q.Limit == weaviate.MaxHits {
			return live, found, nil
		}
	}
}

func (v *weaviateView) nearest(ctx context.Context, q question, n int) ([]candidate, error) {
	_, found, err := v.find(ctx, weaviate.Query{Vector: q.vector, Where: v.where}, n)
	if err != nil {
		return nil, err
	}
	// Weaviate rounds, and may have quantised.
	ids := make([]int64, len(found))
	for i, c := range found {
		ids[i] = c.chunk
	}
	cosines, err := v.similarities(ctx, q, ids)
	for i := range cosines {
		found[i].dense = cosines[i]
	}
	sortCandidates(found, func(c candidate) float64 { return c.dense })
	for i := range found {
		found[i].denseRank = i + 1
	}
	return found, err
}

func (v *weaviateView) similarities(ctx context.Context, q question, chunks []int64) ([]float64, error) {
	if len(chunks) == 0 {
		return nil, nil
	}
	vectors, err := v.snapshot.VectorsByID(ctx, chunks)
	if err != nil {
		return nil, err
	}
	all := make([]float64, len(chunks))
	for i, id := range chunks {
		if len(vectors[id]) != len(q.vector) {
			return nil, fmt.Errorf("chunk %d: %w: its vector has %d dimensions, want %d", id, ErrCorrupt, len(vectors[id]), len(q.vector))
		}
		all[i] = dot(vectors[id], q.vector)
	}
	return all, nil
}

func dot(a, b []float32) (sum float64) {
	for i := range a {
		sum += float64(a[i]) * float64(b[i])
	}
	return sum
}

// scoreUnit makes of a score of Weaviate one of package keyword, whose formula has the factor K1 + 1.
const scoreUnit = (keyword.K1 + 1) / weightSteps

func (v *weaviateView) byWords(ctx context.Context, q question, n int, also []int64) (found []candidate, scores []float64, err error) {
	scores = make([]float64, len(also))
	terms := questionText(keyword.ParseQuery(q.text))
	if terms == "" {
		return nil, scores, nil
	}
	hits, found, err := v.find(ctx, weaviate.Query{Terms: terms, Where: v.where}, n)
	if err != nil {
		return nil, nil, err
	}
	score := make(map[int64]float64, len(found)+len(also))
	for i, h := range hits {
		found[i].keyword, found[i].kwRank = h.Score*scoreUnit, i+1
		score[h.Chunk] = found[i].keyword
	}
	rest := []int64{}
	for _, id := range also {
		if _, ok := score[id]; !ok {
			rest = append(rest, id)
		}
	}
	if len(rest) > 0 && len(found) == n { // else all that have a term were found
		hits, _, err := v.find(ctx, weaviate.Query{Terms: terms, Where: &weaviate.Where{Chunks: rest}}, len(rest))
		if err != nil {
			return nil, nil, err
		}
		for _, h := range hits {
			score[h.Chunk] = h.Score * scoreUnit
		}
	}
	for i, id := range also {
		scores[i] = score[id]
	}
	return found, scores, nil
}

func (v *weaviateView) disagrees(ctx context.Context, chunks []catalog.Chunk) ([]string, error) {
	ids := make([]int64, len(chunks))
	for i, k := range chunks {
		ids[i] = k.ID
	}
	q := weaviate.Query{Class: v.class.Name, Where: &weaviate.Where{Chunks: ids}, Limit: len(ids), Objects: true}
	hits, err := v.e.client.Search(ctx, q, v.nodes())
	if err != nil {
		return nil, err
	}
	has := make(map[int64]weaviate.Object, len(hits))
	for _, h := range hits {
		has[h.Chunk] = h.Object
	}
	what := make([]string, len(chunks))
	for i, k := range chunks {
		o, ok := has[k.ID]
		what[i] = v.differs(k, o, ok)
	}
	return what, nil
}

func (v *weaviateView) differs(k catalog.Chunk, o weaviate.Object, ok bool) string {
	switch {
	case !ok:
		return "it is not in the index"
	case o.Document != k.DocumentID:
		return "the index has it in another document"
	case !maps.Equal(countTerms(o.Terms), countTerms(objectOf(k).Terms)):
		return "the keyword index has other words for it"
	case v.class.Dim > 0 && len(o.Vector) != v.class.Dim:
		return fmt.Sprintf("the vector index has a vector of %d dimensions for it", len(o.Vector))
	}
	if v.class.Dim > 0 && len(k.Vector) == v.class.Dim {
		if sim := dot(o.Vector, k.Vector); math.Abs(sim-1) > sameVector {
			return fmt.Sprintf("the vector index has another vector for it (similarity %.4g)", sim)
		}
	}
	return ""
}

func countTerms(text string) map[string]int {
	counts := make(map[string]int)
	for term := range strings.FieldsSeq(text) {
		counts[term]++
	}
	return counts
}

// count counts the objects whose chunks the record has: others may be of changes that are under way.
func (v *weaviateView) count(ctx context.Context) (n int, err error) {
	last, err := v.e.db.LastChunk(ctx)
	if err != nil {
		return 0, err
	}
	for from := int64(1); from <= last; from += spanOfSweep {
		q := weaviate.Query{Class: v.class.Name, Where: &weaviate.Where{From: from, To: from + spanOfSweep - 1}, Limit: weaviate.MaxHits}
		hits, err := v.e.client.Search(ctx, q, v.nodes())
		if err != nil {
			return 0, err
		}
		ids := make([]int64, len(hits))
		for i, h := range hits {
			ids[i] = h.Chunk
		}
		known, err := v.snapshot.DocumentsOfChunks(ctx, ids)
		if err != nil {
			return 0, err
		}
		n += len(known)
	}
	return n, nil
}
