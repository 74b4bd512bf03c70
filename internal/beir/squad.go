package beir

import (
	"slices"
	"strings"
	"unicode"
)

// ExactMatch reports whether the answer is one of the expected ones, as SQuAD compares: case, ASCII
// punctuation, the articles a, an and the, and white space aside. Among Chinese, Japanese and Korean
// characters all punctuation and white space is aside.
func ExactMatch(answer string, expected []string) bool {
	have := answerTokens(answer)
	return slices.ContainsFunc(expected, func(e string) bool { return slices.Equal(answerTokens(e), have) })
}

// TokenF1 returns the harmonic mean of precision and recall of the answer's words against those of the
// expected answer that gives the highest, 0 to 1: the F1 of Rajpurkar et al. 2016, "SQuAD", section 6.1.
// Each Chinese, Japanese or Korean character counts as a word, as in DRCD (Shao et al. 2018, section 3)
// and MLQA (Lewis et al. 2020, section 4).
func TokenF1(answer string, expected []string) float64 {
	have := answerTokens(answer)
	best := 0.0
	for _, e := range expected {
		best = max(best, tokenF1(have, answerTokens(e)))
	}
	return best
}

func tokenF1(have, want []string) float64 {
	if len(have) == 0 || len(want) == 0 {
		if len(have) == len(want) {
			return 1
		}
		return 0
	}
	left := make(map[string]int, len(want))
	for _, t := range want {
		left[t]++
	}
	same := 0
	for _, t := range have {
		if left[t] > 0 {
			left[t]--
			same++
		}
	}
	// 2PR/(P+R) with P = same/have and R = same/want.
	return 2 * float64(same) / float64(len(have)+len(want))
}

// Contains reports whether the answer has one of the expected ones within it, by ExactMatch's measure:
// what can be asked of an answer that is a sentence.
func Contains(answer string, expected []string) bool {
	have := " " + strings.Join(answerTokens(answer), " ") + " "
	return slices.ContainsFunc(expected, func(e string) bool {
		want := answerTokens(e)
		return len(want) > 0 && strings.Contains(have, " "+strings.Join(want, " ")+" ")
	})
}

// answerTokens cuts text into the words that answers are compared by. The order of the steps is that of
// SQuAD's evaluation script: lower case, punctuation away, articles away, split at white space.
func answerTokens(text string) []string {
	text = strings.Map(func(r rune) rune {
		if r < unicode.MaxASCII && (unicode.IsPunct(r) || unicode.IsSymbol(r)) {
			return -1
		}
		return unicode.ToLower(r)
	}, text)
	var tokens []string
	for _, field := range strings.Fields(withoutArticles(text)) {
		tokens = append(tokens, splitIdeographs(field)...)
	}
	return tokens
}

// withoutArticles puts a space in place of each a, an and the that is a whole word.
func withoutArticles(text string) string {
	var b strings.Builder
	rest := text
	for rest != "" {
		n := strings.IndexFunc(rest, isWord)
		if n < 0 {
			n = len(rest)
		}
		b.WriteString(rest[:n])
		rest = rest[n:]
		n = strings.IndexFunc(rest, func(r rune) bool { return !isWord(r) })
		if n < 0 {
			n = len(rest)
		}
		switch word := rest[:n]; word {
		case "a", "an", "the":
			b.WriteByte(' ')
		default:
			b.WriteString(word)
		}
		rest = rest[n:]
	}
	return b.String()
}

func isWord(r rune) bool { return unicode.IsLetter(r) || unicode.IsNumber(r) || r == '_' }

// splitIdeographs makes each ideograph a token of its own. A field with none is left as it is; in one
// with some, other punctuation, such as 《 and 。, goes.
func splitIdeographs(field string) []string {
	if !strings.ContainsFunc(field, isIdeograph) {
		if strings.IndexFunc(field, func(r rune) bool { return !isWidePunct(r) }) < 0 {
			return nil
		}
		return []string{field}
	}
	var tokens []string
	start := -1
	flush := func(end int) {
		if start >= 0 {
			tokens = append(tokens, field[start:end])
			start = -1
		}
	}
	for i, r := range field {
		switch {
		case isIdeograph(r):
			flush(i)
			tokens = append(tokens, string(r))
		case unicode.IsPunct(r) || unicode.IsSymbol(r):
			flush(i)
		case start < 0:
			start = i
		}
	}
	flush(len(field))
	return tokens
}

func isIdeograph(r rune) bool {
	return unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Hangul)
}

// isWidePunct tells the punctuation of East Asian text: CJK Symbols and Punctuation, and Halfwidth and
// Fullwidth Forms.
func isWidePunct(r rune) bool {
	return (r >= 0x3000 && r <= 0x303f || r >= 0xff00 && r <= 0xffef) && (unicode.IsPunct(r) || unicode.IsSymbol(r))
}
