package retriever_test

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"docent/retriever"
)

func TestHops(t *testing.T) { eachStore(t, testHops) }

func testHops(t *testing.T, at place) {
	s := at.open(t, wordEncoder{name: "words@512", dim: 512})
	create(t, s, "c")
	mustPut(t, s, "c", "song", "The song Blue Harbour was sung by Mira Dahl.\n")
	mustPut(t, s, "c", "Mira Dahl", "Mira Dahl was born in Old Town, a place that lies far north.\n")
	for i := range 20 {
		mustPut(t, s, "c", fmt.Sprint("other", i), fmt.Sprintf("The singer of song %d was born elsewhere.\n", i))
	}
	const question = "Where was the singer of the song Blue Harbour born?"
	paths := func(opts ...retriever.SearchOption) (all []string) {
		hits := search(t, s, "c", question, append(opts, retriever.TopK(40))...)
		for i, h := range hits {
			if all = append(all, h.Document.Path); i > 0 && h.Score > hits[i-1].Score {
				t.Errorf("hit %d has more than the one before it: %v", i, h.Score)
			}
		}
		return all
	}
	plain := retriever.Hops(1)
	for n, mode := range []retriever.SearchOption{
		retriever.WithMode(retriever.Hybrid), retriever.WithMode(retriever.Keyword), retriever.WithMode(retriever.Dense), retriever.WithFusion(retriever.RankFusion),
	} {
		one, two := paths(mode, plain), paths(mode, retriever.Hops(2))
		// By these vectors alone the song's passage is not among those that are followed.
		if i, j := slices.Index(one, "Mira Dahl"), slices.Index(two, "Mira Dahl"); i < 8 || j > i || n < 2 && j != 3 {
			t.Errorf("the passage that another leads to is after %d hits, and after %d with a second hop", i, j)
		}
		if !slices.Equal(one[:3], two[:3]) {
			t.Errorf("the first hits are %q, and %q with a second hop", one[:3], two[:3])
		}
	}
	// Hops are the default where they cost little.
	want := paths(plain)
	if at.address == "" && at.dense == nil {
		want = paths(retriever.Hops(2))
	}
	if got := paths(); !slices.Equal(got, want) {
		t.Errorf("by default it finds %q, want %q", got, want)
	}
	if got := paths(retriever.WithMode(retriever.Keyword)); !slices.Equal(got, paths(retriever.WithMode(retriever.Keyword), plain)) {
		t.Errorf("by default it finds %q by words", got)
	}
	// Names are not told in Chinese.
	const chinese = "Blue Harbour 的歌手在哪里出生?"
	if one, two := found(search(t, s, "c", chinese, plain)), found(search(t, s, "c", chinese, retriever.Hops(2))); !slices.Equal(one, two) {
		t.Errorf("in Chinese it finds %q, and %q with a second hop", one, two)
	}
	if hits := search(t, s, "c", "song", retriever.Hops(2), retriever.PerDocument(1), retriever.TopK(5)); len(hits) != 5 {
		t.Errorf("%d hits, want 5", len(hits))
	}
	if hits := search(t, s, "c", "", retriever.Hops(9)); len(hits) != 0 {
		t.Errorf("an empty question finds %v", found(hits))
	}
}

// What a passage leads to gains, but for passages of the same title, and never more than the first three have.
func TestLed(t *testing.T) {
	hit := func(id int64, title string, score float64) retriever.Hit {
		h := retriever.Hit{ChunkID: id, Score: score, DenseRank: 1, Document: retriever.Document{Title: title}}
		h.Chunk.Text = "tells of Old Town"
		return h
	}
	hits := []retriever.Hit{hit(1, "Blue Harbour", .9), hit(2, "", .8), hit(3, "", .7), hit(4, "", .3), hit(5, "Blue Harbour", .2), hit(6, "Other", .1)}
	got := retriever.Led(hits, hits[:2:2], [][]retriever.Hit{
		{hit(5, "Blue Harbour", .9), hit(7, "Old Town", .5), hit(1, "Blue Harbour", .9)},
		{hit(6, "Other", .2), hit(8, "Blue Harbour", .1), hit(2, "", .9), hit(3, "", .9)},
	})
	want := []struct {
		id    int64
		score float64
		found bool
	}{{1, .9, true}, {2, .8, true}, {3, .7, true}, {7, .7, false}, {4, .3, true}, {6, .26, true}, {5, .2, true}, {8, .11, false}}
	if len(got) != len(want) {
		t.Fatalf("%d hits, want %d", len(got), len(want))
	}
	for i, w := range want {
		if h := got[i]; h.ChunkID != w.id || math.Abs(h.Score-w.score) > 1e-9 || (h.DenseRank > 0) != w.found {
			t.Errorf("hit %d is %d with %v, rank %d; want %+v", i, h.ChunkID, h.Score, h.DenseRank, w)
		}
	}
}
