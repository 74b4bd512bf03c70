// Package prose looks at running text as a reader does: where its sentences end, which of its words
// carry meaning, and whether it is Chinese. It knows English and Chinese and does no harm to others.
// Every function is pure and safe for concurrent use.
package prose

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// A Span is the byte range [Start, End) of a text, on rune borders.
type Span struct{ Start, End int }

// abbreviations end in a full stop without ending a sentence.
var abbreviations = set(`mr mrs ms dr prof st sr jr vs no nos fig figs eq sec vol pp p ed eds cf ca approx inc ltd
	co corp dept est gen col sgt capt lt cmdr adm rev hon gov sen rep mt ft e.g i.e al viz resp tel ext
	jan feb mar apr jun jul aug sep sept oct nov dec art ch para ref`)

func set(words string) map[string]bool {
	m := map[string]bool{}
	for w := range strings.FieldsSeq(words) {
		m[w] = true
	}
	return m
}

// Sentences returns the sentences of text, ascending, without the white space between them. A heading,
// a list item and a table row are sentences too; a line break inside a paragraph is not a border.
func Sentences(text string) []Span {
	var out []Span
	start := 0 // of the sentence being read
	cut := func(end int) {
		s, e := start, end
		for s < e {
			r, n := utf8.DecodeRuneInString(text[s:e])
			if !unicode.IsSpace(r) {
				break
			}
			s += n
		}
		for e > s {
			r, n := utf8.DecodeLastRuneInString(text[s:e])
			if !unicode.IsSpace(r) {
				break
			}
			e -= n
		}
		if s < e {
			out = append(out, Span{s, e})
		}
		start = end
	}
	line := 0 // start of the present line
	for i := 0; i < len(text); {
		r, n := utf8.DecodeRuneInString(text[i:])
		end := i + n
		switch r {
		case '\n':
			if lineBorder(text[line:i], text[end:]) {
				cut(end)
			}
			line = end
		case '。', '！', '？', '；', '｡', '…':
			end = closers(text, end)
			if r != '…' || i > start {
				if next, _ := utf8.DecodeRuneInString(text[end:]); !strings.ContainsRune("，、,：）)", next) || end == len(text) {
					cut(end)
				}
			}
		case '!', '?':
			end = closers(text, end)
			if gap(text[end:]) {
				cut(end)
			}
		case '.':
			end = closers(text, end)
			if gap(text[end:]) && !abbreviated(text[start:i]) && opens(text[end:]) {
				cut(end)
			}
		}
		i = end
	}
	cut(len(text))
	return out
}

// closers skips the further end marks, closing quotes and footnote numbers that belong to the sentence.
func closers(text string, i int) int {
	for i < len(text) {
		r, n := utf8.DecodeRuneInString(text[i:])
		switch {
		case strings.ContainsRune("。！？!?.…｡\"'”’」』）)》】", r):
			i += n
			continue
		case r == '[':
			j := i + 1
			for j < len(text) && j-i < 5 && text[j] >= '0' && text[j] <= '9' {
				j++
			}
			if j > i+1 && j < len(text) && text[j] == ']' {
				i = j + 1
				continue
			}
		}
		break
	}
	return i
}

// gap reports whether rest begins where a sentence may have ended.
func gap(rest string) bool {
	r, n := utf8.DecodeRuneInString(rest)
	return n == 0 || unicode.IsSpace(r) || unicode.Is(unicode.Han, r)
}

// opens reports whether what follows the gap may begin a sentence: lower-case letters do not.
func opens(rest string) bool {
	for _, r := range rest {
		if unicode.IsSpace(r) {
			continue
		}
		return !unicode.IsLower(r)
	}
	return true
}

// abbreviated reports whether the full stop after head belongs to its last word.
func abbreviated(head string) bool {
	i := len(head)
	for i > 0 {
		r, n := utf8.DecodeLastRuneInString(head[:i])
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '.' {
			break
		}
		i -= n
	}
	word := strings.TrimLeft(head[i:], ".")
	if word == "" {
		return false
	}
	if abbreviations[strings.ToLower(word)] {
		return true
	}
	if strings.TrimSpace(head[:i]) == "" && strings.Trim(word, "0123456789.") == "" {
		return true // "1. First"
	}
	// Initials: "J.", "U.S", but not the pronoun or a vitamin at the end: "as good as I."
	last := word[strings.LastIndexByte(word, '.')+1:]
	return utf8.RuneCountInString(last) == 1 && last != "I" && unicode.IsUpper([]rune(last)[0])
}

// lineBorder reports whether the line break between line and rest ends a sentence.
func lineBorder(line, rest string) bool {
	trimmed := strings.TrimSpace(line)
	next, _, _ := strings.Cut(rest, "\n")
	next = strings.TrimSpace(next)
	if trimmed == "" || next == "" || ShapeOf(trimmed) == Heading || ShapeOf(next) != Flowing {
		return true
	}
	if ShapeOf(trimmed) == Row {
		return true
	}
	// A short line that does not run on is a title or a label: wrapped lines are long.
	last, _ := utf8.DecodeLastRuneInString(trimmed)
	first, _ := utf8.DecodeRuneInString(next)
	return width(trimmed) < 40 && !strings.ContainsRune(",，、;；-–—（(", last) && !unicode.IsLower(first)
}

// A Shape is what Markdown makes of a line.
type Shape int

const (
	Flowing Shape = iota // running text
	Heading              // "# Title"
	Item                 // of a list, a quotation or code: "- milk", "1. Open the lid"
	Row                  // of a table: "| a | b |"
)

// ShapeOf says what Markdown makes of a line that has no white space before it.
func ShapeOf(line string) Shape {
	switch {
	case strings.HasPrefix(line, "#"):
		return Heading
	case strings.HasPrefix(line, "|"):
		return Row
	case strings.HasPrefix(line, "- "), strings.HasPrefix(line, "* "), strings.HasPrefix(line, "+ "),
		strings.HasPrefix(line, "•"), strings.HasPrefix(line, "> "), strings.HasPrefix(line, "```"):
		return Item
	}
	digits := 0
	for i, r := range line {
		switch {
		case unicode.IsDigit(r) || strings.ContainsRune("一二三四五六七八九十（(", r):
			digits++
			if digits > 4 {
				return Flowing
			}
		case digits > 0 && strings.ContainsRune("、)）", r):
			return Item
		case digits > 0 && r == '.' && i+1 < len(line) && line[i+1] == ' ':
			return Item
		default:
			return Flowing
		}
	}
	return Flowing
}

// width is a line's width in columns: Chinese characters take two.
func width(s string) int {
	w := 0
	for _, r := range s {
		w++
		if r >= 0x2E80 {
			w++
		}
	}
	return w
}

// IsChinese reports whether text is mainly Chinese: more Han characters than words in letters, and
// no kana, so that Japanese is not taken for it.
func IsChinese(text string) bool {
	han, words := 0, 0
	in := false
	for _, r := range text {
		switch {
		case unicode.Is(unicode.Han, r):
			han++
			in = false
		case unicode.In(r, unicode.Hiragana, unicode.Katakana) && r != 'ー' && r != '・':
			return false
		case unicode.IsLetter(r):
			if !in {
				words++
			}
			in = true
		default:
			in = false
		}
	}
	return han > 0 && han >= words
}

// Language is "zh" for Chinese text and "en" for any other.
func Language(text string) string {
	if IsChinese(text) {
		return "zh"
	}
	return "en"
}
