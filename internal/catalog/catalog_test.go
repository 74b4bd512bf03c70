package catalog_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"docent/chunker"
	"docent/internal/catalog"
	"docent/internal/pgtest"
)

func open(t *testing.T, path string) *catalog.DB {
	t.Helper()
	db, err := catalog.Open(t.Context(), path, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// Whatever a test does, rows have the checksums of what they hold.
		damaged, err := db.DamagedRows(context.Background(), true)
		if err == nil && len(damaged) > 0 && !strings.HasPrefix(t.Name(), "TestSettle") {
			t.Errorf("rows that do not match their checksums: %+v", damaged)
		}
		db.Close()
	})
	return db
}

// each runs a test on both kinds of database. open opens the database of the test, and opens it again.
func each(t *testing.T, test func(t *testing.T, open func() *catalog.DB)) {
	t.Run("sqlite", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "a.db")
		test(t, func() *catalog.DB { return open(t, path) })
	})
	for name, address := range map[string]func(t *testing.T) string{
		"postgres": func(t *testing.T) string { return pgtest.Database(t) },
		"pooler":   func(t *testing.T) string { return pgtest.Pooler(t, pgtest.Database(t), "transaction") },
	} {
		t.Run(name, func(t *testing.T) {
			address := address(t)
			test(t, func() *catalog.DB {
				t.Helper()
				db, err := catalog.OpenPostgres(t.Context(), address, nil)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { db.Close() })
				return db
			})
		})
	}
}

func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func TestNames(t *testing.T) {
	path := filepath.Join(t.TempDir(), "names with % and ?", "a.db")
	if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil {
		t.Skip("this system has no such names:", err)
	}
	open(t, path)
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
}

func TestJobs(t *testing.T) { each(t, testJobs) }

func testJobs(t *testing.T, open func() *catalog.DB) {
	ctx := t.Context()
	db := open()
	jobs := []catalog.Job{{Collection: "a", Path: "1.md", SHA256: "s1", Bytes: 3}, {Collection: "b", Path: "2.md"}, {Collection: "a", Path: "3.md"}}
	if err := db.AddJobs(ctx, jobs); err != nil {
		t.Fatal(err)
	}
	if jobs[0].ID == "" || jobs[0].State != catalog.Queued || jobs[0].CreatedAt.IsZero() {
		t.Fatalf("job as added: %+v", jobs[0])
	}
	if err := db.AddJobs(ctx, []catalog.Job{{Path: "4.md"}, jobs[1]}); !errors.Is(err, catalog.ErrExists) {
		t.Fatalf("job added twice: %v, want ErrExists", err)
	}
	job, ok, err := db.ClaimJob(ctx, time.Minute, true)
	if err != nil || !ok || job.ID != jobs[0].ID || job.State != catalog.Running || job.Attempts != 1 || job.Heartbeat.IsZero() || job.Claim == "" {
		t.Fatalf("claimed %+v, %v, %v", job, ok, err)
	}
	job.State, job.Stage, job.Done, job.Total, job.DocumentID, job.Status = catalog.Done, "storing", 7, 7, "d", "ingested"
	if _, err := db.SaveJob(ctx, job, 0); err != nil {
		t.Fatal(err)
	}
	got := must[catalog.Job](t)(db.Job(ctx, job.ID))
	job.UpdatedAt, job.Claim = got.UpdatedAt, ""
	if diff := cmp.Diff(job, got); diff != "" {
		t.Errorf("job (-want +got):\n%s", diff)
	}
	if _, err := db.SaveJob(ctx, job, time.Minute); !errors.Is(err, catalog.ErrLost) {
		t.Errorf("saved without a claim: %v", err)
	}
	if _, _, err := db.ClaimJob(ctx, time.Minute, true); err != nil {
		t.Fatal(err)
	}
	requeue := func() []catalog.Job {
		t.Helper()
		return must[[]catalog.Job](t)(db.RequeueJobs(ctx, 5, func(catalog.Job) string { return "" }))
	}
	if again := requeue(); len(again) != 0 {
		t.Errorf("put back while the lease runs: %+v", again)
	}
	db.Close()

	db = open()
	if err := db.EndLeases(ctx); err != nil {
		t.Fatal(err)
	}
	if again := requeue(); len(again) != 1 || again[0].State != catalog.Queued {
		t.Errorf("put back %+v, want one", again)
	}
	var next []string
	for range 2 {
		job, _, _ := db.ClaimJob(ctx, time.Minute, true)
		next = append(next, fmt.Sprint(job.Path, job.Attempts))
	}
	if fmt.Sprint(next) != "[3.md1 2.md2]" {
		t.Errorf("after the start the next are %v, want first the one that was never begun", next)
	}
	var paths []string
	for _, j := range must[[]catalog.Job](t)(db.Jobs(ctx, "a", 0)) {
		paths = append(paths, j.Path)
	}
	if fmt.Sprint(paths) != "[3.md 1.md]" {
		t.Errorf("jobs of a: %v", paths)
	}
	if n := len(must[[]catalog.Job](t)(db.Jobs(ctx, "", 2))); n != 2 {
		t.Errorf("%d jobs, want 2", n)
	}
	if _, err := db.ChangeJob(ctx, "none", nil); !errors.Is(err, catalog.ErrNotFound) {
		t.Errorf("change of no job: %v", err)
	}
	if _, err := db.Job(ctx, "none"); !errors.Is(err, catalog.ErrNotFound) {
		t.Errorf("no job: %v", err)
	}
}

func TestClaimOnce(t *testing.T) { each(t, testClaimOnce) }

func testClaimOnce(t *testing.T, open func() *catalog.DB) {
	ctx := t.Context()
	db := open()
	jobs := make([]catalog.Job, 40)
	for i := range jobs {
		jobs[i].Path = fmt.Sprint(i)
	}
	if err := db.AddJobs(ctx, jobs); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	seen := map[string]int{}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				job, ok, err := db.ClaimJob(ctx, time.Minute, true)
				if err != nil || !ok {
					return
				}
				mu.Lock()
				seen[job.ID]++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if len(seen) != len(jobs) {
		t.Errorf("%d jobs claimed, want %d", len(seen), len(jobs))
	}
	for id, n := range seen {
		if n != 1 {
			t.Errorf("job %s claimed %d times", id, n)
		}
	}
}

func TestConversations(t *testing.T) { each(t, testConversations) }

func testConversations(t *testing.T, open func() *catalog.DB) {
	ctx := t.Context()
	db := open()
	first := must[catalog.Conversation](t)(db.CreateConversation(ctx, catalog.Conversation{Collection: "a", Title: "年假"}))
	second := must[catalog.Conversation](t)(db.CreateConversation(ctx, catalog.Conversation{Collection: "a", Title: "two"}))
	data := json.RawMessage(`{"answer":"20 days [1]"}`)
	want := []catalog.Message{
		must[catalog.Message](t)(db.AddMessage(ctx, catalog.Message{ConversationID: first.ID, Role: catalog.User, Content: "how many?"})),
		must[catalog.Message](t)(db.AddMessage(ctx, catalog.Message{ConversationID: first.ID, Role: catalog.Assistant, Content: "20 days [1]", Data: data})),
	}
	if diff := cmp.Diff(want, must[[]catalog.Message](t)(db.Messages(ctx, first.ID))); diff != "" {
		t.Errorf("messages (-want +got):\n%s", diff)
	}
	if got := must[[]catalog.Conversation](t)(db.Conversations(ctx, 1, 0)); len(got) != 1 || got[0].ID != first.ID {
		t.Errorf("newest: %+v, want the first, which was written to last", got)
	}
	if got := must[[]catalog.Conversation](t)(db.Conversations(ctx, 0, 1)); len(got) != 1 || got[0].ID != second.ID {
		t.Errorf("second newest: %+v", got)
	}
	if err := db.RenameConversation(ctx, second.ID, "renamed"); err != nil {
		t.Fatal(err)
	}
	if got := must[catalog.Conversation](t)(db.Conversation(ctx, second.ID)); got.Title != "renamed" {
		t.Errorf("renamed: %+v", got)
	}
	if err := db.DeleteConversation(ctx, first.ID); err != nil {
		t.Fatal(err)
	}
	if got := must[[]catalog.Message](t)(db.Messages(ctx, first.ID)); len(got) != 0 {
		t.Errorf("messages outlive their conversation: %+v", got)
	}
	if _, err := db.AddMessage(ctx, catalog.Message{ConversationID: first.ID, Role: catalog.User}); !errors.Is(err, catalog.ErrNotFound) {
		t.Errorf("message to no conversation: %v", err)
	}
	for _, err := range []error{db.DeleteConversation(ctx, first.ID), db.RenameConversation(ctx, first.ID, "x")} {
		if !errors.Is(err, catalog.ErrNotFound) {
			t.Errorf("no conversation: %v", err)
		}
	}
	if _, err := db.Setting(ctx, "theme"); !errors.Is(err, catalog.ErrNotFound) {
		t.Errorf("no setting: %v", err)
	}
	for _, v := range []string{"dark", "light"} {
		if err := db.SetSetting(ctx, "theme", v); err != nil {
			t.Fatal(err)
		}
		if got := must[string](t)(db.Setting(ctx, "theme")); got != v {
			t.Errorf("setting is %q, want %q", got, v)
		}
	}
}

func put(ctx context.Context, db *catalog.DB, path, text string) error {
	c := chunker.Chunk{Text: text, End: len(text)}
	change, err := db.PutDocument(ctx, catalog.Document{Collection: "c", Path: path}, chunker.Document{Text: text}, []catalog.Chunk{{Chunk: c}}, "", 0, catalog.Notes{})
	if err != nil {
		return err
	}
	return change.Commit()
}

func TestNewerSchema(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.db")
	open(t, path).Close()
	raw, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := raw.Exec(`INSERT INTO goose_db_version (version_id, is_applied) VALUES (99999, 1)`); err != nil {
		t.Fatal(err)
	}
	raw.Close()
	_, err = catalog.Open(t.Context(), path, nil)
	if !errors.Is(err, catalog.ErrNewerSchema) || !strings.Contains(err.Error(), "99999") || !strings.Contains(err.Error(), path) {
		t.Errorf("got %v, want ErrNewerSchema with version and path", err)
	}
}

func TestDamagedFile(t *testing.T) {
	ctx := t.Context()
	good := filepath.Join(t.TempDir(), "good.db")
	db := open(t, good)
	if _, err := db.CreateCollection(ctx, "c", "", 0); err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		if err := put(ctx, db, fmt.Sprint(i), strings.Repeat("words ", 2000)); err != nil {
			t.Fatal(err)
		}
	}
	db.Close()
	whole, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	overwrite := func(at int) []byte {
		b := bytes.Clone(whole)
		copy(b[at:], bytes.Repeat([]byte{0xa5}, 4096))
		return b
	}
	for name, data := range map[string][]byte{
		"cut in the middle":   whole[:len(whole)/2],
		"cut by a byte":       whole[:len(whole)-1],
		"cut in the header":   whole[:50],
		"not a database":      []byte(strings.Repeat("this is a text file\n", 500)),
		"first page lost":     overwrite(0),
		"a page inside lost":  overwrite(4096 * 3),
		"a later page lost":   overwrite(4096 * (len(whole) / 8192)),
		"a page of text lost": overwrite(len(whole) - 8192),
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "bad.db")
			if err := os.WriteFile(path, data, 0o600); err != nil {
				t.Fatal(err)
			}
			db, err := catalog.Open(ctx, path, nil)
			if err == nil {
				// SQLite's structure is whole, the text is not: reading it says so.
				defer db.Close()
				for _, e := range db.ChunksAfter(ctx, "c", 0) {
					err = errors.Join(err, e)
				}
			}
			if !errors.Is(err, catalog.ErrCorrupt) {
				t.Fatalf("got %v, want ErrCorrupt", err)
			}
			if after, _ := os.ReadFile(path); !bytes.Equal(after, data) {
				t.Error("the damaged file was changed")
			}
		})
	}
}

func TestDiskFull(t *testing.T) {
	ctx := t.Context()
	path := filepath.Join(t.TempDir(), "a.db")
	db := open(t, path)
	if _, err := db.CreateCollection(ctx, "c", "", 0); err != nil {
		t.Fatal(err)
	}
	if err := put(ctx, db, "small", "words"); err != nil {
		t.Fatal(err)
	}
	if err := db.SetMaxBytes(ctx, 400_000); err != nil {
		t.Fatal(err)
	}
	if err := put(ctx, db, "large", strings.Repeat("words ", 1_000_000)); !errors.Is(err, catalog.ErrDiskFull) {
		t.Fatalf("got %v, want ErrDiskFull", err)
	}
	docs, err := db.Documents(ctx, "c")
	if err != nil || len(docs) != 1 {
		t.Errorf("documents after: %v, %v", docs, err)
	}
	if err := put(ctx, db, "small too", "words"); err != nil {
		t.Errorf("a small document after: %v", err)
	}
	if err := db.SetMaxBytes(ctx, 0); err != nil {
		t.Fatal(err)
	}
	if err := put(ctx, db, "large", strings.Repeat("words ", 1_000_000)); err != nil {
		t.Errorf("a large document once there is room: %v", err)
	}
}

func Example() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "catalog")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	db, err := catalog.Open(ctx, filepath.Join(dir, "docent.db"), nil)
	if err != nil {
		panic(err)
	}
	defer db.Close()
	if err := db.AddJobs(ctx, []catalog.Job{{Collection: "handbook", Path: "leave.pdf"}}); err != nil {
		panic(err)
	}
	job, ok, err := db.ClaimJob(ctx, time.Minute, true)
	fmt.Println(job.Path, job.State, ok, err)
	// Output: leave.pdf running true <nil>
}
