package retriever_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/tmc/langchaingo/embeddings"
	"github.com/tmc/langchaingo/schema"
	"github.com/tmc/langchaingo/vectorstores"
	"github.com/tmc/langchaingo/vectorstores/pgvector"

	"docent/internal/pgtest"
	"docent/retriever"
)

// noEmbedder stands for the model of the vector store, which docent's vectors make needless.
type noEmbedder struct{}

func (noEmbedder) EmbedDocuments(context.Context, []string) ([][]float32, error) {
	return nil, fmt.Errorf("passages come with their vectors")
}

func (noEmbedder) EmbedQuery(context.Context, string) ([]float32, error) {
	return nil, fmt.Errorf("questions come with their vectors")
}

var _ embeddings.Embedder = noEmbedder{}

// langchainPostgres is langchaingo's own vector store for Postgres as the dense part. It counts what it is asked.
type langchainPostgres struct {
	pool *pgxpool.Pool

	mu    sync.Mutex
	added int // passages
	asked int // searches
}

type countedStore struct {
	vectorstores.VectorStore
	*langchainPostgres
}

func (s countedStore) AddDocuments(ctx context.Context, docs []schema.Document, opts ...vectorstores.Option) ([]string, error) {
	s.mu.Lock()
	s.added += len(docs)
	s.mu.Unlock()
	return s.VectorStore.AddDocuments(ctx, docs, opts...)
}

func (s countedStore) SimilaritySearch(ctx context.Context, query string, n int, opts ...vectorstores.Option) ([]schema.Document, error) {
	s.mu.Lock()
	s.asked++
	s.mu.Unlock()
	return s.VectorStore.SimilaritySearch(ctx, query, n, opts...)
}

func newLangchainPostgres(t *testing.T) *langchainPostgres {
	pool, err := pgxpool.New(context.Background(), pgtest.Database(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return &langchainPostgres{pool: pool}
}

func (l *langchainPostgres) part() *retriever.DensePart {
	return &retriever.DensePart{Name: "test", Open: func(ctx context.Context, c retriever.Collection) (vectorstores.VectorStore, error) {
		s, err := pgvector.New(ctx, pgvector.WithConn(l.pool), pgvector.WithEmbedder(noEmbedder{}), pgvector.WithCollectionName(c.Name+" "+c.Encoder))
		return countedStore{s, l}, err
	}}
}

// The store keeps its contract with the vectors in another vector store of langchaingo's.
func TestDensePart(t *testing.T) {
	for name, test := range map[string]func(*testing.T, place){
		"PutAndSearch": testPutAndSearch, "BadInput": testBadInput, "OtherEncoder": testOtherEncoder, "Options": testOptions, "LanguageOfQuestion": testLanguageOfQuestion,
		"FilteredSearch": testFilteredSearch, "FilterFollowsChanges": testFilterFollowsChanges, "Fusion": testFusion, "Hops": testHops, "Neighbours": testNeighbours, "VectorStore": testVectorStore,
		"HeirIsFound": testHeirIsFound, "ReindexAnswersMeanwhile": testReindexAnswersMeanwhile, "WholeVersions": testWholeVersions,
	} {
		t.Run(name, func(t *testing.T) {
			l := newLangchainPostgres(t)
			test(t, place{dir: t.TempDir(), dense: l.part()})
			if l.added == 0 && name != "BadInput" {
				t.Error("no passage was added to the vector store")
			}
		})
	}
}

// What is added is added once, also over a restart; where a filter leaves few the store is not asked.
func TestDensePartGoesOn(t *testing.T) {
	l := newLangchainPostgres(t)
	at := place{dir: t.TempDir(), dense: l.part()}
	s := at.open(t, words)
	fill(t, s, "c", 3, 100)
	want := func(added int) {
		t.Helper()
		if l.added != added {
			t.Errorf("%d passages were added, want %d", l.added, added)
		}
	}
	want(0)
	ask := func() {
		t.Helper()
		asked := l.asked
		hits := search(t, s, "c", "passage 17 of document 2 tells of topic2x17", retriever.WithMode(retriever.Dense), retriever.TopK(1))
		if len(hits) != 1 || hits[0].Chunk.Text != "passage 17 of document 2 tells of topic2x17\n" || hits[0].DenseScore < .999 || l.asked == asked {
			t.Errorf("%v, asked %d times", found(hits), l.asked-asked)
		}
	}
	ask()
	want(300)
	mustPut(t, s, "c", "more", "one\ntwo\n")
	want(302)
	ask()
	s.Close()
	s = at.open(t, words)
	ask()
	want(302)
	s.Close()
	plain := place{dir: at.dir}.open(t, words) // meanwhile without it
	mustPut(t, plain, "c", "most", "three\n")
	plain.Close()
	s = at.open(t, words)
	ask()
	want(303)
	asked := l.asked
	if hits := search(t, s, "c", "one", retriever.Where(retriever.Filter{Op: retriever.Equal, Field: "path", Values: []string{"more"}})); len(hits) != 2 || l.asked != asked {
		t.Errorf("%v, asked %d times", found(hits), l.asked-asked)
	}
	s.Close()
	renamed := *at.dense
	renamed.Name = "another"
	at.dense = &renamed
	s = at.open(t, words)
	ask()
	want(606)
	s.Close()
	away := errors.New("the vector store is away")
	at.dense = &retriever.DensePart{Name: "away", Open: func(context.Context, retriever.Collection) (vectorstores.VectorStore, error) { return nil, away }}
	s = at.open(t, words)
	if hits := search(t, s, "c", "topic2x17", retriever.WithMode(retriever.Keyword)); len(hits) == 0 {
		t.Error("words are not found without the vector store")
	}
	if _, err := s.Search(t.Context(), "c", "topic2x17"); !errors.Is(err, away) {
		t.Errorf("got %v, want the vector store's error", err)
	}
	if _, err := retriever.Open(t.Context(), retriever.Config{Dir: t.TempDir(), Store: "postgres://localhost/x", Dense: &renamed}); err == nil {
		t.Error("a dense part beside Postgres is accepted")
	}
}
