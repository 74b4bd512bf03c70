package retriever_test

import (
	"context"
	"math"
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
	for _, f := range []retriever.Fusion{"", retriever.ScoreFusion, retriever.ScaledFusion, retriever.RankFusion} {
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

// closeEncoder is an encoder whose cosines lie close together: every vector has the same large part besides.
type closeEncoder struct{ wordEncoder }

func (e closeEncoder) Fingerprint() string { return "close" }
func (e closeEncoder) Dim() int            { return e.dim + 1 }

func (e closeEncoder) EmbedQuery(ctx context.Context, text string) ([]float32, error) {
	v, err := e.wordEncoder.EmbedQuery(ctx, text)
	for i := range v {
		v[i] *= float32(math.Sqrt(.1))
	}
	return append(v, float32(math.Sqrt(.9))), err // the cosines become .9 + .1 of what they were
}

func (e closeEncoder) EmbedDocuments(ctx context.Context, texts []string) ([][]float32, error) {
	vs := make([][]float32, len(texts))
	for i, t := range texts {
		vs[i], _ = e.EmbedQuery(ctx, t)
	}
	return vs, ctx.Err()
}

// TestScaledFusion: the range of an encoder's cosines makes no difference.
func TestScaledFusion(t *testing.T) {
	texts := []string{"the pump is oiled in spring", "oil the pump", "a pump", "spring comes", "a hose and a tank", "oil and water"}
	var results [][]retriever.Hit
	for _, e := range []retriever.Encoder{words, closeEncoder{words}} {
		s := open(t, t.TempDir(), e)
		create(t, s, "c")
		for _, text := range texts {
			mustPut(t, s, "c", text, text)
		}
		results = append(results, search(t, s, "c", "oil for the pump", retriever.WithFusion(retriever.ScaledFusion)))
	}
	wide, narrow := results[0], results[1]
	if len(wide) != len(texts) || len(narrow) != len(texts) {
		t.Fatalf("%v and %v", found(wide), found(narrow))
	}
	for i := range wide {
		if wide[i].Document.Path != narrow[i].Document.Path || math.Abs(wide[i].Score-narrow[i].Score) > 1e-4 {
			t.Errorf("hit %d: %s with %v, and %s with %v", i, wide[i].Document.Path, wide[i].Score, narrow[i].Document.Path, narrow[i].Score)
		}
	}
	if wide[0].DenseScore-wide[5].DenseScore < 5*(narrow[0].DenseScore-narrow[5].DenseScore) {
		t.Errorf("the cosines do not lie closer together: %v, %v", narrow[0].DenseScore, narrow[5].DenseScore)
	}
}
