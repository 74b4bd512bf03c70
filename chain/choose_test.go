package chain_test

import (
	"context"
	"errors"
	"math"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/tmc/langchaingo/llms"

	"docent/chain"
	"docent/internal/llm"
	"docent/internal/llm/llmtest"
)

// Of a model file the choice is the one that it finds likeliest, with the chances that the scores give.
func TestChooseByLikelihood(t *testing.T) {
	path := llmtest.Letters(t, filepath.Join(t.TempDir(), "tiny.gguf"), "llama-q8_0")
	m, err := llm.OpenFile(path, llm.Config{ContextTokens: 128})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	ctx := context.Background()
	ask := []llms.MessageContent{llms.TextParts(llms.ChatMessageTypeHuman, "a or b?")}
	texts := []string{"a", "b", "both of them"}
	scores, err := m.Score(ctx, ask, texts...)
	if err != nil {
		t.Fatal(err)
	}
	want, total := map[string]float64{}, 0.0
	for i, tokens := range scores {
		sum := 0.0
		for _, p := range tokens {
			sum += p
		}
		want[texts[i]] = math.Exp(sum)
		total += want[texts[i]]
	}
	got, err := chain.Choose(ctx, m, ask, texts)
	if err != nil || len(got) != 3 {
		t.Fatal(got, err)
	}
	for i, c := range got {
		if math.Abs(c.Probability-want[c.Text]/total) > 1e-9 || i > 0 && c.Probability > got[i-1].Probability {
			t.Errorf("%+v, want %v of %v", got, want, total)
		}
	}
}

// A model that cannot score is asked, and its reply is mapped to what it names.
func TestChooseByReply(t *testing.T) {
	for _, c := range []struct {
		name, reply string
		choices     []string
		want        string // empty: none
	}{
		{"itself", "no", []string{"yes", "no"}, "no"},
		{"in other letters", " **Yes.**\n", []string{"yes", "no"}, "yes"},
		{"in a sentence", "The answer is: not sure [1].", []string{"sure", "not sure"}, "not sure"},
		{"in another word", "Nothing of this", []string{"yes", "no"}, ""},
		{"both", "yes and no", []string{"yes", "no"}, ""},
		{"with signs", "C++", []string{"C", "C++", "C#"}, "C++"},
		{"numbers", "1.5", []string{"15", "1.5", "-1.5"}, "1.5"},
		{"Chinese", "答案是可以。", []string{"可以", "不行"}, "可以"},
		{"after thoughts", "<think>no, or rather</think>yes", []string{"yes", "no"}, "yes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			q := qa(t, chain.Config{Model: &script{replies: [][]string{{c.reply}}}, ModelName: "m"})
			got, err := q.Ask(context.Background(), chain.Question{Text: "How many days?", Choices: c.choices})
			if c.want == "" {
				if !errors.Is(err, chain.ErrNoChoice) {
					t.Fatal(got, err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got.Text != c.want || got.Choices[0] != (chain.Choice{Text: c.want, Probability: 1}) || len(got.Choices) != len(c.choices) || len(got.Passages) == 0 {
				t.Errorf("%+v", got)
			}
		})
	}
}

// What is asked names the choices.
func TestChoicesInPrompt(t *testing.T) {
	m := &script{replies: [][]string{{"no"}}}
	_, err := qa(t, chain.Config{Model: m}).Ask(context.Background(), chain.Question{Text: "May I?", Choices: []string{"yes", "no"}})
	if err != nil {
		t.Fatal(err)
	}
	last := m.asked[0][len(m.asked[0])-1].Parts[0].(llms.TextContent).Text
	if want := "May I?\nAnswer with exactly one of these and nothing else: yes | no"; !strings.Contains(last, want) {
		t.Errorf("%s", cmp.Diff(want, last))
	}
}

func TestNoChoices(t *testing.T) {
	for name, choices := range map[string][]string{"one": {"a"}, "twice": {"a", "A."}, "without a letter": {"a", "?!"}, "many": strings.Split(strings.Repeat("x ", 65), " ")} {
		q := qa(t, chain.Config{Model: &script{replies: [][]string{{"a"}}}})
		if _, err := q.Ask(context.Background(), chain.Question{Text: "Which?", Choices: choices}); !errors.Is(err, chain.ErrChoices) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := qa(t, chain.Config{}).Ask(context.Background(), chain.Question{Text: "Which?", Choices: []string{"a", "b"}}); !errors.Is(err, chain.ErrChoices) {
		t.Errorf("without a model: %v", err)
	}
	if _, err := qa(t, chain.Config{Model: &script{}}).Ask(context.Background(), chain.Question{Text: "Which?", Adapter: "x"}); !errors.Is(err, chain.ErrUnknownAdapter) {
		t.Errorf("an adapter of a model that has none: %v", err)
	}
}
