package retriever_test

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"docent/chunker"
	"docent/internal/catalog"
	"docent/retriever"
)

var modes = []retriever.Mode{retriever.Dense, retriever.Keyword, retriever.Hybrid}

func TestPutAndSearch(t *testing.T) { eachStore(t, testPutAndSearch) }

func testPutAndSearch(t *testing.T, at place) {
	ctx := t.Context()
	s := at.open(t, words)
	create(t, s, "手册 1.a_b-c")
	const name = "手册 1.a_b-c"
	content := chunker.Document{Title: "Leave", Language: "en", Text: "Leave\n\nTwenty days of leave.\nSick pay is apart.",
		Blocks: []chunker.Block{{Kind: chunker.Heading, End: 5, Level: 1}, {Kind: chunker.Paragraph, Start: 7, End: 48}},
		Pages:  []chunker.Page{{Number: 1, Label: "i", End: 48}}}
	chunks := []chunker.Chunk{
		{Text: "Twenty days of leave.", Start: 7, End: 28, Tokens: 5, FirstPage: 1, LastPage: 1, Headings: []string{"Leave"}, Context: "Leave"},
		{Text: "Sick pay is apart.", Start: 29, End: 47, Tokens: 5, FirstPage: 1, LastPage: 2, Headings: []string{"Leave", "Sick"}, Context: "Leave\nSick"},
	}
	vectors, err := s.Vectors(ctx, name, chunks, nil)
	if err != nil {
		t.Fatal(err)
	}
	in := retriever.Document{Path: "a/leave.md", Title: "Leave", Format: "markdown", Language: "en", Bytes: 50, Pages: 1,
		Metadata: map[string]string{"team": "people"}, Warnings: []string{"page 2 has no text"}}
	doc, err := s.Put(ctx, name, in, content, chunks, vectors)
	if err != nil {
		t.Fatal(err)
	}
	if doc.ID == "" || doc.Chunks != 2 || doc.Collection != name || doc.AddedAt.IsZero() {
		t.Errorf("stored document: %+v", doc)
	}
	check := func(s *retriever.Store) {
		t.Helper()
		for _, get := range []func() (retriever.Document, error){
			func() (retriever.Document, error) { return s.Document(ctx, doc.ID) },
			func() (retriever.Document, error) { return s.DocumentByPath(ctx, name, "a/leave.md") },
		} {
			got, err := get()
			if diff := cmp.Diff(doc, got); err != nil || diff != "" {
				t.Errorf("document: %v (-want +got):\n%s", err, diff)
			}
		}
		got, err := s.Content(ctx, doc.ID)
		if diff := cmp.Diff(content, got); err != nil || diff != "" {
			t.Errorf("content: %v (-want +got):\n%s", err, diff)
		}
		for _, m := range modes {
			hits := search(t, s, name, "sick pay", retriever.WithMode(m), retriever.TopK(1))
			if len(hits) != 1 {
				t.Fatalf("%s: %d hits", m, len(hits))
			}
			if diff := cmp.Diff(chunks[1], hits[0].Chunk); diff != "" {
				t.Errorf("%s: chunk (-want +got):\n%s", m, diff)
			}
			if diff := cmp.Diff(doc, hits[0].Document); diff != "" {
				t.Errorf("%s: document (-want +got):\n%s", m, diff)
			}
			h := hits[0]
			if m != retriever.Keyword && (h.DenseRank != 1 || h.DenseScore <= 0) || m != retriever.Dense && (h.KeywordRank != 1 || h.KeywordScore <= 0) || h.Score <= 0 {
				t.Errorf("%s: scores %+v", m, h)
			}
			if hits := search(t, s, name, "", retriever.WithMode(m)); len(hits) != 0 {
				t.Errorf("%s: an empty query finds %v", m, found(hits))
			}
		}
	}
	check(s)
	s.Close()
	s = at.open(t, words)
	check(s)
	c, err := s.Collection(ctx, name)
	c.CreatedAt = doc.AddedAt
	if diff := cmp.Diff(retriever.Collection{Name: name, Encoder: "words@1", Dim: 32, Documents: 1, Chunks: 2, CreatedAt: doc.AddedAt}, c); err != nil || diff != "" {
		t.Errorf("collection: %v (-want +got):\n%s", err, diff)
	}

	// A new version keeps the id, and nothing of the old.
	again := mustPut(t, s, name, "a/leave.md", "Thirty days of leave.\n")
	if again.ID != doc.ID || !again.AddedAt.Equal(doc.AddedAt) || !again.UpdatedAt.After(doc.UpdatedAt) {
		t.Errorf("new version %+v of %+v", again, doc)
	}
	for _, m := range modes {
		if got := found(search(t, s, name, "sick leave", retriever.WithMode(m))); fmt.Sprint(got) != "[a/leave.md: Thirty days of leave.]" {
			t.Errorf("%s: %v", m, got)
		}
	}
	if err := s.DeleteDocument(ctx, doc.ID); err != nil {
		t.Fatal(err)
	}
	for _, m := range modes {
		if hits := search(t, s, name, "leave", retriever.WithMode(m)); len(hits) != 0 {
			t.Errorf("%s: found after delete: %v", m, found(hits))
		}
	}
}

func TestBadInput(t *testing.T) { eachStore(t, testBadInput) }

func testBadInput(t *testing.T, at place) {
	ctx := t.Context()
	s := at.open(t, words)
	create(t, s, "c")
	for _, name := range []string{"", "a/b", "../x", ".", " a", "a.", "a\x00", "a\nb", "a\xff", strings.Repeat("长", 101), "a:b"} {
		if _, err := s.CreateCollection(ctx, name); !errors.Is(err, retriever.ErrInvalidName) {
			t.Errorf("collection %q: %v, want ErrInvalidName", name, err)
		}
	}
	if _, err := s.CreateCollection(ctx, "c"); !errors.Is(err, retriever.ErrExists) {
		t.Errorf("collection made twice: %v", err)
	}
	unit, _ := words.EmbedQuery(ctx, "text")
	long := slices.Clone(unit)
	long[0] += 1
	nan := slices.Clone(unit)
	nan[3] = float32(math.NaN())
	inf := slices.Clone(unit)
	inf[3] = float32(math.Inf(1))
	text := chunker.Chunk{Text: "text", End: 4}
	for name, tt := range map[string]struct {
		path, content string
		chunk         chunker.Chunk
		vectors       [][]float32
		want          error
	}{
		"no path":            {"", "text", text, [][]float32{unit}, retriever.ErrInvalidName},
		"no vectors":         {"p", "text", text, nil, retriever.ErrInvalidVector},
		"too many vectors":   {"p", "text", text, [][]float32{unit, unit}, retriever.ErrInvalidVector},
		"short vector":       {"p", "text", text, [][]float32{unit[:31]}, retriever.ErrInvalidVector},
		"empty vector":       {"p", "text", text, [][]float32{{}}, retriever.ErrInvalidVector},
		"zero vector":        {"p", "text", text, [][]float32{make([]float32, 32)}, retriever.ErrInvalidVector},
		"vector not unit":    {"p", "text", text, [][]float32{long}, retriever.ErrInvalidVector},
		"vector of nan":      {"p", "text", text, [][]float32{nan}, retriever.ErrInvalidVector},
		"vector of infinity": {"p", "text", text, [][]float32{inf}, retriever.ErrInvalidVector},
		"chunk past the end": {"p", "text", chunker.Chunk{Text: "text", End: 5}, [][]float32{unit}, retriever.ErrInvalidChunk},
		"chunk backwards":    {"p", "text", chunker.Chunk{Start: 3, End: 2}, [][]float32{unit}, retriever.ErrInvalidChunk},
		"chunk before":       {"p", "text", chunker.Chunk{Start: -1, End: 2}, [][]float32{unit}, retriever.ErrInvalidChunk},
		"chunk of other":     {"p", "next", text, [][]float32{unit}, retriever.ErrInvalidChunk},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := s.Put(ctx, "c", retriever.Document{Path: tt.path}, chunker.Document{Text: tt.content}, []chunker.Chunk{tt.chunk}, tt.vectors); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
	none := []error{s.DeleteCollection(ctx, "none"), s.DeleteDocument(ctx, "none")}
	for _, err := range []func() error{
		func() error { _, err := s.Search(ctx, "none", "q"); return err },
		func() error { _, err := s.Collection(ctx, "none"); return err },
		func() error { _, err := s.Documents(ctx, "none"); return err },
		func() error { _, err := s.Document(ctx, "none"); return err },
		func() error { _, err := s.DocumentByPath(ctx, "c", "none"); return err },
		func() error { _, err := s.Content(ctx, "none"); return err },
		func() error { _, err := s.Vectors(ctx, "none", nil, nil); return err },
		func() error { _, err := put(ctx, s, "none", retriever.Document{Path: "p"}, "t"); return err },
		func() error { _, err := s.OpenFile(ctx, "../../../etc/passwd"); return err },
		func() error { _, err := s.OpenFile(ctx, strings.Repeat("0", 64)); return err },
	} {
		none = append(none, err())
	}
	for i, err := range none {
		if !errors.Is(err, retriever.ErrNotFound) {
			t.Errorf("call %d on what is not there: %v, want ErrNotFound", i, err)
		}
	}
	if _, err := s.Search(ctx, "c", "q", retriever.WithMode("psychic")); !errors.Is(err, retriever.ErrInvalidName) {
		t.Errorf("unknown mode: %v", err)
	}
	if hits := search(t, s, "c", "nothing here"); len(hits) != 0 {
		t.Errorf("an empty collection finds %v", found(hits))
	}
	if docs, err := s.Documents(ctx, "c"); err != nil || len(docs) != 0 {
		t.Errorf("after bad input there is %v, %v", docs, err)
	}
	s.Close()
	if _, err := s.Search(ctx, "c", "q"); !errors.Is(err, retriever.ErrClosed) {
		t.Errorf("search after Close: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
}

func TestLock(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, words)
	_, err := retriever.Open(t.Context(), retriever.Config{Dir: dir})
	if !errors.Is(err, retriever.ErrLocked) {
		t.Fatalf("opened twice: %v, want ErrLocked", err)
	}
	if runtime.GOOS != "windows" && (!strings.Contains(err.Error(), fmt.Sprint(os.Getpid())) || !strings.Contains(err.Error(), os.Args[0])) {
		t.Errorf("%q does not name this process", err)
	}
	s.Close()
	open(t, dir, words)
}

func TestOtherEncoder(t *testing.T) { eachStore(t, testOtherEncoder) }

func testOtherEncoder(t *testing.T, at place) {
	ctx := t.Context()
	s := at.open(t, words)
	create(t, s, "c", "empty")
	mustPut(t, s, "c", "p", "Twenty days of leave.")
	s.Close()
	for _, other := range []retriever.Encoder{wordEncoder{name: "other@2", dim: 16}, nil} {
		s := at.open(t, other)
		if got := found(search(t, s, "c", "leave", retriever.WithMode(retriever.Keyword))); len(got) != 1 {
			t.Errorf("keyword search: %v", got)
		}
		errs := map[string]error{}
		_, errs["dense"] = s.Search(ctx, "c", "leave", retriever.WithMode(retriever.Dense))
		_, errs["hybrid"] = s.Search(ctx, "c", "leave")
		_, errs["vectors"] = s.Vectors(ctx, "c", lines("x"), nil)
		_, errs["put"] = s.Put(ctx, "c", retriever.Document{Path: "p"}, chunker.Document{}, nil, nil)
		for op, err := range errs {
			if !errors.Is(err, retriever.ErrEncoderMismatch) || !strings.Contains(err.Error(), "words@1") || other != nil && !strings.Contains(err.Error(), "other@2") {
				t.Errorf("%s: %v, want ErrEncoderMismatch naming both", op, err)
			}
		}
		// An empty collection takes the encoder there is.
		mustPut(t, s, "empty", "p", "Some text.")
		if c, err := s.Collection(ctx, "empty"); err != nil || other != nil && c.Encoder != "other@2" || other == nil && c.Encoder != "" {
			t.Errorf("collection %+v, %v", c, err)
		}
		if other == nil {
			if hits := search(t, s, "empty", "text"); len(hits) != 1 || hits[0].KeywordRank != 1 {
				t.Errorf("keyword-only: %v", found(hits))
			}
			if _, err := s.Search(ctx, "empty", "text", retriever.WithMode(retriever.Dense)); !errors.Is(err, retriever.ErrNoVectors) {
				t.Errorf("dense search without vectors: %v", err)
			}
		} else if doc, err := s.DocumentByPath(ctx, "empty", "p"); err != nil {
			t.Error(err)
		} else if err := s.DeleteDocument(ctx, doc.ID); err != nil {
			t.Error(err)
		}
		s.Close()
	}
}

func TestVectorsAreReused(t *testing.T) { eachStore(t, testVectorsAreReused) }

func testVectorsAreReused(t *testing.T, at place) {
	ctx := t.Context()
	counted := words
	counted.calls = new(atomic.Int64)
	s := at.open(t, counted)
	create(t, s, "a", "b")
	var text strings.Builder
	for i := range 200 {
		fmt.Fprintf(&text, "line %d of the text\n", i%150)
	}
	var done []int
	chunks := lines(text.String())
	vectors, err := s.Vectors(ctx, "a", chunks, func(n int) { done = append(done, n) })
	if err != nil || len(vectors) != 200 {
		t.Fatalf("%d vectors, %v", len(vectors), err)
	}
	if n := counted.calls.Load(); n != 150 {
		t.Errorf("%d texts embedded, want each of 150 once", n)
	}
	if !slices.IsSorted(done) || len(done) < 3 || done[len(done)-1] != 200 {
		t.Errorf("progress %v", done)
	}
	if _, err := s.Put(ctx, "a", retriever.Document{Path: "p"}, chunker.Document{Text: text.String()}, chunks, vectors); err != nil {
		t.Fatal(err)
	}
	again, err := s.Vectors(ctx, "b", append(chunks, lines("one more")...), nil)
	if err != nil || counted.calls.Load() != 151 {
		t.Errorf("%d texts embedded, want one more than 150: %v", counted.calls.Load(), err)
	}
	if diff := cmp.Diff(vectors, again[:200]); diff != "" {
		t.Errorf("reused vectors differ: %s", diff)
	}
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := s.Vectors(cancelled, "a", lines("new text"), nil); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestOptions(t *testing.T) { eachStore(t, testOptions) }

func testOptions(t *testing.T, at place) {
	ctx := t.Context()
	s := at.open(t, words)
	create(t, s, "c")
	for i := range 40 {
		doc := retriever.Document{Path: fmt.Sprintf("%02d", i)}
		if i%2 == 0 {
			doc.Metadata = map[string]string{"team": fmt.Sprint(i % 4)}
		}
		if i == 39 {
			doc.Metadata = map[string]string{"team": ""}
		}
		if _, err := put(ctx, s, "c", doc, fmt.Sprintf("leave rule %d\nleave again\nleave once more\n", i)); err != nil {
			t.Fatal(err)
		}
	}
	one, err := s.DocumentByPath(ctx, "c", "07")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range modes {
		mode := retriever.WithMode(m)
		if n := len(search(t, s, "c", "leave", mode)); n != 10 {
			t.Errorf("%s: %d hits by default, want 10", m, n)
		}
		if n := len(search(t, s, "c", "leave", mode, retriever.TopK(1_000_000))); n != 120 {
			t.Errorf("%s: %d hits of all, want 120", m, n)
		}
		seen := map[string]bool{}
		for _, h := range search(t, s, "c", "leave once more", mode, retriever.PerDocument(1), retriever.TopK(30)) {
			if seen[h.Document.ID] {
				t.Errorf("%s: two hits of one document", m)
			}
			seen[h.Document.ID] = true
		}
		if len(seen) != 30 {
			t.Errorf("%s: %d documents, want 30", m, len(seen))
		}
		for name, tt := range map[string]struct {
			opt  retriever.SearchOption
			want int
		}{
			"one document":   {retriever.InDocuments(one.ID), 3},
			"no documents":   {retriever.InDocuments(), 0},
			"metadata":       {retriever.WithMetadata("team", "2"), 30},
			"either value":   {retriever.WithMetadata("team", "2", "0"), 60},
			"empty value":    {retriever.WithMetadata("team", ""), 3},
			"unknown key":    {retriever.WithMetadata("tenant", ""), 0},
			"too high score": {retriever.MinScore(1000), 0},
		} {
			if n := len(search(t, s, "c", "leave", mode, tt.opt, retriever.TopK(100))); n != tt.want {
				t.Errorf("%s, %s: %d hits, want %d", m, name, n, tt.want)
			}
		}
	}
}

// A question in a language the encoder does not know is decided by its words.
func TestLanguageOfQuestion(t *testing.T) { eachStore(t, testLanguageOfQuestion) }

func testLanguageOfQuestion(t *testing.T, at place) {
	e := words
	e.langs = []string{"en"}
	s := at.open(t, e)
	create(t, s, "c")
	mustPut(t, s, "c", "right", "员工每年享有二十天年假。")
	mustPut(t, s, "c", "near", "年假有多少天？")         // the same words as the question for the encoder
	mustPut(t, s, "c", "english", "Twenty days.") // nothing of the question
	hits := search(t, s, "c", "年假 有多少天？")
	if len(hits) < 2 || hits[0].Document.Path != "near" || hits[1].Document.Path != "right" {
		t.Errorf("got %v", found(hits))
	}
	// With no word in common the vectors are all there is.
	if hits := search(t, s, "c", "斑马"); len(hits) == 0 {
		t.Error("nothing found where the vectors could")
	}
}

func TestDiskFull(t *testing.T) {
	ctx := t.Context()
	s := open(t, t.TempDir(), words)
	create(t, s, "c")
	mustPut(t, s, "c", "p", "the old version\n")
	if err := s.Catalog().SetMaxBytes(ctx, 1); err != nil {
		t.Fatal(err)
	}
	big := strings.Repeat("a new version that does not fit\n", 5000)
	if _, err := put(ctx, s, "c", retriever.Document{Path: "p"}, big); !errors.Is(err, retriever.ErrStorageFull) {
		t.Fatalf("got %v, want ErrStorageFull", err)
	}
	for _, m := range modes {
		if got := found(search(t, s, "c", "version", retriever.WithMode(m))); fmt.Sprint(got) != "[p: the old version]" {
			t.Errorf("%s: %v", m, got)
		}
	}
	if err := s.Catalog().SetMaxBytes(ctx, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := put(ctx, s, "c", retriever.Document{Path: "p"}, "the new version\n"); err != nil {
		t.Fatal(err)
	}
	if got := found(search(t, s, "c", "version")); fmt.Sprint(got) != "[p: the new version]" {
		t.Error(got)
	}
}

func TestFiles(t *testing.T) { eachStore(t, testFiles) }

func testFiles(t *testing.T, at place) {
	ctx := t.Context()
	s := at.open(t, words)
	folder := filepath.Join(at.dir, "files")
	if at.shared() {
		folder = filepath.Join(at.dir, "shared-files")
	}
	create(t, s, "a", "b")
	store := func(text string) string {
		t.Helper()
		sum, n, err := s.PutFile(ctx, strings.NewReader(text))
		if err != nil || n != int64(len(text)) {
			t.Fatal(n, err)
		}
		return sum
	}
	has := func(sum string) bool {
		f, err := s.OpenFile(ctx, sum)
		if err != nil {
			return false
		}
		defer f.Close()
		data, err := io.ReadAll(f)
		return err == nil && len(data) > 0
	}
	document := func(collection, path, sum string) retriever.Document {
		t.Helper()
		d, err := put(ctx, s, collection, retriever.Document{Path: path, SHA256: sum}, "text of "+path)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	shared, queued, lost := store("shared"), store("queued"), store("lost")
	if want := fmt.Sprintf("%x", sha256.Sum256([]byte("shared"))); shared != want {
		t.Errorf("sum %q, want %q", shared, want)
	}
	d1, d2 := document("a", "1", shared), document("b", "2", shared)
	jobs := []catalog.Job{{Collection: "a", Path: "q", SHA256: queued}}
	if err := s.Catalog().AddJobs(ctx, jobs); err != nil {
		t.Fatal(err)
	}
	if err := s.DeleteDocument(ctx, d1.ID); err != nil || !has(shared) {
		t.Errorf("a file that another document needs is gone: %v", err)
	}
	next := store("next version")
	document("b", "2", next)
	if has(shared) || !has(next) {
		t.Error("the file of the old version stays, or that of the new is gone")
	}
	s.Close()
	// What a killed process leaves behind.
	if err := os.WriteFile(filepath.Join(folder, "incoming-1"), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	old := time.Now().Add(-10 * 24 * time.Hour)
	if err := os.Chtimes(filepath.Join(folder, "incoming-1"), old, old); err != nil {
		t.Fatal(err)
	}
	if at.shared() {
		// Nobody can tell which process a file is still of use to: it is kept for its hour.
		if _, err := database(t, at).ExecContext(ctx, `UPDATE files SET kept_until = 0 WHERE uses > 0`); err != nil {
			t.Fatal(err)
		}
		os.RemoveAll(folder) // a copy, which can go at any time
	}
	s = at.open(t, words)
	if has(lost) || !has(queued) || !has(next) {
		t.Error("after the start: an unused file stays, or a used one is gone")
	}
	if _, err := os.Stat(filepath.Join(folder, "incoming-1")); !os.IsNotExist(err) {
		t.Errorf("a half file stays: %v", err)
	}
	if _, err := s.Catalog().ChangeJob(ctx, jobs[0].ID, func(j *catalog.Job) error { j.State = catalog.Done; return nil }); err != nil {
		t.Fatal(err)
	}
	for _, c := range []string{"a", "b"} {
		if err := s.DeleteCollection(ctx, c); err != nil {
			t.Fatal(err)
		}
	}
	if has(queued) || has(next) {
		t.Error("files outlive their collections")
	}
	if jobs, err := s.Catalog().Jobs(ctx, "", 0); err != nil || len(jobs) != 0 {
		t.Errorf("jobs outlive their collection: %v %v", jobs, err)
	}
	if _, err := s.Document(ctx, d2.ID); !errors.Is(err, retriever.ErrNotFound) {
		t.Errorf("documents outlive their collection: %v", err)
	}
	if _, _, err := s.PutFile(ctx, io.MultiReader(strings.NewReader("x"), errReader{})); !errors.Is(err, errRead) {
		t.Errorf("unreadable input: %v", err)
	}
	left, err := filepath.Glob(filepath.Join(folder, "incoming-*"))
	if err != nil || len(left) != 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}

// database is the database of a place, past the store.
func database(t *testing.T, at place) *sql.DB {
	t.Helper()
	db, err := sql.Open("pgx", at.address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

var errRead = errors.New("cannot read")

type errReader struct{}

func (errReader) Read([]byte) (int, error) { return 0, errRead }
