package catalog_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"docent/chunker"
	"docent/internal/catalog"
	"docent/internal/pgtest"
)

// A page is a document of a test: its chunks are its words.
type page struct {
	path, text, file, duplicateOf string
	collection                    string // "" for c
	notes                         catalog.Notes
}

const encoder, dim = "toy", 3

// vectorOf is a vector that only this text has, with values that show whether all bits survive.
func vectorOf(text string) []float32 {
	h := catalog.HashText(text)
	return []float32{float32(h[0]) / 7, float32(math.Ldexp(1+float64(h[1])/256, -100)), -1 / (1 + float32(h[2]))}
}

func chunksOf(text string) (chunks []catalog.Chunk) {
	at := 0
	for i, word := range strings.Fields(text) {
		start := at + strings.Index(text[at:], word)
		at = start + len(word)
		c := chunker.Chunk{Text: word, Start: start, End: at, Tokens: 1, FirstPage: i + 1, LastPage: i + 1, Headings: []string{"标题", "b"}, Labels: []string{"Table 1"}}
		chunks = append(chunks, catalog.Chunk{Chunk: c, Vector: vectorOf(word)})
	}
	return chunks
}

func begin(ctx context.Context, db *catalog.DB, p page) (*catalog.Change, error) {
	doc := catalog.Document{Collection: "c", Path: p.path, Title: "T " + p.path, SHA256: p.file, DuplicateOf: p.duplicateOf, Metadata: map[string]string{"k": "v"}, Warnings: []string{"w"}}
	if p.collection != "" {
		doc.Collection = p.collection
	}
	if p.duplicateOf != "" {
		return db.PutDuplicate(ctx, doc, p.notes)
	}
	return db.PutDocument(ctx, doc, chunker.Document{Text: p.text}, chunksOf(p.text), encoder, dim, p.notes)
}

func store(t *testing.T, db *catalog.DB, p page) *catalog.Change {
	t.Helper()
	c := must[*catalog.Change](t)(begin(t.Context(), db, p))
	if err := c.Commit(); err != nil {
		t.Fatal(err)
	}
	return c
}

// words lists the chunks of a collection, which must have their vectors and ascending ids.
func words(t *testing.T, db *catalog.DB, collection string) (all []string) {
	t.Helper()
	last := int64(0)
	for k, err := range db.ChunksAfter(t.Context(), collection, 0) {
		if err != nil {
			t.Fatal(err)
		}
		if k.ID <= last {
			t.Errorf("chunk %d comes after %d", k.ID, last)
		}
		last = k.ID
		if diff := cmp.Diff(vectorOf(strings.ReplaceAll(k.Text, " ", "\x00")), k.Vector); diff != "" { // see the zero byte below
			t.Errorf("vector of %q (-want +got):\n%s", k.Text, diff)
		}
		all = append(all, k.Text)
	}
	return all
}

func TestDocuments(t *testing.T) { each(t, testDocuments) }

func testDocuments(t *testing.T, open func() *catalog.DB) {
	ctx := t.Context()
	db := open()
	must[catalog.Collection](t)(db.CreateCollection(ctx, "c", encoder, dim))
	if _, err := db.CreateCollection(ctx, "c", encoder, dim); !errors.Is(err, catalog.ErrExists) {
		t.Errorf("a collection made twice: %v", err)
	}
	a := store(t, db, page{path: "B.md", text: "alpha 年假 gamma", file: "f1"})
	if ids := must[[]int64](t)(db.ChunkIDs(ctx, "c")); !cmp.Equal(a.Added, ids, cmpopts.SortSlices(func(a, b int64) bool { return a < b })) {
		t.Errorf("added %v, there are %v", a.Added, ids)
	}
	store(t, db, page{path: "a.md", text: "delta"})
	got := must[[]catalog.Document](t)(db.Documents(ctx, "c"))
	if len(got) != 2 || got[0].Path != "B.md" || got[1].Path != "a.md" { // byte by byte
		t.Fatalf("documents: %+v", got)
	}
	want := a.Document
	if diff := cmp.Diff(want, got[0]); diff != "" {
		t.Errorf("document (-want +got):\n%s", diff)
	}
	if s := must[string](t)(db.Passage(ctx, want.ID, 6, 12)); s != "年假" {
		t.Errorf("passage %q", s)
	}
	if c := must[chunker.Document](t)(db.Content(ctx, want.ID)); c.Text != "alpha 年假 gamma" {
		t.Errorf("content %q", c.Text)
	}
	chunks := must[[]catalog.Chunk](t)(db.Chunks(ctx, want.ID))
	for i, k := range chunksOf("alpha 年假 gamma") {
		k.ID, k.DocumentID, k.Vector = a.Added[i], want.ID, nil
		if diff := cmp.Diff(k, chunks[i]); diff != "" {
			t.Errorf("chunk %d (-want +got):\n%s", i, diff)
		}
	}
	if got := must[[]catalog.Chunk](t)(db.ChunksByID(ctx, []int64{a.Added[1], 1 << 40})); len(got) != 1 || got[0].Text != "年假" {
		t.Errorf("chunks by id: %+v", got)
	}
	if got := must[[]catalog.Chunk](t)(db.ChunksByID(ctx, nil)); len(got) != 0 {
		t.Errorf("chunks of no id: %+v", got)
	}
	found, of, err := db.PassagesByID(ctx, []int64{a.Added[1], a.Added[0], 1 << 40})
	if err != nil || len(found) != 2 || found[a.Added[1]].Text != "年假" || len(of) != 1 {
		t.Errorf("passages by id: %+v of %+v, %v", found, of, err)
	}
	if diff := cmp.Diff(must[catalog.Document](t)(db.Document(ctx, want.ID)), of[want.ID]); diff != "" {
		t.Errorf("the passages' document (-want +got):\n%s", diff)
	}

	// A new version is seen whole or not at all.
	c := must[*catalog.Change](t)(begin(ctx, db, page{path: "B.md", text: "alpha beta", file: "f2"}))
	if got := words(t, db, "c"); !slices.Equal(got, []string{"alpha", "年假", "gamma", "delta"}) {
		t.Errorf("before the commit: %v", got)
	}
	if err := c.Commit(); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(c.Removed, a.Added) || !slices.Equal(c.Files, []string{"f1"}) || c.Document.ID != want.ID || !c.Document.AddedAt.Equal(want.AddedAt) {
		t.Errorf("change: %+v", c)
	}
	c = must[*catalog.Change](t)(begin(ctx, db, page{path: "B.md", text: "never"}))
	c.Rollback()
	if got := words(t, db, "c"); !slices.Equal(got, []string{"delta", "alpha", "beta"}) {
		t.Errorf("after a change and one undone: %v", got)
	}
	if coll := must[catalog.Collection](t)(db.Collection(ctx, "c")); coll.Documents != 2 || coll.Chunks != 3 {
		t.Errorf("collection: %+v", coll)
	}
	if _, err := db.PutDocument(ctx, catalog.Document{Collection: "c", Path: "x"}, chunker.Document{}, nil, "other", 4, catalog.Notes{}); !errors.Is(err, catalog.ErrEncoder) {
		t.Errorf("vectors of another encoder: %v", err)
	}
	if set := must[bool](t)(db.SetEncoder(ctx, "c", "other", 4)); set {
		t.Error("a collection with documents took another encoder")
	}

	// What Postgres has no place for in a text keeps its length.
	store(t, db, page{path: "zero.md", text: "ze\x00ro next"})
	if got := words(t, db, "c"); len(got) != 5 || got[4] != "next" || len(got[3]) != 5 {
		t.Errorf("a zero byte: %q", got)
	}
	if flaws := must[[]catalog.Flaw](t)(db.Flaws(ctx, "c")); len(flaws) != 0 {
		t.Errorf("flaws: %+v", flaws)
	}

	for _, path := range []string{"zero.md", "a.md"} {
		d := must[catalog.Document](t)(db.DocumentByPath(ctx, "c", path))
		c := must[*catalog.Change](t)(db.DeleteDocument(ctx, d.ID))
		if err := c.Commit(); err != nil {
			t.Fatal(err)
		}
		if _, err := db.DeleteDocument(ctx, d.ID); !errors.Is(err, catalog.ErrNotFound) {
			t.Errorf("deleted twice: %v", err)
		}
	}
	c = must[*catalog.Change](t)(db.DeleteCollection(ctx, "c"))
	if err := c.Commit(); err != nil {
		t.Fatal(err)
	}
	if _, err := db.DeleteCollection(ctx, "c"); !errors.Is(err, catalog.ErrNotFound) {
		t.Errorf("collection deleted twice: %v", err)
	}
	if _, err := begin(ctx, db, page{path: "x", text: "x"}); !errors.Is(err, catalog.ErrNotFound) {
		t.Errorf("document of no collection: %v", err)
	}
}

func TestDuplicates(t *testing.T) { each(t, testDuplicates) }

func testDuplicates(t *testing.T, open func() *catalog.DB) {
	ctx := t.Context()
	db := open()
	must[catalog.Collection](t)(db.CreateCollection(ctx, "c", encoder, dim))
	notes := func(report string) catalog.Notes {
		return catalog.Notes{Report: []byte(report), MinHash: []byte{1, 0, 255}, Bands: []int64{math.MinInt64, 7, 7, math.MaxInt64}}
	}
	first := store(t, db, page{path: "1", text: "one two", file: "f", notes: notes(`{"status":"ingested","chunks":2}`)}).Document
	for _, path := range []string{"2", "3"} {
		store(t, db, page{path: path, file: "f", duplicateOf: first.ID, notes: catalog.Notes{Report: []byte(`{"status":"duplicate","duplicate_of":"1","chunks":0}`)}})
	}
	if similar := must[[]catalog.Candidate](t)(db.Similar(ctx, "c", []int64{7, 8})); len(similar) != 1 || similar[0].Path != "1" || string(similar[0].MinHash) != "\x01\x00\xff" {
		t.Errorf("similar: %+v", similar)
	}
	if o := must[catalog.Document](t)(db.Original(ctx, "c", "f", "2")); o.ID != first.ID {
		t.Errorf("original: %+v", o)
	}
	// The oldest duplicate takes over, and the reports say so.
	c := must[*catalog.Change](t)(db.DeleteDocument(ctx, first.ID))
	if err := c.Commit(); err != nil || c.Heir == "" {
		t.Fatalf("heir %q, %v", c.Heir, err)
	}
	heir := must[catalog.Document](t)(db.DocumentByPath(ctx, "c", "2"))
	if heir.DuplicateOf != "" || heir.Chunks != 2 {
		t.Errorf("heir: %+v", heir)
	}
	if third := must[catalog.Document](t)(db.DocumentByPath(ctx, "c", "3")); third.DuplicateOf != heir.ID {
		t.Errorf("third: %+v", third)
	}
	for path, want := range map[string]string{"2": `{"chunks":2,"status":"ingested"}`, "3": `{"chunks":0,"duplicate_of":"2","status":"duplicate"}`} {
		if got := string(must[[]byte](t)(db.Report(ctx, "c", path))); got != want {
			t.Errorf("report on %s: %s, want %s", path, got, want)
		}
	}
	if got := words(t, db, "c"); !slices.Equal(got, []string{"one", "two"}) {
		t.Errorf("chunks: %v", got)
	}
	if got := must[chunker.Document](t)(db.Content(ctx, must[catalog.Document](t)(db.DocumentByPath(ctx, "c", "3")).ID)); got.Text != "one two" {
		t.Errorf("content of a duplicate: %q", got.Text)
	}
	if flaws := must[[]catalog.Flaw](t)(db.Flaws(ctx, "c")); len(flaws) != 0 {
		t.Errorf("flaws: %+v", flaws)
	}
	if _, err := begin(ctx, db, page{path: "4", file: "other", duplicateOf: heir.ID}); !errors.Is(err, catalog.ErrNotFound) {
		t.Errorf("duplicate of other bytes: %v", err)
	}
	if err := db.PutReport(ctx, "c", "bad", []byte(`{"status":"failed"}`)); err != nil {
		t.Fatal(err)
	}
	if failed := must[[][]byte](t)(db.FailedReports(ctx, "c")); len(failed) != 1 || string(failed[0]) != `{"status":"failed"}` {
		t.Errorf("failed: %s", failed)
	}
	if err := db.PutReport(ctx, "none", "bad", []byte(`{}`)); !errors.Is(err, catalog.ErrNotFound) {
		t.Errorf("report of no collection: %v", err)
	}
}

func TestVectors(t *testing.T) { each(t, testVectors) }

func testVectors(t *testing.T, open func() *catalog.DB) {
	ctx := t.Context()
	db := open()
	must[catalog.Collection](t)(db.CreateCollection(ctx, "c", encoder, dim))
	store(t, db, page{path: "1", text: "one two three"})
	two, spare := catalog.HashText("two"), catalog.HashText("spare")
	if err := db.SpareVectors(ctx, encoder, map[catalog.Hash][]float32{spare: {1, 2, 3}}); err != nil {
		t.Fatal(err)
	}
	got := must[map[catalog.Hash][]float32](t)(db.VectorsByHash(ctx, encoder, []catalog.Hash{two, spare, {}, two}))
	if diff := cmp.Diff(map[catalog.Hash][]float32{two: vectorOf("two"), spare: {1, 2, 3}}, got); diff != "" {
		t.Errorf("vectors (-want +got):\n%s", diff)
	}
	first := must[[]int64](t)(db.ChunkIDs(ctx, "c"))[0]
	if byID := must[map[int64][]float32](t)(db.VectorsByID(ctx, []int64{first, 1 << 40})); len(byID) != 1 || len(byID[first]) != dim {
		t.Errorf("vectors by id: %v", byID)
	}
	todo := must[[]catalog.Chunk](t)(db.ChunksToReindex(ctx, "c", "new", 2, 0, 2))
	if len(todo) != 2 || todo[0].Text != "one" {
		t.Fatalf("to reindex: %+v", todo)
	}
	if _, err := db.SwapEncoder(ctx, "c", "new", 2); !errors.Is(err, catalog.ErrIncomplete) {
		t.Errorf("swapped without vectors: %v", err)
	}
	made := map[catalog.Hash][]float32{catalog.HashText("one"): {1, 0}, two: {0, 1}}
	for _, with := range []map[catalog.Hash][]float32{made, {two: {0, 1}, catalog.HashText("three"): {.5, .5}}} {
		if err := db.SpareVectors(ctx, "new", with); err != nil {
			t.Fatal(err)
		}
	}
	if done, total, err := db.Reindexed(ctx, "c", "new", 2); done != 3 || total != 3 || err != nil {
		t.Errorf("reindexed %d of %d, %v", done, total, err)
	}
	c := must[*catalog.Change](t)(db.SwapEncoder(ctx, "c", "new", 2))
	if err := c.Commit(); err != nil {
		t.Fatal(err)
	}
	var vectors [][]float32
	for k, err := range db.ChunksAfter(ctx, "c", 0) {
		if err != nil {
			t.Fatal(err)
		}
		vectors = append(vectors, k.Vector)
	}
	if diff := cmp.Diff([][]float32{{1, 0}, {0, 1}, {.5, .5}}, vectors); diff != "" {
		t.Errorf("vectors after (-want +got):\n%s", diff)
	}
	if coll := must[catalog.Collection](t)(db.Collection(ctx, "c")); coll.Encoder != "new" || coll.Dim != 2 {
		t.Errorf("collection: %+v", coll)
	}
}

func TestSources(t *testing.T) { each(t, testSources) }

func testSources(t *testing.T, open func() *catalog.DB) {
	ctx := t.Context()
	db := open()
	must[catalog.Collection](t)(db.CreateCollection(ctx, "c", "", 0))
	for _, etag := range []string{"1", "2"} {
		if err := db.PutFetch(ctx, "c", catalog.Fetch{URL: "https://a.example/", Path: "p", SHA256: "f", ETag: etag}); err != nil {
			t.Fatal(err)
		}
	}
	if got := must[[]catalog.Fetch](t)(db.Fetches(ctx, "c")); len(got) != 1 || got[0].ETag != "2" {
		t.Errorf("fetches: %+v", got)
	}
	if err := db.PutFetch(ctx, "none", catalog.Fetch{}); !errors.Is(err, catalog.ErrNotFound) {
		t.Errorf("fetch of no collection: %v", err)
	}
	w := must[catalog.Watch](t)(db.AddWatch(ctx, catalog.Watch{Collection: "c", Folder: "/a", Include: []string{"*.md"}}))
	if _, err := db.AddWatch(ctx, catalog.Watch{Collection: "c", Folder: "/a"}); !errors.Is(err, catalog.ErrExists) {
		t.Errorf("watched twice: %v", err)
	}
	if got := must[[]catalog.Watch](t)(db.Watches(ctx, "")); !cmp.Equal(got, []catalog.Watch{w}) {
		t.Errorf("watches: %+v", got)
	}
	if err := db.DeleteWatch(ctx, w.ID); err != nil {
		t.Fatal(err)
	}
	if got := must[[]catalog.Watch](t)(db.Watches(ctx, "c")); len(got) != 0 {
		t.Errorf("watches: %+v", got)
	}
	if err := db.UpdateCollectionSettings(ctx, "c", func(s []byte) ([]byte, error) { return append(s[:0:0], `{"a":1}`...), nil }); err != nil {
		t.Fatal(err)
	}
	if got := string(must[[]byte](t)(db.CollectionSettings(ctx, "c"))); got != `{"a":1}` {
		t.Errorf("settings: %s", got)
	}
}

// TestImport copies a collection between the two kinds of database, both ways.
func TestImport(t *testing.T) {
	ctx := t.Context()
	file := open(t, t.TempDir()+"/a.db")
	server := must[*catalog.DB](t)(catalog.OpenPostgres(ctx, pgtest.Database(t), nil))
	t.Cleanup(func() { server.Close() })
	must[catalog.Collection](t)(file.CreateCollection(ctx, "c", encoder, dim))
	first := store(t, file, page{path: "1", text: "one two " + strings.Repeat("many ", 250), file: "f", notes: catalog.Notes{Report: []byte(`{"a":1}`), MinHash: []byte{1}, Bands: []int64{1, 2}}}).Document
	store(t, file, page{path: "2", file: "f", duplicateOf: first.ID})
	for _, step := range []struct {
		from, to     *catalog.DB
		source, name string
	}{
		{file, server, "c", "over there"},
		{server, file, "over there", "back"},     // where the ids are taken
		{server, server, "over there", "within"}, // here too
	} {
		from, to, source, name := step.from, step.to, step.source, step.name
		got := must[catalog.Collection](t)(to.ImportCollection(ctx, from, source, name))
		want := must[catalog.Collection](t)(from.Collection(ctx, source))
		if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(catalog.Collection{}, "Name")); diff != "" {
			t.Errorf("collection (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(words(t, from, source), words(t, to, name)); diff != "" {
			t.Errorf("chunks (-want +got):\n%s", diff)
		}
		docs := must[[]catalog.Document](t)(to.Documents(ctx, name))
		if len(docs) != 2 || docs[1].DuplicateOf != docs[0].ID || docs[0].Title != "T 1" {
			t.Errorf("documents: %+v", docs)
		}
		if r := string(must[[]byte](t)(to.Report(ctx, name, "1"))); r != `{"a":1}` {
			t.Errorf("report: %s", r)
		}
		if c := must[[]catalog.Candidate](t)(to.Similar(ctx, name, []int64{2})); len(c) != 1 {
			t.Errorf("similar: %+v", c)
		}
		if flaws := must[[]catalog.Flaw](t)(to.Flaws(ctx, name)); len(flaws) != 0 {
			t.Errorf("flaws: %+v", flaws)
		}
	}
	if _, err := server.ImportCollection(ctx, file, "none", "x"); !errors.Is(err, catalog.ErrNotFound) {
		t.Errorf("import of nothing: %v", err)
	}
	if _, err := server.ImportCollection(ctx, file, "c", "within"); !errors.Is(err, catalog.ErrExists) {
		t.Errorf("import to a name that is taken: %v", err)
	}
}

// TestWriters has several openers of one database change the same documents at once: each version is whole,
// duplicates always have an original, and nobody fails because of another.
func TestWriters(t *testing.T) { each(t, testWriters) }

func testWriters(t *testing.T, open func() *catalog.DB) {
	ctx := t.Context()
	db := open()
	must[catalog.Collection](t)(db.CreateCollection(ctx, "c", encoder, dim))
	openers := []*catalog.DB{db}
	if db.Postgres() != nil {
		openers = append(openers, open(), open())
	}
	var wg sync.WaitGroup
	for n := range 6 {
		wg.Go(func() {
			db := openers[n%len(openers)]
			for round := range 15 {
				path := fmt.Sprint((n + round) % 4)
				file := fmt.Sprint("f", round%2)
				p := page{path: path, text: strings.Repeat(file+" ", 1+round%3), file: file}
				if original, err := db.Original(ctx, "c", file, path); err == nil {
					p = page{path: path, file: file, duplicateOf: original.ID}
				}
				c, err := begin(ctx, db, p)
				if err == nil {
					err = c.Commit()
				}
				if err != nil && !errors.Is(err, catalog.ErrNotFound) { // the original has gone meanwhile
					t.Errorf("put %s: %v", path, err)
				}
				if round%4 != 3 {
					continue
				}
				d, err := db.DocumentByPath(ctx, "c", path)
				if err == nil {
					if c, err = db.DeleteDocument(ctx, d.ID); err == nil {
						err = c.Commit()
					}
				}
				if err != nil && !errors.Is(err, catalog.ErrNotFound) {
					t.Errorf("delete %s: %v", path, err)
				}
			}
		})
	}
	wg.Wait()
	if flaws := must[[]catalog.Flaw](t)(db.Flaws(ctx, "c")); len(flaws) != 0 {
		t.Errorf("flaws: %+v", flaws)
	}
	if n := len(must[[]catalog.Document](t)(db.Documents(ctx, "c"))); n == 0 || n > 4 {
		t.Errorf("%d documents", n)
	}
}

func TestOpenPostgres(t *testing.T) {
	address := pgtest.Database(t)
	// Several processes start at once.
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			db, err := catalog.OpenPostgres(t.Context(), address, nil)
			if err != nil {
				t.Error(err)
				return
			}
			db.Close()
		})
	}
	wg.Wait()
	db := must[*catalog.DB](t)(catalog.OpenPostgres(t.Context(), address, nil))
	defer db.Close()
	if _, err := db.Postgres().ExecContext(t.Context(), `SELECT pg_terminate_backend(pg_backend_pid())`); !errors.Is(catalog.Explain(err), catalog.ErrUnavailable) {
		t.Errorf("a connection that broke: %v", err)
	}
	if _, err := catalog.OpenPostgres(t.Context(), "postgres://u@127.0.0.1:1/d", nil); !errors.Is(err, catalog.ErrUnavailable) {
		t.Errorf("no server: %v", err)
	}
	for name, bad := range map[string]string{
		"wrong password": strings.Replace(address, "@", "extra@", 1),
		"no server":      "postgres://u:sesame-extra@127.0.0.1:1/d?sslpassword=sesame-extra",
		"no address":     "postgres://u:sesame-extra@:port/d",
	} {
		t.Run(name, func(t *testing.T) {
			_, err := catalog.OpenPostgres(t.Context(), bad, nil)
			if err == nil || strings.Contains(err.Error(), "extra") {
				t.Errorf("error %v, want one without the password", err)
			}
		})
	}
}
