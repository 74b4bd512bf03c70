package embed_test

import (
	"context"
	"fmt"
	"log"

	"docent/embed"
)

func ExampleBuiltin() {
	enc, err := embed.Builtin()
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	docs, err := enc.EmbedDocuments(ctx, []string{
		"Money is returned within five days of a cancellation.",
		"The office opens at nine.",
	})
	if err != nil {
		log.Fatal(err)
	}
	query, err := enc.EmbedQuery(ctx, "How long does a refund take?")
	if err != nil {
		log.Fatal(err)
	}
	// Vectors have length 1, so the dot product is the cosine.
	cosine := func(a, b []float32) (sum float32) {
		for i := range a {
			sum += a[i] * b[i]
		}
		return sum
	}
	fmt.Println(enc.Name(), enc.Dim())
	fmt.Println(cosine(query, docs[0]) > 0.5, cosine(query, docs[1]) < 0.1)
	// Output:
	// all-MiniLM-L6-v2-int8 384
	// true true
}

func ExampleLoadCrossEncoder() {
	// A checkpoint of a few kB with random weights; any reranker's folder will do.
	cross, err := embed.LoadCrossEncoder("testdata/cross-bert")
	if err != nil {
		log.Fatal(err)
	}
	scores, err := cross.Score(context.Background(), "hello", []string{"hello world", "the cat"})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(cross.Info().Architecture, len(scores), scores[0] > 0 && scores[0] < 1)
	// Output: BERT 2 true
}
