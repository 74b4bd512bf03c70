package chain

import (
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/tmc/langchaingo/llms"

	"docent/internal/prose"
)

const (
	condenseTurns  = 4    // of the history that the rewriting model sees
	condenseTokens = 512  // for its reply: models that think need room
	condenseMost   = 400  // runes of a rewritten question; a longer reply is no question
	turnMost       = 1500 // bytes of an earlier answer that are shown to it
)

const (
	condenseEN = `Rewrite the last question of a conversation so that it can be understood without the conversation: put in what words like "it", "they", "the second one" or "there" stand for. Keep its meaning, its language and its names. Do not answer it. If it can already be understood alone, repeat it unchanged. Reply with the question only.`
	condenseZH = `改写对话中的最后一个问题，使它离开对话也能看懂：把“它”“他们”“第二个”“那里”等指代的内容写出来。保持原意、语言和名称。不要回答问题。如果它本来就能独立看懂，原样重复。只回复这个问题。`
)

// condenseMessages asks a model to rewrite question so that it stands alone.
func condenseMessages(question string, history []Turn) []llms.MessageContent {
	system, head, q, a, last := condenseEN, "Conversation:", "Question: ", "Answer: ", "Last question: "
	if prose.IsChinese(question) {
		system, head, q, a, last = condenseZH, "对话：", "问：", "答：", "最后一个问题："
	}
	var b strings.Builder
	b.WriteString(head + "\n")
	for _, t := range history[max(0, len(history)-condenseTurns):] {
		b.WriteString(q + neutral(oneLine(t.Question)) + "\n" + a + neutral(oneLine(clipText(withoutMarkers(t.Answer), turnMost))) + "\n")
	}
	b.WriteString("\n" + last + neutral(question))
	return []llms.MessageContent{llms.TextParts(llms.ChatMessageTypeSystem, system), llms.TextParts(llms.ChatMessageTypeHuman, b.String())}
}

var condenseLabel = regexp.MustCompile(`(?i)^(?:(?:standalone|rewritten|last|new) question|question|rewrite|rewritten|改写后的问题|改写后|改写|最后一个问题|问题|问)\s*[:：]\s*`)

// condensed reads the model's reply; ok is false when it is no question.
func condensed(reply string) (query string, ok bool) {
	for line := range strings.Lines(withoutThoughts(reply, 0)) {
		if line = strings.Trim(strings.TrimSpace(line), "*"); line == "" {
			continue
		}
		line = condenseLabel.ReplaceAllString(line, "")
		line = strings.TrimSpace(strings.Trim(strings.TrimSpace(line), "\"“”「」*`"))
		if line == "" {
			continue // a label alone: the question is on the next line
		}
		return line, utf8.RuneCountInString(line) <= condenseMost
	}
	return "", false
}

// refers finds the words by which a question leans on what was said before.
var refers = regexp.MustCompile(`(?i)\b(it|its|it's|they|them|their|theirs|this|that|these|those|he|she|him|his|her|hers|there|then|one|ones|same|former|latter|else|other|others|another|previous|above)\b|^(and|but|so|or|also|what about|how about|why|why not|how so|since when|more|any more)\b|它|他|她|这|這|那|其|该|該|此|前者|后者|後者|上面|上述|刚才|剛才|第[一二三四五六七八九十]个|第[一二三四五六七八九十]個|呢[？?]?$|^(还有|還有|那么|那麼|为什么|為什麼|怎么|如果|具体|举例)`)

const (
	fewTerms = 3 // words of meaning below which an English question hardly stands alone
	fewRunes = 8 // characters, for a Chinese one
)

// heuristicQuery makes a follow-up searchable without a model: where the question leans on the
// conversation, the words of meaning of the question before it are added.
func heuristicQuery(question string, history []Turn) string {
	if len(history) == 0 || !followsUp(question) {
		return question
	}
	have := map[string]bool{}
	for _, t := range prose.Terms(question) {
		have[t] = true
	}
	var add []string
	for _, t := range slices.Backward(history[max(0, len(history)-condenseTurns):]) {
		add = append(contentWords(t.Question, have), add...)
		if !followsUp(t.Question) {
			break // this one stands alone: it names what the talk is about
		}
	}
	if len(add) == 0 {
		return question
	}
	return strings.TrimSpace(question) + " " + strings.Join(add, " ")
}

func followsUp(question string) bool {
	q := strings.TrimSpace(question)
	if refers.MatchString(q) {
		return true
	}
	if prose.IsChinese(q) {
		return utf8.RuneCountInString(q) < fewRunes
	}
	return len(prose.QuestionTerms(q)) < fewTerms
}

var wordRun = regexp.MustCompile(`[\p{L}\p{N}][\p{L}\p{N}\p{M}.\-]*[\p{L}\p{N}]|[\p{L}\p{N}]`)

// contentWords are the words of question that mean something and are not in have, as written; they are
// added to have. Chinese is taken in the runs between the words that ask.
func contentWords(question string, have map[string]bool) []string {
	var out []string
	for _, w := range wordRun.FindAllString(question, -1) {
		ts := prose.QuestionTerms(w)
		fresh := false
		for _, t := range ts {
			fresh = fresh || !have[t]
		}
		if !fresh {
			continue
		}
		for _, t := range ts {
			have[t] = true
		}
		out = append(out, w)
	}
	return out
}

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

// clipText cuts text to at most n bytes, on a rune border, and says so with an ellipsis.
func clipText(text string, n int) string {
	if len(text) <= n {
		return text
	}
	for n > 0 && !utf8.RuneStart(text[n]) {
		n--
	}
	return text[:n] + "…"
}
