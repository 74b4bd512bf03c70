package retriever_test

import (
	"context"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"

	"docent/chunker"
	"docent/retriever"
)

// wordEncoder hashes words into a vector: texts that share words are near. It stands for a model where
// the test is of the store.
type wordEncoder struct {
	name  string
	dim   int
	langs []string
	calls *atomic.Int64 // texts embedded, unless nil
}

func (e wordEncoder) Fingerprint() string { return e.name }
func (e wordEncoder) Dim() int            { return e.dim }
func (e wordEncoder) Languages() []string { return e.langs }

func (e wordEncoder) EmbedQuery(_ context.Context, text string) ([]float32, error) {
	v := make([]float32, e.dim)
	for w := range strings.FieldsSeq(strings.ToLower(text)) {
		h := fnv.New64a()
		h.Write([]byte(w))
		rnd := rand.New(rand.NewPCG(h.Sum64(), 1))
		for i := range v {
			v[i] += float32(rnd.NormFloat64())
		}
	}
	if text == "" {
		v[0] = 1
	}
	var sum float64
	for _, x := range v {
		sum += float64(x) * float64(x)
	}
	for i := range v {
		v[i] /= float32(math.Sqrt(sum))
	}
	return v, nil
}

func (e wordEncoder) EmbedDocuments(ctx context.Context, texts []string) ([][]float32, error) {
	vs := make([][]float32, len(texts))
	for i, t := range texts {
		vs[i], _ = e.EmbedQuery(ctx, t)
	}
	if e.calls != nil {
		e.calls.Add(int64(len(texts)))
	}
	return vs, ctx.Err()
}

var words = wordEncoder{name: "words@1", dim: 32}

func open(t testing.TB, dir string, e retriever.Encoder) *retriever.Store {
	t.Helper()
	s, err := retriever.Open(context.Background(), retriever.Config{Dir: dir, Encoder: e})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// lines cuts a text into its lines.
func lines(text string) []chunker.Chunk {
	var chunks []chunker.Chunk
	at := 0
	for line := range strings.Lines(text) {
		chunks = append(chunks, chunker.Chunk{Text: line, Start: at, End: at + len(line), Tokens: len(strings.Fields(line))})
		at += len(line)
	}
	return chunks
}

// put stores a text, a chunk a line.
func put(ctx context.Context, s *retriever.Store, collection string, doc retriever.Document, text string) (retriever.Document, error) {
	chunks := lines(text)
	vectors, err := s.Vectors(ctx, collection, chunks, nil)
	if err != nil {
		return doc, err
	}
	return s.Put(ctx, collection, doc, chunker.Document{Title: doc.Title, Text: text}, chunks, vectors)
}

func mustPut(t testing.TB, s *retriever.Store, collection, path, text string) retriever.Document {
	t.Helper()
	d, err := put(context.Background(), s, collection, retriever.Document{Path: path, Title: path}, text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func create(t testing.TB, s *retriever.Store, names ...string) {
	t.Helper()
	for _, n := range names {
		if _, err := s.CreateCollection(context.Background(), n); err != nil {
			t.Fatal(err)
		}
	}
}

func found(hits []retriever.Hit) []string {
	var all []string
	for _, h := range hits {
		all = append(all, h.Document.Path+": "+strings.TrimSpace(h.Chunk.Text))
	}
	return all
}

func search(t testing.TB, s *retriever.Store, collection, query string, opts ...retriever.SearchOption) []retriever.Hit {
	t.Helper()
	hits, err := s.Search(context.Background(), collection, query, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return hits
}
