package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"docent/ingest"
	"docent/ingest/clean"
	"docent/retriever"
)

// showReport prints the report on a file, by its path as recorded or as seen from here.
func (a *app) showReport(ctx context.Context, l *library, collection, path string) error {
	r, err := ingest.ReadReport(ctx, l.store, collection, path)
	if errors.Is(err, retriever.ErrNotFound) {
		if abs, absErr := filepath.Abs(path); absErr == nil {
			r, err = ingest.ReadReport(ctx, l.store, collection, abs)
		}
	}
	if errors.Is(err, retriever.ErrNotFound) {
		return fmt.Errorf("there is no report on %q in collection %q; docent documents -c %s lists the paths", path, collection, collection)
	}
	if err != nil {
		return err
	}
	if a.JSON {
		return a.printJSON(r)
	}
	return printReport(a.stdout, r)
}

func (a *app) showFailed(ctx context.Context, l *library, collection string) error {
	all, err := ingest.FailedReports(ctx, l.store, collection)
	if err != nil {
		return err
	}
	if a.JSON {
		return a.printJSON(struct {
			Reports []ingest.Report `json:"reports"`
		}{list(all)})
	}
	for _, r := range all {
		fmt.Fprintf(a.stdout, "%s: %s\n", shown(r.Path), r.Error)
	}
	return nil
}

func printReport(out io.Writer, r ingest.Report) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	row := func(name, format string, args ...any) {
		fmt.Fprintf(w, "%s\t%s\n", name, fmt.Sprintf(format, args...))
	}
	row("path", "%s", shown(r.Path))
	row("status", "%s", r.Status)
	if r.Error != "" {
		row("error", "%s", r.Error)
	}
	if r.DuplicateOf != "" {
		row("duplicate of", "%s", shown(r.DuplicateOf))
	}
	if r.Format != "" {
		row("format", "%s", r.Format)
	}
	row("bytes", "%d", r.Bytes)
	if r.Pages > 0 {
		row("pages", "%d", r.Pages)
	}
	row("characters", "%d", r.Characters)
	if r.Language != "" {
		row("language", "%s", r.Language)
	}
	row("chunks", "%d", r.Chunks)
	if n := len(r.RecognizedPages); n > 0 {
		row("recognised", "%s, by %s", count(n, "page"), r.RecognizedBy)
	}
	if n := len(r.PagesWithoutText); n > 0 {
		row("without text", "%d of %s: %s", n, count(r.Pages, "page"), ingest.Ranges(r.PagesWithoutText))
	}
	if len(r.GarbledPages) > 0 {
		row("garbled", "page %s", ingest.Ranges(r.GarbledPages))
	}
	if len(r.NeedsOCR) > 0 {
		row("needs recognition", "page %s", ingest.Ranges(r.NeedsOCR))
	}
	for _, f := range r.NeedsOCRIn {
		if len(f.Pages) == 0 {
			row("needs recognition", "%s", shown(f.Name))
			continue
		}
		row("needs recognition", "%s, page %s", shown(f.Name), ingest.Ranges(f.Pages))
	}
	for _, text := range r.Warnings {
		row("warning", "%s", text)
	}
	if n := r.Cleaning.Normalized; n > 0 {
		row("normalised", "%s", count(n, "character"))
	}
	printPassages(row, "dropped", r.Cleaning.Dropped)
	printPassages(row, "doubtful", r.Cleaning.Doubtful)
	for _, p := range r.Cleaning.Private {
		row("private", "%d × %s: %s", p.Count, p.Kind, map[string]string{"leave": "left", "mask": "masked", "refuse": "refused"}[p.Action])
	}
	for _, n := range r.NearDuplicates {
		row("nearly the same", "%s (%.0f %%)", shown(n.Path), 100*n.Similarity)
	}
	for _, s := range r.Stages {
		row(s.Stage, "%v", time.Duration(s.Seconds*float64(time.Second)).Round(time.Millisecond))
	}
	return w.Flush()
}

func printPassages(row func(name, format string, args ...any), name string, all []clean.Passage) {
	for _, p := range all {
		where := ""
		if p.Page > 0 {
			where = fmt.Sprintf(" on page %d", p.Page)
		}
		if p.Count > 1 {
			where += fmt.Sprintf(", %d passages", p.Count)
		}
		row(name, "%s%s: %s", p.Reason, where, strings.TrimSpace(p.Text))
	}
}
