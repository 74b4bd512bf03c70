package chain_test

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tmc/langchaingo/llms"

	"docent/chain"
	"docent/chunker"
	"docent/internal/llm"
	"docent/internal/llm/engine"
	"docent/internal/llm/llmtest"
	"docent/retriever"
)

// says is a model that gives one reply.
func says(reply string) (*script, chain.ModelFunc) {
	s := &script{replies: [][]string{{reply}}}
	return s, func(context.Context) (llms.Model, error) { return s, nil }
}

func TestQuestions(t *testing.T) {
	for _, tt := range []struct {
		name, question, reply string
		want                  []string
		instruction           string
	}{
		{"lines", "Who signs?", "Who may sign contracts?\nWhich authority is needed to sign?", []string{"Who may sign contracts?", "Which authority is needed to sign?"}, "search queries"},
		{"list", "Who signs?", "Here are the queries:\n1. Who may sign?\n2) \"who signs?\"\n- signing authority\n* signing authority\n\n3、third\n4. fourth", []string{"Who may sign?", "signing authority", "third"}, "up to 3"},
		{"thoughts", "Who signs?", "<think>They want\nsynonyms</think>signature rules", []string{"signature rules"}, ""},
		{"chinese", "年假有几天？", "1. 带薪年假天数\n2. 年休假规定", []string{"带薪年假天数", "年休假规定"}, "最多 3 个"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, model := says(tt.reply)
			got, err := chain.Questions(model, 3)(t.Context(), tt.question)
			if err != nil || !slices.Equal(got, tt.want) {
				t.Errorf("got %q, %v; want %q", got, err, tt.want)
			}
			if system, human := text(s.asked[0][0]), text(s.asked[0][1]); !strings.Contains(system, tt.instruction) || human != tt.question {
				t.Errorf("asked %q and %q", system, human)
			}
		})
	}
	_, silent := says("<think>nothing</think>")
	if _, err := chain.Questions(silent, 3)(t.Context(), "Who signs?"); err == nil {
		t.Error("no question is an error")
	}
	if got, err := chain.Hypothesis(silent)(t.Context(), "Who signs?"); err == nil {
		t.Errorf("no passage is an error, not %q", got)
	}
	_, model := says("<think>a guess</think>Contracts are signed\nby two directors.")
	if got, err := chain.Hypothesis(model)(t.Context(), "Who signs?"); err != nil || got != "Contracts are signed by two directors." {
		t.Errorf("%q, %v", got, err)
	}
	none := func(context.Context) (llms.Model, error) { return nil, retriever.ErrNoModel }
	if _, err := chain.Questions(none, 3)(t.Context(), "Who signs?"); !errors.Is(err, retriever.ErrNoModel) {
		t.Errorf("without a model: %v", err)
	}
}

// FuzzQuestions reads whatever a model writes for a list.
func FuzzQuestions(f *testing.F) {
	for _, reply := range []string{"", "1. a\n2. b\n", "- a\n- a\n* \"b\"", "<think>x", "①问题", "12) \x00\xff\n", "Queries:\n\nWho signs?"} {
		f.Add(reply)
	}
	f.Fuzz(func(t *testing.T, reply string) {
		_, model := says(reply)
		got, err := chain.Questions(model, 3)(t.Context(), "Who signs?")
		if (err == nil) != (len(got) > 0) || len(got) > 3 {
			t.Fatalf("%q, %v", got, err)
		}
		for i, q := range got {
			if strings.TrimSpace(q) == "" || strings.Contains(q, "\n") || strings.EqualFold(q, "Who signs?") || slices.Contains(got[:i], q) {
				t.Fatalf("%q", got)
			}
		}
	})
}

// letters opens a tiny model that is computed here.
func letters(t *testing.T) *llm.LocalModel {
	t.Helper()
	m, err := llm.OpenFile(llmtest.Letters(t, filepath.Join(t.TempDir(), "tiny.gguf"), "llama-f32", llmtest.ContextLength(1024)), llm.Config{ContextTokens: 1024, CacheType: engine.CacheF32})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

// TestPartsOfALocalModel searches a store with all the parts that a model computed here gives.
func TestPartsOfALocalModel(t *testing.T) {
	store, err := retriever.Open(t.Context(), retriever.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	if _, err := store.CreateCollection(t.Context(), "c"); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"The pump is oiled in spring.", "A pump, a hose and a tank.", "Annual leave."} {
		chunks := []chunker.Chunk{{Text: line, End: len(line)}}
		if _, err := store.Put(t.Context(), "c", retriever.Document{Path: line}, chunker.Document{Text: line}, chunks, nil); err != nil {
			t.Fatal(err)
		}
	}
	m := letters(t)
	parts := chain.Parts(func(context.Context) (llms.Model, error) { return m, nil })
	search := func(settings retriever.Settings) ([]retriever.Hit, []string) {
		t.Helper()
		opts, err := settings.Options(parts)
		if err != nil {
			t.Fatal(err)
		}
		var notes []string
		hits, err := store.Search(t.Context(), "c", "pump", append(opts, retriever.OnNote(func(n retriever.Note) { notes = append(notes, n.String()) }))...)
		if err != nil {
			t.Fatal(err)
		}
		return hits, notes
	}
	hits, notes := search(retriever.Settings{Queries: 2, Rerank: "model"})
	if len(hits) < 2 || len(notes) != 0 || !(hits[0].Score > hits[1].Score) || hits[0].Score >= 1 {
		t.Errorf("%+v, notes %q", hits, notes)
	}
	want, err := chain.Judge{Model: func(context.Context) (llms.Model, error) { return m, nil }}.Score(t.Context(), "pump", []string{hits[0].Chunk.Text})
	if err != nil || float64(want[0]) != hits[0].Score {
		t.Errorf("score %v, alone %v, %v", hits[0].Score, want, err)
	}
	// A passage made up by random weights is nonsense, but it is one.
	made, err := parts.Hypothesis(t.Context(), "pump")
	if err != nil || made == "" {
		t.Errorf("hypothesis %q, %v", made, err)
	}
	m.Close()
	settings, err := retriever.Settings{Rerank: "model"}.Options(parts)
	if err != nil {
		t.Fatal(err)
	}
	qa, err := chain.NewQA(chain.Config{Search: func(ctx context.Context, query string, k int, opts ...retriever.SearchOption) ([]retriever.Hit, error) {
		return store.Search(ctx, "c", query, append(settings, opts...)...)
	}})
	if err != nil {
		t.Fatal(err)
	}
	for question, want := range map[string]string{"When is the pump oiled?": "searched without rerank: ", "pump 何时上油？": "检索时没有使用“重新排序”："} {
		a, err := qa.Ask(t.Context(), chain.Question{Text: question})
		if err != nil || !strings.Contains(a.Notice, want) || len(a.Passages) == 0 {
			t.Errorf("%s: %+v, %v", question, a, err)
		}
	}
	hits, notes = search(retriever.Settings{Queries: 2, Rerank: "model"})
	if len(hits) != 2 || len(notes) != 2 {
		t.Errorf("with a model that is closed: %d hits, notes %q", len(hits), notes)
	}
}
