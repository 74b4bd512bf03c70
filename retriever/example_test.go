package retriever_test

import (
	"context"
	"fmt"
	"log"
	"os"

	"docent/chunker"
	"docent/retriever"
)

func Example() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "docent")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	// Without an encoder a store searches by words; embed.Builtin() adds meaning.
	store, err := retriever.Open(ctx, retriever.Config{Dir: dir})
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	if _, err := store.CreateCollection(ctx, "handbook"); err != nil {
		log.Fatal(err)
	}
	content := chunker.Document{Title: "Leave", Text: "Employees accrue twenty days of leave a year.\n\nSick pay is apart."}
	split, err := chunker.NewRecursive(nil, chunker.RecursiveConfig{})
	if err != nil {
		log.Fatal(err)
	}
	chunks, err := split.Split(ctx, content)
	if err != nil {
		log.Fatal(err)
	}
	vectors, err := store.Vectors(ctx, "handbook", chunks, nil)
	if err != nil {
		log.Fatal(err)
	}
	if _, err := store.Put(ctx, "handbook", retriever.Document{Path: "leave.md", Title: "Leave"}, content, chunks, vectors); err != nil {
		log.Fatal(err)
	}
	hits, err := store.Search(ctx, "handbook", "How much leave does an employee get?", retriever.TopK(3))
	if err != nil {
		log.Fatal(err)
	}
	for _, h := range hits {
		fmt.Println(h.Document.Path, h.Chunk.Start, h.Chunk.End)
	}
	// Output: leave.md 0 65
}
