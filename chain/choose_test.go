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

// Of a model file the choice is the one that it finds likeliest as the whole reply, with the chances that the scores
// give; other scorings take length and expectation out.
func TestChooseByLikelihood(t *testing.T) {
	path := llmtest.Letters(t, filepath.Join(t.TempDir(), "tiny.gguf"), "llama-q8_0")
	m, err := llm.OpenFile(path, llm.Config{ContextTokens: 128})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	ctx := context.Background()
	ask := []llms.MessageContent{llms.TextParts(llms.ChatMessageTypeHuman, "a or b?")}
	bare := []llms.MessageContent{llms.TextParts(llms.ChatMessageTypeHuman, "Answer with exactly one of these and nothing else: a | b | both of them")}
	texts := []string{"a", "b", "both of them"}
	logs, read, err := m.Score(ctx, ask, texts...)
	if err != nil {
		t.Fatal(err)
	}
	prior, readBare, err := m.Score(ctx, bare, texts...)
	if err != nil {
		t.Fatal(err)
	}
	sum := func(of []float64) (s float64) {
		for _, p := range of {
			s += p
		}
		return s
	}
	for by, score := range map[chain.Scoring]func(i int) float64{
		"":                  func(i int) float64 { return sum(logs[i]) },
		chain.ByLikelihood:  func(i int) float64 { return sum(logs[i]) },
		chain.ByToken:       func(i int) float64 { return sum(logs[i]) / float64(len(logs[i])) },
		chain.ByByte:        func(i int) float64 { return sum(logs[i]) / float64(len(texts[i])) },
		chain.ByInformation: func(i int) float64 { return sum(logs[i]) - sum(prior[i]) },
	} {
		want, total := map[string]float64{}, 0.0
		for i := range texts {
			want[texts[i]] = math.Exp(score(i))
			total += want[texts[i]]
		}
		got, usage, err := chain.Choose(ctx, m, ask, texts, by)
		tokens := read
		if by == chain.ByInformation {
			tokens += readBare
		}
		if err != nil || len(got) != 3 || usage != (chain.Usage{PromptTokens: tokens}) {
			t.Fatal(by, got, usage, err)
		}
		for i, c := range got {
			if math.Abs(c.Probability-want[c.Text]/total) > 1e-9 || i > 0 && c.Probability > got[i-1].Probability {
				t.Errorf("%s: %+v, want %v of %v", by, got, want, total)
			}
		}
	}
	if _, _, err := chain.Choose(ctx, m, ask, texts, "luck"); !errors.Is(err, chain.ErrChoices) {
		t.Error(err)
	}
}

// scores is a model that finds replies as likely as it is told.
type scores map[string][]float64

func (scores) Call(context.Context, string, ...llms.CallOption) (string, error) { return "", nil }

func (scores) GenerateContent(context.Context, []llms.MessageContent, ...llms.CallOption) (*llms.ContentResponse, error) {
	return nil, errors.New("nothing is to be written")
}

func (s scores) Score(_ context.Context, messages []llms.MessageContent, replies ...string) (out [][]float64, tokens int, err error) {
	for _, r := range replies {
		if strings.HasPrefix(messages[0].Parts[0].(llms.TextContent).Text, "Answer with exactly") {
			r = "prior " + r
		}
		out = append(out, s[r])
	}
	return out, 5, nil
}

// TestScorings: an answer that begins another is not preferred for being short, since its end counts; where lengths or
// expectations differ, the scorings choose differently, as they should.
func TestScorings(t *testing.T) {
	const short, long = "yes", "yes, with consent"
	begins := scores{short: {-0.1, -3}, long: {-0.1, -0.1, -0.1, -0.1}}
	lengths := scores{"no": {-1, -0.1}, "the lease does not say": {-1, -0.2, -0.2, -0.2, -0.2, -0.1}}
	expected := scores{"yes": {-0.5}, "no": {-1}, "prior yes": {-0.2}, "prior no": {-2}}
	for _, tt := range []struct {
		name  string
		model scores
		by    chain.Scoring
		texts []string
		want  string
	}{
		{"a beginning", begins, chain.ByLikelihood, []string{short, long}, long},
		{"the likelier", lengths, chain.ByLikelihood, []string{"no", "the lease does not say"}, "no"},
		{"by token", lengths, chain.ByToken, []string{"no", "the lease does not say"}, "the lease does not say"},
		{"by byte", lengths, chain.ByByte, []string{"no", "the lease does not say"}, "the lease does not say"},
		{"expected", expected, chain.ByLikelihood, []string{"yes", "no"}, "yes"},
		{"beyond what is expected", expected, chain.ByInformation, []string{"yes", "no"}, "no"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, _, err := chain.Choose(t.Context(), tt.model, []llms.MessageContent{llms.TextParts(llms.ChatMessageTypeHuman, "May I?")}, tt.texts, tt.by)
			if err != nil || got[0].Text != tt.want {
				t.Errorf("%+v, %v", got, err)
			}
			q := qa(t, chain.Config{Model: tt.model})
			answer, err := q.Ask(t.Context(), chain.Question{Text: "How many days?", Choices: tt.texts, Scoring: tt.by})
			if err != nil || answer.Text != tt.want || answer.Usage.PromptTokens < 5 {
				t.Errorf("%+v, %v", answer, err)
			}
		})
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
