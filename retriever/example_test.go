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

// A retriever is composed of options; settings are the same, as a collection stores them.
func ExampleSettings_Options() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "docent")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	store, err := retriever.Open(ctx, retriever.Config{Dir: dir})
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	if _, err := store.CreateCollection(ctx, "minutes"); err != nil {
		log.Fatal(err)
	}
	for _, m := range []struct{ year, text string }{
		{"2019", "The budget for travel was discussed; the budget is 900."},
		{"2024", "The budget for travel is 1200."},
	} {
		doc := retriever.Document{Path: m.year, Metadata: map[string]string{"held": m.year}}
		chunks := []chunker.Chunk{{Text: m.text, End: len(m.text)}}
		if _, err := store.Put(ctx, "minutes", doc, chunker.Document{Text: m.text}, chunks, nil); err != nil {
			log.Fatal(err)
		}
	}
	opts, err := retriever.Settings{Mode: "keyword", HalfLife: 365, DateField: "held", PerDocument: 1}.Options(retriever.Parts{})
	if err != nil {
		log.Fatal(err)
	}
	hits, err := store.Search(ctx, "minutes", "travel budget", opts...)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(hits[0].Chunk.Text)
	// Output: The budget for travel is 1200.
}
