package main_test

import (
	"path/filepath"
	"testing"

	"docent/retriever"
)

func TestReranker(t *testing.T) {
	h := newHome(t)
	h.write("a.txt", "The pump is oiled in spring.")
	h.write("b.txt", "A pump, a hose and a tank are in the shed.")
	h.ok("--encoder", "none", "ingest", h.work)
	model, err := filepath.Abs("../../embed/testdata/cross-bert") // random weights
	if err != nil {
		t.Fatal(err)
	}
	hits := func(args ...string) []retriever.Hit {
		t.Helper()
		return decode[struct{ Hits []retriever.Hit }](t, h.ok(append([]string{"--json", "--encoder", "none"}, args...)...)).Hits
	}
	plain := hits("search", "pump")
	got := hits("--reranker", model, "search", "pump")
	if len(plain) != 2 || len(got) != 2 {
		t.Fatalf("%d and %d hits, want 2", len(plain), len(got))
	}
	for _, g := range got {
		if g.KeywordScore <= 0 || g.Score == g.KeywordScore || g.Score <= 0 || g.Score >= 1 {
			t.Errorf("%s: score %v, by words %v", g.Document.Path, g.Score, g.KeywordScore)
		}
	}
	if got[0].Score < got[1].Score {
		t.Errorf("not in order: %v, %v", got[0].Score, got[1].Score)
	}
	if got := hits("--reranker", "none", "search", "pump"); got[0].Score != plain[0].Score {
		t.Errorf("with none: %v, want %v", got[0].Score, plain[0].Score)
	}
	if got := hits("--reranker", model, "search", "--set", "rerank=off", "pump"); got[0].Score != plain[0].Score {
		t.Errorf("switched off: %v, want %v", got[0].Score, plain[0].Score)
	}
	h.env = append(h.env, "DOCENT_RERANKER=bge-reranker-base")
	h.fails(1, []string{"not installed", "docent models pull bge-reranker-base"}, "ask", "what is oiled?")
	h.fails(1, []string{`"nothing"`, "no such folder", "docent models list"}, "--reranker", "nothing", "search", "pump")
	h.fails(1, []string{"load cross-encoder", "pooler.dense"}, "--encoder", "none", "--reranker", filepath.Join(model, "../tiny-f32-mean"), "search", "pump")
}
