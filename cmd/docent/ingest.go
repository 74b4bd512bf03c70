package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/schollz/progressbar/v3"

	"docent/ingest"
	"docent/retriever"
)

// defaultCollection is used where none is named.
const defaultCollection = "default"

type ingestCmd struct {
	Collection string   `short:"c" default:"default" placeholder:"NAME" help:"The collection; made if it is not there."`
	Prune      bool     `help:"Remove documents of the given folders whose files are gone."`
	Password   string   `placeholder:"TEXT" env:"DOCENT_FILE_PASSWORD" help:"Opens encrypted files."`
	Source     []string `arg:"" name:"source" help:"Files, folders and http(s) addresses."`
}

// fileResult is the line that is printed for a file. All keys are always there.
type fileResult struct {
	Path       string   `json:"path"`
	Status     string   `json:"status"` // ingested, unchanged, failed, or removed (by --prune)
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
	run := &ingestRun{app: a, collection: c.Collection, prune: c.Prune, lines: a.JSON || !isTerminal(a.stdout)}
	if err := run.do(ctx, l, c.Source, c.Password); err != nil {
		return err
	}
	a.notice("%s", run.summary())
	if run.counts["failed"] > 0 {
		return errReported
	}
	return nil
}

// ingestRun brings sources into a collection, one file after the other, and tells of each.
type ingestRun struct {
	*app
	collection string
	prune      bool
	lines      bool // a JSON line a file on the standard output
	quiet      bool // nothing on the standard output; failures still go to the standard error
	counts     map[string]int
	bar        *progressbar.ProgressBar
}

func (r *ingestRun) do(ctx context.Context, l *library, sources []string, password string) error {
	r.counts = map[string]int{}
	if _, err := l.store.Collection(ctx, r.collection); errors.Is(err, retriever.ErrNotFound) {
		_, err = l.store.CreateCollection(ctx, r.collection)
		if err != nil {
			return err
		}
	} else if err != nil {
		return err
	}
	p, ex, err := r.pipeline(l, password)
	if err != nil {
		return err
	}
	defer ex.Close()

	type source struct {
		name  string
		items []ingest.Item
		fetch bool
	}
	var all []source
	total := 0
	for _, s := range sources {
		if isURL(s) {
			all = append(all, source{name: s, fetch: true})
			total++
			continue
		}
		items, err := ingest.Walk(s)
		if err != nil {
			r.report(fileResult{Path: s, Status: "failed", Error: walkError(s, err)})
			continue
		}
		if len(items) == 0 {
			r.notice("%s: no files in it", s)
		}
		all = append(all, source{name: s, items: items})
		total += len(items)
	}

	r.startBar(total)
	defer r.stopBar()
	for _, s := range all {
		if s.fetch {
			r.describe(s.name, "fetching", 0, 0)
			it, err := ingest.Fetch(ctx, s.name)
			if err != nil {
				if ctx.Err() != nil {
					return ctx.Err()
				}
				r.report(fileResult{Path: s.name, Status: "failed", Error: err.Error()})
				continue
			}
			err = r.one(ctx, p, it)
			if it.File != "" {
				os.Remove(it.File)
			}
			if err != nil {
				return err
			}
			continue
		}
		for _, it := range s.items {
			if err := r.one(ctx, p, it); err != nil {
				return err
			}
		}
		if r.prune {
			if err := r.removeVanished(ctx, l, s.name, s.items); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *ingestRun) one(ctx context.Context, p *ingest.Pipeline, it ingest.Item) error {
	res, err := p.Ingest(ctx, r.collection, it, func(pr ingest.Progress) {
		r.describe(it.Path, pr.Stage, pr.Done, pr.Total)
	})
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil && !fileFault(err) {
		return err // the store's, not the file's: going on would only repeat it
	}
	out := fileResult{Path: it.Path, Status: res.Status, DocumentID: res.DocumentID, Chunks: res.Chunks, Error: res.Error, Warnings: res.Warnings}
	if err != nil && out.Error == "" {
		out.Status, out.Error = "failed", err.Error()
	}
	r.report(out)
	return nil
}

// fileFault tells an error of one file from one that every further file would meet too.
func fileFault(err error) bool {
	_, ok := errors.AsType[*ingest.FileError](err)
	return ok
}

// report tells of a file that is done.
func (r *ingestRun) report(res fileResult) {
	r.counts[res.Status]++
	if r.bar != nil {
		_ = r.bar.Clear()
	}
	switch {
	case r.quiet:
	case r.lines:
		_ = r.printJSON(res)
	case res.Status == "ingested":
		fmt.Fprintf(r.stdout, "ingested   %s (%s)\n", res.Path, count(res.Chunks, "chunk"))
	case res.Status != "failed":
		fmt.Fprintf(r.stdout, "%-10s %s\n", res.Status, res.Path)
	}
	if res.Status == "failed" {
		fmt.Fprintf(r.stderr, "failed     %s: %s\n", res.Path, strings.TrimPrefix(res.Error, fmt.Sprintf("read %q: ", res.Path)))
	}
	if !r.lines {
		for _, w := range res.Warnings {
			fmt.Fprintf(r.stderr, "           %s: %s\n", res.Path, w)
		}
	}
	if r.bar != nil {
		_ = r.bar.Add(1)
	}
}

// removeVanished deletes the documents below root whose files were not found there.
func (r *ingestRun) removeVanished(ctx context.Context, l *library, root string, items []ingest.Item) error {
	abs, err := filepath.Abs(root)
	if err != nil {
		return err
	}
	if st, err := os.Stat(abs); err != nil || !st.IsDir() {
		return nil
	}
	seen := map[string]bool{}
	for _, it := range items {
		seen[it.Path] = true
	}
	docs, err := l.store.Documents(ctx, r.collection)
	if err != nil {
		return err
	}
	for _, d := range docs {
		if seen[d.Path] || !below(abs, d.Path) {
			continue
		}
		if err := l.store.DeleteDocument(ctx, d.ID); err != nil {
			return fmt.Errorf("remove %s: %w", d.Path, err)
		}
		r.report(fileResult{Path: d.Path, Status: "removed", DocumentID: d.ID})
	}
	return nil
}

// below tells whether the absolute path lies in the folder dir.
func below(dir, path string) bool {
	rel, err := filepath.Rel(dir, path)
	return err == nil && rel != "." && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator)) && filepath.IsAbs(path)
}

func (r *ingestRun) startBar(total int) {
	if r.JSON || !isTerminal(r.stderr) || total == 0 {
		return
	}
	r.bar = progressbar.NewOptions(total,
		progressbar.OptionSetWriter(r.stderr),
		progressbar.OptionShowCount(),
		progressbar.OptionSetWidth(24),
		progressbar.OptionSetElapsedTime(true),
		progressbar.OptionClearOnFinish(),
	)
}

func (r *ingestRun) stopBar() {
	if r.bar != nil {
		_ = r.bar.Clear()
		r.bar = nil
	}
}

func (r *ingestRun) describe(path, stage string, done, total int) {
	if r.bar == nil {
		return
	}
	text := filepath.Base(path) + ": " + stage
	if total > 0 {
		text += fmt.Sprintf(" %d/%d", done, total)
	}
	r.bar.Describe(fmt.Sprintf("%-40s", clip(text, 40)))
}

func (r *ingestRun) summary() string {
	var parts []string
	for _, s := range []string{"ingested", "unchanged", "removed", "failed"} {
		if n := r.counts[s]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, s))
		}
	}
	if len(parts) == 0 {
		return fmt.Sprintf("collection %q: nothing to do", r.collection)
	}
	return fmt.Sprintf("collection %q: %s", r.collection, strings.Join(parts, ", "))
}

func isURL(s string) bool {
	low := strings.ToLower(s)
	return strings.HasPrefix(low, "http://") || strings.HasPrefix(low, "https://")
}

func walkError(path string, err error) string {
	if errors.Is(err, fs.ErrNotExist) {
		return "no such file or folder"
	}
	return strings.TrimPrefix(err.Error(), path+": ")
}

// count is a number and its noun.
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
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
