package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/sync/errgroup"

	"docent/ingest"
	"docent/retriever"
)

// defaultCollection is used where none is named.
const defaultCollection = "default"

type ingestCmd struct {
	Collection string   `short:"c" default:"default" placeholder:"NAME" help:"The collection; made if it is not there."`
	Prune      bool     `help:"Remove documents of the given folders whose files are gone."`
	Password   string   `placeholder:"TEXT" env:"DOCENT_FILE_PASSWORD" help:"Opens encrypted files."`
	Again      bool     `help:"Read files anew although neither they nor the settings have changed."`
	OCRAll     bool     `name:"ocr-all" help:"Put every page of PDFs through text recognition, whatever text it comes with; implies --again."`
	Crawl      bool     `group:"Web sites" help:"Take in the sites of the given addresses, not the one page alone."`
	Depth      int      `group:"Web sites" default:"2" help:"How many links away from the first page to go."`
	Pages      int      `group:"Web sites" default:"200" help:"How many pages of a site to fetch at most."`
	Include    []string `group:"Choice" placeholder:"PATTERN" help:"Only files and pages whose path fits, such as '*.pdf' or '/docs/**'."`
	Exclude    []string `group:"Choice" placeholder:"PATTERN" help:"No files and pages whose path fits."`
	fetchFlags
	modelFlags
	Source []string `arg:"" name:"source" help:"Files, folders and http(s) addresses."`
}

// fetchFlags say what may be fetched from the web.
type fetchFlags struct {
	Private   bool     `group:"Web sites" help:"Also fetch from addresses that are not public, such as an intranet's."`
	AllowHost []string `group:"Web sites" placeholder:"NAME" env:"DOCENT_ALLOW_HOSTS" config:"fetch.allow_hosts" help:"Fetch from this host wherever it leads, also inside; '*.example.org' stands for all below it."`
}

func (a *app) fetcher(f fetchFlags) *ingest.Fetcher {
	return ingest.NewFetcher(ingest.FetchConfig{AllowPrivate: f.Private, AllowHosts: f.AllowHost, Logger: a.log})
}

// fileResult is the line that is printed for a file. All keys are always there.
type fileResult struct {
	Path       string   `json:"path"`
	Status     string   `json:"status"` // ingested, partial, duplicate, unchanged, failed, or removed (by --prune)
	DocumentID string   `json:"document_id"`
	Chunks     int      `json:"chunks"`
	Error      string   `json:"error"`
	Warnings   []string `json:"warnings,omitempty"`
}

func (c *ingestCmd) Run(ctx context.Context, a *app) error {
	l, err := a.open(ctx)
	if err != nil {
		return err
	}
	defer l.Close()
	// JSON lines are for whatever reads the output; a person at a terminal gets words.
	run := &ingestRun{app: a, collection: c.Collection, prune: c.Prune, lines: a.JSON || !isTerminal(a.stdout), password: c.Password, fetch: c.fetchFlags, models: c.modelFlags,
		include: c.Include, exclude: c.Exclude, again: c.Again || c.OCRAll}
	if c.OCRAll {
		run.ocr = ingest.OCRAll
	}
	if c.Crawl {
		run.site = &ingest.SiteOptions{Depth: c.Depth, Pages: c.Pages, Include: c.Include, Exclude: c.Exclude}
		if err := run.site.Check(); err != nil {
			return err
		}
	}
	if err := run.do(ctx, l, c.Source); err != nil {
		return err
	}
	a.notice("%s", run.summary())
	if run.counts["failed"] > run.linked {
		return errReported
	}
	return nil
}

// ingestRun brings sources into a collection and tells of each file.
type ingestRun struct {
	*app
	collection string
	prune      bool
	password   string
	fetch      fetchFlags
	models     modelFlags
	site       *ingest.SiteOptions // how to go through sites; nil: one page an address
	include    []string
	exclude    []string
	again      bool   // also files that have not changed
	ocr        string // see ingest.Item
	lines      bool   // a JSON line a file on the standard output
	quiet      bool   // nothing on the standard output; failures still go to the standard error

	mu     sync.Mutex // of what follows, and of the output
	counts map[string]int
	linked int // of the failures, pages that a site links to: they do not fail the command
	meter  *ingest.Meter
	bar    *progressbar.ProgressBar
}

// prepare makes the collection where it is missing, and the pipeline. The caller calls done.
func (r *ingestRun) prepare(ctx context.Context, l *library) (p *ingest.Pipeline, done func(), err error) {
	if _, err := l.store.Collection(ctx, r.collection); errors.Is(err, retriever.ErrNotFound) {
		if _, err = l.store.CreateCollection(ctx, r.collection); err != nil {
			return nil, nil, err
		}
	} else if err != nil {
		return nil, nil, err
	}
	p, ex, err := r.pipeline(ctx, l, r.password, r.fetch, r.model(r.models, l.encoder))
	if err != nil {
		return nil, nil, err
	}
	return p, func() { ex.Close() }, nil
}

func (r *ingestRun) do(ctx context.Context, l *library, sources []string) error {
	r.counts = map[string]int{}
	p, done, err := r.prepare(ctx, l)
	if err != nil {
		return err
	}
	defer done()

	var items []ingest.Item
	var sites []string
	var roots []string // folders to prune
	for _, s := range sources {
		if ingest.IsURL(s) {
			it, err := ingest.WebItem(s)
			switch {
			case err != nil:
				r.report(fileResult{Path: s, Status: ingest.Failed, Error: err.Error()})
			case r.site != nil:
				sites = append(sites, it.Path)
			default:
				items = append(items, it)
			}
			continue
		}
		found, err := ingest.List(s, ingest.ListOptions{Include: r.include, Exclude: r.exclude, Pictures: p.Recognizes()})
		if err != nil {
			r.report(fileResult{Path: s, Status: ingest.Failed, Error: walkError(s, err)})
			continue
		}
		for _, sk := range found.Skipped {
			r.log.Info("passed over", "path", sk.Path, "reason", sk.Reason)
		}
		switch n := len(found.Skipped); {
		case len(found.Items) == 0 && n == 0:
			r.notice("%s: no files in it", s)
		case n > 0:
			r.notice("%s: %s passed over (hidden and ignored files, pictures, programs and the like; --verbose lists them)", s, count(n, "entry"))
		}
		items = append(items, found.Items...)
		roots = append(roots, s)
	}

	r.startBar(items)
	defer r.stopBar()
	if err := r.all(ctx, p, items); err != nil {
		return err
	}
	for _, site := range sites {
		if err := r.crawl(ctx, p, site); err != nil {
			return err
		}
	}
	if r.prune {
		for _, root := range roots {
			gone, err := p.Prune(ctx, r.collection, root)
			for _, d := range gone {
				r.report(fileResult{Path: d.Path, Status: "removed", DocumentID: d.ID})
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// all takes in items, a few at once, so that one is parsed while another is embedded.
func (r *ingestRun) all(ctx context.Context, p *ingest.Pipeline, items []ingest.Item) error {
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(min(max(runtime.GOMAXPROCS(0), 2), 4))
	for _, it := range items {
		if gctx.Err() != nil {
			break
		}
		g.Go(func() error { return r.one(gctx, p, it) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return ctx.Err()
}

// crawl takes in a site, page by page.
func (r *ingestRun) crawl(ctx context.Context, p *ingest.Pipeline, address string) error {
	met := 0
	for page, err := range p.Site(ctx, r.collection, address, *r.site, time.Now()) {
		if err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			r.report(fileResult{Path: address, Status: ingest.Failed, Error: err.Error()})
			return nil
		}
		met++
		failures := r.counts["failed"]
		r.describe(ingest.Item{Path: page.Address}, ingest.Progress{Stage: ingest.StageFetching, Done: met, Total: met + page.Left})
		switch {
		case errors.Is(page.Err, ingest.ErrGone) && met > 1:
			doc, removed, err := p.Forget(ctx, r.collection, page)
			if err != nil {
				return err
			}
			if removed {
				r.report(fileResult{Path: doc.Path, Status: "removed", DocumentID: doc.ID})
			} else {
				r.log.Info("passed over", "url", page.Address, "reason", "the site links to it, but it is not there")
			}
		case page.Err != nil:
			r.report(fileResult{Path: page.Address, Status: ingest.Failed, Error: page.Err.Error()})
		case page.Skipped != "":
			r.log.Info("passed over", "url", page.Address, "reason", page.Skipped)
		default:
			if err := r.one(ctx, p, page.Item); err != nil {
				return err
			}
		}
		if met > 1 {
			r.linked += r.counts["failed"] - failures
		}
	}
	return nil
}

func (r *ingestRun) one(ctx context.Context, p *ingest.Pipeline, it ingest.Item) error {
	it.Again, it.OCR = r.again, r.ocr
	res, err := p.Ingest(ctx, r.collection, it, func(pr ingest.Progress) {
		r.describe(it, pr)
	})
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if errors.Is(err, ingest.ErrAddress) {
		res.Error += "; for a host of your own see --allow-host"
	}
	r.report(fileResult{Path: it.Path, Status: res.Status, DocumentID: res.DocumentID, Chunks: res.Chunks, Error: res.Error, Warnings: res.Warnings})
	for _, fatal := range []error{retriever.ErrStorageFull, retriever.ErrCorrupt, retriever.ErrEncoderMismatch, retriever.ErrNotFound, retriever.ErrUnavailable, retriever.ErrClosed} {
		if errors.Is(err, fatal) {
			return err // not the file's fault: going on would only repeat it
		}
	}
	return nil
}

// report tells of a file that is done.
func (r *ingestRun) report(res fileResult) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.counts[res.Status]++
	if r.bar != nil {
		_ = r.bar.Clear()
	}
	name := shown(res.Path)
	switch {
	case r.quiet:
	case r.lines:
		_ = r.printJSON(res)
	case res.Status == ingest.Ingested, res.Status == ingest.Partial:
		fmt.Fprintf(r.stdout, "%-10s %s (%s)\n", res.Status, name, count(res.Chunks, "chunk"))
	case res.Status != "failed":
		fmt.Fprintf(r.stdout, "%-10s %s\n", res.Status, name)
	}
	if res.Status == "failed" {
		fmt.Fprintf(r.stderr, "failed     %s: %s\n", name, res.Error)
	}
	if !r.lines {
		for _, w := range res.Warnings {
			fmt.Fprintf(r.stderr, "           %s: %s\n", name, w)
		}
	}
	if r.bar != nil {
		r.meter.End(res.Path)
		if n := r.counts["ingested"] + r.counts["partial"] + r.counts["unchanged"] + r.counts["failed"]; n > r.bar.GetMax() {
			r.bar.ChangeMax(n) // pages of a site: how many there are is not known at the start
		}
		_ = r.bar.Add(1)
	}
}

// startBar begins to show how far the work on the items is: files, bytes a second, the time left.
func (r *ingestRun) startBar(items []ingest.Item) {
	if r.JSON || !isTerminal(r.stderr) || len(items) == 0 && r.site == nil {
		return
	}
	r.meter = &ingest.Meter{}
	for _, it := range items {
		r.meter.Begin(it.Path, it.Bytes)
	}
	r.bar = progressbar.NewOptions(len(items),
		progressbar.OptionSetWriter(r.stderr),
		progressbar.OptionShowCount(),
		progressbar.OptionSetWidth(20),
		progressbar.OptionSetElapsedTime(true),
		progressbar.OptionSetPredictTime(false), // the meter's is by bytes
		progressbar.OptionClearOnFinish(),
	)
}

func (r *ingestRun) stopBar() {
	if r.bar != nil {
		_ = r.bar.Clear()
		r.bar = nil
	}
}

// describe tells where the work on an item is.
func (r *ingestRun) describe(it ingest.Item, pr ingest.Progress) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.bar == nil {
		return
	}
	r.meter.Advance(it.Path, pr)
	text := pr.Stage
	if pr.Total > 0 {
		text += fmt.Sprintf(" %d/%d", pr.Done, pr.Total)
	}
	name := it.Path
	if !ingest.IsURL(name) {
		name = filepath.Base(name)
	}
	line := pad(clip(name, 24)+": "+text, 42)
	if f := r.meter.Flow(time.Now()); f.BytesPerSecond > 0 {
		line += pad(fmt.Sprintf(" %s/s, %s left", byteSize(f.BytesPerSecond), timeLeft(f.SecondsLeft)), 26)
	}
	r.bar.Describe(line)
}

// byteSize writes a number of bytes in at most seven characters.
func byteSize(n float64) string {
	for _, unit := range []string{"B", "kB", "MB"} {
		if n < 1000 {
			return fmt.Sprintf("%.3g %s", n, unit)
		}
		n /= 1000
	}
	return fmt.Sprintf("%.3g GB", n)
}

// timeLeft writes a guess of seconds for people.
func timeLeft(seconds float64) string {
	switch d := time.Duration(seconds * float64(time.Second)); {
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds())+1)
	case d < time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes())+1)
	default:
		return fmt.Sprintf("%d h %d min", int(d.Hours()), int(d.Minutes())%60)
	}
}

// pad fills s with spaces to n columns of a terminal, where wide characters take two.
func pad(s string, n int) string {
	for _, r := range s {
		n--
		if r >= 0x1100 {
			n--
		}
	}
	return s + strings.Repeat(" ", max(n, 0))
}

func (r *ingestRun) summary() string {
	var parts []string
	for _, s := range []string{"ingested", "partial", "duplicate", "unchanged", "removed", "failed"} {
		if n := r.counts[s]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, s))
		}
	}
	if len(parts) == 0 {
		return fmt.Sprintf("collection %q: nothing to do", r.collection)
	}
	return fmt.Sprintf("collection %q: %s", r.collection, strings.Join(parts, ", "))
}

func walkError(path string, err error) string {
	if errors.Is(err, fs.ErrNotExist) {
		if scheme, _, ok := strings.Cut(path, "://"); ok {
			return "addresses that begin with " + scheme + ":// are not fetched, only http:// and https://"
		}
		return "no such file or folder"
	}
	return strings.TrimPrefix(err.Error(), path+": ")
}

// count is a number and its noun.
func count(n int, noun string) string {
	switch {
	case n == 1:
		return "1 " + noun
	case strings.HasSuffix(noun, "y"):
		noun = strings.TrimSuffix(noun, "y") + "ie"
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// clip cuts s to n runes.
func clip(s string, n int) string {
	r := []rune(s)
	if len(r) <= n {
		return s
	}
	return string(r[:n-1]) + "…"
}
