package embed_test

import (
	"context"
	"fmt"
	"log"

	"github.com/tmc/langchaingo/embeddings"

	"docent/embed"
)

// An Encoder is langchaingo's embeddings.Embedder, for its vector stores and chains.
func ExampleNew() {
	var enc embeddings.Embedder
	enc, err := embed.New("builtin")
	if err != nil {
		log.Fatal(err)
	}
	vectors, err := enc.EmbedDocuments(context.Background(), []string{"The pump is rinsed every week.", "Refunds take five days."})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(vectors), len(vectors[0]))
	// Output: 2 384
}

// Any checkpoint of the BERT family will do; these have a few kB, and random weights.
func ExampleLoad() {
	for _, path := range []string{"testdata/tiny-modernbert", "testdata/gguf/nomic-f32.gguf"} {
		enc, err := embed.Load(path, embed.Dims(16))
		if err != nil {
			log.Fatal(err)
		}
		v, err := enc.EmbedQuery(context.Background(), "hello world")
		if err != nil {
			log.Fatal(err)
		}
		i := enc.Info()
		fmt.Printf("%s: %s, %s pooling, %d of %d values\n", i.Name, i.Architecture, i.Pooling, len(v), i.FullDim)
	}
	// Output:
	// tiny-modernbert-16d: ModernBERT, mean pooling, 16 of 32 values
	// nomic-f32-16d: nomic-bert, mean pooling, 16 of 32 values
}

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
