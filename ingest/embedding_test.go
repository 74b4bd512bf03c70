package ingest_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"docent/chunker"
	"docent/embed"
	"docent/ingest"
	"docent/retriever"
)

// The whole way with the built-in encoder: a question in other words than the text's finds it.
func TestIngestBuiltinEncoder(t *testing.T) {
	ctx := t.Context()
	b := newEncoderBench(t)
	const text = "# Leave\n\nStaff have fifteen days of annual leave.\n\n# Travel\n\nTrain tickets are paid back within a month.\n\n# Security\n\nLock the screen when you leave your desk.\n"
	var last ingest.Progress
	res, err := b.pipe.Ingest(ctx, "c", b.file(t, "handbook.md", text), func(p ingest.Progress) { last = p })
	if err != nil || res.Status != ingest.Ingested || res.Chunks != 3 {
		t.Fatalf("%+v, %v, want three chunks", res, err)
	}
	if last != (ingest.Progress{Stage: ingest.StageStoring, Done: 3, Total: 3}) {
		t.Errorf("the last progress is %+v", last)
	}
	for question, heading := range map[string]string{"How long may I go on vacation?": "Leave", "reimbursement of railway fares": "Travel"} {
		hits, err := b.store.Search(ctx, "c", question, retriever.WithMode(retriever.Dense))
		if err != nil || len(hits) != 3 || hits[0].Chunk.Headings[0] != heading {
			t.Errorf("%s: %+v, %v, want %s first", question, hits, err, heading)
		}
	}
}

// newEncoderBench is a bench with the built-in encoder.
func newEncoderBench(t *testing.T) *bench {
	t.Helper()
	ctx := t.Context()
	enc, err := embed.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{dir: t.TempDir()}
	b.store, err = retriever.Open(ctx, retriever.Config{Dir: filepath.Join(b.dir, "data"), Encoder: enc})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.store.Close() })
	if _, err := b.store.CreateCollection(ctx, "c"); err != nil {
		t.Fatal(err)
	}
	split, err := chunker.NewRecursive(enc, chunker.RecursiveConfig{})
	if err != nil {
		t.Fatal(err)
	}
	b.with(t, split, ingest.PipelineConfig{})
	return b
}

// A file that is given up while it is embedded costs no more than the chunks at hand, and leaves nothing behind.
func TestStopWhileEmbedding(t *testing.T) {
	b := newEncoderBench(t)
	var text strings.Builder
	for i := range 2000 {
		fmt.Fprintf(&text, "# Berth %d\n\nShip %d lies at berth %d until noon, and its papers are kept in drawer %d of the harbour office.\n\n", i, i*7, i, i*3)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	at, after, total := -1, 0, 0
	_, err := b.pipe.Ingest(ctx, "c", b.file(t, "berths.md", text.String()), func(p ingest.Progress) {
		if p.Stage != ingest.StageEmbedding {
			return
		}
		total = p.Total
		if at < 0 && p.Done > 0 {
			at = p.Done
			stop()
		}
		after = p.Done
	})
	if !errors.Is(err, context.Canceled) || at < 0 {
		t.Fatalf("stopped at %d: %v, want context.Canceled", at, err)
	}
	// Two batches: the one that was being computed may still end.
	if after-at > 128 || after > total/4 {
		t.Errorf("stopped at chunk %d of %d, and %d were made", at, total, after)
	}
	if docs, err := b.store.Documents(t.Context(), "c"); err != nil || len(docs) != 0 {
		t.Errorf("%d documents, %v", len(docs), err)
	}
}
