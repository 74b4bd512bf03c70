package ingest_test

import (
	"path/filepath"
	"testing"

	"docent/chunker"
	"docent/embed"
	"docent/ingest"
	"docent/retriever"
)

// The whole way with the built-in encoder: a question in other words than the text's finds it.
func TestIngestBuiltinEncoder(t *testing.T) {
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
	defer b.store.Close()
	if _, err := b.store.CreateCollection(ctx, "c"); err != nil {
		t.Fatal(err)
	}
	split, err := chunker.NewRecursive(enc, chunker.RecursiveConfig{})
	if err != nil {
		t.Fatal(err)
	}
	b.with(t, split, ingest.PipelineConfig{})
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
