package retriever_test

import (
	"context"
	"math"
	"slices"
	"testing"
	"time"

	"docent/retriever"
)

func TestDecay(t *testing.T) {
	ctx := context.Background()
	s := open(t, t.TempDir(), words)
	create(t, s, "c")
	const day = 24 * time.Hour
	ago := func(days int) string { return time.Now().Add(-time.Duration(days) * day).UTC().Format(time.RFC3339) }
	for path, date := range map[string]string{"old": ago(60), "new": ago(0), "coming": ago(-30), "odd": "in spring", "none": ""} {
		text := "the pump is oiled\n"
		if path == "old" {
			text = "pump\n" // fits best
		}
		doc := retriever.Document{Path: path, Title: path, Metadata: map[string]string{"written": date}}
		if _, err := put(ctx, s, "c", doc, text); err != nil {
			t.Fatal(err)
		}
	}
	scores := func(opts ...retriever.SearchOption) (order []string, score map[string]float64) {
		score = make(map[string]float64)
		for _, h := range search(t, s, "c", "pump", opts...) {
			order = append(order, h.Document.Path)
			score[h.Document.Path] = h.Score
		}
		return order, score
	}
	order, plain := scores()
	if len(order) != 5 || order[0] != "old" {
		t.Fatalf("the search itself: %v", plain)
	}
	order, got := scores(retriever.Decay(30*day, "written"))
	if order[len(order)-1] != "old" {
		t.Errorf("the old one is not last: %v", got)
	}
	for path, share := range map[string]float64{"old": .25, "new": 1, "coming": 1, "odd": 1, "none": 1} { // the last two are as new as their update
		if math.Abs(got[path]-share*plain[path]) > 1e-4 {
			t.Errorf("%s: %.5f of %.5f, want the share %v", path, got[path], plain[path], share)
		}
	}
	if _, got := scores(retriever.Decay(30*day, "")); math.Abs(got["old"]-plain["old"]) > 1e-4 {
		t.Errorf("by the update: %v, want %v", got, plain)
	}
	if order, _ := scores(retriever.Decay(30*day, "written"), retriever.MinScore(plain["old"]/2)); slices.Contains(order, "old") {
		t.Errorf("a least score is not applied to what age has left: %v", order)
	}
	if order, _ := scores(retriever.Decay(0, "written")); order[0] != "old" {
		t.Errorf("a half-life of 0: %v", order)
	}
	// A reranker's scores age too.
	same := scorer(func(_, _ string) float32 { return .5 })
	if _, got := scores(retriever.Decay(30*day, "written"), retriever.Rerank(same, 0)); math.Abs(got["old"]-.125) > 1e-4 || math.Abs(got["new"]-.5) > 1e-4 {
		t.Errorf("reranked: %v", got)
	}
}
