package retriever_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/tmc/langchaingo/schema"
	"github.com/tmc/langchaingo/vectorstores"

	"docent/retriever"
)

func TestVectorStore(t *testing.T) { eachStore(t, testVectorStore) }

func testVectorStore(t *testing.T, at place) {
	ctx := t.Context()
	s := at.open(t, words)
	create(t, s, "a", "b")
	var store vectorstores.VectorStore = s.VectorStore("a")
	docs := []schema.Document{
		{PageContent: "twenty days of leave", Metadata: map[string]any{"path": "leave", "title": "Leave", "year": 2026}},
		{PageContent: "pumps need oil", Metadata: map[string]any{"path": "pump", "year": 2025}},
		{PageContent: "pumps need more oil"},
	}
	ids, err := store.AddDocuments(ctx, docs)
	if err != nil || len(ids) != 3 {
		t.Fatal(ids, err)
	}
	got, err := store.SimilaritySearch(ctx, "twenty days of leave", 2)
	if err != nil || len(got) != 2 || got[0].PageContent != docs[0].PageContent || got[0].Score < 0.999 || got[1].Score > got[0].Score {
		t.Fatalf("got %+v, %v", got, err)
	}
	delete(got[0].Metadata, "chunk_id")
	want := map[string]any{"collection": "a", "document_id": ids[0], "path": "leave", "title": "Leave", "year": "2026",
		"page": 0, "last_page": 0, "headings": []string(nil), "labels": []string(nil), "start": 0, "end": 20}
	if diff := cmp.Diff(want, got[0].Metadata); diff != "" {
		t.Errorf("metadata (-want +got):\n%s", diff)
	}
	for name, tt := range map[string]struct {
		opts []vectorstores.Option
		want int
	}{
		"threshold":       {[]vectorstores.Option{vectorstores.WithScoreThreshold(0.99)}, 1},
		"filter":          {[]vectorstores.Option{vectorstores.WithFilters(map[string]any{"year": 2025})}, 1},
		"filter, strings": {[]vectorstores.Option{vectorstores.WithFilters(map[string]string{"year": "2027"})}, 0},
		"other name":      {[]vectorstores.Option{vectorstores.WithNameSpace("b")}, 0},
		"same encoder":    {[]vectorstores.Option{vectorstores.WithEmbedder(words)}, 3},
	} {
		got, err := store.SimilaritySearch(ctx, "twenty days of leave", 10, tt.opts...)
		if err != nil || len(got) != tt.want {
			t.Errorf("%s: %d documents, want %d: %v", name, len(got), tt.want, err)
		}
	}
	if _, err := store.SimilaritySearch(ctx, "q", 10, vectorstores.WithEmbedder(wordEncoder{name: "x", dim: 3})); !errors.Is(err, retriever.ErrEncoderMismatch) {
		t.Errorf("other embedder: %v", err)
	}
	if _, err := store.SimilaritySearch(ctx, "q", 10, vectorstores.WithFilters(7)); err == nil {
		t.Error("a filter of an unknown type is accepted")
	}
	var r schema.Retriever = s.Retriever("a", retriever.TopK(1))
	if got, err := r.GetRelevantDocuments(ctx, "pump oil"); err != nil || len(got) != 1 {
		t.Errorf("retriever: %v, %v", got, err)
	}
	if got, err := vectorstores.ToRetriever(store, 2).GetRelevantDocuments(ctx, "pumps need oil"); err != nil || len(got) != 2 || got[0].PageContent != "pumps need oil" {
		t.Errorf("langchaingo's retriever: %v, %v", got, err)
	}
	again, err := store.AddDocuments(ctx, docs[:1])
	if err != nil || !slices.Equal(again, ids[:1]) {
		t.Errorf("the same path again: %v, want the id %v: %v", again, ids[0], err)
	}
	skipped, err := store.AddDocuments(ctx, docs, vectorstores.WithDeduplicater(func(_ context.Context, d schema.Document) bool { return d.Metadata["path"] != nil }))
	if err != nil || len(skipped) != 1 {
		t.Errorf("deduplicated: %v, %v", skipped, err)
	}
}
