package chain

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode"

	"github.com/tmc/langchaingo/llms"

	"docent/internal/prose"
)

var (
	// ErrChoices is wrapped when the choices of a question are no choice, or there is no model to choose.
	ErrChoices = errors.New("choices")
	// ErrNoChoice is wrapped when a model that cannot score replies with something else than one of the choices.
	ErrNoChoice = errors.New("the reply is none of the choices")
)

const maxChoices = 64

// A Scorer is a language model that tells how likely it finds replies to messages, without writing any: for each
// reply the natural logarithm of the probability of each of its tokens after those before it, and last that of its end.
// tokens is how many it read. docent's own model files are scorers; models on servers are not.
type Scorer interface {
	Score(ctx context.Context, messages []llms.MessageContent, replies ...string) (logProbs [][]float64, tokens int, err error)
}

// A Choice is one of the answers that a question allows.
type Choice struct {
	Text        string  `json:"text"`
	Probability float64 `json:"probability"` // among the choices; 1 of the chosen one, 0 of others, where the model cannot score
}

// A Scoring is how a [Scorer]'s choices are compared.
type Scoring string

const (
	// ByLikelihood is the default: how likely the choice is as the whole reply. Probabilities are the model's own.
	ByLikelihood Scoring = "likelihood"
	// ByToken is the mean logarithm of its tokens, for choices whose lengths differ.
	ByToken Scoring = "token"
	// ByByte is their sum divided by the bytes of the choice, as acc_norm of EleutherAI's evaluation harness.
	ByByte Scoring = "byte"
	// ByInformation compares with how likely the choice is where the question is not told (domain-conditional
	// pointwise mutual information, Holtzman et al. 2021, "Surface Form Competition"), for choices of which some are
	// expected whatever is asked.
	ByInformation Scoring = "pmi"
)

// Scorings are those that there are.
func Scorings() []string {
	return []string{string(ByLikelihood), string(ByToken), string(ByByte), string(ByInformation)}
}

// Check returns an error that wraps [ErrChoices] unless there is such a scoring.
func (by Scoring) Check() error {
	if by == "" || slices.Contains(Scorings(), string(by)) {
		return nil
	}
	return fmt.Errorf("%w: there is no scoring %q; there are: %s", ErrChoices, by, strings.Join(Scorings(), ", "))
}

// Choose maps a model's answer to messages to one of some texts (answer mapping, Liu et al. 2021, section 5), and
// returns all of them, the likeliest first. The messages must say what is to be chosen from. A model that is a
// [Scorer] is asked how likely it finds each of the texts as its reply, and writes nothing: the usage is of tokens
// read; "" means ByLikelihood. Of others the reply is looked at, which is the choice itself or names one only, or the
// error wraps [ErrNoChoice].
func Choose(ctx context.Context, model llms.Model, messages []llms.MessageContent, choices []string, by Scoring, options ...llms.CallOption) (chosen []Choice, usage Usage, err error) {
	if err := CheckChoices(choices); err != nil {
		return nil, usage, err
	}
	if err := by.Check(); err != nil {
		return nil, usage, err
	}
	if s, ok := model.(Scorer); ok {
		chosen, usage.PromptTokens, err = byScores(ctx, s, messages, choices, by)
		return chosen, usage, err
	}
	resp, err := model.GenerateContent(ctx, messages, options...)
	if err != nil {
		return nil, usage, err
	}
	if len(resp.Choices) == 0 {
		return nil, usage, ErrNoAnswer
	}
	usage.Add(resp.Choices[0])
	chosen, err = byReply(choices, resp.Choices[0].Content)
	return chosen, usage, err
}

// byScores asks a scorer.
func byScores(ctx context.Context, model Scorer, messages []llms.MessageContent, choices []string, by Scoring) ([]Choice, int, error) {
	logs, tokens, err := model.Score(ctx, messages, choices...)
	if err != nil {
		return nil, tokens, err
	}
	scores := make([]float64, len(choices))
	for i, of := range logs {
		for _, p := range of {
			scores[i] += p
		}
		switch by {
		case ByToken:
			scores[i] /= float64(len(of))
		case ByByte:
			scores[i] /= float64(len(choices[i]))
		}
	}
	if by == ByInformation {
		language := prose.Language(strings.Join(choices, " "))
		bare := strings.TrimSpace(withChoices("", language, choices))
		prior, read, err := model.Score(ctx, []llms.MessageContent{llms.TextParts(llms.ChatMessageTypeHuman, bare)}, choices...)
		if tokens += read; err != nil {
			return nil, tokens, err
		}
		for i, of := range prior {
			for _, p := range of {
				scores[i] -= p
			}
		}
	}
	return amongThem(choices, scores), tokens, nil
}

// CheckChoices returns an error that wraps [ErrChoices] unless there are 2 to 64 texts, each with a letter or digit of its own.
func CheckChoices(choices []string) error {
	if len(choices) < 2 || len(choices) > maxChoices {
		return fmt.Errorf("%w: there are %d, want 2 to %d", ErrChoices, len(choices), maxChoices)
	}
	seen := map[string]bool{}
	for _, c := range choices {
		switch plain := plainChoice(c); {
		case plain == "":
			return fmt.Errorf("%w: %q has no letter or digit", ErrChoices, c)
		case seen[plain]:
			return fmt.Errorf("%w: %q is there twice", ErrChoices, c)
		default:
			seen[plain] = true
		}
	}
	return nil
}

// amongThem makes probabilities of scores, which add up to 1.
func amongThem(choices []string, scores []float64) []Choice {
	top, total := slices.Max(scores), 0.0
	out := make([]Choice, len(choices))
	for i, text := range choices {
		out[i] = Choice{text, math.Exp(scores[i] - top)}
		total += out[i].Probability
	}
	for i := range out {
		out[i].Probability /= total
	}
	slices.SortStableFunc(out, func(a, b Choice) int { return cmp.Compare(b.Probability, a.Probability) })
	return out
}

// byReply finds the choice that a reply is, or the only one that it names.
func byReply(choices []string, reply string) ([]Choice, error) {
	said := " " + plainChoice(reply) + " "
	var named []string
	for _, c := range choices {
		switch plain := " " + plainChoice(c) + " "; {
		case plain == said:
			return chosen(choices, c), nil
		case strings.Contains(said, plain) || prose.IsChinese(c) && strings.Contains(said, strings.TrimSpace(plain)):
			named = append(named, c)
		}
	}
	// "not sure" names "sure" too.
	named = slices.DeleteFunc(named, func(c string) bool {
		return slices.ContainsFunc(named, func(other string) bool {
			return other != c && strings.Contains(plainChoice(other), plainChoice(c))
		})
	})
	if len(named) != 1 {
		return nil, fmt.Errorf("%w: %q", ErrNoChoice, clipText(strings.TrimSpace(reply), 200))
	}
	return chosen(choices, named[0]), nil
}

func chosen(choices []string, one string) []Choice {
	out := []Choice{{one, 1}}
	for _, c := range choices {
		if c != one {
			out = append(out, Choice{Text: c})
		}
	}
	return out
}

// plainChoice is text as it is compared: its words in small letters, with what tells C from C++ and 1.5 from 15.
func plainChoice(text string) string {
	words := strings.FieldsFunc(withoutMarkers(text), func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("+-.#", r)
	})
	for i, w := range words {
		words[i] = strings.TrimRight(w, ".")
	}
	return strings.ToLower(strings.Join(words, " "))
}

// withChoices adds to a question what may be answered.
func withChoices(question, language string, choices []string) string {
	if language == "zh" {
		return question + "\n只用下列之一回答，不要其他任何内容：" + strings.Join(choices, " | ")
	}
	return question + "\nAnswer with exactly one of these and nothing else: " + strings.Join(choices, " | ")
}
