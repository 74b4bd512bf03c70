package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"docent/retriever"
)

type reindexCmd struct {
	Collection string `short:"c" placeholder:"NAME" help:"The collection; by default all whose vectors are of another encoder."`
}

// reindexResult is the line that is printed for a collection.
type reindexResult struct {
	Collection string  `json:"collection"`
	Status     string  `json:"status"` // reindexed or unchanged
	From       string  `json:"from"`   // fingerprint of the encoder before; empty for none
	Encoder    string  `json:"encoder"`
	Chunks     int     `json:"chunks"`
	Seconds    float64 `json:"seconds"`
}

func (c *reindexCmd) Run(ctx context.Context, a *app) error {
	l, err := a.open(ctx)
	if err != nil {
		return err
	}
	defer l.Close()
	var todo []retriever.Collection
	if c.Collection != "" {
		one, err := l.collection(ctx, c.Collection)
		if err != nil {
			return err
		}
		todo = append(todo, one)
	} else if todo, err = l.otherEncoders(ctx); err != nil {
		return err
	}
	if len(todo) == 0 {
		a.notice("Every collection has the vectors of %s already.", fingerprintName(l))
	}
	for _, col := range todo {
		begin := time.Now()
		now, err := l.store.Reindex(ctx, col.Name, a.progress(clip(col.Name, 24)))
		if ctx.Err() != nil {
			a.notice("Stopped. %q is as it was; run the same command again to go on.", col.Name)
			return ctx.Err()
		}
		if err != nil {
			return fmt.Errorf("%w\n%q is as it was; run the same command again to go on with what is missing", err, col.Name)
		}
		res := reindexResult{Collection: now.Name, Status: "reindexed", From: col.Encoder, Encoder: now.Encoder, Chunks: now.Chunks, Seconds: time.Since(begin).Seconds()}
		if col.Encoder == now.Encoder && col.Dim == now.Dim {
			res.Status = "unchanged"
		}
		if a.JSON {
			if err := a.printJSON(res); err != nil {
				return err
			}
			continue
		}
		if res.Status == "unchanged" {
			fmt.Fprintf(a.stdout, "unchanged  %s (%s)\n", res.Collection, orNone(res.Encoder))
			continue
		}
		fmt.Fprintf(a.stdout, "reindexed  %s: %s from %s to %s in %.1f s\n", res.Collection, count(res.Chunks, "chunk"), orNone(res.From), orNone(res.Encoder), res.Seconds)
	}
	return nil
}

// otherEncoders are the collections with documents whose vectors are of another encoder than l's.
func (l *library) otherEncoders(ctx context.Context) ([]retriever.Collection, error) {
	all, err := l.store.Collections(ctx)
	if err != nil {
		return nil, err
	}
	var todo []retriever.Collection
	for _, c := range all {
		if c.Chunks > 0 && c.Encoder != fingerprint(l) {
			todo = append(todo, c)
		}
	}
	return todo, nil
}

// reindexBehind brings every collection to l's encoder while the server answers from the old vectors.
func (l *library) reindexBehind(ctx context.Context, log *slog.Logger) error {
	todo, err := l.otherEncoders(ctx)
	if err != nil {
		return err
	}
	for _, col := range todo {
		last := time.Now()
		log.Info("reindexing", "collection", col.Name, "chunks", col.Chunks, "from", orNone(col.Encoder), "to", fingerprintName(l))
		_, err := l.store.Reindex(ctx, col.Name, func(done, total int) {
			if time.Since(last) > 10*time.Second {
				last = time.Now()
				log.Info("reindexing", "collection", col.Name, "done", done, "total", total)
			}
		})
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, retriever.ErrNotFound): // deleted meanwhile
		case err != nil:
			// The server goes on with the old vectors.
			log.Error("the collection stays as it was; it is tried again at the next start", "collection", col.Name, "error", err)
		default:
			log.Info("reindexed", "collection", col.Name)
		}
	}
	return nil
}

// openForReindex opens the data directory for a server that reindexes: with the encoders of the
// collections that are of another one, so that they are answered from meanwhile.
func (a *app) openForReindex(ctx context.Context) (*library, error) {
	l, err := a.open(ctx)
	if err != nil {
		return nil, err
	}
	todo, err := l.otherEncoders(ctx)
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	if len(todo) == 0 {
		return l, nil
	}
	var old []retriever.Encoder
	seen := map[string]bool{"": true}
	for _, c := range todo {
		if seen[c.Encoder] {
			continue
		}
		seen[c.Encoder] = true
		e, err := a.earlier(ctx, c.Encoder)
		if err != nil {
			a.log.Warn("until it is reindexed, this collection can be searched by keyword only", "collection", c.Name, "error", err)
			continue
		}
		old = append(old, e)
	}
	dir, enc := l.store.Dir(), l.encoder
	if err := l.Close(); err != nil {
		return nil, err
	}
	return a.openWith(ctx, dir, enc, old...)
}

func fingerprint(l *library) string {
	if l.encoder == nil {
		return ""
	}
	return l.encoder.Fingerprint()
}

func fingerprintName(l *library) string { return orNone(fingerprint(l)) }

// orNone names an encoder's fingerprint, or the lack of one.
func orNone(fingerprint string) string {
	if fingerprint == "" {
		return "none (keywords only)"
	}
	return fingerprint
}
