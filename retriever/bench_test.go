package retriever_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"docent/chunker"
	"docent/retriever"
)

// noiseEncoder gives each text a random direction of 384 dimensions, fixed by its length and first
// bytes: what is measured is the search, not the model.
type noiseEncoder struct{ wordEncoder }

func (e noiseEncoder) EmbedQuery(_ context.Context, text string) ([]float32, error) {
	return e.wordEncoder.EmbedQuery(context.Background(), text[:min(len(text), 12)])
}

func (e noiseEncoder) EmbedDocuments(ctx context.Context, texts []string) ([][]float32, error) {
	vs := make([][]float32, len(texts))
	for i, t := range texts {
		vs[i], _ = e.EmbedQuery(ctx, t)
	}
	return vs, nil
}

func BenchmarkSearch(b *testing.B) {
	rnd := rand.New(rand.NewPCG(7, 7))
	zipf := rand.NewZipf(rnd, 1.1, 4, 200_000)
	say := func(n int) string {
		var sb strings.Builder
		for range n {
			fmt.Fprintf(&sb, "%05dw ", zipf.Uint64())
		}
		return sb.String()
	}
	for _, n := range []int{10_000, 100_000} {
		s := open(b, b.TempDir(), noiseEncoder{wordEncoder{name: "noise", dim: 384}})
		create(b, s, "c")
		for part := range n / 1000 {
			var text strings.Builder
			var chunks []chunker.Chunk
			for range 1000 {
				line := say(100)
				chunks = append(chunks, chunker.Chunk{Text: line, Start: text.Len(), End: text.Len() + len(line)})
				text.WriteString(line)
			}
			vectors, err := s.Vectors(context.Background(), "c", chunks, nil)
			if err != nil {
				b.Fatal(err)
			}
			if _, err := s.Put(context.Background(), "c", retriever.Document{Path: fmt.Sprint(part)}, chunker.Document{Text: text.String()}, chunks, vectors); err != nil {
				b.Fatal(err)
			}
		}
		search(b, s, "c", say(1))
		for _, m := range modes {
			b.Run(fmt.Sprintf("chunks=%d/%s", n, m), func(b *testing.B) {
				for b.Loop() {
					search(b, s, "c", say(8), retriever.WithMode(m))
				}
			})
		}
		s.Close()
	}
}
