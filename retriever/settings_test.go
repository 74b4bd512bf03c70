package retriever_test

import (
	"context"
	"errors"
	"math"
	"slices"
	"testing"
	"time"

	"docent/retriever"
)

// settled is the search that the settings describe.
func settled(t *testing.T, s retriever.Settings, parts retriever.Parts) []retriever.SearchOption {
	t.Helper()
	opts, err := s.Options(parts)
	if err != nil {
		t.Fatal(err)
	}
	return opts
}

func TestSettingsAreOptions(t *testing.T) {
	s := open(t, t.TempDir(), words)
	create(t, s, "c")
	if _, err := put(t.Context(), s, "c", retriever.Document{Path: "a", Metadata: map[string]string{"written": "2020"}}, "pump oil\npump pump\nthe pump and its oil"); err != nil {
		t.Fatal(err)
	}
	mustPut(t, s, "c", "b", "oil and water")
	last := scorer(func(_, passage string) float32 { return float32(len(passage)) })
	model := retriever.Parts{
		Questions: func(n int) retriever.QuestionsFunc {
			return func(context.Context, string) ([]string, error) { return make([]string, n), nil }
		},
		Hypothesis: func(context.Context, string) (string, error) { return "water", nil },
		Judge:      last,
	}
	cross := retriever.Parts{CrossEncoder: func() (retriever.Reranker, error) { return last, nil }}
	for _, tt := range []struct {
		name     string
		settings retriever.Settings
		parts    retriever.Parts
		options  []retriever.SearchOption
		notes    []string
	}{
		{name: "none"},
		{name: "dense", settings: retriever.Settings{Mode: "dense"}, options: []retriever.SearchOption{retriever.WithMode(retriever.Dense)}},
		{name: "rank", settings: retriever.Settings{Fusion: "rank"}, options: []retriever.SearchOption{retriever.WithFusion(retriever.RankFusion)}},
		{name: "share", settings: retriever.Settings{DenseShare: 10}, options: []retriever.SearchOption{retriever.DenseShare(.1)}},
		{name: "per document", settings: retriever.Settings{PerDocument: 1}, options: []retriever.SearchOption{retriever.PerDocument(1)}},
		{name: "neighbours", settings: retriever.Settings{Neighbours: 1}, options: []retriever.SearchOption{retriever.Neighbours(1)}},
		{name: "diversity", settings: retriever.Settings{Diversity: 60}, options: []retriever.SearchOption{retriever.Diversity(.6)}},
		{name: "age", settings: retriever.Settings{HalfLife: 1, DateField: "written"}, options: []retriever.SearchOption{retriever.Decay(24*time.Hour, "written")}},
		{name: "no language model", settings: retriever.Settings{Queries: 2, HyDE: true},
			notes: []string{"searched without hyde: there is no language model", "searched without queries: there is no language model"}},
		{name: "questions", settings: retriever.Settings{Queries: 2}, parts: model, options: []retriever.SearchOption{retriever.MultiQuery(model.Questions(2))}},
		{name: "a language model reranks", settings: retriever.Settings{Rerank: "model", RerankTop: 2}, parts: model, options: []retriever.SearchOption{retriever.Rerank(last, 2)}},
		{name: "a language model that should rerank fails", settings: retriever.Settings{Rerank: "model"}, parts: retriever.Parts{Judge: badReranker{err: errors.New("asleep")}},
			notes: []string{"searched without rerank: asleep"}},
		{name: "no language model reranks", settings: retriever.Settings{Rerank: "model"}, notes: []string{"searched without rerank: there is no language model"}},
		{name: "hypothesis", settings: retriever.Settings{HyDE: true}, parts: model, options: []retriever.SearchOption{retriever.HyDE(model.Hypothesis)}},
		{name: "a cross-encoder is there", settings: retriever.Settings{Rerank: "auto", RerankTop: 2}, parts: cross, options: []retriever.SearchOption{retriever.Rerank(last, 2)}},
		{name: "a cross-encoder is not wanted", settings: retriever.Settings{Rerank: "off"}, parts: cross},
		{name: "a cross-encoder is missing", settings: retriever.Settings{Rerank: "cross-encoder"}, notes: []string{"searched without rerank: no reranker is configured"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var notes []string
			note := retriever.OnNote(func(n retriever.Note) { notes = append(notes, n.String()) })
			got := search(t, s, "c", "pump oil", append(settled(t, tt.settings, tt.parts), note)...)
			want := search(t, s, "c", "pump oil", tt.options...)
			if !slices.Equal(found(got), found(want)) || !slices.EqualFunc(got, want, func(a, b retriever.Hit) bool { return math.Abs(a.Score-b.Score) < 1e-6 }) {
				t.Errorf("got %v, want %v", found(got), found(want))
			}
			if !slices.Equal(notes, tt.notes) {
				t.Errorf("notes %q, want %q", notes, tt.notes)
			}
		})
	}
	broken := errors.New("broken")
	_, err := retriever.Settings{}.Options(retriever.Parts{CrossEncoder: func() (retriever.Reranker, error) { return nil, broken }})
	if !errors.Is(err, broken) {
		t.Errorf("a reranker that cannot be loaded: %v", err)
	}
}
