package examples_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"docent/chain"
	"docent/chunker"
	"docent/embed"
	"docent/ingest"
	"docent/retriever"
)

// A program can do what the command does: open a store, ingest a file, ask.
func Example() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "docent-example-")
	check(err)
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "rules.md")
	check(os.WriteFile(file, []byte("# House rules\n\nThe library closes at nine in the evening. Dogs may come in on a lead.\n"), 0o600))

	enc, err := embed.Builtin()
	check(err)
	store, err := retriever.Open(ctx, retriever.Config{Dir: filepath.Join(dir, "data"), Encoder: enc})
	check(err)
	defer store.Close()
	_, err = store.CreateCollection(ctx, "house")
	check(err)

	extractor, err := ingest.NewExtractor(ingest.ExtractorConfig{})
	check(err)
	defer extractor.Close()
	splitter, err := chunker.NewRecursive(enc, chunker.RecursiveConfig{})
	check(err)
	pipeline := ingest.NewPipeline(store, extractor, splitter, ingest.PipelineConfig{})
	_, err = pipeline.Ingest(ctx, "house", ingest.Item{Path: "rules.md", File: file}, nil)
	check(err)

	qa, err := chain.NewQA(chain.Config{
		Encoder: enc, // without a Model, the answer quotes the sentences that fit
		Search: func(ctx context.Context, query string, k int, opts ...retriever.SearchOption) ([]retriever.Hit, error) {
			return store.Search(ctx, "house", query, append(opts, retriever.TopK(k))...)
		},
	})
	check(err)
	answer, err := qa.Ask(ctx, chain.Question{Text: "When does the library close?"})
	check(err)
	for _, c := range answer.Citations {
		fmt.Printf("[%d] %s: %s\n", c.N, c.Path, c.Quote)
	}
	// Output:
	// [1] rules.md: The library closes at nine in the evening.
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
