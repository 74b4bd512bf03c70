package ingest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"docent/chunker"
	"docent/internal/catalog"
	"docent/retriever"
)

// The values of Result.Status.
const (
	Ingested  = "ingested"  // stored, in place of what the path held before
	Partial   = "partial"   // stored likewise, but pages of it show what is not in its text: Report.NeedsOCR, NeedsOCRIn
	Duplicate = "duplicate" // recorded, but not indexed again: another document has the same bytes
	Unchanged = "unchanged" // the same bytes were stored with the same settings; nothing was done
	Crawled   = "crawled"   // a site was gone through; its pages are jobs of their own
	Failed    = "failed"    // Result.Error says why; what the path held before is still there
)

// The stages of a file on its way, as Progress and jobs name them.
const (
	StageFetching  = "fetching" // from the web
	StageParsing   = "parsing"
	StageOCR       = "recognizing" // text in pictures, page by page
	StageCleaning  = "cleaning"
	StageChunking  = "chunking"
	StageEmbedding = "embedding"
	StageStoring   = "storing"
)

// settingsKey is the metadata of a stored document that says with which settings it was made. A
// document made with others is made anew although its bytes are the same.
const settingsKey = "docent.settings"

// pipelineVersion changes with every change of an extractor that yields another document.
const pipelineVersion = 5

// An Item is a file to ingest.
type Item struct {
	// Path is the document's name in the collection: recorded, shown, cited, and replaced by the next
	// item of the same path.
	Path string
	// File is where the bytes are; empty when SHA256 names a file of the store, and when Path is an
	// address of the web that is still to be fetched.
	File string
	// Name, when set, hints at the format by its extension; else Path does.
	Name string
	// SHA256 is the hexadecimal sum by which the store holds the bytes; empty when File is to be read.
	SHA256 string
	// Bytes is the size; 0 when unknown.
	Bytes int64
	// Temporary says that File is removed once it has been read (see Fetch).
	Temporary bool
	// OCR says which pages go through text recognition: OCRAuto, OCROff or OCRAll. The collection's
	// settings can forbid it.
	OCR string
	// Password opens the file, if it asks for one. It is not kept with the job.
	Password string
	// Again has the file read anew although its bytes and settings are those of the stored document.
	Again bool
	// Err, when set, is why the file cannot be read: Ingest reports it as the file's failure.
	Err error

	claim string // of the job that the item is of
}

// A Result is what became of an item.
type Result struct {
	Path       string   `json:"path"`
	Status     string   `json:"status"` // Ingested, Partial, Duplicate, Unchanged or Failed
	DocumentID string   `json:"document_id"`
	Chunks     int      `json:"chunks"` // of a site: pages
	Error      string   `json:"error,omitempty"`
	Warnings   []string `json:"warnings,omitempty"`
}

// Progress is how far a file is: Done of Total within the stage, in chunks while embedding; Total is 0
// where it is not known.
type Progress struct {
	Stage string `json:"stage"`
	Done  int    `json:"done"`
	Total int    `json:"total"`
}

// PipelineConfig tunes a [Pipeline]. The zero value works.
type PipelineConfig struct {
	// Workers is how many files Run works on at once, so that one is parsed while another is embedded;
	// 0 means the number of CPUs, at least 2 and at most 4.
	Workers int
	// Embedding is how many of them may be in the embedding stage, each holding its chunks and vectors;
	// 0 means 2.
	Embedding int
	// MaxAttempts is how often a job is begun again after the process ended under it; 0 means 5. A job
	// begun again has the process to itself, so that the one at fault is told from its neighbours.
	MaxAttempts int
	// Heartbeat is the time between two signs of life of a running job; 0 means 5 s.
	Heartbeat time.Duration
	// Fetcher gets pages from the web; nil means that none are fetched.
	Fetcher *Fetcher
	// Splitter makes the splitter of a collection whose settings choose another than NewPipeline was given;
	// nil means that files of such a collection fail.
	Splitter func(chunker.Config) (chunker.Splitter, error)
	// Situate tells in a sentence where a chunk stands in its document, for collections whose settings ask
	// for that (see [Situate]); nil means that no language model is there, and files of such a collection fail.
	Situate func(ctx context.Context, doc chunker.Document, c chunker.Chunk) (string, error)
	// Version is the caller's part of what makes documents comparable: a file whose bytes are as
	// before is ingested again when it differs.
	Version string
	// Logger gets one record for each job that fails; nil discards.
	Logger *slog.Logger
}

func (c PipelineConfig) withDefaults() PipelineConfig {
	if c.Workers <= 0 {
		c.Workers = min(max(runtime.GOMAXPROCS(0), 2), 4)
	}
	if c.Embedding <= 0 {
		c.Embedding = 2
	}
	if c.MaxAttempts <= 0 {
		c.MaxAttempts = 5
	}
	if c.Heartbeat <= 0 {
		c.Heartbeat = 5 * time.Second
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// A Pipeline brings files into collections: one at a time with Ingest, or through a durable queue with
// Enqueue and Run. It is safe for concurrent use.
type Pipeline struct {
	store     *retriever.Store
	extractor *Extractor
	splitter  chunker.Splitter
	cfg       PipelineConfig
	settings  string
	embedding *semaphore.Weighted
	paths     pathLocks
	queue     queue
	watchers  watchers
	passwords sync.Map // collection, zero byte and path to the password of a file that waits
}

// NewPipeline returns a pipeline from ex by way of split into store. It owns none of them: the caller
// closes the store and the extractor after the last call.
func NewPipeline(store *retriever.Store, ex *Extractor, split chunker.Splitter, cfg PipelineConfig) *Pipeline {
	cfg = cfg.withDefaults()
	how := fmt.Sprintf("%T", split)
	if s, ok := split.(fmt.Stringer); ok {
		how = s.String()
	}
	p := &Pipeline{
		store: store, extractor: ex, splitter: split, cfg: cfg,
		settings:  fmt.Sprintf("%d %s %s", pipelineVersion, how, cfg.Version),
		embedding: semaphore.NewWeighted(int64(cfg.Embedding)),
	}
	p.queue.init()
	return p
}

// Recognizes tells whether there is something to read pictures with.
func (p *Pipeline) Recognizes() bool { return p.extractor.cfg.Recognizer != nil }

// Ingest brings one file into a collection and returns when it is durable and searchable, or has
// failed. The Result is complete in either case; the error is nil unless its Status is Failed, and
// names the file. report, unless nil, is called from this goroutine at each step.
//
// A file whose bytes and settings are those of the stored document of its path is left as it is. A file
// that fails leaves the stored document of its path as it is.
func (p *Pipeline) Ingest(ctx context.Context, collection string, it Item, report func(Progress)) (Result, error) {
	if report == nil {
		report = func(Progress) {}
	}
	if it.Temporary && it.File != "" {
		defer os.Remove(it.File)
	}
	res, err := p.ingest(ctx, collection, it, report)
	res.Path = it.Path
	if err != nil {
		res.Status, res.Error = Failed, plainError(err)
		err = p.named(it, err)
	}
	return res, err
}

// named puts the item's path into an error that does not name it.
func (p *Pipeline) named(it Item, err error) error {
	if fe, ok := errors.AsType[*FileError](err); ok && fe.Name == it.Path {
		return err
	}
	return fmt.Errorf("ingest %q: %w", it.Path, err)
}

// plainError is err for a place where the file is named beside it.
func plainError(err error) string {
	if fe, ok := errors.AsType[*FileError](err); ok {
		if fe.Detail == "" {
			return fe.Err.Error()
		}
		return fe.Err.Error() + ": " + fe.Detail
	}
	return err.Error()
}

func (p *Pipeline) ingest(ctx context.Context, collection string, it Item, report func(Progress)) (res Result, err error) {
	switch {
	case it.Err != nil:
		return Result{}, it.Err
	case it.Path == "":
		return Result{}, fmt.Errorf("%w: the path is empty", retriever.ErrInvalidName)
	}
	w, err := p.newWork(ctx, collection, it, report)
	if err != nil {
		return Result{}, err
	}
	unlock, err := p.paths.lock(ctx, collection+"\x00"+it.Path)
	if err != nil {
		return Result{}, err
	}
	defer unlock()

	remember := func() {}
	if it.toFetch() {
		w.report.enter(StageFetching)
		if w.item, remember, err = p.fetchItem(ctx, collection, it, report); err != nil {
			if ctx.Err() == nil {
				w.failed(ctx, err)
			}
			return Result{}, err
		}
	}
	w.enter(StageParsing, 0)
	res, err = w.do(ctx)
	w.parsed.end(ctx, err)
	switch {
	case err == nil:
		remember()
	case ctx.Err() == nil && !errors.Is(err, errLost) && !errors.Is(err, retriever.ErrUnavailable): // else it is begun again, here or elsewhere
		w.failed(ctx, err)
	}
	return res, err
}

// holds reports whether the item's document is stored, of these bytes and made with the present settings.
func (p *Pipeline) holds(ctx context.Context, collection string, it Item, sum string) bool {
	w, err := p.newWork(ctx, collection, it, nil)
	if err != nil {
		return false
	}
	_, ok := w.unchanged(ctx, sum)
	return ok
}

// keep stores the bytes of a file.
func (p *Pipeline) keep(ctx context.Context, file string) (sum string, size int64, err error) {
	f, err := os.Open(file)
	if err != nil {
		return "", 0, withoutPath(err)
	}
	defer f.Close()
	return p.store.PutFile(ctx, f)
}

// Prune deletes the documents of a collection whose Path lies at or under the folder root and whose
// file is gone from the disk, and returns them. It does nothing but fail when root itself is gone: a
// drive that is not mounted must not empty a collection.
func (p *Pipeline) Prune(ctx context.Context, collection, root string) ([]retriever.Document, error) {
	root, err := filepath.Abs(root)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(root); err != nil {
		return nil, fmt.Errorf("prune %s: %w", root, withoutPath(err))
	}
	gone, err := p.vanished(ctx, collection, root)
	if err != nil {
		return nil, err
	}
	var removed []retriever.Document
	err = p.RemoveGone(ctx, gone, func(d retriever.Document) { removed = append(removed, d) })
	return removed, err
}

// sumFile hashes a file.
func sumFile(ctx context.Context, name string) (sum string, size int64, err error) {
	st, err := os.Stat(name) // before Open, which would wait for the writer of a named pipe
	if err != nil {
		return "", 0, withoutPath(err)
	}
	if !st.Mode().IsRegular() {
		return "", 0, fmt.Errorf("%w: it is not a regular file", ErrUnsupported)
	}
	f, err := os.Open(name)
	if err != nil {
		return "", 0, withoutPath(err)
	}
	defer f.Close()
	h := sha256.New()
	buf := make([]byte, 1<<17)
	for {
		if err := ctx.Err(); err != nil {
			return "", 0, err
		}
		n, err := f.Read(buf)
		h.Write(buf[:n])
		size += int64(n)
		if err == io.EOF {
			return hex.EncodeToString(h.Sum(nil)), size, nil
		}
		if err != nil {
			return "", 0, withoutPath(err)
		}
	}
}

// withoutPath is the cause of an error of package os; the path is named elsewhere.
func withoutPath(err error) error {
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		return pe.Err
	}
	return err
}

// Ranges writes ascending numbers as "1-3, 7".
func Ranges(ns []int) string {
	var sb strings.Builder
	for i := 0; i < len(ns); {
		j := i
		for j+1 < len(ns) && ns[j+1] == ns[j]+1 {
			j++
		}
		if sb.Len() > 0 {
			sb.WriteString(", ")
		}
		sb.WriteString(strconv.Itoa(ns[i]))
		if j > i {
			sb.WriteString("-" + strconv.Itoa(ns[j]))
		}
		i = j + 1
	}
	return sb.String()
}

// pathLocks keeps two files of one path from being worked on at once: the later one must find what the
// earlier one stored.
type pathLocks struct {
	mu   sync.Mutex
	held map[string]*pathLock
}

type pathLock struct {
	slot  chan struct{}
	users int
}

func (l *pathLocks) lock(ctx context.Context, key string) (unlock func(), err error) {
	l.mu.Lock()
	if l.held == nil {
		l.held = make(map[string]*pathLock)
	}
	k := l.held[key]
	if k == nil {
		k = &pathLock{slot: make(chan struct{}, 1)}
		l.held[key] = k
	}
	k.users++
	l.mu.Unlock()
	leave := func() {
		l.mu.Lock()
		if k.users--; k.users == 0 {
			delete(l.held, key)
		}
		l.mu.Unlock()
	}
	select {
	case k.slot <- struct{}{}:
		return func() { <-k.slot; leave() }, nil
	case <-ctx.Done():
		leave()
		return nil, ctx.Err()
	}
}

// result is how a job that ended shows what became of it.
func (r Result) apply(j *catalog.Job) {
	j.Status, j.DocumentID, j.Error = r.Status, r.DocumentID, r.Error
	j.State = catalog.Done
	if r.Status == Failed {
		j.State = catalog.Failed
		return
	}
	j.Done, j.Total = r.Chunks, r.Chunks
}
