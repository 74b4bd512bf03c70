package ingest_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"docent/chunker"
	"docent/ingest"
	"docent/internal/catalog"
	"docent/retriever"
)

// bench is a pipeline over a store in a temporary folder, with the collection "c".
type bench struct {
	dir   string
	store *retriever.Store
	pipe  *ingest.Pipeline
}

func openStore(t testing.TB, dir string) *retriever.Store {
	t.Helper()
	s, err := retriever.Open(context.Background(), retriever.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func newPipeline(t testing.TB, s *retriever.Store, split chunker.RecursiveConfig, cfg ingest.PipelineConfig) *ingest.Pipeline {
	t.Helper()
	ex, err := ingest.NewExtractor(ingest.ExtractorConfig{CacheDir: t.TempDir(), MaxBytes: 8 << 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ex.Close() })
	r, err := chunker.NewRecursive(nil, split)
	if err != nil {
		t.Fatal(err)
	}
	return ingest.NewPipeline(s, ex, r, cfg)
}

func newBench(t testing.TB) *bench {
	t.Helper()
	b := &bench{dir: t.TempDir()}
	b.store = openStore(t, filepath.Join(b.dir, "data"))
	if _, err := b.store.CreateCollection(context.Background(), "c"); err != nil {
		t.Fatal(err)
	}
	b.pipe = newPipeline(t, b.store, chunker.RecursiveConfig{}, ingest.PipelineConfig{})
	return b
}

// file writes a file beside the data directory.
func (b *bench) file(t testing.TB, name, content string) ingest.Item {
	t.Helper()
	path := filepath.Join(b.dir, "files", name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	return ingest.Item{Path: path, File: path}
}

const handbook = "# Handbook\n\n## Leave\n\nStaff have fifteen days of leave a year.\n\n## 报销\n\n差旅费须在三十天内报销。\n"

func TestIngest(t *testing.T) {
	ctx := t.Context()
	b := newBench(t)
	it := b.file(t, "handbook.md", handbook)
	var stages []string
	res, err := b.pipe.Ingest(ctx, "c", it, func(p ingest.Progress) {
		if len(stages) == 0 || stages[len(stages)-1] != p.Stage {
			stages = append(stages, p.Stage)
		}
		if p.Done > p.Total {
			t.Errorf("progress %+v", p)
		}
	})
	if err != nil || res.Status != ingest.Ingested || res.Chunks == 0 || res.Path != it.Path {
		t.Fatalf("got %+v, %v", res, err)
	}
	if want := []string{"parsing", "cleaning", "chunking", "embedding", "storing"}; !slices.Equal(stages, want) {
		t.Errorf("stages %v, want %v", stages, want)
	}
	doc, err := b.store.Document(ctx, res.DocumentID)
	if err != nil || doc.Path != it.Path || doc.Title != "Handbook" || doc.Format != "markdown" || doc.Chunks != res.Chunks || doc.Bytes != int64(len(handbook)) {
		t.Errorf("stored %+v, %v", doc, err)
	}
	f, err := b.store.OpenFile(t.Context(), doc.SHA256)
	if err != nil {
		t.Fatalf("the original: %v", err)
	}
	f.Close()
	for _, q := range []string{"days of leave", "差旅费"} {
		hits, err := b.store.Search(ctx, "c", q)
		if err != nil || len(hits) == 0 || hits[0].Document.ID != res.DocumentID {
			t.Errorf("search %q: %d hits, %v", q, len(hits), err)
		}
	}

	again, err := b.pipe.Ingest(ctx, "c", it, nil)
	if err != nil || again.Status != ingest.Unchanged || again.DocumentID != res.DocumentID || again.Chunks != res.Chunks {
		t.Errorf("again: %+v, %v, want it unchanged", again, err)
	}

	b.file(t, "handbook.md", strings.Replace(handbook, "fifteen", "twenty", 1))
	changed, err := b.pipe.Ingest(ctx, "c", it, nil)
	if err != nil || changed.Status != ingest.Ingested || changed.DocumentID != res.DocumentID {
		t.Errorf("changed: %+v, %v, want the same document ingested", changed, err)
	}
	if hits, err := b.store.Search(ctx, "c", "fifteen"); err != nil || len(hits) > 0 {
		t.Errorf("the old text is still found: %d hits, %v", len(hits), err)
	}

	other := newPipeline(t, b.store, chunker.RecursiveConfig{MaxTokens: 64}, ingest.PipelineConfig{})
	if res, err := other.Ingest(ctx, "c", it, nil); err != nil || res.Status != ingest.Ingested {
		t.Errorf("other settings: %+v, %v, want it ingested again", res, err)
	}
}

func TestIngestSameBytesTwoPaths(t *testing.T) {
	ctx := t.Context()
	b := newBench(t)
	one, err1 := b.pipe.Ingest(ctx, "c", b.file(t, "one.md", handbook), nil)
	two, err2 := b.pipe.Ingest(ctx, "c", b.file(t, "two.md", handbook), nil)
	if err1 != nil || err2 != nil || one.DocumentID == two.DocumentID || two.Status != ingest.Duplicate {
		t.Fatalf("%+v %v, %+v %v: want two documents", one, err1, two, err2)
	}
	if err := b.store.DeleteDocument(ctx, one.DocumentID); err != nil {
		t.Fatal(err)
	}
	hits, err := b.store.Search(ctx, "c", "fifteen days of leave")
	if err != nil || len(hits) == 0 {
		t.Fatalf("%d hits, %v: the other document is to be found", len(hits), err)
	}
	doc, err := b.store.Document(ctx, two.DocumentID)
	if err != nil {
		t.Fatal(err)
	}
	f, err := b.store.OpenFile(t.Context(), doc.SHA256)
	if err != nil {
		t.Fatalf("its original went with the first: %v", err)
	}
	f.Close()
}

func TestIngestFailures(t *testing.T) {
	b := newBench(t)
	good := b.file(t, "good.md", handbook)
	if _, err := b.pipe.Ingest(t.Context(), "c", good, nil); err != nil {
		t.Fatal(err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	dir := filepath.Join(b.dir, "files")
	for _, tc := range []struct {
		name       string
		ctx        context.Context
		collection string
		item       ingest.Item
		want       error
	}{
		{name: "empty", item: b.file(t, "empty.md", ""), want: ingest.ErrEmptyFile},
		{name: "only white space", item: b.file(t, "blank.md", " \n\n"), want: ingest.ErrEmptyFile},
		{name: "missing", item: ingest.Item{Path: "gone.md", File: filepath.Join(dir, "gone.md")}, want: os.ErrNotExist},
		{name: "a folder", item: ingest.Item{Path: dir, File: dir}, want: ingest.ErrUnsupported},
		{name: "a program", item: b.file(t, "a.exe", "MZ\x00\x01\x02\xff\xfe\x00\x00\x00PE\x00\x00"+strings.Repeat("\x00\x9d\x81", 400)), want: ingest.ErrUnsupported},
		{name: "too large", item: b.file(t, "large.txt", strings.Repeat("a line of text\n", 600_000)), want: ingest.ErrTooLarge},
		{name: "no path", item: ingest.Item{File: good.File}, want: retriever.ErrInvalidName},
		{name: "unknown collection", collection: "nope", item: good, want: retriever.ErrNotFound},
		{name: "unknown bytes", item: ingest.Item{Path: "x.md", SHA256: strings.Repeat("ab", 32)}, want: retriever.ErrNotFound},
		{name: "an error of its source", item: ingest.Item{Path: "x.md", Err: ingest.ErrPassword}, want: ingest.ErrPassword},
		{name: "cancelled", ctx: ended, item: b.file(t, "late.md", handbook), want: context.Canceled},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if tc.ctx == nil {
				tc.ctx = t.Context()
			}
			if tc.collection == "" {
				tc.collection = "c"
			}
			res, err := b.pipe.Ingest(tc.ctx, tc.collection, tc.item, nil)
			if !errors.Is(err, tc.want) || !errorNames(err, tc.item.Path) {
				t.Errorf("error %v, want %v that names %q", err, tc.want, tc.item.Path)
			}
			if res.Status != ingest.Failed || res.Error == "" || res.Path != tc.item.Path {
				t.Errorf("result %+v", res)
			}
		})
	}
	docs, err := b.store.Documents(t.Context(), "c")
	if err != nil || len(docs) != 1 {
		t.Errorf("%d documents, %v, want the good one alone", len(docs), err)
	}
	t.Run("the old version stays", func(t *testing.T) {
		b.file(t, "good.md", "")
		if res, err := b.pipe.Ingest(t.Context(), "c", good, nil); err == nil {
			t.Errorf("got %+v", res)
		}
		if hits, err := b.store.Search(t.Context(), "c", "fifteen days of leave"); err != nil || len(hits) == 0 {
			t.Errorf("%d hits, %v", len(hits), err)
		}
	})
}

func errorNames(err error, path string) bool {
	return err != nil && strings.Contains(err.Error(), fmt.Sprintf("%q", path))
}

func TestPrune(t *testing.T) {
	ctx := t.Context()
	b := newBench(t)
	for _, name := range []string{"docs/a.md", "docs/sub/b.md", "docs2/c.md"} {
		if _, err := b.pipe.Ingest(ctx, "c", b.file(t, name, handbook), nil); err != nil {
			t.Fatal(err)
		}
	}
	upload := b.file(t, "docs/upload.md", handbook)
	upload.Path = "upload.md" // not below any folder
	if _, err := b.pipe.Ingest(ctx, "c", upload, nil); err != nil {
		t.Fatal(err)
	}
	root := filepath.Join(b.dir, "files")
	for _, name := range []string{"docs/sub/b.md", "docs/upload.md", "docs2/c.md"} {
		if err := os.Remove(filepath.Join(root, name)); err != nil {
			t.Fatal(err)
		}
	}
	gone, err := b.pipe.Prune(ctx, "c", filepath.Join(root, "docs"))
	if err != nil || len(gone) != 1 || gone[0].Path != filepath.Join(root, "docs", "sub", "b.md") {
		t.Fatalf("pruned %+v, %v, want docs/sub/b.md alone", gone, err)
	}
	if err := os.RemoveAll(filepath.Join(root, "docs")); err != nil {
		t.Fatal(err)
	}
	if gone, err := b.pipe.Prune(ctx, "c", filepath.Join(root, "docs")); !errors.Is(err, os.ErrNotExist) || len(gone) > 0 {
		t.Errorf("a root that is gone: pruned %d, %v", len(gone), err)
	}
	if docs, err := b.store.Documents(ctx, "c"); err != nil || len(docs) != 3 {
		t.Errorf("%d documents left, %v, want 3", len(docs), err)
	}
}

// start runs the queue until the test ends.
func (b *bench) start(t testing.TB) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- b.pipe.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("Run: %v", err)
			}
		case <-time.After(20 * time.Second):
			t.Error("Run does not end")
		}
	})
	t.Cleanup(stop)
	return stop
}

// settle waits until the jobs have ended and returns them as the record has them.
func (b *bench) settle(t testing.TB, jobs []catalog.Job) []catalog.Job {
	t.Helper()
	out := make([]catalog.Job, len(jobs))
	for deadline := time.Now().Add(30 * time.Second); ; {
		open := 0
		for i, j := range jobs {
			got, err := b.store.Catalog().Job(context.Background(), j.ID)
			if err != nil {
				t.Fatal(err)
			}
			out[i] = got
			if got.State == catalog.Queued || got.State == catalog.Running {
				open++
			}
		}
		if open == 0 {
			return out
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d jobs have not ended: %+v", open, out)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func TestQueue(t *testing.T) {
	ctx := t.Context()
	b := newBench(t)
	var items []ingest.Item
	for i := range 12 {
		items = append(items, b.file(t, fmt.Sprintf("%02d.md", i), handbook+fmt.Sprintf("\nFile %d.\n", i)))
	}
	items = append(items, b.file(t, "blank.txt", "  \n"), b.file(t, "empty.txt", ""), ingest.Item{Path: "unreadable", Err: os.ErrPermission})
	twice := items[3]
	twice.File = b.file(t, "other", "# Another text\n\nunder the same path.").File
	items = append(items, twice)

	jobs, err := b.pipe.Enqueue(ctx, "c", items)
	if err != nil || len(jobs) != 15 {
		t.Fatalf("%d jobs, %v, want 15", len(jobs), err)
	}
	for _, it := range items { // the bytes are the store's now
		if it.File != "" {
			os.Remove(it.File)
		}
	}
	b.start(t)
	for _, j := range b.settle(t, jobs) {
		switch name := filepath.Base(j.Path); name {
		case "blank.txt", "empty.txt", "unreadable":
			if j.State != catalog.Failed || j.Status != ingest.Failed || j.Error == "" {
				t.Errorf("%s: %+v, want it failed with a reason", name, j)
			}
		default:
			if j.State != catalog.Done || j.Status != ingest.Ingested || j.DocumentID == "" || j.Attempts != 1 || j.Done == 0 || j.Done != j.Total {
				t.Errorf("%s: %+v, want it ingested", name, j)
			}
		}
	}
	if hits, err := b.store.Search(ctx, "c", "another text under the same path"); err != nil || len(hits) == 0 || hits[0].Document.Path != twice.Path {
		t.Errorf("the last of two items of one path is to be found: %d hits, %v", len(hits), err)
	}
	if docs, err := b.store.Documents(ctx, "c"); err != nil || len(docs) != 12 {
		t.Errorf("%d documents, %v, want 12", len(docs), err)
	}
	if err := b.pipe.Run(ctx); !errors.Is(err, ingest.ErrRunning) {
		t.Errorf("a second Run: %v, want ErrRunning", err)
	}
	if _, err := b.pipe.Enqueue(ctx, "nope", items); !errors.Is(err, retriever.ErrNotFound) {
		t.Errorf("unknown collection: %v", err)
	}
}

// blocker is a splitter that waits until it is let go, to have a job at work for as long as a test
// needs.
type blocker struct {
	chunker.Splitter
	entered chan string
	release chan struct{}
}

func newBlocker(t testing.TB) *blocker {
	r, err := chunker.NewRecursive(nil, chunker.RecursiveConfig{})
	if err != nil {
		t.Fatal(err)
	}
	return &blocker{Splitter: r, entered: make(chan string, 100), release: make(chan struct{})}
}

func (b *blocker) Split(ctx context.Context, doc chunker.Document) ([]chunker.Chunk, error) {
	b.entered <- doc.Title
	<-b.release
	return b.Splitter.Split(ctx, doc)
}

func (b *bench) with(t testing.TB, split chunker.Splitter, cfg ingest.PipelineConfig) {
	ex, err := ingest.NewExtractor(ingest.ExtractorConfig{CacheDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ex.Close() })
	b.pipe = ingest.NewPipeline(b.store, ex, split, cfg)
}

func TestQueueCancelRetry(t *testing.T) {
	ctx := t.Context()
	b := newBench(t)
	block := newBlocker(t)
	b.with(t, block, ingest.PipelineConfig{Workers: 1, Heartbeat: 10 * time.Millisecond})
	jobs, err := b.pipe.Enqueue(ctx, "c", []ingest.Item{b.file(t, "a.md", handbook+"a"), b.file(t, "b.md", handbook+"b"), b.file(t, "c.md", handbook+"c")})
	if err != nil {
		t.Fatal(err)
	}
	state := func(id string) catalog.Job {
		j, err := b.store.Catalog().Job(ctx, id)
		if err != nil {
			t.Fatal(err)
		}
		return j
	}
	b.start(t)
	<-block.entered // a is at work
	first := state(jobs[0].ID)
	if first.State != catalog.Running || first.Stage == "" {
		t.Errorf("the job at work is %+v", first)
	}
	for deadline := time.Now().Add(5 * time.Second); !state(jobs[0].ID).Heartbeat.After(first.Heartbeat); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("no heartbeat")
		}
	}
	if err := b.pipe.Cancel(ctx, jobs[1].ID); err != nil || state(jobs[1].ID).State != catalog.Cancelled {
		t.Errorf("cancel a queued job: %v, %+v", err, state(jobs[1].ID))
	}
	go func() { time.Sleep(20 * time.Millisecond); block.release <- struct{}{} }()
	if err := b.pipe.Cancel(ctx, jobs[0].ID); err != nil || state(jobs[0].ID).State != catalog.Cancelled {
		t.Errorf("cancel a running job: %v, %+v", err, state(jobs[0].ID))
	}
	close(block.release)
	b.settle(t, jobs)
	if docs, err := b.store.Documents(ctx, "c"); err != nil || len(docs) != 1 || docs[0].Path != jobs[2].Path {
		t.Fatalf("%+v, %v, want the third file alone", docs, err)
	}
	if err := b.pipe.Cancel(ctx, jobs[2].ID); err != nil || state(jobs[2].ID).State != catalog.Done {
		t.Errorf("cancel a job that is done: %v, %+v", err, state(jobs[2].ID))
	}
	if err := b.pipe.Retry(ctx, jobs[2].ID); !errors.Is(err, ingest.ErrNotEnded) {
		t.Errorf("retry a job that is done: %v", err)
	}
	if err := b.pipe.Retry(ctx, jobs[0].ID); err != nil {
		t.Fatal(err)
	}
	if got := b.settle(t, jobs[:1])[0]; got.State != catalog.Done || got.Status != ingest.Ingested {
		t.Errorf("after the retry: %+v", got)
	}
	for _, f := range []func(context.Context, string) error{b.pipe.Cancel, b.pipe.Retry} {
		if err := f(ctx, "nope"); !errors.Is(err, retriever.ErrNotFound) {
			t.Errorf("unknown job: %v", err)
		}
	}
}

// The end of the program is not a file's fault: its job is queued again as if never begun.
func TestQueueStop(t *testing.T) {
	ctx := t.Context()
	b := newBench(t)
	block := newBlocker(t)
	b.with(t, block, ingest.PipelineConfig{Workers: 1})
	jobs, err := b.pipe.Enqueue(ctx, "c", []ingest.Item{b.file(t, "a.md", handbook), b.file(t, "b.md", handbook)})
	if err != nil {
		t.Fatal(err)
	}
	stop := b.start(t)
	<-block.entered
	go func() { time.Sleep(20 * time.Millisecond); close(block.release) }()
	stop()
	for _, j := range jobs {
		got, err := b.store.Catalog().Job(ctx, j.ID)
		if err != nil || got.State != catalog.Queued || got.Attempts != 0 {
			t.Errorf("%+v, %v, want it queued, never begun", got, err)
		}
	}
	b.start(t)
	for _, j := range b.settle(t, jobs) {
		if j.State != catalog.Done {
			t.Errorf("%+v, want it done", j)
		}
	}
}

// A job that was running when the process ended is begun again after the others, and set aside once
// it has been begun too often.
func TestQueueCrashed(t *testing.T) {
	ctx := t.Context()
	b := newBench(t)
	var items []ingest.Item
	for _, name := range []string{"poison.md", "victim.md", "fresh.md"} {
		items = append(items, b.file(t, name, handbook))
	}
	jobs, err := b.pipe.Enqueue(ctx, "c", items)
	if err != nil {
		t.Fatal(err)
	}
	for i, attempts := range []int{5, 2} { // as a process that was killed leaves them
		_, err := b.store.Catalog().ChangeJob(ctx, jobs[i].ID, func(j *catalog.Job) error {
			j.State, j.Attempts, j.Stage = catalog.Running, attempts, ingest.StageParsing
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	b.start(t)
	got := b.settle(t, jobs)
	if j := got[0]; j.State != catalog.Failed || !strings.Contains(j.Error, "5 times") {
		t.Errorf("poison: %+v", j)
	}
	if j := got[1]; j.State != catalog.Done || j.Attempts != 3 {
		t.Errorf("victim: %+v", j)
	}
	if fresh, victim := got[2], got[1]; fresh.State != catalog.Done || fresh.UpdatedAt.After(victim.UpdatedAt) {
		t.Errorf("the fresh file ended at %v, after the one begun before, at %v", fresh.UpdatedAt, victim.UpdatedAt)
	}
}

func TestSubscribe(t *testing.T) {
	b := newBench(t)
	if _, err := b.store.CreateCollection(t.Context(), "other"); err != nil {
		t.Fatal(err)
	}
	before := runtime.NumGoroutine()
	ctx, cancel := context.WithCancel(t.Context())
	stuck := b.pipe.Subscribe(ctx, "") // nobody reads it: it must hold up nothing
	mine, all := b.pipe.Subscribe(ctx, "c"), b.pipe.Subscribe(ctx, "")
	const n = 20
	final := func(seq func(func(catalog.Job) bool), want int) map[string]string {
		states := make(map[string]string)
		ended := 0
		for j := range seq {
			if s := states[j.ID]; s == catalog.Done {
				t.Errorf("%s changes after its end", j.Path)
			}
			states[j.ID] = j.State
			time.Sleep(time.Millisecond) // a slow reader
			if j.State == catalog.Done {
				if ended++; ended == want {
					break
				}
			}
		}
		return states
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		if got := final(mine, n); len(got) != n {
			t.Errorf("%d jobs of the collection, want %d", len(got), n)
		}
	})
	wg.Go(func() {
		if got := final(all, n+1); len(got) != n+1 {
			t.Errorf("%d jobs in all, want %d", len(got), n+1)
		}
	})
	stop := b.start(t)
	var items []ingest.Item
	for i := range n {
		items = append(items, b.file(t, fmt.Sprintf("%d.md", i), handbook))
	}
	if _, err := b.pipe.Enqueue(t.Context(), "other", items[:1]); err != nil {
		t.Fatal(err)
	}
	if _, err := b.pipe.Enqueue(t.Context(), "c", items); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	ended := 0
	for j := range stuck { // what it was not read meanwhile is there in its latest state
		if j.State != catalog.Done {
			t.Errorf("%s is %s, want only latest states", j.Path, j.State)
		}
		if ended++; ended == n+1 {
			break
		}
	}
	cancel()
	for range all {
		t.Error("a change after the end of the context")
	}
	stop()
	b.store.Close()
	for deadline := time.Now().Add(5 * time.Second); runtime.NumGoroutine() > before+2; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), before)
		}
	}
}
