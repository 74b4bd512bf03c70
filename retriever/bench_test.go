package retriever_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
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

// benchFilters searches without a filter and with some in turn, and reports the median time of a search and those with a
// filter as shares of that without.
func benchFilters(b *testing.B, s *retriever.Store, m retriever.Mode, say func(words int) string, filters map[string]string) {
	names := append([]string{"none"}, slices.Sorted(maps.Keys(filters))...)
	took := make(map[string][]time.Duration)
	for b.Loop() {
		question := say(8)
		for _, name := range names {
			f, err := retriever.ParseFilter(filters[name])
			if err != nil {
				b.Fatal(err)
			}
			began := time.Now()
			search(b, s, "c", question, retriever.WithMode(m), retriever.Where(f))
			took[name] = append(took[name], time.Since(began))
		}
	}
	median := func(name string) float64 {
		slices.Sort(took[name])
		return float64(took[name][len(took[name])/2])
	}
	b.ReportMetric(median("none")/1000, "µs")
	for _, name := range names[1:] {
		b.ReportMetric(median(name)/median("none"), name+"/none")
	}
}

// BenchmarkFiltered searches with filters that let half, a tenth and a hundredth of the documents through and without.
func BenchmarkFiltered(b *testing.B) {
	say := zipfText()
	s := benchStore(b, 100_000, say)
	for _, m := range modes {
		b.Run(string(m), func(b *testing.B) {
			benchFilters(b, s, m, say, map[string]string{"half": "number < 50", "tenth": "number < 10", "hundredth": "number < 1"})
		})
	}
}

// BenchmarkWeaviateFiltered does so in a cluster, whose filters are lists of documents: of one passage each, and 10,000
// of them or as many as $DOCENT_BENCH_DOCUMENTS says.
func BenchmarkWeaviateFiltered(b *testing.B) {
	documents := 10_000
	if v := os.Getenv("DOCENT_BENCH_DOCUMENTS"); v != "" {
		var err error
		if documents, err = strconv.Atoi(v); err != nil {
			b.Fatal("DOCENT_BENCH_DOCUMENTS is not a number")
		}
	}
	at := place{dir: b.TempDir(), address: cluster(b)}
	encoder := noiseEncoder{wordEncoder{name: "noise", dim: 32}}
	say := zipfText()
	record := place{dir: at.dir}.open(b, encoder)
	create(b, record, "c")
	for i := range documents {
		doc := retriever.Document{Path: fmt.Sprint(i), Metadata: map[string]string{"number": fmt.Sprint(i)}}
		if _, err := put(b.Context(), record, "c", doc, say(20)+"\n"); err != nil {
			b.Fatal(err)
		}
	}
	record.Close()
	s := at.open(b, encoder)
	search(b, s, "c", say(1))
	for _, m := range modes {
		b.Run(string(m), func(b *testing.B) {
			benchFilters(b, s, m, say, map[string]string{
				"half": fmt.Sprintf("number < %d", documents/2), "tenth": fmt.Sprintf("number < %d", documents/10),
				"hundredth": fmt.Sprintf("number < %d", documents/100), "all-but-one": "number > 0",
			})
		})
	}
}
