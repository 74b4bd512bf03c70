package chain_test

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/tmc/langchaingo/llms"

	"docent/chain"
	"docent/retriever"
)

// TestJudgeByLikelihood compares with transformers (scripts/golden_judge.py).
func TestJudgeByLikelihood(t *testing.T) {
	raw, err := os.ReadFile("testdata/judge.json")
	if err != nil {
		t.Fatal(err)
	}
	var golden struct {
		Question string
		Passages []string
		Scores   []float64
	}
	if err := json.Unmarshal(raw, &golden); err != nil {
		t.Fatal(err)
	}
	m := letters(t)
	got, err := chain.Judge{Model: func(context.Context) (llms.Model, error) { return m, nil }}.Score(t.Context(), golden.Question, golden.Passages)
	if err != nil {
		t.Fatal(err)
	}
	order := func(score func(i int) float64) []int {
		all := []int{0, 1, 2, 3, 4, 5}
		slices.SortFunc(all, func(a, b int) int { return cmp.Compare(score(b), score(a)) })
		return all
	}
	if g, w := order(func(i int) float64 { return float64(got[i]) }), order(func(i int) float64 { return golden.Scores[i] }); !slices.Equal(g, w) {
		t.Errorf("order %v, want %v", g, w)
	}
	for i, want := range golden.Scores {
		if math.Abs(float64(got[i])/want-1) > 1e-4 {
			t.Errorf("passage %d: %v, want %v", i, got[i], want)
		}
	}
}

// ranker is a model on a server: it writes the numbers of the passages in the order of the numbers in their texts,
// the highest first.
type ranker struct {
	asked int
	write func(order []string) string
}

func (r *ranker) Call(ctx context.Context, prompt string, o ...llms.CallOption) (string, error) {
	return llms.GenerateFromSinglePrompt(ctx, r, prompt, o...)
}

func (r *ranker) GenerateContent(_ context.Context, messages []llms.MessageContent, _ ...llms.CallOption) (*llms.ContentResponse, error) {
	r.asked++
	type row struct{ n, worth string }
	var rows []row
	for _, m := range regexp.MustCompile(`(?m)^\[(\d+)\] worth (\d+)`).FindAllStringSubmatch(text(messages[1]), -1) {
		rows = append(rows, row{m[1], m[2]})
	}
	slices.SortFunc(rows, func(a, b row) int { return strings.Compare(b.worth, a.worth) })
	var order []string
	for _, r := range rows {
		order = append(order, r.n)
	}
	return &llms.ContentResponse{Choices: []*llms.ContentChoice{{Content: r.write(order)}}}, nil
}

func TestJudgeByList(t *testing.T) {
	chained := func(order []string) string { return "[" + strings.Join(order, "] > [") + "]" }
	for _, tt := range []struct {
		name   string
		worths []int
		write  func(order []string) string
		asked  int
		best   []int // the first of the order, by worth
		fails  bool
	}{
		{name: "none", asked: 0},
		{name: "one", worths: []int{5}, asked: 0, best: []int{5}},
		{name: "all", worths: []int{10, 30, 20}, write: chained, asked: 1, best: []int{30, 20, 10}},
		{name: "commas and thoughts", worths: []int{10, 30, 20}, write: func(o []string) string { return "<think>1 is bad</think>" + strings.Join(o, ", ") }, asked: 1, best: []int{30, 20, 10}},
		{name: "some are forgotten", worths: []int{10, 30, 20}, write: func(o []string) string { return o[0] }, asked: 1, best: []int{30, 10, 20}},
		{name: "nonsense", worths: []int{10, 30}, write: func([]string) string { return "all are good" }, fails: true},
		{name: "more than a window", worths: numbers(45), write: chained, asked: 4, best: []int{54, 53, 52, 51, 50, 49, 48, 47, 46, 45}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var passages []string
			for _, w := range tt.worths {
				passages = append(passages, fmt.Sprintf("worth %d", w))
			}
			model := &ranker{write: tt.write}
			got, err := chain.Judge{Model: func(context.Context) (llms.Model, error) { return model, nil }}.Score(t.Context(), "what is worth most?", passages)
			if tt.fails {
				if err == nil {
					t.Errorf("scores %v of nonsense", got)
				}
				return
			}
			if err != nil || len(got) != len(passages) || model.asked != tt.asked {
				t.Fatalf("%d scores of %d, asked %d times, %v", len(got), len(passages), model.asked, err)
			}
			order := slices.Clone(tt.worths)
			slices.SortFunc(order, func(a, b int) int {
				return cmp.Compare(got[slices.Index(tt.worths, b)], got[slices.Index(tt.worths, a)])
			})
			if !slices.Equal(order[:len(tt.best)], tt.best) {
				t.Errorf("order %v, want %v first", order, tt.best)
			}
			for _, s := range got {
				if s <= 0 || s > 1 {
					t.Errorf("score %v", s)
				}
			}
		})
	}
	none := func(context.Context) (llms.Model, error) { return nil, retriever.ErrNoModel }
	if _, err := (chain.Judge{Model: none}).Score(t.Context(), "q", []string{"a", "b"}); !errors.Is(err, retriever.ErrNoModel) {
		t.Errorf("without a model: %v", err)
	}
}

// FuzzRanking reads whatever a model writes for an order: each passage has a rank of its own.
func FuzzRanking(f *testing.F) {
	for _, reply := range []string{"[2] > [1] > [3]", "2,1", "", "3 3 3", "[99] [0] [-1]", "<think>1</think>[3]", "\xff2"} {
		f.Add(reply)
	}
	f.Fuzz(func(t *testing.T, reply string) {
		model := &ranker{write: func([]string) string { return reply }}
		scores, err := chain.Judge{Model: func(context.Context) (llms.Model, error) { return model, nil }}.Score(t.Context(), "q", []string{"a", "b", "c"})
		if err != nil {
			return
		}
		slices.Sort(scores)
		for i, s := range scores {
			if math.Abs(float64(s)-float64(i+1)/3) > 1e-6 {
				t.Fatalf("scores %v", scores)
			}
		}
	})
}

// numbers are 10 to 9+n, the best at the end.
func numbers(n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = 10 + i
	}
	return all
}
