package prose

import (
	"strings"
	"unicode"

	"github.com/kljensen/snowball/english"
	"golang.org/x/text/unicode/norm"
)

// stopWords carry no meaning of their own, question words among them.
var stopWords = set(`a an and are as at be been being but by did do does doing for from had has have having he her
	hers him his how i if in into is it its itself me my no nor not of off on or our ours out over own s she
	so some such than that the their theirs them then there these they this those through to too under until up
	very was we were what when where which while who whom whose why will with would you your yours can could
	should may might must shall also about any each please tell name d ll m o re t ve`)

// questionMarks are the Chinese words that ask and the particles between words. They separate what is
// asked about; longest first.
var questionMarks = strings.NewReplacer(
	"请问", " ", "請問", " ", "怎么办", " ", "怎麼辦", " ", "怎么样", " ", "怎麼樣", " ", "为什么", " ", "為什麼", " ", "什么时候", " ", "什麼時候", " ", "是什么", " ", "是什麼", " ",
	"什么", " ", "什麼", " ", "怎么", " ", "怎麼", " ", "怎样", " ", "怎樣", " ", "如何", " ", "为何", " ", "為何", " ",
	"多少", " ", "哪一年", "年 ", "哪年", "年 ", "哪一个", " ", "哪一個", " ", "哪个", " ", "哪個", " ", "哪些", " ", "哪位", " ", "哪里", " ",
	"哪裡", " ", "哪儿", " ", "哪家", " ", "哪种", " ", "哪種", " ", "哪", " ", "何时", " ", "何時", " ", "何地", " ", "何处", " ", "何處", " ",
	"何种", " ", "何種", " ", "何人", " ", "谁", " ", "誰", " ", "是否", " ", "能否", " ", "几号", " ", "幾號", " ", "几日", " ", "几点", " ", "幾點", " ", "几天", " ", "幾天", " ", "几个", " ", "幾個", " ",
	"应该", " ", "應該", " ", "需要", " ", "我们", " ", "我們", " ", "我", " ", "你", " ", "您", " ", "这样", " ", "這樣", " ", "有没有", " ", "能不能", " ", "可不可以", " ", "几", " ", "幾", " ",
	"多久", " ", "多长", " ", "多長", " ", "吗", " ", "嗎", " ", "呢", " ", "吧", " ", "的", " ", "了", " ", "可以", " ",
	"请", " ", "請", " ", "是", " ", "有", " ", "在", " ", "被", " ", "於", " ", "于", " ", "之", " ", "為", " ", "为", " ")

// Terms are the words of text that carry meaning, in order and with repeats: English words folded to
// lower case and stemmed, without stop words; numbers without their thousands separators; and Chinese as
// overlapping pairs of characters together with each single character, so that either can be matched.
func Terms(text string) []string { return terms(norm.NFKC.String(text), true) }

// QuestionTerms are the words of a question that an answer should hold: as Terms, but without the
// words that ask, and with a single Chinese character only where it stands alone.
func QuestionTerms(question string) []string {
	q := norm.NFKC.String(question)
	if strings.IndexFunc(q, isHan) >= 0 {
		q = questionMarks.Replace(q)
	}
	return terms(q, false)
}

func isHan(r rune) bool {
	return unicode.Is(unicode.Han, r) || unicode.In(r, unicode.Hiragana, unicode.Katakana)
}

func terms(text string, single bool) []string {
	var out []string
	rs := []rune(text)
	for i := 0; i < len(rs); {
		r := rs[i]
		j := i
		switch {
		case isHan(r):
			for j < len(rs) && isHan(rs[j]) {
				j++
			}
			for k := i; k < j; k++ {
				if single || j-i == 1 {
					out = append(out, string(rs[k]))
				}
				if k+1 < j {
					out = append(out, string(rs[k:k+2]))
				}
			}
		case unicode.IsDigit(r):
			for j < len(rs) && (unicode.IsDigit(rs[j]) ||
				(rs[j] == '.' || rs[j] == ',') && j+1 < len(rs) && unicode.IsDigit(rs[j+1])) {
				j++
			}
			// A part number such as ZX-2031B keeps its letters in a term of their own.
			out = append(out, strings.ReplaceAll(string(rs[i:j]), ",", ""))
		case unicode.IsLetter(r):
			for j < len(rs) && !isHan(rs[j]) && (unicode.IsLetter(rs[j]) || unicode.IsMark(rs[j])) {
				j++
			}
			w := strings.ToLower(string(rs[i:j]))
			if stopWords[w] {
				break
			}
			out = append(out, Stem(w))
		default:
			j = i + 1
		}
		i = j
	}
	return out
}

// Stem folds an English word in lower case to its stem; other words are returned as they are.
func Stem(word string) string {
	for i := range len(word) {
		if word[i] < 'a' || word[i] > 'z' {
			return word
		}
	}
	return english.Stem(word, false)
}
