package retriever_test

import (
	"context"
	"database/sql"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"docent/chunker"
	"docent/internal/pgtest"
	"docent/retriever"
)

// sayings makes texts in which words are frequent and rare, English and Chinese.
func sayings(seed uint64, texts int) []string {
	rnd := rand.New(rand.NewPCG(seed, 1))
	zipf := rand.NewZipf(rnd, 1.3, 3, 400)
	all := make([]string, texts)
	for i := range all {
		var sb strings.Builder
		for range 5 + rnd.IntN(40) {
			switch n := zipf.Uint64(); {
			case n < 6:
				sb.WriteString([]string{"the ", "of ", "pumps ", "年假", "leave ", "is "}[n])
			case n%7 == 0:
				sb.WriteString(string(rune('一'+n)) + "和")
			default:
				fmt.Fprintf(&sb, "w%dth ", n)
			}
		}
		all[i] = sb.String() + "\n"
	}
	return all
}

// Every store gives the same passages the same scores, to the rounding of their arithmetic.
func TestSameScores(t *testing.T) {
	texts := sayings(5, 400)
	filled := func(t *testing.T, at place) *retriever.Store {
		s := at.open(t, words)
		create(t, s, "c")
		for i := 0; i < len(texts); i += 4 {
			mustPut(t, s, "c", fmt.Sprint(i), strings.Join(texts[i:i+4], ""))
			if i == 200 {
				search(t, s, "c", "leave") // what comes later is added to what is searched
			}
		}
		for i := 0; i < len(texts); i += 20 { // and taken out, or changed
			mustPut(t, s, "c", fmt.Sprint(i), texts[i])
		}
		s.Close()
		return at.open(t, words) // the embedded store counts what was taken out until then
	}
	want := filled(t, place{dir: t.TempDir()})
	eachStore(t, func(t *testing.T, at place) {
		s := filled(t, at)
		for _, query := range append(sayings(6, 25), "the of is", "年假", "w7th w14th", "nothing of it w399th") {
			for _, opts := range [][]retriever.SearchOption{
				{retriever.WithMode(retriever.Keyword)}, {retriever.WithMode(retriever.Keyword), retriever.TopK(500)}, {retriever.WithMode(retriever.Dense)}, {},
				{retriever.WithFusion(retriever.RankFusion)}, {retriever.PerDocument(1)}, {retriever.Where(retriever.Filter{Op: retriever.Prefix, Field: "path", Values: []string{"1"}})},
			} {
				a, b := search(t, want, "c", query, opts...), search(t, s, "c", query, opts...)
				if len(a) != len(b) {
					t.Fatalf("%q: %d hits, want %d", query, len(b), len(a))
				}
				for i := range a {
					if math.Abs(a[i].Score-b[i].Score) > 1e-4*max(1, a[i].Score) || math.Abs(a[i].KeywordScore-b[i].KeywordScore) > 1e-4*max(1, a[i].KeywordScore) && a[i].Chunk.Text == b[i].Chunk.Text {
						t.Fatalf("%q, hit %d: %+v\nwant %+v", query, i, b[i], a[i])
					}
				}
			}
		}
	})
}

// Several processes share a Postgres: what one has done the others see, and none of them spoils it.
func TestPostgresShared(t *testing.T) {
	address := pgtest.Database(t)
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

// agrees verifies a collection.
func agrees(t *testing.T, s *retriever.Store, collection string, chunks int) {
	t.Helper()
	v, err := s.Verify(context.Background(), collection)
	if err != nil || len(v.Problems) > 0 || v.Chunks != chunks {
		t.Errorf("%+v, %v", v, err)
	}
}

// A document that stood for others hands its chunks on, and those are found.
func TestHeirIsFound(t *testing.T) { eachStore(t, testHeirIsFound) }

func testHeirIsFound(t *testing.T, at place) {
	ctx := t.Context()
	s := at.open(t, words)
	create(t, s, "c")
	sum, _, err := s.PutFile(ctx, strings.NewReader("leave"))
	if err != nil {
		t.Fatal(err)
	}
	first, err := put(ctx, s, "c", retriever.Document{Path: "first", SHA256: sum}, "leave one\nleave two\n")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"second", "third"} {
		if _, err := s.PutDuplicate(ctx, "c", retriever.Document{Path: path, SHA256: sum, DuplicateOf: first.ID}); err != nil {
			t.Fatal(err)
		}
	}
	check := func(path string) {
		t.Helper()
		for _, m := range modes {
			hits := search(t, s, "c", "leave", retriever.WithMode(m), retriever.TopK(2))
			if len(hits) != 2 || hits[0].Document.Path != path || hits[1].Document.Path != path {
				t.Errorf("%s: %v, want two of %s", m, found(hits), path)
			}
		}
	}
	check("first")
	if err := s.DeleteDocument(ctx, first.ID); err != nil {
		t.Fatal(err)
	}
	check("second")
	mustPut(t, s, "c", "second", "something else\n")
	check("third")
	agrees(t, s, "c", 3)
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
	same, all := 0, 0
	for _, query := range sayings(10, 20) {
		for _, f := range []retriever.SearchOption{retriever.TopK(10), retriever.TopK(60), retriever.WithMetadata("third", "1"), retriever.WithMetadata("rare", "true")} {
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
		{`UPDATE search_vectors_1 SET embedding = (SELECT embedding FROM search_vectors_1 WHERE chunk = 2) WHERE chunk = 1`, "another vector"},
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

// A chunk may have any number of words and a question too.
func TestLargeTexts(t *testing.T) { eachStore(t, testLargeTexts) }

func testLargeTexts(t *testing.T, at place) {
	s := at.open(t, nil)
	create(t, s, "c")
	var sb strings.Builder
	for i := range 20_000 {
		fmt.Fprintf(&sb, "word%d ", i)
	}
	text := sb.String()
	if _, err := s.Put(t.Context(), "c", retriever.Document{Path: "large"}, chunker.Document{Text: text}, []chunker.Chunk{{Text: text, End: len(text)}}, nil); err != nil {
		t.Fatal(err)
	}
	mustPut(t, s, "c", "small", "word1 word2\n")
	began := time.Now()
	for _, query := range []string{"word1", text[:50_000]} {
		if hits := search(t, s, "c", query); len(hits) == 0 {
			t.Errorf("nothing found for %.20q", query)
		}
	}
	if d := time.Since(began); d > 20*time.Second {
		t.Errorf("two searches took %v", d)
	}
}
