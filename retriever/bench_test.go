package retriever_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

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

// zipfText returns a function that says so many words of a vocabulary with Zipf's frequencies.
func zipfText() func(words int) string {
	zipf := rand.NewZipf(rand.New(rand.NewPCG(7, 7)), 1.1, 4, 200_000)
	return func(n int) string {
		var sb strings.Builder
		for range n {
			fmt.Fprintf(&sb, "%05dw ", zipf.Uint64())
		}
		return sb.String()
	}
}

// benchStore returns a store whose collection "c" has so many chunks, a thousand a document. The documents are numbered
// in their metadata.
func benchStore(b *testing.B, chunks int, say func(words int) string) *retriever.Store {
	s := open(b, b.TempDir(), noiseEncoder{wordEncoder{name: "noise", dim: 384}})
	create(b, s, "c")
	for part := range chunks / 1000 {
		var text strings.Builder
		for range 1000 {
			text.WriteString(say(100) + "\n")
		}
		doc := retriever.Document{Path: fmt.Sprint(part), Metadata: map[string]string{"number": fmt.Sprint(part)}}
		if _, err := put(context.Background(), s, "c", doc, text.String()); err != nil {
			b.Fatal(err)
		}
	}
	search(b, s, "c", say(1))
	return s
}

func BenchmarkSearch(b *testing.B) {
	for _, n := range []int{10_000, 100_000} {
		say := zipfText()
		s := benchStore(b, n, say)
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

// BenchmarkFiltered searches with filters that let half, a tenth and a hundredth of the documents through and without one, in turn,
// and reports the median time of a search and those with a filter as shares of that without.
func BenchmarkFiltered(b *testing.B) {
	const chunks = 100_000
	say := zipfText()
	s := benchStore(b, chunks, say)
	filters := []string{"", "number < 50", "number < 10", "number < 1"}
	names := []string{"", "half/none", "tenth/none", "hundredth/none"}
	for _, m := range modes {
		b.Run(string(m), func(b *testing.B) {
			took := make([][]time.Duration, len(filters))
			for b.Loop() {
				question := say(8)
				for i, where := range filters {
					f, err := retriever.ParseFilter(where)
					if err != nil {
						b.Fatal(err)
					}
					began := time.Now()
					search(b, s, "c", question, retriever.WithMode(m), retriever.Where(f))
					took[i] = append(took[i], time.Since(began))
				}
			}
			for i := range took {
				slices.Sort(took[i])
				median := took[i][len(took[i])/2]
				if i == 0 {
					b.ReportMetric(float64(median.Microseconds()), "µs")
				} else {
					b.ReportMetric(float64(median)/float64(took[0][len(took[0])/2]), names[i])
				}
			}
		})
	}
}
