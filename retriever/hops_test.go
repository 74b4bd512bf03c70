package retriever_test

import (
	"fmt"
	"testing"

	"docent/retriever"
)

func TestHops(t *testing.T) { eachStore(t, testHops) }

func testHops(t *testing.T, at place) {
	s := at.open(t, words)
	create(t, s, "c")
	mustPut(t, s, "c", "song", "The song Blue Harbour was sung by Mira Dahl.\n")
	mustPut(t, s, "c", "Mira Dahl", "She was born in Old Town and died there.\n")
	for i := range 30 {
		mustPut(t, s, "c", fmt.Sprint("other", i), fmt.Sprintf("A person was born in village %d, a singer of a song.\n", i))
	}
	rank := func(opts ...retriever.SearchOption) int {
		for i, h := range search(t, s, "c", "Where was the singer of the song Blue Harbour born?", append(opts, retriever.TopK(40))...) {
			if h.Document.Path == "Mira Dahl" {
				return i + 1
			}
		}
		return 1000
	}
	for _, mode := range []retriever.SearchOption{
		retriever.WithMode(retriever.Hybrid), retriever.WithMode(retriever.Keyword), retriever.WithMode(retriever.Dense), retriever.WithFusion(retriever.RankFusion),
	} {
		if one, two := rank(mode), rank(mode, retriever.Hops(2)); two > 3 || one <= two {
			t.Errorf("the passage that another leads to is at %d, and at %d with a second hop", one, two)
		}
	}
	if hits := search(t, s, "c", "song", retriever.Hops(2), retriever.PerDocument(1), retriever.TopK(5)); len(hits) != 5 {
		t.Errorf("%d hits, want 5", len(hits))
	}
	if hits := search(t, s, "c", "", retriever.Hops(9)); len(hits) != 0 {
		t.Errorf("an empty question finds %v", found(hits))
	}
}
