package ingest_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"docent/chunker"
	"docent/ingest"
	"docent/internal/catalog"
	"docent/retriever"
)

func (b *bench) job(t testing.TB, id string) catalog.Job {
	t.Helper()
	j, err := b.store.Catalog().Job(context.Background(), id)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

func TestQueuePause(t *testing.T) {
	ctx := t.Context()
	b := newBench(t)
	block := newBlocker(t)
	b.with(t, block, ingest.PipelineConfig{Workers: 1})
	jobs, err := b.pipe.Enqueue(ctx, "c", []ingest.Item{b.file(t, "a.md", handbook), b.file(t, "b.md", handbook), b.file(t, "c.md", handbook)})
	if err != nil {
		t.Fatal(err)
	}
	stop := b.start(t)
	<-block.entered // a is at work
	release := func() { time.Sleep(20 * time.Millisecond); block.release <- struct{}{} }
	go release()
	if err := b.pipe.Pause(ctx, jobs[0].ID); err != nil || b.job(t, jobs[0].ID).State != catalog.Paused {
		t.Fatalf("pause a running job: %v, %+v", err, b.job(t, jobs[0].ID))
	}
	if err := b.pipe.Pause(ctx, jobs[2].ID); err != nil || b.job(t, jobs[2].ID).State != catalog.Paused {
		t.Fatalf("pause a queued job: %v", err)
	}
	<-block.entered // b is at work
	go release()
	if err := b.pipe.PauseQueue(ctx); err != nil {
		t.Fatal(err)
	}
	if j := b.job(t, jobs[1].ID); j.State != catalog.Queued || j.Attempts != 0 || !b.pipe.Flow("c").Paused {
		t.Errorf("with the queue paused: %+v, %+v", j, b.pipe.Flow("c"))
	}
	for i := range jobs[:1] {
		if err := b.pipe.Resume(ctx, jobs[i].ID); err != nil || b.job(t, jobs[i].ID).State != catalog.Queued {
			t.Errorf("resume: %v, %+v", err, b.job(t, jobs[i].ID))
		}
	}

	// The pause outlives the process.
	stop()
	close(block.release)
	b.with(t, block, ingest.PipelineConfig{Workers: 1})
	b.start(t)
	time.Sleep(50 * time.Millisecond)
	if j := b.job(t, jobs[0].ID); j.State != catalog.Queued || !b.pipe.Flow("c").Paused {
		t.Errorf("after a start: %+v", j)
	}
	if err := b.pipe.ResumeQueue(ctx); err != nil {
		t.Fatal(err)
	}
	for _, j := range b.settle(t, jobs[:2]) {
		if j.State != catalog.Done || j.Attempts != 1 {
			t.Errorf("%+v", j)
		}
	}
	if j := b.job(t, jobs[2].ID); j.State != catalog.Paused {
		t.Errorf("a paused job is %s", j.State)
	}
	for _, f := range []func(context.Context, string) error{b.pipe.Pause, b.pipe.Resume} {
		if err := f(ctx, jobs[0].ID); !errors.Is(err, ingest.ErrEnded) {
			t.Errorf("a job that is done: %v", err)
		}
		if err := f(ctx, "nope"); !errors.Is(err, retriever.ErrNotFound) {
			t.Errorf("unknown job: %v", err)
		}
	}
	if err := b.pipe.Cancel(ctx, jobs[2].ID); err != nil || b.job(t, jobs[2].ID).State != catalog.Cancelled {
		t.Errorf("cancel a paused job: %v", err)
	}
}

// unreachable has the first files fail for want of a record.
type unreachable struct {
	chunker.Splitter
	left atomic.Int64
}

func (u *unreachable) Split(ctx context.Context, doc chunker.Document) ([]chunker.Chunk, error) {
	if u.left.Add(-1) >= 0 {
		return nil, fmt.Errorf("store: %w", retriever.ErrUnavailable)
	}
	return u.Splitter.Split(ctx, doc)
}

// A record that cannot be reached for a while is not the file's fault.
func TestQueueRecordUnreachable(t *testing.T) {
	b := newBench(t)
	for fails, want := range map[int64]string{2: catalog.Done, 10: catalog.Failed} {
		u := &unreachable{Splitter: newBlocker(t).Splitter}
		u.left.Store(fails)
		b.with(t, u, ingest.PipelineConfig{MaxAttempts: 3})
		jobs, err := b.pipe.Enqueue(t.Context(), "c", []ingest.Item{b.file(t, fmt.Sprint(fails, ".md"), fmt.Sprint(handbook, fails))})
		if err != nil {
			t.Fatal(err)
		}
		stop := b.start(t)
		if j := b.settle(t, jobs)[0]; j.State != want || j.Attempts != 3 {
			t.Errorf("after %d failures: %+v, want it %s at the third attempt", fails, j, want)
		}
		stop()
	}
}

func TestRetryFailed(t *testing.T) {
	ctx := t.Context()
	b := newBench(t)
	failing := &failingSplitter{Splitter: newBlocker(t).Splitter}
	failing.broken.Store(true)
	b.with(t, failing, ingest.PipelineConfig{})
	jobs, err := b.pipe.Enqueue(ctx, "c", []ingest.Item{b.file(t, "a.md", handbook), b.file(t, "b.md", handbook), {Path: "gone.md", Err: os.ErrPermission}})
	if err != nil {
		t.Fatal(err)
	}
	b.start(t)
	for _, j := range b.settle(t, jobs) {
		if j.State != catalog.Failed || j.Error == "" {
			t.Errorf("%+v", j)
		}
	}
	failing.broken.Store(false)
	if n, err := b.pipe.RetryFailed(ctx, "c"); n != 2 || err != nil {
		t.Errorf("%d tried again, %v, want 2", n, err)
	}
	for _, j := range b.settle(t, jobs[:2]) {
		if j.State != catalog.Done || j.Error != "" {
			t.Errorf("%+v", j)
		}
	}
	if _, err := b.pipe.RetryFailed(ctx, "nope"); !errors.Is(err, retriever.ErrNotFound) {
		t.Errorf("unknown collection: %v", err)
	}
}

type failingSplitter struct {
	chunker.Splitter
	broken atomic.Bool
}

func (f *failingSplitter) Split(ctx context.Context, doc chunker.Document) ([]chunker.Chunk, error) {
	if f.broken.Load() {
		return nil, errors.New("the splitter is broken")
	}
	return f.Splitter.Split(ctx, doc)
}

// countingEncoder makes vectors of the letters of a text, and counts the texts; it fails while broken.
type countingEncoder struct {
	texts  atomic.Int64
	broken atomic.Bool
}

func (*countingEncoder) Fingerprint() string { return "counting" }
func (*countingEncoder) Dim() int            { return 8 }
func (*countingEncoder) Languages() []string { return nil }

func (e *countingEncoder) EmbedDocuments(_ context.Context, texts []string) ([][]float32, error) {
	if e.broken.Load() {
		return nil, errors.New("the encoder is broken")
	}
	e.texts.Add(int64(len(texts)))
	out := make([][]float32, len(texts))
	for i, text := range texts {
		v := make([]float32, 8)
		v[0] = 1
		for k, r := range text {
			v[(k+int(r))%8] += float32(r%13) / 100
		}
		out[i] = v
	}
	return out, nil
}

func (e *countingEncoder) EmbedQuery(ctx context.Context, text string) ([]float32, error) {
	v, err := e.EmbedDocuments(ctx, []string{text})
	if err != nil {
		return nil, err
	}
	return v[0], nil
}

// A changed document costs the vectors of the chunks that changed, and is one document all the while.
func TestChangedChunksOnly(t *testing.T) {
	ctx := t.Context()
	enc := &countingEncoder{}
	dir := t.TempDir()
	store, err := retriever.Open(ctx, retriever.Config{Dir: filepath.Join(dir, "data"), Encoder: enc})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	if _, err := store.CreateCollection(ctx, "c"); err != nil {
		t.Fatal(err)
	}
	b := &bench{dir: dir, store: store, pipe: newPipeline(t, store, chunker.RecursiveConfig{MaxTokens: 64, Overlap: -1}, ingest.PipelineConfig{})}
	section := func(i int, word string) string {
		return fmt.Sprintf("## Rule %d\n\n%s\n\n", i, strings.Repeat(fmt.Sprintf("Rule number%d asks for %s. ", i, word), 5))
	}
	var before, after strings.Builder
	for i := range 20 {
		before.WriteString(section(i, "care"))
		if i == 7 {
			after.WriteString(section(i, "haste"))
			continue
		}
		after.WriteString(section(i, "care"))
	}
	it := b.file(t, "rules.md", before.String())
	first, err := b.pipe.Ingest(ctx, "c", it, nil)
	if err != nil || first.Chunks < 20 || enc.texts.Load() != int64(first.Chunks) {
		t.Fatalf("%+v, %v, %d texts embedded", first, err, enc.texts.Load())
	}
	if again, err := b.pipe.Ingest(ctx, "c", it, nil); err != nil || again.Status != ingest.Unchanged || enc.texts.Load() != int64(first.Chunks) {
		t.Errorf("same bytes: %+v, %v, %d texts embedded", again, err, enc.texts.Load())
	}
	enc.texts.Store(0)
	b.file(t, "rules.md", after.String())

	// The encoder fails: the old document stays whole.
	enc.broken.Store(true)
	if res, err := b.pipe.Ingest(ctx, "c", it, nil); err == nil {
		t.Errorf("with a broken encoder: %+v", res)
	}
	enc.broken.Store(false)
	if hits, err := store.Search(ctx, "c", "number7 care", retriever.WithMode(retriever.Keyword)); err != nil || len(hits) == 0 || !strings.Contains(hits[0].Chunk.Text, "care") {
		t.Errorf("the old document: %d hits, %v", len(hits), err)
	}
	changed, err := b.pipe.Ingest(ctx, "c", it, nil)
	if err != nil || changed.DocumentID != first.DocumentID {
		t.Fatalf("%+v, %v", changed, err)
	}
	if n := enc.texts.Load(); n == 0 || n > 2 {
		t.Errorf("%d texts embedded for one changed rule of %d chunks", n, changed.Chunks)
	}
}

// Work that was cut off after parsing goes on with the stage after it.
func TestParsedIsKept(t *testing.T) {
	ctx := t.Context()
	b := newBench(t)
	block := newBlocker(t)
	b.with(t, block, ingest.PipelineConfig{})
	it := b.file(t, "a.md", handbook)
	cut, cancel := context.WithCancel(ctx)
	go func() { <-block.entered; cancel(); block.release <- struct{}{} }()
	if res, err := b.pipe.Ingest(cut, "c", it, nil); !errors.Is(err, context.Canceled) {
		t.Fatalf("%+v, %v", res, err)
	}
	kept, err := filepath.Glob(filepath.Join(b.store.Dir(), "parsed", "*"))
	if err != nil || len(kept) != 1 {
		t.Fatalf("%v, %v: want the parsed document", kept, err)
	}
	// An extractor that can read nothing shows that nothing is read again.
	blind, err := ingest.NewExtractor(ingest.ExtractorConfig{Worker: []string{filepath.Join(b.dir, "no such program")}})
	if err != nil {
		t.Fatal(err)
	}
	defer blind.Close()
	b.pipe = ingest.NewPipeline(b.store, blind, block.Splitter, ingest.PipelineConfig{})
	if res, err := b.pipe.Ingest(ctx, "c", it, nil); err != nil || res.Status != ingest.Ingested {
		t.Errorf("%+v, %v", res, err)
	}
	if kept, _ := filepath.Glob(filepath.Join(b.store.Dir(), "parsed", "*")); len(kept) > 0 {
		t.Errorf("%v is left", kept)
	}
	// One that is damaged is not trusted.
	b.with(t, block, ingest.PipelineConfig{})
	b.file(t, "a.md", handbook+"\nMore.\n")
	cut, cancel = context.WithCancel(ctx)
	go func() { <-block.entered; cancel(); block.release <- struct{}{} }()
	if _, err := b.pipe.Ingest(cut, "c", it, nil); err == nil {
		t.Fatal("not cut off")
	}
	kept, _ = filepath.Glob(filepath.Join(b.store.Dir(), "parsed", "*"))
	for _, name := range kept {
		if err := os.Truncate(name, 100); err != nil {
			t.Fatal(err)
		}
	}
	go func() { <-block.entered; block.release <- struct{}{} }()
	if res, err := b.pipe.Ingest(ctx, "c", it, nil); err != nil || res.Status != ingest.Ingested {
		t.Errorf("%+v, %v", res, err)
	}
}

// A site is gone through by the queue: its pages are jobs, and a page that fails is one too.
func TestQueueSite(t *testing.T) {
	ctx := t.Context()
	s, b := newSite(t, harbour()), siteBench(t)
	job, err := b.pipe.EnqueueSite(ctx, "c", s.URL+"/#top", ingest.SiteOptions{Delay: time.Millisecond})
	if err != nil || job.Kind != catalog.SiteJob || job.Path != s.URL+"/" {
		t.Fatalf("%+v, %v", job, err)
	}
	page, err := ingest.WebItem(s.URL + "/unfollowed#part")
	if err != nil {
		t.Fatal(err)
	}
	gone, err := ingest.WebItem(s.URL + "/nowhere")
	if err != nil {
		t.Fatal(err)
	}
	inside, err := ingest.WebItem("http://[::1]/")
	if err != nil {
		t.Fatal(err)
	}
	single, err := b.pipe.Enqueue(ctx, "c", []ingest.Item{page, gone, inside})
	if err != nil {
		t.Fatal(err)
	}
	b.start(t)
	if got := b.settle(t, []catalog.Job{job})[0]; got.State != catalog.Done || got.Status != ingest.Crawled || got.Done != 6 {
		t.Errorf("site: %+v, want 6 pages", got)
	}
	got := b.settle(t, single)
	if j := got[0]; j.State != catalog.Done || j.SHA256 == "" || j.Bytes == 0 {
		t.Errorf("page: %+v", j)
	}
	if j := got[1]; j.State != catalog.Failed || !strings.Contains(j.Error, "404") {
		t.Errorf("page that is not there: %+v", j)
	}
	if j := got[2]; j.State != catalog.Failed || !strings.Contains(j.Error, "not public") {
		t.Errorf("address inside: %+v", j)
	}
	all, err := b.store.Catalog().Jobs(ctx, "c", 0)
	if err != nil {
		t.Fatal(err)
	}
	b.settle(t, all)
	if docs, err := b.store.Documents(ctx, "c"); err != nil || len(docs) != 7 {
		t.Errorf("%d documents, %v, want 7", len(docs), err)
	}
	// A page that could not be had can be tried again.
	s.set("/nowhere", article("somewhere", ""))
	if err := b.pipe.Retry(ctx, got[1].ID); err != nil {
		t.Fatal(err)
	}
	if j := b.settle(t, got[1:2])[0]; j.State != catalog.Done {
		t.Errorf("tried again: %+v", j)
	}
	if _, err := b.pipe.EnqueueSite(ctx, "c", "file:///etc", ingest.SiteOptions{}); !errors.Is(err, ingest.ErrAddress) {
		t.Errorf("got %v", err)
	}
	if _, err := b.pipe.EnqueueSite(ctx, "c", s.URL, ingest.SiteOptions{Depth: 1000}); !errors.Is(err, ingest.ErrInvalidSetting) {
		t.Errorf("got %v", err)
	}
}

func TestMeter(t *testing.T) {
	b := newBench(t)
	b.start(t)
	var items []ingest.Item
	for i := range 10 {
		items = append(items, b.file(t, fmt.Sprintf("%d.md", i), handbook))
	}
	jobs, err := b.pipe.Enqueue(t.Context(), "c", items)
	if err != nil {
		t.Fatal(err)
	}
	b.settle(t, jobs)
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		f := b.pipe.Flow("c")
		if f.Files == 10 && f.FilesDone == 10 && f.Bytes == int64(10*len(handbook)) && f.BytesDone == f.Bytes && len(f.Stages) == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%+v", f)
		}
	}
}
