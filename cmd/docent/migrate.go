package main

import (
	"context"
	"fmt"
	"strings"

	"docent/internal/catalog"
	"docent/retriever"
)

type migrateStoreCmd struct {
	From string `arg:"" help:"The store to copy: a data directory, or the URL of --store."`
	To   string `arg:"" help:"An empty store: a data directory, or the URL of --store."`
}

func (c *migrateStoreCmd) Run(ctx context.Context, a *app) error {
	from, err := a.storeAt(c.From)
	if err != nil {
		return err
	}
	to, err := a.storeAt(c.To)
	if err != nil {
		return err
	}
	shown := ""
	m, err := retriever.Migrate(ctx, from, to, func(p retriever.MigrateProgress) {
		if !isTerminal(a.stderr) || a.JSON {
			return
		}
		if shown != "" && shown != p.Stage {
			fmt.Fprintln(a.stderr)
		}
		shown = p.Stage
		fmt.Fprintf(a.stderr, "\r%s: %d of %d\x1b[K", p.Stage, p.Done, p.Total)
	})
	if shown != "" {
		fmt.Fprintln(a.stderr)
	}
	if err != nil {
		if ctx.Err() != nil {
			a.notice("the copy is unfinished; the same command goes on where it was")
			return err
		}
		return explain(err, a)
	}
	if a.JSON {
		return a.printJSON(m)
	}
	var told []string
	for _, kind := range [][2]string{{"collections", "collection"}, {"documents", "document"}, {"chunks", "chunk"}, {"vectors", "vector"}, {"jobs", "job"}, {"conversations", "conversation"}, {"watches", "watched folder"}} {
		told = append(told, count(int(m.Counts[kind[0]]), kind[1]))
	}
	at := c.To
	if isURL(at) {
		at = catalog.Redacted(at)
	}
	fmt.Fprintf(a.stdout, "copied to %s: %s, %s\n", at, strings.Join(told, ", "), count(m.Files, "file"))
	if m.Missing > 0 {
		a.notice("%d original files are gone from %s, or damaged there: docent doctor names them", m.Missing, c.From)
	}
	if m.Queries > 0 {
		fmt.Fprintf(a.stdout, "compared: of the ten best passages for %d queries, %.1f %% by keyword and %.1f %% by meaning are the same\n", m.Queries, 100*m.Keyword, 100*m.Dense)
	}
	return nil
}

// storeAt is the configuration of a data directory, or of what the URL of --store names.
func (a *app) storeAt(at string) (retriever.Config, error) {
	if !isURL(at) {
		return retriever.Config{Dir: at, Logger: a.log}, nil
	}
	dir, err := a.dataDir()
	return retriever.Config{Dir: dir, Store: at, Logger: a.log}, err
}

func isURL(at string) bool { return strings.Contains(at, "://") }
