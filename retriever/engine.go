package retriever

import (
	"context"

	"docent/chunker"
	"docent/internal/catalog"
	"docent/internal/keyword"
)

// An engine ranks the chunks of collections. The record has every document, chunk and vector; what an engine
// keeps besides is made of the record and can be made of it again. All that is the same whichever engine
// searches is written above it: fusion, limits, fetching the passages, neighbours, hops and reranking.
//
// A chunk's id ascends with the time it came and is never used twice. So an engine may have chunks that the
// record does not have any more, or not yet: a search drops those it meets. It may never lack one that the
// record has.
type engine interface {
	// encoder returns the fingerprint of the encoder of a collection's vectors and their dimension, or
	// ErrNotFound.
	encoder(ctx context.Context, collection string) (fingerprint string, dim int, err error)
	// view returns the chunks of a collection that the filter lets through, to be searched, made ready at
	// first use. The caller closes it. It returns ErrNotFound and ErrInvalidFilter.
	view(ctx context.Context, collection string, f Filter) (view, error)
	// apply commits a change of one document and makes it searchable, at one stroke: a view that is opened
	// after it returned nil has the new version, one before it the old one, none has both. After an error the
	// record decides what became of it.
	apply(ctx context.Context, collection string, e edit) error
	// replace commits a change of a whole collection, which got other vectors or was deleted.
	replace(ctx context.Context, collection string, change *catalog.Change) error
	// discard forgets what the engine keeps of a collection. The next view makes it of the record.
	discard(ctx context.Context, collection string) error
	close() error
}

// A view is what one search sees of a collection. It is used by one search at a time.
type view interface {
	// encoder is that of the vectors, empty for a collection without.
	encoder() string
	// nearest returns the n chunks nearest to the question's vector, which is of unit length, best first, with
	// document, dense and denseRank set.
	nearest(ctx context.Context, q question, n int) ([]candidate, error)
	// byWords returns the n best chunks by BM25, best first, with document, keyword and kwRank set, and
	// the scores of the chunks in also, in their order, found or not.
	byWords(ctx context.Context, q question, n int, also []int64) (found []candidate, scores []float64, err error)
	// similarities returns the cosines of the question's vector and those of the chunks, which the view
	// has found, exactly and in their order.
	similarities(ctx context.Context, q question, chunks []int64) ([]float64, error)
	// disagrees says of each chunk of the record how what the engine has of it differs; "" when it does not.
	disagrees(ctx context.Context, chunks []catalog.Chunk) ([]string, error)
	// record reads the passages that were found: where the engine can, as of the moment of the view.
	record() catalog.Reader
	// count is the number of chunks that the engine has of the collection, whatever the filter.
	count(ctx context.Context) (int, error)
	close()
}

// A question is what is searched for. vector is nil where only words are.
type question struct {
	text   string
	vector []float32
}

// An edit is a change of one document, not yet committed, with what is searched of the chunks in its Added.
type edit struct {
	*catalog.Change
	chunks  []chunker.Chunk
	words   []keyword.Terms
	vectors [][]float32 // nil without an encoder
}

// A candidate is a chunk that a search considers.
type candidate struct {
	chunk             int64  // id
	document          string // id
	score             float64
	dense, keyword    float64
	denseRank, kwRank int // from 1; 0 when that search did not find it
}
