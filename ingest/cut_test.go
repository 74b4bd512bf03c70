package ingest_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/tmc/langchaingo/llms"

	"docent/chunker"
	"docent/ingest"
)

// A collection's settings decide how its documents are cut; a change of them has a file made anew.
func TestChunkSettings(t *testing.T) {
	ctx := t.Context()
	b := newBench(t)
	it := b.file(t, "rules.md", "# Rules\n\n"+strings.Repeat("The pump is checked each morning before work begins. ", 20)+"\n")
	set := func(key, value string) {
		t.Helper()
		if _, err := ingest.ChangeSettings(ctx, b.store, "c", func(s *ingest.Settings) error { return s.Set(key, value) }); err != nil {
			t.Fatal(err)
		}
	}
	set("chunks.strategy", "sentence")
	if _, err := b.pipe.Ingest(ctx, "c", it, nil); err == nil || !strings.Contains(err.Error(), "one way") {
		t.Errorf("a pipeline with one splitter: %v", err)
	}
	b.pipe = newPipeline(t, b.store, chunker.RecursiveConfig{}, ingest.PipelineConfig{
		Splitter: func(cfg chunker.Config) (chunker.Splitter, error) { return chunker.New(nil, nil, cfg) },
	})
	res, err := b.pipe.Ingest(ctx, "c", it, nil)
	if err != nil || res.Chunks < 15 {
		t.Errorf("sentences: %+v, %v", res, err)
	}
	set("chunks.strategy", "structure")
	if res, err = b.pipe.Ingest(ctx, "c", it, nil); err != nil || res.Status != ingest.Ingested || res.Chunks > 5 {
		t.Errorf("structure: %+v, %v", res, err)
	}
	set("chunks.strategy", "semantic")
	if _, err := b.pipe.Ingest(ctx, "c", it, nil); err == nil || !strings.Contains(err.Error(), "needs an encoder") {
		t.Errorf("topics without an encoder: %v", err)
	}
}

// situator is a model that answers about a passage with a word of its title.
type situator struct{ err error }

func (m situator) GenerateContent(_ context.Context, messages []llms.MessageContent, _ ...llms.CallOption) (*llms.ContentResponse, error) {
	asked := messages[1].Parts[0].(llms.TextContent).Text
	reply := "no title"
	if strings.Contains(asked, "<title>Rules</title>") && strings.Contains(asked, "<passage>") {
		reply = "This is the  Zwischenstand\nof the rules. " + strings.Repeat("More of it. ", 40)
	}
	return &llms.ContentResponse{Choices: []*llms.ContentChoice{{Content: reply}}}, m.err
}

func (m situator) Call(context.Context, string, ...llms.CallOption) (string, error) { return "", m.err }

func TestModelContext(t *testing.T) {
	ctx := t.Context()
	b := newBench(t)
	it := b.file(t, "rules.md", "# Rules\n\nThe pump is checked each morning.\n")
	if _, err := ingest.ChangeSettings(ctx, b.store, "c", func(s *ingest.Settings) error { return s.Set("chunks.context", "model") }); err != nil {
		t.Fatal(err)
	}
	with := func(m llms.Model) *ingest.Pipeline {
		cfg := ingest.PipelineConfig{Splitter: func(cfg chunker.Config) (chunker.Splitter, error) { return chunker.New(nil, nil, cfg) }}
		if m != nil {
			cfg.Situate = ingest.Situate(m)
		}
		return newPipeline(t, b.store, chunker.RecursiveConfig{}, cfg)
	}
	if _, err := with(nil).Ingest(ctx, "c", it, nil); err == nil || !strings.Contains(err.Error(), "language model") {
		t.Errorf("without a model: %v", err)
	}
	broken := errors.New("model is away")
	if _, err := with(situator{broken}).Ingest(ctx, "c", it, nil); !errors.Is(err, broken) {
		t.Errorf("a model that fails: %v", err)
	}
	if _, err := with(situator{}).Ingest(ctx, "c", it, nil); err != nil {
		t.Fatal(err)
	}
	hits, err := b.store.Search(ctx, "c", "Zwischenstand")
	if err != nil || len(hits) != 1 || len(hits[0].Chunk.Context) > 300 || !strings.Contains(hits[0].Chunk.Text, "pump") {
		t.Errorf("%+v, %v", hits, err)
	}
}
