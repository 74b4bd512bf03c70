package retriever_test

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"docent/chunker"
	"docent/internal/pgtest"
	"docent/retriever"
)

// A place is where a store lies: one that is opened there again has what was stored.
type place struct {
	dir     string
	address string // as Config.Store
	dense   *retriever.DensePart
}

// open opens the store of the place.
func (p place) open(t testing.TB, e retriever.Encoder, earlier ...retriever.Encoder) *retriever.Store {
	t.Helper()
	s, err := retriever.Open(context.Background(), retriever.Config{Dir: p.dir, Store: p.address, Dense: p.dense, Encoder: e, Earlier: earlier, Logger: slog.New(slog.NewTextHandler(t.Output(), nil))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// shared says whether the record, and so the files, are in Postgres.
func (p place) shared() bool { return strings.HasPrefix(p.address, "postgres") }

// weaviate says whether a Weaviate cluster searches.
func (p place) weaviate() bool { return strings.HasPrefix(p.address, "weaviate") }

// another is a place of the same kind, with nothing in it.
func (p place) another(t *testing.T) place {
	p.dir = t.TempDir()
	if p.shared() {
		p.address = pgtest.Database(t)
	}
	return p
}

// eachStore runs a test of what every store has to do, in a place of each kind: the contract of
// retriever.Store. A kind whose server is not at hand is skipped, and says how to have it.
func eachStore(t *testing.T, test func(t *testing.T, at place)) {
	t.Run("embedded", func(t *testing.T) { test(t, place{dir: t.TempDir()}) })
	t.Run("postgres", func(t *testing.T) { test(t, place{dir: t.TempDir(), address: pgtest.Database(t)}) })
	t.Run("pooler", func(t *testing.T) {
		if os.Getenv("DOCENT_TEST_POOLER") == "" {
			t.Skip("as postgres, behind PgBouncer, which TestPostgresShared is too; set DOCENT_TEST_POOLER=1")
		}
		test(t, place{dir: t.TempDir(), address: pgtest.Pooler(t, pgtest.Database(t), "transaction")})
	})
	t.Run("weaviate", func(t *testing.T) { test(t, place{dir: t.TempDir(), address: cluster(t)}) })
}

// cluster returns the address of the Weaviate cluster.
func cluster(t testing.TB) string {
	t.Helper()
	address := os.Getenv("DOCENT_TEST_WEAVIATE")
	if address == "" {
		t.Skip("needs a Weaviate cluster: export DOCENT_TEST_WEAVIATE=$(scripts/weaviate.sh start DIR), from the root of the repository")
	}
	return address
}

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
		if at.weaviate() {
			t.Skip("Weaviate counts the words of a passage otherwise")
		}
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
