package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"path/filepath"
	"text/tabwriter"

	"github.com/schollz/progressbar/v3"

	"docent/chunker"
	"docent/ingest"
	"docent/internal/beir"
	"docent/retriever"
)

type evalCmd struct {
	Mode   string   `enum:"dense,keyword,hybrid,all" default:"hybrid" help:"${enum}."`
	Fusion string   `enum:"score,rank," default:"" placeholder:"FUSION" help:"score or rank; short for --set fusion=FUSION."`
	Hops   int      `placeholder:"N" help:"Short for --set hops=N."`
	Set    []string `placeholder:"KEY=VALUE" sep:"none" help:"Search with this retrieval setting, such as neighbours=1; may be given several times. 'docent collections show' lists them, with 'retrieval.' before each."`
	chunkFlags
	Dir string `arg:"" help:"The folder, with corpus.jsonl, queries.jsonl and qrels/test.tsv."`
}

type evalJSON struct {
	beir.Report
	Chunks  int    `json:"chunks"`
	Encoder string `json:"encoder"`
}

func (c *evalCmd) Run(ctx context.Context, a *app) error {
	set, err := beir.Load(c.Dir)
	if err != nil {
		return err
	}
	enc, err := a.encoder(ctx, a.Encoder)
	if err != nil {
		return err
	}
	modes := []retriever.Mode{retriever.Mode(c.Mode)}
	if c.Mode == "all" {
		modes = []retriever.Mode{retriever.Keyword, retriever.Dense, retriever.Hybrid}
		if enc == nil {
			modes = modes[:1]
		}
	}
	if enc == nil && modes[0] != retriever.Keyword {
		return fmt.Errorf("mode %s needs an encoder; leave --encoder out for the built-in one", modes[0])
	}
	search, err := c.search(a)
	if err != nil {
		return err
	}
	split, err := splitter(enc, c.config())
	if err != nil {
		return err
	}
	withVectors := enc != nil && (len(modes) > 1 || modes[0] != retriever.Keyword)
	collection, err := evalCollection(ctx, set, split, enc, withVectors)
	if err != nil {
		return err
	}
	dir, err := a.dataDir()
	if err != nil {
		return err
	}
	cfg := retriever.Config{Dir: filepath.Join(dir, "eval"), Logger: a.log}
	if withVectors {
		cfg.Encoder = enc
	}
	store, err := retriever.Open(ctx, cfg)
	if err != nil {
		return err
	}
	defer store.Close()
	if err := a.indexForEval(ctx, store, collection, set, split); err != nil {
		return err
	}
	indexed, err := store.Collection(ctx, collection)
	if err != nil {
		return err
	}

	w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	if !a.JSON {
		fmt.Fprintf(w, "%s: %s, %s, %s\n", set.Name, count(len(set.Documents), "document"), count(indexed.Chunks, "chunk"), encoderName(enc))
		fmt.Fprintln(w, "mode\tndcg@10\trecall@5\trecall@10\tmrr@10\tqueries\tqps\tp50 ms\tp99 ms")
	}
	for _, mode := range modes {
		done := a.progress(string(mode))
		r, err := set.Evaluate(ctx, store, collection, beir.Options{Mode: mode, Progress: done, Search: search})
		if err != nil {
			return err
		}
		if a.JSON {
			if err := a.printJSON(evalJSON{Report: r, Chunks: indexed.Chunks, Encoder: encoderName(enc)}); err != nil {
				return err
			}
			continue
		}
		fmt.Fprintf(w, "%s\t%.4f\t%.4f\t%.4f\t%.4f\t%d\t%.0f\t%.2f\t%.2f\n", mode, r.NDCG10, r.Recall5, r.Recall10, r.MRR10, r.Queries, r.QPS, r.P50, r.P99)
	}
	return w.Flush()
}

// search is how a collection without settings is searched, but for what the flags say.
func (c *evalCmd) search(a *app) ([]retriever.SearchOption, error) {
	s := ingest.DefaultSettings()
	if err := (retrievalFlags{Set: c.Set, Fusion: c.Fusion, Hops: c.Hops}).change(&s); err != nil {
		return nil, err
	}
	cross, err := a.reranker(a.Reranker)
	if err != nil {
		return nil, err
	}
	return s.Retrieval.Options((&library{reranker: cross}).parts())
}

// evalCollection names the collection that holds the set's chunks as they are cut and embedded now, so
// that a run finds the vectors of the last one, and never those of another splitter or encoder.
func evalCollection(ctx context.Context, set *beir.Dataset, split chunker.Splitter, enc encoder, withVectors bool) (string, error) {
	h := sha256.New()
	if withVectors {
		fmt.Fprintln(h, enc.Fingerprint())
	}
	for _, d := range set.Documents {
		fmt.Fprintf(h, "%q %q\n", d.ID, d.Title)
		cut, err := split.Split(ctx, evalDocument(d))
		if err != nil {
			return "", fmt.Errorf("%s: document %s: %w", set.Name, d.ID, err)
		}
		for _, c := range cut {
			fmt.Fprintf(h, "%q\n", c.IndexText())
		}
	}
	return fmt.Sprintf("eval-%x", h.Sum(nil)[:8]), nil
}

// evalDocument is a corpus entry as beir.Dataset.Index stores it.
func evalDocument(d beir.Document) chunker.Document {
	c := chunker.Document{Title: d.Title, Text: d.Text}
	if d.Text != "" {
		c.Blocks = []chunker.Block{{Kind: chunker.Paragraph, End: len(d.Text)}}
	}
	return c
}

func (a *app) indexForEval(ctx context.Context, store *retriever.Store, collection string, set *beir.Dataset, split chunker.Splitter) error {
	if _, err := store.Collection(ctx, collection); errors.Is(err, retriever.ErrNotFound) {
		if _, err := store.CreateCollection(ctx, collection); err != nil {
			return err
		}
	} else if err != nil {
		return err
	}
	return set.Index(ctx, store, collection, split, a.progress("indexing"))
}

// progress returns a function that shows how far something is, on a terminal.
func (a *app) progress(what string) func(done, total int) {
	if a.JSON || !isTerminal(a.stderr) {
		return nil
	}
	var bar *progressbar.ProgressBar
	return func(done, total int) {
		if bar == nil {
			bar = progressbar.NewOptions(total,
				progressbar.OptionSetWriter(a.stderr),
				progressbar.OptionSetDescription(what),
				progressbar.OptionShowCount(),
				progressbar.OptionSetWidth(24),
				progressbar.OptionClearOnFinish(),
			)
		}
		_ = bar.Set(done)
	}
}

func encoderName(enc encoder) string {
	if enc == nil {
		return "no encoder"
	}
	return enc.Name()
}
