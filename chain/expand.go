package chain

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/tmc/langchaingo/llms"

	"docent/internal/prose"
	"docent/retriever"
)

// A ModelFunc returns the language model, or retriever.ErrNoModel. It is called before each use, so that a model may
// be loaded when it is first wanted, or come up later.
type ModelFunc func(ctx context.Context) (llms.Model, error)

// Parts are those parts of a search that ask a language model.
func Parts(model ModelFunc) retriever.Parts {
	return retriever.Parts{
		Questions:  func(n int) retriever.QuestionsFunc { return Questions(model, n) },
		Hypothesis: Hypothesis(model),
		Judge:      Judge{model},
	}
}

const (
	expandTokens    = 512 // for a reply: models that think need room
	hypothesisBytes = 2000
)

const (
	questionsEN = `Write up to %d search queries that find what is needed to answer the question below: say it in the words that documents may use instead, and where it asks for several things, ask for each by itself. Write in its language. Do not answer it. Reply with the queries only, one on each line.`
	questionsZH = `写出最多 %d 个检索用的问题，用来找到回答下面这个问题所需要的内容：换成文档里可能使用的说法；如果它问了几件事，就每件事单独问。使用与原问题相同的语言。不要回答问题。只回复这些问题，每行一个。`

	hypothesisEN = `Write a short passage, as it could stand in a document, that answers the question below. Write in its language. If you do not know the answer, make one up that is plausible. Reply with the passage only.`
	hypothesisZH = `写一小段可能出现在文档中的文字，回答下面的问题。使用与问题相同的语言。如果不知道答案，就编一个合理的。只回复这段文字。`
)

// Questions asks the model for up to n other questions to search, for retriever.MultiQuery.
func Questions(model ModelFunc, n int) retriever.QuestionsFunc {
	return func(ctx context.Context, question string) ([]string, error) {
		reply, err := consult(ctx, model, inLanguage(question, questionsEN, questionsZH, n), question)
		if err != nil {
			return nil, err
		}
		questions := questionLines(reply, question, n)
		if len(questions) == 0 {
			return nil, errors.New("the language model wrote no question")
		}
		return questions, nil
	}
}

// Hypothesis asks the model for a passage that could answer, for retriever.HyDE.
func Hypothesis(model ModelFunc) retriever.HypothesisFunc {
	return func(ctx context.Context, question string) (string, error) {
		reply, err := consult(ctx, model, inLanguage(question, hypothesisEN, hypothesisZH), question)
		if err != nil {
			return "", err
		}
		if reply = clipText(oneLine(reply), hypothesisBytes); reply == "" {
			return "", errors.New("the language model wrote no passage")
		}
		return reply, nil
	}
}

// inLanguage fills in the instruction in the language of the question.
func inLanguage(question, en, zh string, values ...any) string {
	if prose.IsChinese(question) {
		en = zh
	}
	return fmt.Sprintf(en, values...)
}

// consult asks the model something and returns its reply without its thoughts.
func consult(ctx context.Context, model ModelFunc, system, human string) (string, error) {
	m, err := model(ctx)
	if err != nil {
		return "", err
	}
	resp, err := m.GenerateContent(ctx, []llms.MessageContent{
		llms.TextParts(llms.ChatMessageTypeSystem, system), llms.TextParts(llms.ChatMessageTypeHuman, neutral(human)),
	}, llms.WithTemperature(0), llms.WithMaxTokens(expandTokens))
	if err != nil {
		return "", err
	}
	if len(resp.Choices) == 0 {
		return "", ErrNoAnswer
	}
	var usage Usage
	usage.Add(resp.Choices[0])
	countUsage(ctx, usage)
	return withoutThoughts(resp.Choices[0].Content, listWindow), nil
}

// withoutThoughts is a reply without the reasoning in it, and without citations of others than so many passages.
func withoutThoughts(reply string, passages int) string {
	f := &filter{passages: passages}
	f.write(reply)
	f.close()
	text, _ := f.result()
	return text
}

var listMark = regexp.MustCompile(`^(?:[-*•–]|\(?\d{1,2}[.):、]|[①-⑨])\s*`)

// questionLines reads the model's list, at most n questions that are not the given one.
func questionLines(reply, question string, n int) []string {
	var out []string
	for line := range strings.Lines(reply) {
		line = listMark.ReplaceAllString(strings.TrimSpace(line), "")
		line = strings.TrimSpace(strings.Trim(line, "\"“”「」*`"))
		if line == "" || strings.HasSuffix(line, ":") || strings.HasSuffix(line, "：") || len([]rune(line)) > condenseMost {
			continue // a heading, or no question
		}
		same := func(q string) bool { return strings.EqualFold(q, line) }
		if len(out) < n && !same(question) && !slices.ContainsFunc(out, same) {
			out = append(out, line)
		}
	}
	return out
}

var listed = regexp.MustCompile(`\d{1,3}`)

// listedNumbers reads a ranking such as "[3] > [1] > [2]": each number from 1 to n once, in the order given, and
// then those that are missing. ok is false when there is none.
func listedNumbers(reply string, n int) (order []int, ok bool) {
	for _, text := range listed.FindAllString(reply, -1) {
		if i, _ := strconv.Atoi(text); i >= 1 && i <= n && !slices.Contains(order, i) {
			order = append(order, i)
		}
	}
	ok = len(order) > 0
	for i := range n {
		if !slices.Contains(order, i+1) {
			order = append(order, i+1)
		}
	}
	return order, ok
}
