package retriever_test

import (
	"testing"

	"docent/chunker"
	"docent/retriever"
)

// The passage that is first by words and by meaning is first whichever way the rankings are joined.
func TestFusion(t *testing.T) { eachStore(t, testFusion) }

func testFusion(t *testing.T, at place) {
	ctx := t.Context()
	s := at.open(t, words)
	create(t, s, "c")
	for _, text := range []string{"tide tables of the harbour", "harbour dues", "a lamp and a rope"} {
		chunks := []chunker.Chunk{{Text: text, End: len(text), Tokens: 5}}
		vectors, err := s.Vectors(ctx, "c", chunks, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Put(ctx, "c", retriever.Document{Path: text}, chunker.Document{Text: text}, chunks, vectors); err != nil {
			t.Fatal(err)
		}
	}
	for _, f := range []retriever.Fusion{"", retriever.ScoreFusion, retriever.RankFusion} {
		hits, err := s.Search(ctx, "c", "harbour dues", retriever.WithFusion(f))
		if err != nil {
			t.Fatal(err)
		}
		if len(hits) < 2 || hits[0].Document.Path != "harbour dues" {
			t.Fatalf("fusion %q: %+v", f, hits)
		}
		want := 1/61. + 1/61.
		if got := hits[0].Score; f == retriever.RankFusion && (got < want-1e-12 || got > want+1e-12) {
			t.Errorf("reciprocal ranks of the first in both: %v, want %v", got, want)
		}
	}
}
