package main

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"docent/ingest"
	"docent/internal/catalog"
	"docent/retriever"
)

type watchCmd struct {
	Collection string        `short:"c" default:"default" placeholder:"NAME" help:"The collection; made if it is not there."`
	Include    []string      `placeholder:"PATTERN" help:"Only files whose path fits, such as '*.pdf,*.md' or '/docs/**'."`
	Exclude    []string      `placeholder:"PATTERN" help:"No files whose path fits."`
	Poll       time.Duration `default:"10s" placeholder:"TIME" help:"How often to look at the whole folder, besides the system's notices."`
	PollOnly   bool          `help:"Do without the system's notices."`
	Password   string        `placeholder:"TEXT" env:"DOCENT_FILE_PASSWORD" help:"Opens encrypted files."`
	modelFlags
	Folder []string `arg:"" name:"folder" help:"The folders."`
}

// Run keeps the folders in step until the process is told to stop.
func (c *watchCmd) Run(ctx context.Context, a *app) error {
	if _, err := ingest.NewPatterns(c.Include, c.Exclude); err != nil {
		return err
	}
	l, err := a.open(ctx)
	if err != nil {
		return err
	}
	defer l.Close()
	run := &ingestRun{app: a, collection: c.Collection, password: c.Password, models: c.modelFlags, lines: a.JSON || !isTerminal(a.stdout), counts: map[string]int{}}
	p, done, err := run.prepare(ctx, l)
	if err != nil {
		return err
	}
	defer done()
	// One sync at a time, so that what is printed of two folders does not mix.
	var one sync.Mutex
	g, gctx := errgroup.WithContext(ctx)
	for _, folder := range c.Folder {
		abs, err := filepath.Abs(folder)
		if err != nil {
			return err
		}
		if _, err := ingest.List(abs, ingest.ListOptions{Include: []string{"/"}}); err != nil {
			return err
		}
		first := true
		w := catalog.Watch{Collection: c.Collection, Folder: abs, Include: c.Include, Exclude: c.Exclude}
		cfg := ingest.WatchConfig{Poll: c.Poll, PollOnly: c.PollOnly, Logger: a.log}
		failed := ""
		g.Go(func() error {
			return p.Follow(gctx, w, cfg, func(ctx context.Context, changes ingest.Changes) error {
				one.Lock()
				defer one.Unlock()
				return run.keepInStep(ctx, p, changes)
			}, func(s ingest.Watching) {
				if s.Error != failed {
					if failed = s.Error; failed != "" {
						a.notice("%s: %s", folder, failed)
					}
				}
				if first && s.Error == "" {
					how := "looked at every " + c.Poll.String()
					if s.Notices {
						how = "changes are seen as they happen"
					}
					a.notice("%s: %s in step, %s; ctrl-C ends it", folder, count(s.Files, "file"), how)
					first = false
				}
			})
		})
	}
	if err := g.Wait(); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	a.notice("%s", run.summary())
	return nil
}

// keepInStep takes in what changed in a folder and removes what is gone.
func (r *ingestRun) keepInStep(ctx context.Context, p *ingest.Pipeline, c ingest.Changes) error {
	if err := r.all(ctx, p, c.Changed); err != nil {
		return err
	}
	return p.RemoveGone(ctx, c.Gone, func(d retriever.Document) {
		r.report(fileResult{Path: d.Path, Status: "removed", DocumentID: d.ID})
	})
}
