package retriever_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"docent/chunker"
	"docent/embed"
	"docent/internal/beir"
	"docent/internal/pgtest"
	"docent/retriever"
)

// TestPostgresQuality asks the questions of public sets of the embedded store, which compares all vectors, and of
// Postgres, which is made to follow its index in small collections as in large ones: nDCG@10 is the same to half a
// point. Embedding takes minutes, so it runs when DOCENT_EVAL names a folder, which keeps the vectors for the
// next time; that of the tests of internal/beir will do.
func TestPostgresQuality(t *testing.T) {
	dir := os.Getenv("DOCENT_EVAL")
	if dir == "" {
		t.Skip("slow; set DOCENT_EVAL to a folder for the vectors, and DOCENT_TESTDATA to one of BEIR sets")
	}
	data := os.Getenv("DOCENT_TESTDATA")
	if data == "" {
		data = filepath.Join("..", "..", "shared", "data")
	}
	enc, err := embed.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	split, err := chunker.NewRecursive(enc, chunker.RecursiveConfig{})
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	names := []string{"cranfield", "hotpotqa-dev200", "rgb-en-fact"}
	modes := []retriever.Mode{retriever.Dense, retriever.Hybrid}
	measure := func(s *retriever.Store, set *beir.Dataset) map[retriever.Mode]float64 {
		t.Helper()
		ndcg := make(map[retriever.Mode]float64)
		for _, m := range modes {
			r, err := set.Evaluate(ctx, s, set.Name, beir.Options{Search: []retriever.SearchOption{retriever.WithMode(m), retriever.Hops(1)}})
			if err != nil {
				t.Fatal(err)
			}
			ndcg[m] = r.Metrics[beir.NDCG10]
		}
		return ndcg
	}

	embedded := place{dir: dir}.open(t, enc)
	sets := make([]*beir.Dataset, len(names))
	want := make([]map[retriever.Mode]float64, len(names))
	for i, name := range names {
		if sets[i], err = beir.Load(filepath.Join(data, name)); err != nil {
			t.Skip(err)
		}
		if _, err := embedded.Collection(ctx, name); err != nil {
			create(t, embedded, name)
		}
		if err := sets[i].Index(ctx, embedded, name, split, nil); err != nil {
			t.Fatal(err)
		}
		want[i] = measure(embedded, sets[i])
	}
	embedded.Close()

	defer retriever.ExactBelow(0)()
	at := place{dir: t.TempDir(), address: pgtest.Database(t)}
	if _, err := retriever.Migrate(ctx, retriever.Config{Dir: dir}, retriever.Config{Dir: at.dir, Store: at.address}, nil); err != nil {
		t.Fatal(err)
	}
	s := at.open(t, enc)
	for i, set := range sets {
		c, err := s.Collection(ctx, set.Name)
		if err != nil {
			t.Fatal(err)
		}
		got := measure(s, set)
		for _, m := range modes {
			t.Logf("%s, %d chunks, %s: nDCG@10 %.4f, embedded %.4f", set.Name, c.Chunks, m, got[m], want[i][m])
			if got[m] < want[i][m]-.005 {
				t.Errorf("%s, %s: the index costs more than half a point", set.Name, m)
			}
		}
	}
}
