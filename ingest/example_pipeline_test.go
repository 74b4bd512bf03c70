package ingest_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"docent/chunker"
	"docent/ingest"
	"docent/retriever"
)

func ExamplePipeline_Ingest() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "docent")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	docs := filepath.Join(dir, "docs")
	if err := os.Mkdir(docs, 0o755); err != nil {
		fmt.Println(err)
		return
	}
	if err := os.WriteFile(filepath.Join(docs, "leave.md"), []byte("# Leave\n\nStaff have fifteen days of leave."), 0o644); err != nil {
		fmt.Println(err)
		return
	}

	// With embed.Builtin as the Encoder, and as the tokenizer of the splitter, questions are understood by
	// meaning; without, by their words.
	store, err := retriever.Open(ctx, retriever.Config{Dir: filepath.Join(dir, "data")})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer store.Close()
	if _, err := store.CreateCollection(ctx, "handbook"); err != nil {
		fmt.Println(err)
		return
	}
	extractor, err := ingest.NewExtractor(ingest.ExtractorConfig{CacheDir: dir})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer extractor.Close()
	split, err := chunker.NewRecursive(nil, chunker.RecursiveConfig{})
	if err != nil {
		fmt.Println(err)
		return
	}
	pipeline := ingest.NewPipeline(store, extractor, split, ingest.PipelineConfig{})

	for range 2 {
		items, err := ingest.Walk(docs)
		if err != nil {
			fmt.Println(err)
			return
		}
		for _, item := range items {
			res, err := pipeline.Ingest(ctx, "handbook", item, nil)
			fmt.Println(filepath.Base(res.Path), res.Status, res.Chunks, err)
		}
	}
	// Output:
	// leave.md ingested 1 <nil>
	// leave.md unchanged 1 <nil>
}
