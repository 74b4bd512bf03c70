package main_test

import (
	"testing"

	"docent/retriever"
)

// TestRetrievalSettings: the settings of a collection decide how it is searched, unless a flag says otherwise.
func TestRetrievalSettings(t *testing.T) {
	h := newHome(t)
	h.write("a.md", "# Pumps\n\nThe pump is oiled in spring.\n\n# Hoses\n\nA hose is no pump.\n")
	h.write("b.md", "A pump, a hose and a tank are in the shed.")
	h.ok("ingest", h.work)
	type result struct {
		Mode     string
		Settings retriever.Settings
		Hits     []retriever.Hit
	}
	search := func(args ...string) result {
		t.Helper()
		return decode[result](t, h.ok(append([]string{"--json", "search"}, append(args, "pump")...)...))
	}
	if got := search(); got.Mode != "hybrid" || len(got.Hits) < 3 || got.Hits[0].DenseScore == 0 {
		t.Fatalf("at first: %+v", got)
	}
	h.ok("collections", "set", "default", "retrieval.mode=keyword", "retrieval.per_document=1")
	if got := search(); got.Mode != "keyword" || len(got.Hits) != 2 || got.Hits[0].DenseScore != 0 {
		t.Errorf("as set: %+v", got)
	}
	if got := search("--set", "per_document=0"); got.Mode != "keyword" || got.Settings.PerDocument != 0 || len(got.Hits) < 3 {
		t.Errorf("with --set: %+v", got)
	}
	if got := search("--mode", "dense"); got.Mode != "dense" || len(got.Hits) != 2 || got.Hits[0].KeywordScore != 0 {
		t.Errorf("with --mode: %+v", got)
	}
	h.fails(1, []string{"hops should be from 0 to 4"}, "search", "--hops", "9", "pump")
	h.fails(1, []string{"--set moed=dense", "retrieval.mode"}, "search", "--set", "moed=dense", "pump")
	h.fails(1, []string{"key=value"}, "search", "--set", "dense", "pump")
}
