package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"docent/chunker"
	"docent/ingest"
	"docent/ingest/clean"
)

// judgeFiles prints how many blocks of the files below dir the quality filter would drop.
func judgeFiles(dir string, verbose bool) error {
	items, err := ingest.Walk(dir)
	if err != nil {
		return err
	}
	ex, err := ingest.NewExtractor(ingest.ExtractorConfig{Worker: []string{os.Args[0], "parse-worker"}, Timeout: 20 * time.Second})
	if err != nil {
		return err
	}
	defer ex.Close()
	documents, blocks, dropped := 0, 0, 0
	for _, it := range items {
		doc, err := ex.Extract(context.Background(), ingest.File{Path: it.File})
		if err != nil {
			continue
		}
		documents++
		for _, b := range doc.Blocks {
			if b.Kind != chunker.Paragraph && b.Kind != chunker.ListItem && b.Kind != chunker.Quote {
				continue
			}
			blocks++
			text := doc.Text[b.Start:b.End]
			if why := clean.Judge(text); why != "" {
				dropped++
				if verbose {
					fmt.Printf("%s: %s: %.300q\n", it.Path, why, text)
				}
			}
		}
	}
	fmt.Printf("blocks dropped: %d of %d (%.3f %%) in %d documents\n", dropped, blocks, 100*float64(dropped)/float64(max(blocks, 1)), documents)
	return nil
}
