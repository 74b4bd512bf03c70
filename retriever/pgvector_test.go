package retriever_test

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"docent/internal/pgtest"
	"docent/retriever"
)

// Several processes share a Postgres: what one has done the others see, and none of them spoils it.
func TestPostgresShared(t *testing.T) {
	t.Run("direct", func(t *testing.T) { testPostgresShared(t, pgtest.Database(t)) })
	t.Run("pooler", func(t *testing.T) { testPostgresShared(t, pgtest.Pooler(t, pgtest.Database(t), "transaction")) })
}

func testPostgresShared(t *testing.T, address string) {
	ctx := t.Context()
	one, two := place{dir: t.TempDir(), address: address}.open(t, words), place{dir: t.TempDir(), address: address}.open(t, words)
	create(t, one, "c")
	check := func(s *retriever.Store, want ...string) {
		t.Helper()
		for _, m := range modes {
			got := found(search(t, s, "c", "leave", retriever.WithMode(m), retriever.TopK(100)))
			slices.Sort(got)
			if !slices.Equal(got, want) {
				t.Errorf("%s: %q, want %q", m, got, want)
			}
		}
	}
	check(two)
	mustPut(t, one, "c", "a", "leave one\n")
	check(two, "a: leave one")
	b := mustPut(t, two, "c", "b", "leave two\n")
	mustPut(t, two, "c", "a", "leave three\n")
	check(one, "a: leave three", "b: leave two")
	if err := one.DeleteDocument(ctx, b.ID); err != nil {
		t.Fatal(err)
	}
	check(two, "a: leave three")
	if err := two.DeleteCollection(ctx, "c"); err != nil {
		t.Fatal(err)
	}
	if _, err := one.Search(ctx, "c", "leave"); err == nil {
		t.Error("a collection is searched that another process deleted")
	}
	create(t, one, "c")
	check(two)
	mustPut(t, two, "c", "n", "leave anew\n")
	check(one, "n: leave anew")

	// At once: first searches, which make the tables, and changes of the same documents and others.
	create(t, one, "busy")
	var wg sync.WaitGroup
	for i, s := range []*retriever.Store{one, two, one, two} {
		wg.Go(func() {
			for n := range 12 {
				if _, err := put(ctx, s, "busy", retriever.Document{Path: fmt.Sprint(n)}, strings.Join(sayings(uint64(100*i+n), 5), "")); err != nil {
					t.Error(err)
				}
				if _, err := s.Search(ctx, "busy", "leave"); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	agrees(t, one, "busy", 60)

	// A third process makes the collection one of another encoder.
	three := place{dir: t.TempDir(), address: address}.open(t, others)
	if _, err := three.Reindex(ctx, "busy", nil); err != nil {
		t.Fatal(err)
	}
	agrees(t, one, "busy", 60)
	if _, err := two.Search(ctx, "busy", "leave"); err == nil {
		t.Error("a search compares the vectors of two encoders")
	}
	if hits := search(t, three, "busy", "leave"); len(hits) == 0 {
		t.Error("nothing is found after the reindex")
	}
}

// The index of a large collection finds what comparing all finds, however few a filter lets through.
func TestPostgresIndex(t *testing.T) {
	defer retriever.ExactBelow(20)()
	ctx := t.Context()
	s := place{dir: t.TempDir(), address: pgtest.Database(t)}.open(t, wordEncoder{name: "half@1", dim: 2001}) // indexed at half precision
	checkIndex(t, ctx, s, 60)
	s = place{dir: t.TempDir(), address: pgtest.Database(t)}.open(t, words)
	checkIndex(t, ctx, s, 500)
}

func checkIndex(t *testing.T, ctx context.Context, s *retriever.Store, chunks int) {
	t.Helper()
	create(t, s, "c")
	texts := sayings(9, chunks)
	search(t, s, "c", "x") // half of the vectors come one by one
	for i := 0; i < chunks; i += 10 {
		doc := retriever.Document{Path: fmt.Sprint(i), Metadata: map[string]string{"third": fmt.Sprint(i / 10 % 3), "rare": fmt.Sprint(i == 10*(chunks/20))}}
		if _, err := put(ctx, s, "c", doc, strings.Join(texts[i:i+10], "")); err != nil {
			t.Fatal(err)
		}
	}
	retriever.SettleIndex(t, s, "c")
	same, all := 0, 0
	for _, query := range sayings(10, 20) {
		for _, f := range []retriever.SearchOption{retriever.TopK(10), retriever.TopK(60), retriever.WithMetadata("third", "1"), retriever.WithMetadata("third", "0", "2"), retriever.WithMetadata("rare", "true")} {
			opts := []retriever.SearchOption{retriever.WithMode(retriever.Dense), f}
			got := search(t, s, "c", query, opts...)
			undo := retriever.ExactBelow(1 << 30)
			want := search(t, s, "c", query, opts...)
			undo()
			if len(got) != len(want) {
				t.Fatalf("%d hits, want %d", len(got), len(want))
			}
			for i := range want {
				all++
				if slices.ContainsFunc(got, func(h retriever.Hit) bool { return h.ChunkID == want[i].ChunkID }) {
					same++
				}
			}
		}
	}
	if float64(same) < .97*float64(all) {
		t.Errorf("the index finds %d of the %d nearest", same, all)
	}
}

// While vectors are put into the index documents come, change and go: it has what the record has.
func TestPostgresSettle(t *testing.T) {
	defer retriever.ExactBelow(20)()
	ctx, address := t.Context(), pgtest.Database(t)
	s := place{dir: t.TempDir(), address: address}.open(t, words)
	create(t, s, "c")
	search(t, s, "c", "leave")
	db, err := sql.Open("pgx", address)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	recent := func() (n int) {
		t.Helper()
		if err := db.QueryRow(`SELECT recent FROM search_collections`).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	// One that was killed while it built an index has left this.
	if _, err := db.Exec(`CREATE TABLE search_vectors_999 (); UPDATE search_collections SET building = 999`); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for g := range 2 {
		wg.Go(func() {
			for i := range 40 {
				path := fmt.Sprint(g, " ", i%15)
				if _, err := put(ctx, s, "c", retriever.Document{Path: path}, strings.Join(sayings(uint64(100*g+i), 1+i%5), "")); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range 10 {
		retriever.SettleIndex(t, s, "c")
		if hits := search(t, s, "c", "leave", retriever.WithMode(retriever.Dense), retriever.TopK(200)); len(hits) == 0 {
			t.Log("nothing yet")
		}
	}
	wg.Wait()
	for i := range 3 {
		mustPut(t, s, "c", fmt.Sprint("more ", i), strings.Join(sayings(uint64(900+i), 4), ""))
	}
	retriever.SettleIndex(t, s, "c")
	if n := recent(); n > 5 {
		t.Errorf("%d vectors are not in the index", n)
	}
	c, err := s.Collection(ctx, "c")
	if err != nil {
		t.Fatal(err)
	}
	agrees(t, s, "c", c.Chunks)
	var inIndex, tables int
	if err := db.QueryRow(`SELECT count(*) FROM pg_class WHERE relname LIKE 'search\_vectors\_%' AND relkind = 'r'`).Scan(&tables); err != nil || tables != 1 {
		t.Errorf("%d tables of vectors, %v", tables, err)
	}
	var table string
	if err := db.QueryRow(`SELECT 'search_vectors_' || vectors FROM search_collections`).Scan(&table); err != nil {
		t.Fatal(err)
	}
	if err := db.QueryRow(`SELECT count(*) FROM ` + table).Scan(&inIndex); err != nil || inIndex != c.Chunks-recent() {
		t.Errorf("%d vectors are in the index and %d not, of %d chunks; %v", inIndex, recent(), c.Chunks, err)
	}
}

// What is searched in Postgres can be spoilt by others; Verify tells, and it is made anew.
func TestPostgresVerify(t *testing.T) {
	address := pgtest.Database(t)
	s := place{dir: t.TempDir(), address: address}.open(t, words)
	create(t, s, "c")
	mustPut(t, s, "c", "a", "leave one\nleave two\nleave three\n")
	search(t, s, "c", "leave")
	agrees(t, s, "c", 3)
	db, err := sql.Open("pgx", address)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, change := range []struct{ spoil, says string }{
		{`UPDATE search_words_1 SET counts = '{1:400}/1000000000' WHERE chunk = 1`, "other words"},
		{`UPDATE search_words_1 SET document = 'x' WHERE chunk = 1`, "another document"},
		{`UPDATE search_recent_1 SET embedding = (SELECT embedding FROM search_recent_1 WHERE chunk = 2) WHERE chunk = 1`, "another vector"},
		{`DELETE FROM search_words_1 WHERE chunk = 1`, "not in the index"},
	} {
		tx, err := db.Begin()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tx.Exec(`CREATE TABLE IF NOT EXISTS kept_words AS TABLE search_words_1`); err != nil {
			t.Fatal(err)
		}
		if _, err := tx.Exec(change.spoil); err != nil {
			t.Fatalf("%s: %v", change.spoil, err)
		}
		if err := tx.Commit(); err != nil {
			t.Fatal(err)
		}
		v, err := s.Verify(t.Context(), "c")
		if err != nil || len(v.Problems) == 0 || !strings.Contains(fmt.Sprint(v.Problems), change.says) {
			t.Errorf("%s: %+v, %v", change.spoil, v.Problems, err)
		}
		if _, err := db.Exec(`DELETE FROM search_words_1; INSERT INTO search_words_1 TABLE kept_words`); err != nil {
			t.Fatal(err)
		}
	}
	// Tables of an earlier release are made anew.
	if _, err := db.Exec(`UPDATE search_collections SET format = 0`); err != nil {
		t.Fatal(err)
	}
	agrees(t, s, "c", 3)
	var tables int
	if err := db.QueryRow(`SELECT count(*) FROM pg_class WHERE relname LIKE 'search\_words\_%' AND relkind = 'r'`).Scan(&tables); err != nil || tables != 1 {
		t.Errorf("%d tables, %v; the earlier ones are to go", tables, err)
	}
}
