package retriever_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"docent/chunker"
	"docent/retriever"
)

// scorer is a Reranker made of a function.
type scorer func(query, passage string) float32

func (f scorer) Score(_ context.Context, query string, passages []string) ([]float32, error) {
	out := make([]float32, len(passages))
	for i, p := range passages {
		out[i] = f(query, p)
	}
	return out, nil
}

type badReranker struct {
	scores []float32
	err    error
}

func (b badReranker) Score(context.Context, string, []string) ([]float32, error) {
	return b.scores, b.err
}

func TestRerank(t *testing.T) {
	s := open(t, t.TempDir(), words)
	create(t, s, "c")
	mustPut(t, s, "c", "a", "pump pump pump oil")
	mustPut(t, s, "c", "b", "pump oil and water")
	mustPut(t, s, "c", "d", "pump and a long list of other things\npump best")
	plain := search(t, s, "c", "pump oil", retriever.TopK(4))
	if len(plain) != 4 || strings.Contains(plain[0].Chunk.Text, "best") {
		t.Fatalf("the search itself: %v", found(plain))
	}
	seen := 0
	best := scorer(func(query, passage string) float32 {
		if query != "pump oil" {
			t.Errorf("query %q", query)
		}
		seen++
		if strings.Contains(passage, "best") {
			return 9
		}
		return float32(strings.Count(passage, "water"))
	})
	got := search(t, s, "c", "pump oil", retriever.TopK(2), retriever.Rerank(best, 0))
	if len(got) != 2 || !strings.Contains(got[0].Chunk.Text, "best") || got[0].Score != 9 || !strings.Contains(got[1].Chunk.Text, "water") || got[1].Score != 1 || seen != 4 {
		t.Errorf("reranked: %d seen, %+v", seen, got)
	}
	if i := slices.IndexFunc(plain, func(h retriever.Hit) bool { return h.ChunkID == got[0].ChunkID }); plain[i].KeywordRank != got[0].KeywordRank || plain[i].DenseScore != got[0].DenseScore {
		t.Error("the ranks and scores of the search are lost")
	}
	for name, tt := range map[string]struct {
		opts []retriever.SearchOption
		want int // hits
	}{
		"fewer looked at than asked for": {[]retriever.SearchOption{retriever.TopK(3), retriever.Rerank(best, 1)}, 3},
		"least score":                    {[]retriever.SearchOption{retriever.Rerank(best, 10), retriever.MinScore(0.5)}, 2},
		"no reranker":                    {[]retriever.SearchOption{retriever.Rerank(best, 10), retriever.Rerank(nil, 10)}, 4},
		"one of a document":              {[]retriever.SearchOption{retriever.Rerank(best, 10), retriever.PerDocument(1)}, 3},
	} {
		if hits := search(t, s, "c", "pump oil", tt.opts...); len(hits) != tt.want {
			t.Errorf("%s: %d hits, want %d", name, len(hits), tt.want)
		}
	}
	if hits := search(t, s, "c", "", retriever.Rerank(best, 10)); len(hits) != 0 {
		t.Errorf("no query: %v", found(hits))
	}
	broken := errors.New("broken")
	for name, r := range map[string]badReranker{"too few": {scores: []float32{1}}, "NaN": {scores: []float32{1, 2, 3, float32(math.NaN())}}, "fails": {err: broken}} {
		_, err := s.Search(t.Context(), "c", "pump oil", retriever.Rerank(r, 0))
		if err == nil || r.err != nil && !errors.Is(err, broken) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func ExampleRerank() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "docent")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	store, err := retriever.Open(ctx, retriever.Config{Dir: dir})
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	if _, err := store.CreateCollection(ctx, "notes"); err != nil {
		log.Fatal(err)
	}
	for i, text := range []string{"Pump, pump and pump.", "The pump is oiled in spring."} {
		doc := chunker.Document{Text: text}
		chunks := []chunker.Chunk{{Text: text, End: len(text)}}
		if _, err := store.Put(ctx, "notes", retriever.Document{Path: fmt.Sprint(i)}, doc, chunks, nil); err != nil {
			log.Fatal(err)
		}
	}
	// embed.LoadCrossEncoder reads a real reranker; this one prefers whole sentences.
	var reranker retriever.Reranker = scorer(func(query, passage string) float32 {
		return float32(strings.Count(passage, " "))
	})
	hits, err := store.Search(ctx, "notes", "pump", retriever.TopK(1), retriever.Rerank(reranker, 20))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(hits[0].Chunk.Text)
	// Output: The pump is oiled in spring.
}
