package retriever_test

import (
	"context"
	"errors"
	"math"
	"slices"
	"testing"

	"docent/retriever"
)

func TestMultiQuery(t *testing.T) {
	s := open(t, t.TempDir(), words)
	create(t, s, "c")
	mustPut(t, s, "c", "a", "the pump is oiled in spring\n")
	mustPut(t, s, "c", "b", "annual leave is thirty days\n")
	mustPut(t, s, "c", "d", "the pump and the shed\n")
	byWords := retriever.WithMode(retriever.Keyword)
	ask := func(questions ...string) retriever.SearchOption {
		return retriever.MultiQuery(func(_ context.Context, question string) ([]string, error) {
			if question != "oiled pump" {
				t.Errorf("asked for %q", question)
			}
			return questions, nil
		})
	}
	got := search(t, s, "c", "oiled pump", byWords, ask("leave days", "spring"))
	want := []string{"a: the pump is oiled in spring", "b: annual leave is thirty days", "d: the pump and the shed"}
	if !slices.Equal(found(got), want) {
		t.Fatalf("found %q, want %q", found(got), want)
	}
	if w := 2. / 61; math.Abs(got[0].Score-w) > 1e-9 || got[0].KeywordRank != 1 || got[0].KeywordScore == 0 {
		t.Errorf("%+v, want the score %v", got[0], w)
	}
	if got := search(t, s, "c", "oiled pump", byWords, ask("leave days"), retriever.TopK(1)); len(got) != 1 {
		t.Errorf("%d hits, want 1", len(got))
	}
	if got := search(t, s, "c", "oiled pump", byWords, ask()); len(got) != 2 {
		t.Errorf("no other question: %v", found(got))
	}
	if got := search(t, s, "c", " ", ask("leave")); len(got) != 0 {
		t.Errorf("without a question: %v", found(got))
	}
}

// TestHyDE: meaning is compared with what could answer, words with what is asked.
func TestHyDE(t *testing.T) {
	s := open(t, t.TempDir(), words)
	create(t, s, "c")
	mustPut(t, s, "c", "a", "thirty days are granted\n")
	mustPut(t, s, "c", "b", "how much is asked\n")
	hyde := retriever.HyDE(func(context.Context, string) (string, error) {
		return "thirty days are granted thirty days are granted", nil
	})
	for _, mode := range []retriever.Mode{retriever.Dense, retriever.Hybrid} {
		plain := search(t, s, "c", "how much leave", retriever.WithMode(mode))
		got := search(t, s, "c", "how much leave", retriever.WithMode(mode), hyde)
		if plain[0].Document.Path != "b" || got[0].DenseScore == plain[0].DenseScore {
			t.Errorf("%s: %v, then %v", mode, plain, got)
		}
		var dense float64 // the mean of two unit vectors, made a unit vector
		q, _ := words.EmbedQuery(t.Context(), "how much leave")
		h, _ := words.EmbedQuery(t.Context(), "thirty days are granted")
		var dot float64
		for i := range q {
			dot += float64(q[i]) * float64(h[i])
		}
		dense = (1 + dot) / math.Sqrt(2+2*dot)
		for _, g := range got {
			if g.Document.Path == "a" && math.Abs(g.DenseScore-dense) > 1e-4 {
				t.Errorf("%s: cosine %v, want %v", mode, g.DenseScore, dense)
			}
		}
	}
	if got := search(t, s, "c", "how much leave", retriever.WithMode(retriever.Keyword), hyde); len(got) != 1 {
		t.Errorf("by words: %v", found(got))
	}
}

// TestExpansionFails: the question is searched as it is, and the reader told.
func TestExpansionFails(t *testing.T) {
	s := open(t, t.TempDir(), words)
	create(t, s, "c")
	mustPut(t, s, "c", "a", "the pump is oiled in spring\nthe pump\n")
	plain := search(t, s, "c", "pump")
	asleep := errors.New("asleep")
	var notes []string
	got := search(t, s, "c", "pump",
		retriever.MultiQuery(func(context.Context, string) ([]string, error) { return nil, asleep }),
		retriever.HyDE(func(context.Context, string) (string, error) { return "", asleep }),
		retriever.OnNote(func(n retriever.Note) { notes = append(notes, n.String()) }))
	if !slices.Equal(found(got), found(plain)) || got[0].Score != plain[0].Score {
		t.Errorf("got %v, want %v", found(got), found(plain))
	}
	if want := []string{"searched without hyde: asleep", "searched without queries: asleep"}; !slices.Equal(notes, want) {
		t.Errorf("notes %q, want %q", notes, want)
	}
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := s.Search(ctx, "c", "pump", retriever.MultiQuery(func(ctx context.Context, _ string) ([]string, error) {
		cancel()
		return nil, ctx.Err()
	})); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}
