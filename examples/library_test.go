package examples_test

import (
	"context"
	"fmt"
	"log"
	"net/url"
	"os"
	"time"

	"github.com/tmc/langchaingo/llms"
	"github.com/tmc/langchaingo/llms/ollama"
	"github.com/tmc/langchaingo/llms/openai"
	"github.com/tmc/langchaingo/vectorstores"
	"github.com/tmc/langchaingo/vectorstores/qdrant"

	"docent/chain"
	"docent/embed"
	"docent/ingest"
	"docent/retriever"
)

// The examples of this file need servers and models, so they are compiled and not run.

// A vector store of langchaingo's searches by meaning.
func Example_vectorStore() {
	ctx, dir := context.Background(), "data"
	enc, err := embed.Builtin()
	check(err)
	address, err := url.Parse("http://localhost:6333")
	check(err)

	store, err := retriever.Open(ctx, retriever.Config{Dir: dir, Encoder: enc, Dense: &retriever.DensePart{
		Name: "our qdrant", // under another name all passages are added anew
		Open: func(ctx context.Context, c retriever.Collection) (vectorstores.VectorStore, error) {
			return qdrant.New(qdrant.WithURL(*address), qdrant.WithEmbedder(enc), qdrant.WithCollectionName(c.Name+" "+c.Encoder))
		},
	}})
	check(err)
	defer store.Close()
}

// Any model of langchaingo's answers, token by token.
func Example_languageModel() {
	if err := askModel(context.Background(), nil); err != nil {
		log.Fatal(err)
	}
}

func askModel(ctx context.Context, search chain.SearchFunc) error {
	model, err := openai.New(openai.WithBaseURL("http://localhost:8000/v1"), openai.WithToken("none"), openai.WithModel("qwen3-8b"))
	check(err)
	qa, err := chain.NewQA(chain.Config{Model: model, ModelName: "qwen3-8b", Search: search})
	check(err)
	for event, err := range qa.Stream(ctx, chain.Question{Text: "When does the library close?"}) {
		if err != nil {
			return err
		}
		switch event := event.(type) {
		case chain.Token:
			fmt.Print(event.Text)
		case chain.Done:
			fmt.Println(event.Answer.Citations)
		}
	}
	return nil
}

// Encoders and rerankers are opened from files.
func Example_models() {
	ctx := context.Background()
	encoder, err := embed.New("models/multilingual-e5-small", embed.Int8())
	check(err)
	fmt.Println(encoder.Info().QueryPrompt) // "query: "

	store, err := retriever.Open(ctx, retriever.Config{Dir: "data", Encoder: encoder})
	check(err)
	reranker, err := embed.LoadCrossEncoder("models/bge-reranker-base")
	check(err)
	hits, err := store.Search(ctx, "house", "opening hours", retriever.TopK(5), retriever.Rerank(reranker, 30))
	check(err)
	fmt.Println(len(hits))
}

// A search is composed of options, or of settings that a collection has.
func Example_search() {
	ctx := context.Background()
	store, err := retriever.Open(ctx, retriever.Config{Dir: "data"})
	check(err)
	filter, err := retriever.ParseFilter("year >= 2024")
	check(err)
	server, err := ollama.New(ollama.WithModel("qwen3:8b"))
	check(err)

	model := func(context.Context) (llms.Model, error) { return server, nil }
	hits, err := store.Search(ctx, "minutes", "Who signs for the school?",
		retriever.WithFusion(retriever.ScaledFusion),
		retriever.MultiQuery(chain.Questions(model, 3)),
		retriever.Rerank(chain.Judge{Model: model}, 20),
		retriever.Decay(180*24*time.Hour, "held"),
		retriever.Diversity(.2),
		retriever.Where(filter))
	check(err)
	fmt.Println(len(hits))

	reranker, err := embed.LoadCrossEncoder("models/bge-reranker-base")
	check(err)
	settings, err := ingest.ReadSettings(ctx, store, "minutes")
	check(err)
	parts := chain.Parts(model)
	parts.CrossEncoder = func() (retriever.Reranker, error) { return reranker, nil }
	options, err := settings.Retrieval.Options(parts)
	check(err)
	hits, err = store.Search(ctx, "minutes", "Who signs for the school?", options...)
	check(err)
	fmt.Println(len(hits))
}

// A program reads untrusted files in child processes of its own.
func Example_worker() {
	if len(os.Args) > 1 && os.Args[1] == "parse-worker" {
		if err := ingest.Worker(context.Background(), os.Stdin, os.Stdout); err != nil {
			log.Fatal(err)
		}
		return
	}
	extractor, err := ingest.NewExtractor(ingest.ExtractorConfig{Worker: []string{os.Args[0], "parse-worker"}})
	check(err)
	defer extractor.Close()
}

// A collection is a retriever and a vector store of langchaingo's.
func Example_langchaingo() {
	ctx := context.Background()
	store, err := retriever.Open(ctx, retriever.Config{Dir: "data"})
	check(err)
	docs, err := store.Retriever("house", retriever.TopK(5)).GetRelevantDocuments(ctx, "opening hours")
	check(err)
	vs := store.VectorStore("house") // AddDocuments, SimilaritySearch
	more, err := vs.SimilaritySearch(ctx, "opening hours", 5)
	check(err)
	fmt.Println(len(docs), len(more))
}
