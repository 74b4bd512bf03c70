package prose

import (
	"iter"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Sentences returns the sentences of text, ascending, without the white space between them. They end as
// those of [Running] do, and lines are looked at too: a heading, a list item and a table row, which is
// never cut, are sentences of their own; a line break inside a paragraph is not a border.
func Sentences(text string) []Span {
	var out []Span
	for s := range sentences(text, true) {
		out = append(out, s)
	}
	return out
}

// Running yields the sentences of running text, ascending, without the white space between them. It
// knows English (abbreviations, initials, decimals, list numbers, ellipses, closing quotes) and Chinese and
// Japanese (。！？； with any closing quotes and brackets after them). A blank line ends a sentence, and so
// does a line break before a list marker; any other line break is white space.
func Running(text string) iter.Seq[Span] { return sentences(text, false) }

// End is the offset just after the sentence of running text that begins at start. It is above start unless
// that is the end of text.
func End(text string, start int) int { return sentenceEnd(text, start, start, false, false) }

func sentences(text string, lines bool) iter.Seq[Span] {
	return func(yield func(Span) bool) {
		lower, line := lowerCase(text), 0 // line is the start of the present one
		for start := 0; start < len(text); {
			end := sentenceEnd(text, start, line, lower, lines)
			s := start + len(text[start:end]) - len(strings.TrimLeftFunc(text[start:end], unicode.IsSpace))
			e := s + len(strings.TrimRightFunc(text[s:end], unicode.IsSpace))
			if s < e && !yield(Span{s, e}) {
				return
			}
			if i := strings.LastIndexByte(text[start:end], '\n'); i >= 0 {
				line = start + i + 1
			}
			start = end
		}
	}
}

// lowerCase reports whether text has no capitals to tell the beginning of a sentence by: notes, chats,
// telexes. It looks at the beginning only.
func lowerCase(text string) bool {
	upper, letters := 0, 0
	for i := 0; i < len(text) && i < 4096; i++ {
		switch c := text[i]; {
		case c >= 'a' && c <= 'z':
			letters++
		case c >= 'A' && c <= 'Z':
			upper++
		}
	}
	return upper*200 <= letters
}

// sentenceEnd is the offset just after the sentence that begins at start. It is above start. lower says
// that a small letter may begin a sentence.
// With lines, the lines' shapes count, the present one beginning at line.
func sentenceEnd(text string, start, line int, lower, lines bool) int {
	if lines && start == line {
		row, _, _ := strings.Cut(text[start:], "\n")
		if ShapeOf(strings.TrimSpace(row)) == Row {
			return start + len(row)
		}
	}
	for i := start; i < len(text); {
		c := text[i]
		switch {
		case c == '\n' && lines:
			if lineBorder(text[line:i], text[i+1:]) {
				return i + 1
			}
			i++
			line = i
		case c == '\n':
			if i > start && lineBreakEnds(text, i) {
				return i + 1
			}
			i++
		case c == '.' || c == '!' || c == '?':
			end := terminatorEnd(text, i)
			if asciiEnds(text, start, i, end, lower, lines) {
				return end
			}
			i = end
		case c < utf8.RuneSelf:
			i++
		default:
			r, n := utf8.DecodeRuneInString(text[i:])
			switch r {
			case '。', '！', '？', '；', '｡', '．', '⋯', '…', '‼', '⁇', '⁈', '⁉':
				end := terminatorEnd(text, i)
				if wideEnds(text, r, end) {
					return end
				}
				i = end
			case '\u2028', '\u2029':
				return i + n
			default:
				i += n
			}
		}
	}
	return len(text)
}

// terminatorEnd skips the run of sentence-ending marks at i and the closing quotes, brackets and footnote
// numbers after it.
func terminatorEnd(text string, i int) int {
	marks := true
	for i < len(text) {
		r, n := utf8.DecodeRuneInString(text[i:])
		switch {
		case marks && strings.ContainsRune(".!?。！？；｡．…⋯‼⁇⁈⁉", r):
		case strings.ContainsRune("\"')]}”’」』】》〉）〕］｝»", r):
			marks = false
		case r == '[' && note(text[i:]) > 0:
			marks, n = false, note(text[i:])
		default:
			return i
		}
		i += n
	}
	return i
}

// note is the length of the footnote number, such as "[12]", that s begins with; 0 when there is none.
func note(s string) int {
	i := 1
	for i < len(s) && i < 5 && s[i] >= '0' && s[i] <= '9' {
		i++
	}
	if i == 1 || i == len(s) || s[i] != ']' {
		return 0
	}
	return i + 1
}

// wideEnds reports whether the run of marks that began with r and ends at end closes a sentence.
func wideEnds(text string, r rune, end int) bool {
	next, spaced := following(text, end)
	switch r {
	case '…', '⋯': // often only a pause: the end where white space or a closing quote says so
		last, _ := utf8.DecodeLastRuneInString(text[:end])
		closed := last != '…' && last != '⋯'
		return (spaced || closed) && !unicode.IsLower(next)
	case '．':
		return !unicode.IsDigit(next)
	}
	return true
}

// asciiEnds reports whether the marks text[dot:end] of an English sentence begun at start end it.
// With whole, initials never do: to quote "the U.S. Navy" in halves is worse than to quote too much.
func asciiEnds(text string, start, dot, end int, lower, whole bool) bool {
	next, spaced := following(text, end)
	if next == utf8.RuneError {
		return true // the end of text
	}
	if !spaced {
		prev, _ := utf8.DecodeLastRuneInString(text[:dot])
		return Wide(next) && (text[dot] != '.' || Wide(prev))
	}
	if unicode.IsLower(next) && (!lower || end-dot > 1) && (dot == start || text[dot-1] != ' ') {
		return false
	}
	if text[dot] != '.' || end-dot > 1 {
		return true // ! ? ... or a full stop before a closing quote
	}
	word := lastWord(text[start:dot])
	switch {
	case word == "":
		return true
	case start+len(word) == dot-(len(text[start:dot])-len(strings.TrimLeftFunc(text[start:dot], unicode.IsSpace))) && listNumber(word):
		return false // "1. Open the lid."
	case len(word) == 1 && word[0] >= 'A' && word[0] <= 'Z':
		return false // an initial: "J. Smith"
	case whole && len(word) > 2 && word[len(word)-2] == '.' && word[len(word)-1] >= 'A' && word[len(word)-1] <= 'Z':
		return false // "the U.S. Navy"
	case next == '§' || unicode.IsDigit(next) && len(word) > 2 && word[1] == '.' && word[0] >= 'A' && word[0] <= 'Z':
		return false // a citation of law: "11 U.S.C. § 321", "28 C.F.R. 58.6"
	}
	switch abbreviations[strings.ToLower(word)] {
	case never:
		return false
	case beforeNumber:
		return !unicode.IsDigit(next) && next != '('
	}
	return true
}

const (
	never        = 1 + iota // something always follows: "Dr. Smith", "e.g. this"
	beforeNumber            // an abbreviation only before a number: "No. 5", "fig. 3"
)

// Abbreviations that often end a sentence too (etc., Inc., a.m.) are left out: after them an
// upper-case letter begins a sentence far more often than not.
var abbreviations = func() map[string]int {
	m := make(map[string]int)
	for _, w := range strings.Fields("mr mrs ms mx dr prof rev hon st sgt capt lt col gen maj cmdr gov sen rep pres supt messrs mme mlle fr " +
		"e.g i.e eg ie cf vs viz approx resp incl excl ca dept univ assn bros") {
		m[w] = never
	}
	for _, w := range strings.Fields("al no nos fig figs eq eqs sec ch chap vol vols art p pp par para ref refs tab app ver v jan feb mar apr jun jul aug sep sept oct nov dec") {
		m[w] = beforeNumber
	}
	return m
}()

// lastWord is what stands after the last white space or opening mark of s; only its tail is read.
func lastWord(s string) string {
	const most = 24
	i := len(s)
	for i > 0 && len(s)-i < most {
		c := s[i-1]
		if c <= ' ' || c == '(' || c == '[' || c == '"' || c == '\'' || c >= utf8.RuneSelf {
			break
		}
		i--
	}
	return s[i:]
}

func listNumber(word string) bool {
	if len(word) > 6 {
		return false
	}
	for i := 0; i < len(word); i++ {
		if c := word[i]; (c < '0' || c > '9') && c != '.' {
			return len(word) == 1
		}
	}
	return true
}

// following is the first rune after white space from i, and whether there was any. It is
// utf8.RuneError at the end of text.
func following(text string, i int) (r rune, spaced bool) {
	for i < len(text) {
		r, n := utf8.DecodeRuneInString(text[i:])
		if !unicode.IsSpace(r) {
			if r == utf8.RuneError {
				r = 0
			}
			return r, spaced
		}
		spaced = true
		i += n
	}
	return utf8.RuneError, true
}

// lineBreakEnds reports whether the line feed at i ends a sentence by itself: a blank line or a list
// marker follows.
func lineBreakEnds(text string, i int) bool {
	i++
	for i < len(text) && (text[i] == ' ' || text[i] == '\t' || text[i] == '\r') {
		i++
	}
	if i >= len(text) || text[i] == '\n' {
		return true
	}
	rest := text[i:]
	if c := rest[0]; c == '-' || c == '*' || c == '+' {
		return len(rest) > 1 && (rest[1] == ' ' || rest[1] == '\t')
	}
	if r, _ := utf8.DecodeRuneInString(rest); strings.ContainsRune("•·▪◦‣●○■□◆※", r) {
		return true
	}
	n := 0
	for n < len(rest) && n < 4 && rest[n] >= '0' && rest[n] <= '9' {
		n++
	}
	if n == 0 || n == len(rest) {
		return false
	}
	if rest[n] == '.' || rest[n] == ')' {
		return n+1 < len(rest) && rest[n+1] == ' '
	}
	return strings.HasPrefix(rest[n:], "、") || strings.HasPrefix(rest[n:], "．")
}

// Wide reports whether r is of a script written without spaces, which encoders read rune by rune.
func Wide(r rune) bool {
	return r >= 0x1100 && (r <= 0x115f || // Hangul jamo
		r >= 0x2e80 && r <= 0x9fff && r != 0x3000 || // radicals to CJK unified, kana and marks
		r >= 0xac00 && r <= 0xd7a3 || // Hangul syllables
		r >= 0xf900 && r <= 0xfaff || // compatibility ideographs
		r >= 0xff00 && r <= 0xffef || // half and full width forms
		r >= 0x20000 && r <= 0x3ffff) // supplementary ideographs
}
