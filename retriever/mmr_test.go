package retriever_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"docent/retriever"
)

func TestDiversity(t *testing.T) {
	for _, tt := range []struct {
		name    string
		encoder retriever.Encoder
	}{{"by vectors", words}, {"by words", nil}} {
		t.Run(tt.name, func(t *testing.T) {
			s := open(t, t.TempDir(), tt.encoder)
			create(t, s, "c")
			for i := range 6 {
				mustPut(t, s, "c", fmt.Sprint("copy", i), "the pump is oiled in spring by hand\n")
			}
			mustPut(t, s, "c", "other", "a pump stands in a shed of wood\n")
			mustPut(t, s, "c", "third", "hoses and a pump lie on long shelves\n")
			plain := search(t, s, "c", "oiled pump in spring", retriever.TopK(3))
			if n := copies(plain); n != 3 {
				t.Fatalf("the search itself finds %v", found(plain))
			}
			got := search(t, s, "c", "oiled pump in spring", retriever.TopK(3), retriever.Diversity(.7))
			if copies(got) != 1 || !strings.HasPrefix(got[0].Document.Path, "copy") || got[0].Score != plain[0].Score {
				t.Errorf("diverse: %v", found(got))
			}
			if got := search(t, s, "c", "oiled pump in spring", retriever.TopK(3), retriever.Diversity(0)); !slices.Equal(found(got), found(plain)) {
				t.Errorf("without diversity: %v", found(got))
			}
			if got := search(t, s, "c", "xylophone", retriever.WithMode(retriever.Keyword), retriever.Diversity(.5)); len(got) != 0 {
				t.Errorf("nothing: %v", found(got))
			}
		})
	}
}

func copies(hits []retriever.Hit) (n int) {
	for _, h := range hits {
		if strings.HasPrefix(h.Document.Path, "copy") {
			n++
		}
	}
	return n
}

// TestDiversityIsGreedy: each hit is the one that the formula puts first, worked out from the texts' vectors.
func TestDiversityIsGreedy(t *testing.T) {
	ctx := context.Background()
	s := open(t, t.TempDir(), words)
	create(t, s, "c")
	vocabulary := strings.Fields("pump oil hose tank shed spring hand wood shelf water")
	for i := range 40 {
		text := "pump"
		for j := range 4 {
			text += " " + vocabulary[(i*7+j*j*3+i*j)%len(vocabulary)]
		}
		mustPut(t, s, "c", fmt.Sprint(i), text+"\n")
	}
	const d = .4
	all := search(t, s, "c", "pump oil water", retriever.TopK(40))
	got := search(t, s, "c", "pump oil water", retriever.TopK(12), retriever.Diversity(d))
	if len(all) != 40 || len(got) != 12 {
		t.Fatalf("%d and %d hits", len(all), len(got))
	}
	vector := make(map[int64][]float32)
	for _, h := range all {
		vector[h.ChunkID], _ = words.EmbedQuery(ctx, h.Chunk.Text)
	}
	value := func(h retriever.Hit, before []retriever.Hit) float64 {
		like := 0.0
		for n, b := range before {
			var dot float64
			for i, x := range vector[b.ChunkID] {
				dot += float64(x) * float64(vector[h.ChunkID][i])
			}
			if n == 0 || dot > like {
				like = dot
			}
		}
		return (1-d)*h.Score/all[0].Score - d*like
	}
	for n, g := range got {
		for _, h := range all {
			if slices.ContainsFunc(got[:n], func(b retriever.Hit) bool { return b.ChunkID == h.ChunkID }) {
				continue
			}
			if v, w := value(h, got[:n]), value(g, got[:n]); v > w+1e-5 {
				t.Fatalf("hit %d is %q with %.6f, and %q has %.6f", n+1, g.Chunk.Text, w, h.Chunk.Text, v)
			}
		}
	}
}
